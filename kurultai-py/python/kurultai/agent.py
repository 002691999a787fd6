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
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any, TypeVar, Union

from . import _check, _native
from ._client import Kurultai, open
from ._context import Context, MessageContext, Stop
from ._handling import Ended, Handler, Handling, Reject, Retry, Snooze, text_of, wish_of
from ._payload import reader
from ._threads import Threads
from .errors import InputError, KurultaiError, LeaseLostError
from .types import Duration, IdentityLike, OnStall, RetryPolicy, RetryPolicyFields

__all__ = ["Agent", "Context", "MessageContext", "Reject", "Retry", "Snooze"]

_logger = logging.getLogger("kurultai.agent")
_Function = TypeVar("_Function", bound=Callable[..., Any])
_Job = Union[_native.Job, _native.MessageJob]


class Agent:
    """Works on tasks, and answers messages, until told to stop.

    ``url`` and ``identity``, which its answers are signed with, as for ``open``. ``capabilities``, ``aliases``, ``display_name``, ``role``, ``max_concurrent`` (tasks held
    in all processes together), ``metadata``: what is None stays as the registry has it. ``concurrency``: tasks at once in this
    process, 1 to 1,000, and as many messages beside them. ``lease``: seconds without renewal after which others get its tasks. ``grace``: seconds that
    running handlers have after a drain, and to clean up after any other stop, before their tasks are released and they
    are left behind; 8. ``heartbeat``: seconds between two signs of life of the process, 30 or HEARTBEAT_INTERVAL.
    ``stall_after``: for how many seconds a handler may show no sign of life of its own (progress, a checkpoint, usage,
    ``ctx.alive()``, any other call on its context); until then the renewals of its lease count as signs that the agent
    works. ``on_stall``: what becomes of an attempt that is silent for longer. ``report``: its lease is renewed, which is no
    sign of work any more, so that ``agents.health()`` calls the agent stuck and says why; the event ``agent.stuck`` and a
    warning in the log tell it. ``release``: it has failed, ``ctx.stop`` says ``stalled``, and what comes later counts for
    nothing. ``math.inf``: never. ``default`` is asked for what JSON has no form for. What cannot be is a TypeError or ValueError that names it.
    """

    def __init__(
        self,
        id: str,
        url: str | None = None,
        *,
        namespace: str = "default",
        identity: Union[IdentityLike, Iterable[IdentityLike], None] = None,
        capabilities: Iterable[str] | None = None,
        concurrency: int = 1,
        display_name: str | None = None,
        role: str | None = None,
        aliases: Iterable[str] | None = None,
        max_concurrent: int | None = None,
        metadata: Mapping[str, Any] | None = None,
        lease: Duration | None = None,
        grace: Duration = 8,
        heartbeat: Duration | None = None,
        stall_after: Duration = 600,
        on_stall: OnStall = "report",
        default: Callable[[Any], Any] | None = None,
    ) -> None:
        self.id = _check.text("id", id)
        self.url = None if url is None else _check.text("url", url)
        self.namespace = _check.text("namespace", namespace)
        self.identity = identity
        self.capabilities = _check.names("capabilities", capabilities)
        self.concurrency = _check.whole("concurrency", concurrency, 1)
        self.display_name = None if display_name is None else _check.text("display_name", display_name)
        self.role = None if role is None else _check.text("role", role)
        self.aliases = _check.names("aliases", aliases)
        self.max_concurrent = None if max_concurrent is None else _check.whole("max_concurrent", max_concurrent, 1)
        self.metadata = metadata
        self.lease = None if lease is None else _check.seconds("lease", lease)
        self.grace = _check.seconds("grace", grace)
        self.heartbeat = None if heartbeat is None else _check.seconds("heartbeat", heartbeat)
        self.stall_after = _check.span("stall_after", stall_after)
        _check.one_of("on_stall", on_stall, "report", "release")
        self.on_stall = on_stall
        self.default = _check.hook("default", default)
        self._handlers: dict[str, Handler] = {}
        self._message_handlers: dict[str, Handler] = {}

    def task(
        self,
        type: str,
        *,
        timeout: Duration | None = None,
        retries: int | None = None,
        retry: Union[RetryPolicy, RetryPolicyFields, None] = None,
        stall_after: Duration | None = None,
        on_stall: OnStall | None = None,
    ) -> Callable[[_Function], _Function]:
        """The handler of a task type: something that returns a coroutine, or a plain function, which runs in a thread
        with a copy of the caller's context variables. It is called with a ``Context`` (a ``blocking.Context`` in a
        thread) and the payload; what it returns is stored as the results. A plain function that returns a coroutine has
        it awaited in the event loop, and from then on its context is to be awaited too.

        Where the payload's parameter names a pydantic model or a dataclass (or a list, a dict or a union of them), the
        handler gets one; a payload that is none sends the task to the dead letters at once.

        However it ends, the attempt is over and counted. An exception fails it with its traceback; ``Retry``, ``Reject``
        and ``Snooze`` say more, also as the cause of another exception or within a group: the outermost counts. Results that
        cannot be stored send the task to the dead letters: the work is done, and another attempt would return the same.
        After ``SystemExit`` or ``KeyboardInterrupt`` the attempt has failed, the agent drains, and ``serve`` raises it.

        ``timeout``: an attempt that takes longer has failed, also where its handler blocks the event loop or never
        ends: ``ctx.stop`` says ``timeout``, a coroutine is cancelled, and what comes later counts for nothing. More
        than 0 seconds; None and infinity for none. ``retries``: a failure is final after this many tries more than the
        first; the task's own ``max_attempts`` holds as well. ``retry``: its own pauses between attempts, where the failure
        itself does not say; by default the task's. ``stall_after``, ``on_stall``: its own, by default the agent's.
        """
        if not isinstance(type, str):
            raise TypeError('name the task type: @agent.task("review")')
        if on_stall is not None:
            _check.one_of("on_stall", on_stall, "report", "release")
        limits = {
            "timeout": None if timeout is None else _check.limit("timeout", timeout),
            "retries": None if retries is None else _check.whole("retries", retries, 0),
            "retry": _policy(retry),
            "stall_after": None if stall_after is None else _check.span("stall_after", stall_after),
            "on_stall": on_stall,
        }
        return self._add(self._handlers, type, limits, "payload")

    def on_message(
        self,
        type: str,
        *,
        timeout: Duration = 60,
        retry: Union[RetryPolicy, RetryPolicyFields, None] = None,
    ) -> Callable[[_Function], _Function]:
        """The handler of a message type, a function as for ``task``, which is called with a ``MessageContext`` (a
        ``blocking.MessageContext`` in a thread) and the body. Who has sent the message is verified: ``ctx.message.sender``.

        When it returns, the message is acknowledged; ``ctx.reply(...)`` answers it. After an exception it is delivered again,
        five times in all, and then it has failed; ``Reject`` fails it at once and for good, and its sender hears why by the
        event ``message.failed``: what the ``Reject`` says itself, also where it is the cause of another exception; ``Retry`` and ``Snooze`` say when it is delivered again. Each failure is a warning in the log.
        A message is delivered at least once: a handler may see one again, as ``ctx.message.delivery`` tells.

        Messages are handled beside tasks, as many at once as ``concurrency`` says, in places of their own. ``timeout``: after
        so many seconds, more than 0 and at most 12 hours, ``ctx.stop`` says ``timeout``, a coroutine is cancelled, and the
        message is delivered again; long work is a task (``ctx.enqueue``). While a handler runs nobody else is given its message:
        all messages of the agent are out of sight for the longest time of its handlers and 10 s more, also where its process
        dies meanwhile. ``retry``: the pauses between deliveries; by default 5 s, doubled up to 60 s, with jitter.

        >>> agent = kurultai.Agent("temujin")
        >>> @agent.on_message("question")
        ... async def answer(ctx, body):
        ...     await ctx.reply(f"{body} 42")
        >>> stop = asyncio.Event()
        >>> serving = asyncio.create_task(agent.serve(k, stop=stop))
        >>> (await k.messages.ask("temujin", "question", "which?", timeout=10)).body
        'which? 42'
        >>> stop.set()
        >>> await serving
        1
        """
        if not isinstance(type, str):
            raise TypeError('name the message type: @agent.on_message("question")')
        limits = {"timeout": _check.within("timeout", timeout, 12 * 3600), "retry": _policy(retry)}
        return self._add(self._message_handlers, type, limits, "body")

    def _add(
        self, handlers: dict[str, Handler], type: str, limits: dict[str, Any], given: str
    ) -> Callable[[_Function], _Function]:
        if type in handlers:
            raise ValueError(f"{self!r} has a handler for {type!r} already")

        def add(function: _Function) -> _Function:
            if not callable(function):
                raise TypeError(f"the handler of {type!r} is {function!r}; it must be a function")
            if not _takes_two(function):
                raise TypeError(f"the handler of {type!r} is called with a context and a {given}: `def handler(ctx, {given})`")
            handlers[type] = Handler(function, limits, reader(function), given)
            return function

        return add

    def run(self) -> int:
        """Works until SIGTERM or Ctrl-C, drains, and returns how many attempts its handlers ended. A second signal, of
        either kind, does not wait for them. Within an event loop, await ``serve`` instead."""
        with contextlib.suppress(RuntimeError):
            asyncio.get_running_loop()
            raise TypeError("an event loop runs already: `await agent.serve()` instead of `agent.run()`")

        async def main() -> int:
            stop = asyncio.Event()
            _on_signal(stop)
            return await self.serve(stop=stop)

        return asyncio.run(main())

    async def serve(
        self, team: Kurultai | None = None, *, stop: Union[asyncio.Event, Awaitable[Any], None] = None
    ) -> int:
        """Works until ``stop`` is set, done or failed, or the store is closed, drains, and returns how many tasks and messages
        its handlers ended. ``team``: an opened store instead of the agent's ``url``.

        Errors: ``input.invalid`` and whatever else no repetition mends; running handlers are drained first. Cancel
        safe: handlers of a cancelled call are cancelled and their tasks released.
        """
        if not self._handlers and not self._message_handlers:
            raise ValueError(f"{self!r} has no handlers; decorate one with @agent.task(...) or @agent.on_message(...)")
        if team is not None:
            return await self._serve(team, stop)
        opening = open(self.url, namespace=self.namespace, identity=self.identity, default=self.default)
        async with opening as opened:
            return await self._serve(opened, stop)

    async def _serve(self, team: Kurultai, stop: Union[asyncio.Event, Awaitable[Any], None]) -> int:
        _native.emit()  # so that the core logs what the logger wants now
        jobs = await team._native.start(
            self.id,
            {
                "types": list(self._handlers),
                "messages": list(self._message_handlers),
                "message_timeout": max((handler.limits["timeout"] for handler in self._message_handlers.values()), default=None),
                "capabilities": self.capabilities,
                "aliases": self.aliases,
                "display_name": self.display_name,
                "role": self.role,
                "concurrency": self.concurrency,
                "max_concurrent": self.max_concurrent,
                "metadata": self.metadata,
                "lease": self.lease,
                "grace": self.grace,
                "heartbeat": self.heartbeat,
                "stall_after": self.stall_after,
                "on_stall": self.on_stall,
            },
        )
        shift = _Shift(self, team, jobs)
        watch = asyncio.ensure_future(_drain_when(stop, jobs)) if stop is not None else None
        listening = asyncio.ensure_future(shift.listen())
        try:
            while (job := await jobs.next()) is not None:
                shift.begin(job, Context(job, team, self.id, self.default), self._handlers[job.task.type])
        except asyncio.CancelledError:
            jobs.drain()
            shift.cancel()
            raise
        finally:
            if watch is not None:
                watch.cancel()
            await shift.close()
        await listening  # its error ends the agent too
        if shift.exit is not None:
            raise shift.exit
        if watch is not None and watch.done() and not watch.cancelled():
            watch.result()  # an error of `stop` is the caller's
        return shift.ended

    def __repr__(self) -> str:
        return f"<Agent {self.id!r}>"


