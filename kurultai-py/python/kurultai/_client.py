"""``open(url)``: one team's shared picture."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable, Generator, Iterable
from types import TracebackType
from typing import Any, NoReturn, TypedDict, Union

from . import _native
from ._called import called
from .agents import Agents
from .events import Events
from .keys import Keys
from .messages import Messages
from .schedules import Schedules
from .tasks import Tasks
from .types import Adoption, Check, CycleReport, Duration, IdentityLike, NamespaceInfo, RetryPolicy, RetryPolicyFields, WrappingKeyLike


class TaskDefaults(TypedDict, total=False):
    """What a task gets where its author says nothing; what is not given here comes from the environment."""

    max_attempts: int
    """Attempts before the dead letters. 3, or TASK_QUEUE_MAX_RETRIES."""
    max_snoozes: int
    """How often attempts at one task may be put off: one snooze more has failed. Counts where a snooze ends an attempt. 100."""
    expires_in: Duration | None
    """How long a task may wait, counted from when it can be claimed; None for ever. 30 minutes, or
    TASK_TIMEOUT_MINUTES."""
    lease: Duration
    """How long a claim lasts without renewal. 30 seconds."""
    retry: RetryPolicy | RetryPolicyFields
    """How long a task waits between attempts. 60 seconds, doubled up to an hour, full jitter."""


class Retention(TypedDict, total=False):
    """How long what is over is kept; None, and what is not given, for ever."""

    tasks: Duration | None
    events: Duration | None
    messages: Duration | None


class Kurultai:
    """One team on one store. ``open`` makes it; ``tasks``, ``agents``, ``schedules``, ``events``, ``messages`` and ``keys`` are its
    rooms.

    >>> async with kurultai.open("memory:", namespace="council") as team:
    ...     print(team)
    <Kurultai 'council' on sqlite>
    """

    __slots__ = ("_native", "agents", "events", "keys", "messages", "schedules", "tasks")

    tasks: Tasks
    agents: Agents
    schedules: Schedules
    events: Events
    messages: Messages
    keys: Keys

    def __init__(self, native: _native.Kurultai) -> None:
        self._native = native
        self.tasks = Tasks(native.tasks)
        self.agents = Agents(native.agents)
        self.schedules = Schedules(native.schedules)
        self.events = Events(native.events)
        self.messages = Messages(native.messages)
        self.keys = Keys(native.keys)

    @property
    def namespace(self) -> str:
        """The team. Two namespaces of one database never see each other."""
        return self._native.namespace

    @property
    def store_name(self) -> str:
        """``sqlite`` or ``neo4j``."""
        return self._native.store_name

    @property
    def statements(self) -> int:
        """Statements that this handle's process has sent to the store."""
        return self._native.statements

    async def maintain(self) -> None:
        """What the background does: schedules that are due enqueue their tasks; about once a second lapsed leases return and
        overdue tasks expire, about once a minute priorities age and old tasks and events are removed. Safe to call at any time, from any process.

        >>> await k.maintain()
        """
        await self._native.maintain()

    async def cycle(self, agent: str, *, wake: Callable[[str], Any] | None = None) -> CycleReport:
        """What an agent does every five minutes. As the holder of the role ``router``, or as who takes it for the cycle
        because it has the capability ``routing`` and nobody holds the role: each task that can be claimed and is assigned
        to nobody is assigned to the agent that can do it and is the least laden, and told it by a message of type
        ``task_delegation`` signed as this agent; so is each agent to whom a task was assigned without a word. Assignment
        and message are one transaction, so whatever ends in between, a task is delegated once; and again where its message
        has expired or failed and nobody has taken it in. What nobody can do is named (``stuck``), as are agents that sleep
        on work, those that are stuck or dead (``stale``), and what burns.

        For every other agent it is its own view: its ``inbox``, and its ``tasks``.

        ``text`` is ``HEARTBEAT_OK`` where nothing needs attention, the text of the alerts alone where something critical
        burns, and else what was delegated and what there is to do; ``attention`` says it in a word, so that nobody pays a
        model for a quiet night. ``wake``: a function or coroutine function that is called with the id of each agent that
        sleeps on work; those for whom it raised nothing are ``woken``.

        Errors: ``agent.not_found``; ``role.held``, naming the router, where it has the capability ``routing`` and another
        agent routes, or does so meanwhile; ``role.stale_term`` where it lost the role and may not take it;
        ``config.identity`` where there is something to tell and the team is not open as this agent. Cancel safe: a
        repetition goes on where a cancelled call was.

        >>> await k.agents.register("jochi", capabilities=["testing"])
        >>> (await k.cycle("jochi")).text
        'HEARTBEAT_OK'
        >>> added = await k.tasks.enqueue("review", id="review-42", title="Look", assigned_to="jochi")
        >>> report = await k.cycle("jochi")
        >>> print(report.attention, report.text, sep=": ")
        work: for you 1 task:
        - review review-42 Look
        """
        report = await self._native.cycle(agent)
        if wake is None:
            return report
        return report.with_woken([asleep for asleep in report.asleep if await called(wake, "wake", asleep, asleep)])

    async def verify(
        self, *, strict: bool = False, dead_after: Duration | None = None, stuck_after: Duration | None = None
    ) -> list[Check]:
        """What one asks after a deployment, each with whether it is in order: ``store`` (it answers), ``schema`` (tables,
        constraints and indexes are there), ``clocks`` (the store's differs from this machine's by at most 5 s), ``infra``
        (every agent has given a sign within ``dead_after``), ``functional`` (whoever holds a task works on it) and
        ``takeover``: in a namespace of its own, which takes a second or two, an agent falls silent, a watcher finds it
        and its task goes on.

        ``strict``: both signs of every agent are younger than 60 seconds, whether it holds a task or not. ``dead_after``,
        ``stuck_after``: as of ``agents.health``, 120 and 90 seconds where they are None.

        Errors: ``input.invalid``; ``store.unavailable`` where the store cannot be asked for anything. Cancel safe, but the
        namespace ``verify-...`` of a cancelled call may stay behind.

        >>> await k.agents.register("temujin")
        >>> [check.check for check in await k.verify() if not check.ok]
        []
        """
        return await self._native.verify({"strict": strict, "dead_after": dead_after, "stuck_after": stuck_after})

    async def adopt(
        self,
        *,
        dry_run: bool = False,
        labels: Iterable[str] | None = None,
        ids: Iterable[str] | None = None,
        types: Iterable[str] | None = None,
        statuses: Iterable[str] | None = None,
    ) -> Adoption:
        """Takes over tasks and agents that other programs wrote under the same names: on Neo4j, nodes labelled
        ``Task`` or ``Agent`` that have no ``namespace``. What is read as what is a table in ADOPTING.md. Each node
        has an event, ``task.adopted`` or ``agent.adopted``, with what was changed as it was before. Repeating it
        changes nothing more. A file of SQLite has nothing to take over.

        ``dry_run`` only reports. Every other argument that is given must match: ``labels`` that a node has one of,
        ``ids`` (or task_id, agent_id) as they are now, ``types`` of tasks, ``statuses`` as the other program wrote
        them; the last two leave agents out. Errors: ``input.invalid``, ``store.unavailable`` where the other program
        changes the same nodes too quickly. Cancel safe: a repetition goes on where a cancelled call was.

        >>> plan = await k.adopt(dry_run=True, types=["code"])
        >>> plan.tasks, plan.findings
        (0, [])
        """
        return await self._native.adopt(
            {"dry_run": dry_run, "labels": labels, "ids": ids, "types": types, "statuses": statuses}
        )

    async def namespaces(self) -> list[NamespaceInfo]:
        """The namespaces of this database, in the order of their names, each with how many tasks and agents it has.

        >>> k.namespace in [team.name for team in await k.namespaces()]
        True
        """
        return await self._native.namespaces()

    async def delete_namespace(self, name: str) -> bool:
        """Deletes another namespace of this database with everything in it, in portions; False where there is none of
        this name. Close whoever works in it first: a handle that still has it open is told
        ``store.namespace_missing`` by what it wants to write, and finds nothing; opening it again makes it anew.

        Errors: ``input.invalid``, also for the namespace of this handle. Cancel safe: what a cancelled call has
        deleted is gone, and a repetition goes on there.

        >>> await k.delete_namespace("nobody")
        False
        """
        return await self._native.delete_namespace(name)

    async def close(self) -> None:
        """Waits until what was sent is committed and lets go of the store. Later calls fail with ``store.closed``.
        Tasks that were made before (``asyncio.create_task(k.tasks.enqueue(...))``) count as sent. An ``Agent`` that works
        for this handle ends: what it holds goes back, and handlers at work are stopped with ``drained``, without their
        grace.

        >>> team = await kurultai.open("memory:")
        >>> await team.close()
        """
        await asyncio.sleep(0)  # in which those tasks begin
        await self._close()

    async def _close(self) -> None:
        await self._native.close()

    async def __aenter__(self) -> Kurultai:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"<Kurultai {self.namespace!r} on {self.store_name}>"


