"""An agent made of decorated functions. Registration, heartbeats, claims, renewal, drain and release are the core's;
here the handlers run.

>>> agent = kurultai.Agent("temujin", capabilities=["development"], concurrency=4)
>>> @agent.task("review", timeout=600)
... async def review(ctx, payload):
...     await ctx.progress(0.5)
...     ctx.usage(tokens=812)
...     return {"approved": payload["pr"]}
>>> task = await k.tasks.enqueue("review", {"pr": 42}, requires=["development"])
>>> stop = asyncio.Event()
>>> serving = asyncio.create_task(agent.serve(k, stop=stop))
>>> while (await k.tasks.get(task)).status != "completed":
...     await asyncio.sleep(0.01)
>>> stop.set()
>>> await serving
1
>>> (await k.tasks.get(task)).results
{'approved': 42}
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import signal
import traceback
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar, Union

from . import _native, blocking
from ._client import Kurultai, open
from ._context import Context, Stop
from ._threads import Threads
from .errors import InputError, KurultaiError, LeaseLostError
from .types import Duration

__all__ = ["Agent", "Context", "Reject", "Retry"]

_logger = logging.getLogger("kurultai.agent")
_Handler = TypeVar("_Handler", bound=Callable[..., Any])


class Retry(Exception):
    """Raised by a handler: try the task again ``after`` so many seconds (or a timedelta) instead of after the
    back-off of its policy."""

    def __init__(self, message: str = "", *, after: Duration | None = None) -> None:
        super().__init__(message)
        self.after = after


class Reject(Exception):
    """Raised by a handler: no attempt will mend this; the task goes to the dead letters now."""


@dataclass(frozen=True)
class _Task:
    """A handler and what its attempts may take."""

    function: Callable[..., Any]
    timeout: float | None
    retries: int | None


class Agent:
    """Works on tasks until told to stop.

    ``url`` as for ``open``. ``capabilities``, ``aliases``, ``display_name``, ``role``, ``max_concurrent`` (tasks held
    in all processes together): what is None stays as the registry has it. ``concurrency``: tasks at once in this
    process, 1 to 1,000. ``lease``: seconds without renewal after which others get its tasks. ``grace``: seconds that
    running handlers have after a drain before they are stopped and their tasks released; 8. ``heartbeat``: seconds
    between two signs of life, 30 or HEARTBEAT_INTERVAL.
    """

    def __init__(
        self,
        id: str,
        url: str | None = None,
        *,
        namespace: str = "default",
        capabilities: Iterable[str] | None = None,
        concurrency: int = 1,
        display_name: str | None = None,
        role: str | None = None,
        aliases: Iterable[str] | None = None,
        max_concurrent: int | None = None,
        lease: Duration | None = None,
        grace: Duration = 8,
        heartbeat: Duration | None = None,
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        self.id = id
        self.url = url
        self.namespace = namespace
        self.capabilities = None if capabilities is None else list(capabilities)
        self.concurrency = concurrency
        self.display_name = display_name
        self.role = role
        self.aliases = None if aliases is None else list(aliases)
        self.max_concurrent = max_concurrent
        self.lease = lease
        self.grace = _seconds(grace)
        self.heartbeat = heartbeat
        self.default = default
        self._tasks: dict[str, _Task] = {}

    def task(
        self, type: str, *, timeout: Duration | None = None, retries: int | None = None
    ) -> Callable[[_Handler], _Handler]:
        """The handler of a task type: a coroutine function, or a plain one, which runs in a thread. It is called with
        a ``Context`` (a ``blocking.Context`` in a thread) and the payload; what it returns is stored as the results.

        ``timeout``: an attempt that takes longer is stopped and fails. ``retries``: a failure is final after this many
        tries more than the first; the task's own ``max_attempts`` holds as well. ``Retry`` and ``Reject`` say what
        becomes of the task; any other exception fails the attempt with its traceback.
        """
        if not isinstance(type, str):
            raise TypeError('name the task type: @agent.task("review")')
        if type in self._tasks:
            raise ValueError(f"{self!r} has a handler for {type!r} already")

        def add(function: _Handler) -> _Handler:
            self._tasks[type] = _Task(function, None if timeout is None else _seconds(timeout), retries)
            return function

        return add

    def run(self) -> int:
        """Works until SIGTERM or Ctrl-C, drains, and returns how many tasks its handlers ended. A second Ctrl-C does
        not wait for them."""

        async def main() -> int:
            stop = asyncio.Event()
            _on_signal(stop)
            return await self.serve(stop=stop)

        return asyncio.run(main())

    async def serve(
        self, team: Kurultai | None = None, *, stop: Union[asyncio.Event, Awaitable[Any], None] = None
    ) -> int:
        """Works until ``stop`` is set, done or failed, drains, and returns how many tasks its handlers ended. ``team``: an
        opened store instead of the agent's ``url``.

        Errors: ``input.invalid``, ``store.closed`` and whatever else no repetition mends; running handlers are
        drained first. Cancel safe: handlers of a cancelled call are cancelled and their tasks released.
        """
        if not self._tasks:
            raise ValueError(f"{self!r} has no handlers; decorate one with @agent.task(...)")
        if team is not None:
            return await self._serve(team, stop)
        async with open(self.url, namespace=self.namespace, default=self.default) as opened:
            return await self._serve(opened, stop)

    async def _serve(self, team: Kurultai, stop: Union[asyncio.Event, Awaitable[Any], None]) -> int:
        jobs = await team._native.start(
            self.id,
            list(self._tasks),
            self.capabilities,
            self.aliases,
            self.display_name,
            self.role,
            self.concurrency,
            self.max_concurrent,
            self.lease,
            None,
            self.grace,
            self.heartbeat,
        )
        threads = Threads()
        running: set[asyncio.Task[bool]] = set()
        ended = 0

        def settled(handling: asyncio.Task[bool]) -> None:
            nonlocal ended
            running.discard(handling)
            if not handling.cancelled():
                ended += handling.result()

        watch = asyncio.ensure_future(_drain_when(stop, jobs)) if stop is not None else None
        try:
            while (job := await jobs.next()) is not None:
                handling = asyncio.create_task(self._handle(job, threads), name=f"kurultai {job.task.type}")
                running.add(handling)
                handling.add_done_callback(settled)
        except asyncio.CancelledError:
            jobs.drain()
            for handling in running:
                handling.cancel()
            raise
        finally:
            if watch is not None:
                watch.cancel()
            await jobs.finished()
            if running:
                # Every job has ended; a handler that does not stop is left behind.
                await asyncio.wait(running, timeout=1)
            threads.close()
        if watch is not None and watch.done() and not watch.cancelled():
            watch.result()  # an error of `stop` is the caller's
        return ended

    async def _handle(self, job: _native.Job, threads: Threads) -> bool:
        """Whether the handler ended the task."""
        ctx = Context(job, self.default)
        task = self._tasks[ctx.task.type]
        work = self._start(task, ctx, threads)
        stopped = asyncio.ensure_future(_stopped(job))
        try:
            await asyncio.wait({work, stopped}, timeout=task.timeout, return_when=asyncio.FIRST_COMPLETED)
            if not work.done():
                await self._stop(work, ctx, stopped.result() if stopped.done() else "timeout")
                if ctx.stop != "timeout":
                    _logger.info("%r was stopped: %s", ctx, ctx.stop)
                    with contextlib.suppress(LeaseLostError):  # gives up its place, whoever has the task now
                        await job.release()
                    return False
            return await _end(job, ctx, task, work)
        except asyncio.CancelledError:
            ctx._halt("drained")
            work.cancel()
            await job.release()
            raise
        except KurultaiError as error:
            _logger.warning("the end of %s was not stored: %s", ctx.task.id, error)
            return False
        finally:
            stopped.cancel()

    def _start(self, task: _Task, ctx: Context, threads: Threads) -> asyncio.Future[Any]:
        if inspect.iscoroutinefunction(task.function):
            return asyncio.create_task(task.function(ctx, ctx.task.payload))
        inner = blocking.Context(ctx)
        return threads.start(lambda: task.function(inner, ctx.task.payload))

    async def _stop(self, work: asyncio.Future[Any], ctx: Context, why: Stop) -> None:
        """Tells the handler, and gives it its grace to clean up."""
        ctx._halt(why)
        if isinstance(work, asyncio.Task):
            work.cancel()
        await asyncio.wait({work}, timeout=self.grace)

    def __repr__(self) -> str:
        return f"<Agent {self.id!r}>"


async def _end(job: _native.Job, ctx: Context, task: _Task, work: asyncio.Future[Any]) -> bool:
    if ctx.stop == "timeout":
        work.cancel()
        retryable = task.retries is None or ctx.attempt <= task.retries
        await job.fail(f"timed out after {task.timeout} s", retryable, None)
        return True
    error = work.exception() if not work.cancelled() else asyncio.CancelledError("the handler cancelled itself")
    if error is None:
        try:
            await job.complete(work.result(), ctx._default)
            return True
        except InputError as refused:  # its results are refused: that is its failure too
            error = refused
    retryable = not isinstance(error, Reject) and (task.retries is None or ctx.attempt <= task.retries)
    await job.fail(_text(error), retryable, error.after if isinstance(error, Retry) else None)
    return True


def _text(error: BaseException) -> str:
    """The traceback from the handler on; of Retry and Reject what they say."""
    if isinstance(error, (Retry, Reject)) and error.__cause__ is None and error.args and str(error):
        return str(error)
    trace = error.__traceback__
    while trace is not None and trace.tb_frame.f_code.co_filename == _threads_file:
        trace = trace.tb_next
    return "".join(traceback.format_exception(type(error), error, trace)).rstrip()


_threads_file = Threads.start.__code__.co_filename


async def _stopped(job: _native.Job) -> Stop:
    return await job.stopped()


async def _drain_when(stop: Union[asyncio.Event, Awaitable[Any]], jobs: _native.Jobs) -> None:
    try:
        await (stop.wait() if isinstance(stop, asyncio.Event) else stop)
    finally:
        jobs.drain()


def _on_signal(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C set ``stop``; a second one does what it always did."""
    loop = asyncio.get_running_loop()

    def set_once(number: int) -> None:
        loop.remove_signal_handler(number)
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        try:
            loop.add_signal_handler(number, set_once, number)
        except (NotImplementedError, RuntimeError, ValueError):
            # Windows, or not the main thread: then whoever runs it stops it.
            return


def _seconds(span: Duration) -> float:
    return span.total_seconds() if isinstance(span, timedelta) else float(span)
