"""Threads for handlers that are no coroutines. Unlike those of concurrent.futures they never hold up the exit of the
interpreter: a handler that does not stop is left behind."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import TypeVar

_Work = Callable[[], None]
_Result = TypeVar("_Result")


class Threads:
    """As many threads as handlers run at once; idle ones are used again."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._idle = 0
        self._count = 0

    def start(self, function: Callable[[], _Result]) -> asyncio.Future[_Result]:
        """Runs the function, which does not raise, in a thread with a copy of the caller's context variables; called in
        the loop that gets its result."""
        loop = asyncio.get_running_loop()
        context = contextvars.copy_context()
        future: asyncio.Future[_Result] = loop.create_future()

        def settle(result: _Result) -> None:
            self._idle += 1
            if not future.done():
                future.set_result(result)

        def work() -> None:
            result = context.run(function)
            try:
                loop.call_soon_threadsafe(settle, result)
            except RuntimeError:  # the loop is closed: nobody waits any more
                pass

        self._queue.put(work)
        if self._idle:
            self._idle -= 1
        else:
            self._count += 1
            name = f"kurultai-handler-{self._count}"
            threading.Thread(target=_run, args=(self._queue,), name=name, daemon=True).start()
        return future

    def close(self) -> None:
        """Lets the threads end once they are idle."""
        for _ in range(self._count):
            self._queue.put(None)


def _run(queue: SimpleQueue[_Work | None]) -> None:
    while True:
        work = queue.get()
        if work is None:
            return
        work()
        del work
