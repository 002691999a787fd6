"""Threads for handlers that are no coroutines. Unlike those of concurrent.futures they never hold up the exit of the
interpreter: a handler that does not stop is left behind."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any

_Work = Callable[[], None]


class Threads:
    """As many threads as handlers run at once; idle ones are used again."""

    def __init__(self) -> None:
        self._queue: SimpleQueue[_Work | None] = SimpleQueue()
        self._idle = 0
        self._count = 0

    def start(self, function: Callable[[], Any]) -> asyncio.Future[Any]:
        """Runs the function in a thread; called in the loop that gets its result."""
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Any] = loop.create_future()

        def settle(result: Any, error: BaseException | None) -> None:
            self._idle += 1
            if future.done():
                return
            if error is None:
                future.set_result(result)
            else:
                future.set_exception(error)

        def work() -> None:
            try:
                result, error = function(), None
            except BaseException as raised:
                result, error = None, raised
                if isinstance(error, StopIteration):  # a future cannot hold it
                    error = RuntimeError(f"the handler raised {error!r}")
            try:
                loop.call_soon_threadsafe(settle, result, error)
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