class Opening:
    """What ``open`` returns: await it, or use it with ``async with``."""

    __slots__ = ("_default", "_opened", "_options", "_url")

    def __init__(
        self, url: str | None, options: _native._OpenOptions, default: Callable[[Any], Any] | None
    ) -> None:
        self._url = url
        self._options = options
        self._default = default
        self._opened: Kurultai | None = None

    async def _open(self) -> Kurultai:
        _native.emit()  # so that the core logs from the first moment what the logger wants
        native = await _native.open(self._url, self._options)
        return Kurultai(native.with_default(self._default) if self._default else native)

    def __await__(self) -> Generator[Any, Any, Kurultai]:
        return self._open().__await__()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no {name!r} yet: `async with kurultai.open(...) as k`, or `k = await kurultai.open(...)`")

    def __enter__(self) -> NoReturn:
        raise TypeError("`async with kurultai.open(...)`; without an event loop, `with kurultai.blocking.open(...)`")

    def __exit__(self, *error: object) -> None: ...

    async def __aenter__(self) -> Kurultai:
        self._opened = await self._open()
        return self._opened

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._opened is not None:
            await self._opened.close()


def open(
    url: str | None = None,
    *,
    namespace: str = "default",
    identity: Union[IdentityLike, Iterable[IdentityLike], None] = None,
    wrapping_key: Union[WrappingKeyLike, Iterable[WrappingKeyLike], None] = None,
    min_version: int = 1,
    migrate: bool = True,
    background: bool = True,
    task_defaults: TaskDefaults | None = None,
    retention: Retention | None = None,
    aging: Duration | None = 3600,
    max_depth: int = 10,
    default: Callable[[Any], Any] | None = None,
    clock: _native.ManualClock | None = None,
) -> Opening:
    """Opens a store and brings its schema up to date.

    ``url`` is ``memory:``, ``sqlite:PATH?durability=full|process`` or ``neo4j://user:password@host:7687/database``;
    without it KURULTAI_URL counts, or NEO4J_URI with NEO4J_USER and NEO4J_PASSWORD.

    ``identity``: whom this process speaks for in ``messages``: the path of a key file, an ``Identity``, or a list of them,
    where each call says who the sender is. ``wrapping_key``: what opens the secrets that the team keeps in its store, a
    ``WrappingKey`` or the path of its file, or a list, of which the first wraps; without it KURULTAI_WRAPPING_KEY or
    KURULTAI_WRAPPING_KEY_FILE counts. ``min_version``: 2 refuses the legacy envelopes of older programs (``sig.algorithm``), also
    those that were admitted before. ``migrate``: False fails with ``store.schema_older`` where a step is missing. ``background``: False leaves schedules, lapsed
    leases and overdue tasks to ``maintain()``. ``aging``: a task rises one rank for each such span since
    it can be claimed, and after a further one as P0 comes before every weight; None for never. ``max_depth``: how many
    tasks a task may have above it. ``default`` is asked, like ``json.dumps``'s, for what JSON has no form for; dataclasses and pydantic models need none. ``clock`` is for tests.

    Errors: ``config.url``, ``config.env``, ``store.auth``, ``store.unavailable`` (retryable), ``store.schema_newer``,
    ``store.schema_conflict`` (the file holds another program's things under our names), ``store.read_only``,
    ``config.key`` and ``key.permissions`` (the key file cannot be read, or others can read it too),
    ``store.tls`` (only one side wants TLS, or the server's certificate is not trusted).

    >>> async with kurultai.open("memory:") as k:
    ...     await k.agents.register("temujin")
    ...     [agent.id for agent in await k.agents.list()]
    ['temujin']
    """
    options: _native._OpenOptions = {
        "namespace": namespace,
        "migrate": migrate,
        "background": background,
        "task_defaults": _task_defaults(task_defaults or {}),
        "retention": retention,
        "aging": _never(aging),
        "max_depth": max_depth,
        "clock": clock,
        "identity": identity,
        "wrapping_key": wrapping_key,
        "min_version": min_version,
    }
    return Opening(url, options, default)


def _task_defaults(given: TaskDefaults) -> TaskDefaults:
    return {**given, "expires_in": _never(given["expires_in"])} if "expires_in" in given else given


def _never(span: Duration | None) -> Duration:
    return math.inf if span is None else span
