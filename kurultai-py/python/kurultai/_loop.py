"""Attaches the native bridge to an event loop. The native part calls ``bridge`` once for each loop."""

from __future__ import annotations

import functools
import threading
from asyncio import AbstractEventLoop
from weakref import WeakKeyDictionary, finalize, ref

from ._native import Bridge

_bridges: WeakKeyDictionary[AbstractEventLoop, Bridge] = WeakKeyDictionary()


def bridge(loop: AbstractEventLoop) -> Bridge:
    """The loop's bridge; made and attached where it has none yet."""
    known = _bridges.get(loop)
    if known is not None:
        return known
    made = Bridge()
    try:
        _read(loop, made)
    except NotImplementedError:
        _watch(loop, made)
    _bridges[loop] = made
    return made


def _read(loop: AbstractEventLoop, made: Bridge) -> None:
    """The loop alone holds what it calls, and lets go of it when it is closed: then nobody waits any more."""
    drain = functools.partial(made.drain)
    loop.add_reader(made.fileno(), drain)
    finalize(drain, made.abandon).atexit = False


def _watch(loop: AbstractEventLoop, made: Bridge) -> None:
    """For loops that cannot watch a descriptor: a thread waits in their stead."""
    weak = ref(loop, lambda _: made.close())

    def work() -> None:
        while made.wait():
            alive = weak()
            if alive is None:
                return
            try:
                alive.call_soon_threadsafe(made.drain)
            except RuntimeError:  # the loop is closed
                made.abandon()
                return
            del alive

    threading.Thread(target=work, name="kurultai-wake", daemon=True).start()