class _Shift:
    """One call of ``serve``: its handlers at work."""

    def __init__(self, agent: Agent, team: Kurultai, jobs: _native.Jobs) -> None:
        self.agent = agent
        self.team = team
        self.jobs = jobs
        self.threads = Threads()
        self.running: set[asyncio.Task[None]] = set()
        #: How many attempts have ended.
        self.ended = 0
        #: What a handler wants the process to end with.
        self.exit: BaseException | None = None

    async def listen(self) -> None:
        """Until it drains, or an error that no repetition mends."""
        agent = self.agent
        try:
            while (job := await self.jobs.next_message()) is not None:
                ctx = MessageContext(job, self.team, agent.id, agent.default)
                self.begin(job, ctx, agent._message_handlers[ctx.message.type])
        finally:
            self.jobs.drain()

    def begin(self, job: _Job, ctx: Context | MessageContext, handler: Handler) -> None:
        handling = asyncio.create_task(self._handle(job, ctx, handler), name=f"kurultai {ctx}")
        self.running.add(handling)
        handling.add_done_callback(self.running.discard)

    def cancel(self) -> None:
        for handling in self.running:
            handling.cancel()

    async def close(self) -> None:
        """Waits for the handlers, at most their grace; then their jobs have ended, and those that do not stop are left
        behind."""
        await self.jobs.finished()
        if self.running:
            await asyncio.wait(self.running, timeout=1)
        if self.running:
            _logger.warning("%d handlers of %r do not stop and are left behind", len(self.running), self.agent)
            self.cancel()
        self.threads.close()

    async def _handle(self, job: _Job, ctx: Context | MessageContext, handler: Handler) -> None:
        limits: Any = handler.limits
        job.limit(limits)
        work = Handling(handler, ctx, self.threads)
        stopped = asyncio.ensure_future(_stopped(job))
        try:
            await asyncio.wait({work.task, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if work.task.done():
                await self._end(job, ctx, work.task.result())
            else:
                await self._stop(job, work, ctx, stopped.result())
        except asyncio.CancelledError:
            ctx._halt("drained")
            work.stop()
            with contextlib.suppress(KurultaiError):
                await job.release()
            raise
        except LeaseLostError as error:  # of which the core has told
            _logger.debug("the end of %s was not stored: %s", ctx, error)
        except KurultaiError as error:
            _logger.warning("the end of %s was not stored: %s", ctx, error)
        except Exception as defect:
            _logger.exception("the end of %s went wrong", ctx)
            with contextlib.suppress(KurultaiError):
                await job.raised(text_of(defect))
        finally:
            stopped.cancel()

    async def _end(self, job: _Job, ctx: Context | MessageContext, ended: Ended) -> None:
        """Says how the handler ended; the core decides what that means."""
        error = ended.error
        stored: Awaitable[Any]
        if error is None:
            try:
                if isinstance(job, _native.MessageJob):
                    stored = job.returned()
                else:
                    stored = _returned(job, ended.results, ctx._default)
            except BaseException as raised:
                error = raised
        if error is not None:
            if isinstance(error, (SystemExit, KeyboardInterrupt)):
                self.exit = error
                self.jobs.drain()
            stored = job.raised(text_of(error), *wish_of(error))
        await stored
        self.ended += 1

    async def _stop(self, job: _Job, work: Handling, ctx: Context | MessageContext, why: Stop) -> None:
        """Tells the handler, gives it its grace to clean up, and gives up its place, whoever has the task now."""
        ctx._halt(why)
        work.stop()
        _logger.info("%r is stopped: %s", ctx, why)
        if why in ("timeout", "stalled"):  # which was the end of the attempt
            self.ended += 1
        await asyncio.wait({work.task}, timeout=self.agent.grace)
        if not work.task.done():
            _logger.warning("%r does not stop (%s) and is left behind", ctx, why)
        with contextlib.suppress(KurultaiError):
            await job.release()


def _takes_two(function: Callable[..., Any]) -> bool:
    try:
        inspect.signature(function).bind(None, None)
    except TypeError:
        return False
    except ValueError:  # a builtin, which does not say
        return True
    return True


def _returned(job: _native.Job, results: Any, default: Callable[[Any], Any] | None) -> Awaitable[Any]:
    try:
        return job.returned(results, default)
    except InputError as refused:
        return job.unstorable(refused.message)
    except Exception as raised:  # by a hook, or by the results themselves
        return job.unstorable(f"results cannot be written:\n{text_of(raised)}")


def _policy(retry: Union[RetryPolicy, RetryPolicyFields, None]) -> RetryPolicy | None:
    return retry if retry is None or isinstance(retry, RetryPolicy) else RetryPolicy(**retry)


async def _stopped(job: _Job) -> Stop:
    return await job.stopped()


async def _drain_when(stop: Union[asyncio.Event, Awaitable[Any]], jobs: _native.Jobs) -> None:
    try:
        await (stop.wait() if isinstance(stop, asyncio.Event) else stop)
    finally:
        jobs.drain()


def _on_signal(stop: asyncio.Event) -> None:
    """SIGTERM and Ctrl-C set ``stop``; a second one, whichever, does what it always did."""
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)

    def set_once() -> None:
        for number in numbers:
            loop.remove_signal_handler(number)
        stop.set()

    for number in numbers:
        try:
            loop.add_signal_handler(number, set_once)
        except (NotImplementedError, RuntimeError, ValueError):
            # Windows, or not the main thread: then whoever runs it stops it.
            return
