"""What a handler can ask and tell while it works."""

from __future__ import annotations

import logging
import threading
from collections.abc import AsyncIterator, Iterable
from typing import TYPE_CHECKING, Any, Callable, List, Literal, Union

from . import _native
from .types import AgentMessage, Claimed, Duration, Enqueued, Extended, Lease, Prerequisite, Sent, Unread

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from ._client import Kurultai
    from .types import TaskFields

_logger = logging.getLogger("kurultai.agent")

#: Why the work on a task must stop.
Stop = Literal["lost", "cancelled", "suspended", "drained", "timeout", "stalled"]


class Cancelled(threading.Event):
    """Set when the work must stop; true then. Each look at it is a sign of life of the handler."""

    def __init__(self, job: _native.Job) -> None:
        super().__init__()
        self._alive = job.alive

    def is_set(self) -> bool:
        self._alive()
        return super().is_set()

    def wait(self, timeout: float | None = None) -> bool:
        self._alive()
        stopped = super().wait(timeout)
        self._alive()
        return stopped

    def __bool__(self) -> bool:
        return self.is_set()


class Draining:
    """Whether the agent drains: it takes no more tasks, and what runs has its grace to end. True and false as itself."""

    __slots__ = ("_job",)

    def __init__(self, job: _native.Job | _native.MessageJob) -> None:
        self._job = job

    def is_set(self) -> bool:
        """Whether a drain has begun."""
        return self._job.is_draining

    async def wait(self) -> None:
        """Returns when a drain begins. Cancel safe."""
        await self._job.draining()

    def __bool__(self) -> bool:
        return self._job.is_draining


class Context:
    """The task at hand, its lease, and how to say how the work goes. Every call of ``tasks`` that takes a lease takes
    a context too. Whatever a handler asks or tells it is a sign of life, except that it reads its ``task``."""

    __slots__ = ("_agent", "_default", "_job", "_stop", "_team", "cancelled", "draining", "task")

    task: Claimed
    cancelled: threading.Event
    """Set when the work must stop; a handler that is no coroutine looks at it now and then."""

    draining: Draining
    """Told when a drain begins, which is a grace before ``stop``."""

    def __init__(
        self, job: _native.Job, team: Kurultai, agent: str, default: Callable[[Any], Any] | None
    ) -> None:
        self._job = job
        self._agent = agent
        self._team = team
        self.draining = Draining(job)
        self._default = default
        self._stop: Stop | None = None
        self.task = job.task
        self.cancelled = Cancelled(job)

    @property
    def team(self) -> Kurultai:
        """The opened store that the agent works for."""
        self._job.alive()
        return self._team

    @property
    def lease(self) -> Lease:
        """The lease as it was last renewed."""
        return self._job.lease

    @property
    def attempt(self) -> int:
        """1 for the first try."""
        return self.task.attempt

    @property
    def prerequisites(self) -> List[Prerequisite]:
        """The results of the tasks that this one waited for or is fed by."""
        return self.task.prerequisites

    @property
    def fencing_token(self) -> int:
        """Grows with each claim of the task: a system that refuses a smaller number than it has seen is safe from
        workers that lost their lease and do not know it yet."""
        return self._job.fencing_token

    @property
    def idempotency_key(self) -> str:
        """The same for every attempt at this task and for no other task: give it to systems that do a thing once a
        key."""
        return self._job.idempotency_key

    @property
    def stop(self) -> Union[Stop, None]:
        """Why the work must stop, if it must: lost, cancelled, suspended, drained, timeout or stalled."""
        return self._stop or self._job.stop

    @property
    def stop_reason(self) -> Union[str, None]:
        """What the author of the cancellation gave as its reason, once ``stop`` is ``cancelled``."""
        return self._job.stop_reason

    def alive(self) -> None:
        """Says that the handler is alive, and nothing else: for work that neither notes progress nor stores checkpoints.
        Nothing is sent for it, so it may be called as often as one likes, from any thread. A handler that is silent for
        longer than ``stall_after`` counts as stuck."""
        self._job.alive()

    @property
    def unread(self) -> Unread:
        """The messages that waited for its agent when the lease was last renewed, at most 100 of them; none before."""
        return self._job.unread

    async def messages(
        self, *, types: Iterable[str] | None = None, wait: Duration = 0
    ) -> AsyncIterator[AgentMessage]:
        """The messages for its agent in the middle of the task, urgent ones first: ``async for message in ctx.messages():``.
        ``types``: only these; those for which the agent has handlers may go to these. ``wait``: how many seconds to wait for
        one where there is none. Ends when none comes, or the work must stop. Each step is a sign of life.

        A message is acknowledged when the loop asks for the next one. The one at which the loop is left is not: it is
        delivered again after a minute, and so is one that took longer than that.

        Errors: as ``team.messages.inbox``. Cancel safe: what a cancelled step was given goes back at once.
        """
        incoming = self._job.messages({"types": types, "wait": wait})
        while (message := await incoming.next()) is not None:
            yield message

    async def enqueue(self, type: str, payload: Any = None, **fields: Unpack[TaskFields]) -> Enqueued:
        """Enqueues a part of this task, with the fields and errors of ``team.tasks.enqueue``: its parent is this task, and
        unless it says otherwise it is delegated by this agent."""
        fields.setdefault("delegated_by", self._agent)
        return await self.team.tasks.enqueue(type, payload, parent=self.task.id, **fields)

    async def progress(self, progress: float) -> Extended:
        """Notes how far the work is, 0 to 1; a sign of life. Errors: ``lease.lost``, ``input.invalid``."""
        return await self._job.progress(progress)

    async def checkpoint(self, checkpoint: Any) -> Extended:
        """Stores where the next attempt can go on; it reads it from ``ctx.task.checkpoint``. Errors: ``lease.lost``,
        ``input.payload``."""
        return await self._job.checkpoint(checkpoint, self._default)

    def usage(self, *, tokens: int = 0, cost: float = 0.0, seconds: float = 0.0) -> None:
        """What the work has cost so far, in all; stored when the task is completed or failed. What is no usage (negative,
        not finite, no number) is no reason to lose the work: it is dropped with a warning in the log."""
        try:
            self._job.usage(_native.Usage(tokens=tokens, cost=cost, seconds=seconds))
        except (TypeError, ValueError, OverflowError) as error:
            _logger.warning("the usage of %s is dropped: %s", self.task.id, error)

    @property
    def _given(self) -> Any:
        return self.task.payload

    def _halt(self, why: Stop) -> None:
        self._stop = why
        self.cancelled.set()

    def __str__(self) -> str:
        return f"task {self.task.id}"

    def __repr__(self) -> str:
        return f"<Context of {self.task.type!r} {self.task.id}, attempt {self.attempt}>"


class MessageContext:
    """The message at hand, and how to answer it."""

    __slots__ = ("_agent", "_default", "_job", "_stop", "_team", "cancelled", "draining", "message")

    message: AgentMessage
    """What was delivered, and who has said it."""

    cancelled: threading.Event
    """Set when the work must stop; a handler that is no coroutine looks at it now and then."""

    draining: Draining
    """Told when a drain begins, which is a grace before ``stop``."""

    def __init__(
        self, job: _native.MessageJob, team: Kurultai, agent: str, default: Callable[[Any], Any] | None
    ) -> None:
        self._job = job
        self._agent = agent
        self._team = team
        self._default = default
        self._stop: Stop | None = None
        self.message = job.message
        self.cancelled = threading.Event()
        self.draining = Draining(job)

    @property
    def team(self) -> Kurultai:
        """The opened store that the agent works for."""
        return self._team

    @property
    def stop(self) -> Union[Stop, None]:
        """Why the work must stop, if it must: drained or timeout."""
        return self._stop or self._job.stop

    async def reply(self, body: Any = None, *, type: str = "reply") -> Sent:
        """Answers the sender, signed as this agent and about the same task; who asked with ``messages.ask`` gets it as the
        answer. The n-th answer of a handler is sent once, however often its message is delivered.

        Errors: as ``team.messages.send``; ``config.identity`` where the team was not opened with an identity of this agent.
        Cancel safe: a cancelled call may still send.
        """
        return await self._job.reply(type, body, self._default)

    async def enqueue(self, type: str, payload: Any = None, **fields: Unpack[TaskFields]) -> Enqueued:
        """Enqueues a task, which is where long work belongs, with the fields and errors of ``team.tasks.enqueue``; unless it
        says otherwise it is delegated by this agent. A message may be delivered more than once: give the task a
        ``unique_key``."""
        fields.setdefault("delegated_by", self._agent)
        return await self.team.tasks.enqueue(type, payload, **fields)

    @property
    def _given(self) -> Any:
        return self.message.body

    def _halt(self, why: Stop) -> None:
        self._stop = why
        self.cancelled.set()

    def __str__(self) -> str:
        return f"message {self.message.id}"

    def __repr__(self) -> str:
        return f"<MessageContext of {self.message.type!r} {self.message.id}, delivery {self.message.delivery}>"
