"""The room ``agents``: who is there, who lives, who works."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator, Iterable, Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, List, NoReturn, Union

from . import _native
from .errors import KurultaiError
from ._called import called
from .types import (
    UNCHANGED,
    AgentHealth,
    AgentInfo,
    Alert,
    Duration,
    FailoverEvent,
    NewAgent,
    NewAgentFields,
    RoleLease,
    Unchanged,
)


class Leadership:
    """A role that this process holds for an agent; ``agents.lead`` gives it. It is renewed, and the agent's heartbeats are
    written, until it is handed back or lost, or the store is closed, which hands it back.

    Whether it is lost is judged by this process's own stopwatch, from the beginning of the last renewal that succeeded and
    with a margin of 2 seconds, so that it ends here before it ends for others. That is a hint: what must not happen under an
    old term takes it as ``under``, and the store checks it in the same transaction.
    """

    __slots__ = ("_native",)

    def __init__(self, native: _native.Leadership) -> None:
        self._native = native

    @property
    def lease(self) -> RoleLease:
        """As of the last renewal."""
        return self._native.lease

    @property
    def role(self) -> str:
        """Which role."""
        return self.lease.role

    @property
    def holder(self) -> str:
        """The agent that holds it."""
        return self.lease.holder

    @property
    def term(self) -> int:
        """Under which number. It only grows: pass it to other systems as the fencing token."""
        return self.lease.term

    @property
    def expires_at(self) -> datetime:
        """Until when as of the last renewal, by the store's clock."""
        return self.lease.expires_at

    def is_valid(self) -> bool:
        """Whether the role is surely still held, by this process's own stopwatch."""
        return self._native.is_valid()

    async def lost(self) -> None:
        """Returns when the role is held no longer, for whatever reason. Cancel safe."""
        await self._native.lost()

    async def hand_back(self, *, to: str | None = None, reason: str | None = None) -> RoleLease:
        """Lets go of the role, so that another may take it at once; with ``to``, that agent alone in the next 30 seconds.

        Errors: ``role.stale_term`` where it was lost before; ``store.unavailable``: then it ends with its lease. Cancel
        safe: a cancelled call lets go of it all the same.
        """
        return await self._native.hand_back({"to": to, "reason": reason})

    def __repr__(self) -> str:
        return f"<Leadership of {self.role!r} by {self.holder!r}, term {self.term}>"


class Leading:
    """What ``agents.lead`` returns: await it, or use it with ``async with``, at whose end the role is handed back."""

    __slots__ = ("_agent", "_held", "_native", "_options", "_role")

    def __init__(self, native: _native.Agents, role: str, agent: str, options: _native._LeadOptions) -> None:
        self._native = native
        self._role = role
        self._agent = agent
        self._options = options
        self._held: Leadership | None = None

    async def _lead(self) -> Leadership:
        return Leadership(await self._native.lead(self._role, self._agent, self._options))

    def __await__(self) -> Generator[Any, Any, Leadership]:
        return self._lead().__await__()

    def __getattr__(self, name: str) -> Any:
        raise AttributeError(f"no {name!r} yet: `async with k.agents.lead(...) as lead`, or `lead = await k.agents.lead(...)`")

    def __enter__(self) -> NoReturn:
        raise TypeError("`async with k.agents.lead(...)`; without an event loop, the `lead` of kurultai.blocking")

    def __exit__(self, *error: object) -> None: ...

    async def __aenter__(self) -> Leadership:
        self._held = await self._lead()
        return self._held

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._held is not None:
            await _let_go(self._held)


async def _let_go(held: Leadership) -> None:
    """What was lost before, and what cannot be handed back now, ends with its lease."""
    try:
        await held.hand_back()
    except KurultaiError as error:
        if not (error.retryable or error.code in ("role.stale_term", "store.closed")):
            raise


class Agents:
    """The registry of one team, and how its agents fare."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Agents) -> None:
        self._native = native

    async def register(
        self,
        id: str,
        *,
        display_name: str | None = None,
        role: str | None = None,
        aliases: Iterable[str] | None = None,
        capabilities: Iterable[str] | None = None,
        max_concurrent: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> None:
        """Adds an agent or brings its entry up to date. ``max_concurrent``: how many tasks it may hold at once; None
        for any number. ``metadata``: what its team wants to know of it beside, a JSON object. Ids are ``[a-z0-9][a-z0-9_-]{0,63}``.

        Errors: ``input.invalid``.

        >>> await k.agents.register("jochi", capabilities=["analysis"], aliases=["analyst"])
        """
        agent = NewAgent(
            id,
            display_name=display_name,
            role=role,
            aliases=aliases,
            capabilities=capabilities,
            max_concurrent=max_concurrent,
            metadata=metadata,
        )
        await self._native.register_many([agent])

    async def register_many(self, agents: Iterable[Union[NewAgent, NewAgentFields]]) -> None:
        """Adds or updates all in one transaction. Errors as ``register``.

        >>> await k.agents.register_many(kurultai.council())
        >>> await k.agents.register_many([{"id": "tolui", "capabilities": ["planning"]}])
        """
        await self._native.register_many(agents)

    async def beat(self, agent: str) -> None:
        """The infrastructure heartbeat: a sign that the agent's process runs, even while it works on nothing. An
        ``Agent`` writes it by itself every 30 s. Errors: ``agent.not_found``. Cancel safe.

        >>> await k.agents.register("jochi")
        >>> await k.agents.beat("jochi")
        """
        await self._native.beat(agent)

    async def beat_many(self, agents: Iterable[str], *, create: bool = False) -> List[str]:
        """The heartbeats of many agents in one statement, as a sidecar writes them. Names are folded to ids (``Temüjin``
        is ``temujin``); with ``create``, those that are unknown are registered under the name given. Returns the names
        that are not registered; the others have their beat. Errors: ``input.invalid``. Cancel safe.

        >>> await k.agents.register("jochi")
        >>> await k.agents.beat_many(["Jochi", "nobody"])
        ['nobody']
        >>> await k.agents.beat_many(["Temüjin"], create=True)
        []
        >>> (await k.agents.get("temujin")).display_name
        'Temüjin'
        """
        return await self._native.beat_many(agents, create)

    async def health(
        self, agent: str | None = None, *, dead_after: Duration = 120, stuck_after: Duration = 90
    ) -> List[AgentHealth]:
        """How each agent fares, in the order of their ids, or one of them, by one read of the store: ``alive``, ``idle``
        (it holds no task), ``stuck`` (it holds a task and shows no sign of work), ``dead`` or ``unknown``, and why.
        Computed when it is read, never stored; it declares nobody dead.

        ``dead_after``: seconds without any sign. Such a silence makes an agent ``dead`` where this handle has seen it all
        the time, by calls that lie no more than a quarter of ``dead_after`` apart, or where a watcher has declared it;
        otherwise it is ``unknown``, with the ages. ``stuck_after``: seconds without a sign of work while it holds a task
        that it claimed as long ago; and whose handler is silent for its ``stall_after`` is stuck in any case. Both 1
        second or more.

        Errors: ``input.invalid``, ``agent.not_found``. Cancel safe.

        >>> await k.agents.register("jochi")
        >>> [jochi] = await k.agents.health("jochi")
        >>> jochi.state, jochi.reason
        ('idle', 'holds no task; it has not worked yet')
        """
        return await self._native.health(agent, {"dead_after": dead_after, "stuck_after": stuck_after})

    async def watch(
        self,
        roles: Mapping[str, Iterable[str]] | None = None,
        *,
        agent: str | None = None,
        every: Duration = 10,
        dead_after: Duration = 120,
        stuck_after: Duration = 90,
        on_alert: Callable[[Alert], Any] | None = None,
    ) -> None:
        """Watches the team until it is cancelled or the store is closed: declares agents dead, which puts their tasks
        back into the queue at once, and recovered. What it finds are events, ``agent.dead`` and ``agent.recovered``, and
        warnings of ``logging.getLogger("kurultai")``. Any number may watch one team.

        ``every``: seconds from one check to the next, at most half of ``dead_after``; a death is found within
        ``dead_after`` and one check. An agent is declared dead only where it is silent for longer than ``dead_after`` by
        the store's clock, this watcher has seen no sign of it for as long by its own stopwatch, the store answered it
        all the time, and not more than half of a team of three or more fell silent at once.

        ``agent``: who watches; of the watches that name one, the holder of the role ``watcher`` declares. ``roles``: for each
        role its candidates, as ``{"router": ["kublai", "ogedei"]}``; each of them runs a watch with itself as ``agent``. The
        first of them that lives takes the role when nobody holds it, because its holder was declared dead, or has let it
        lapse or handed it back; once the first in the list has given three signs of life the role goes back to it. Who leads
        is told by ``leader``, what has changed by ``failovers`` and the event ``role.changed``. What waits for an agent that
        is dead or draining, because it was assigned to it, is anybody's. Its end hands back what it holds.

        It raises and clears the team's alerts too, once however many watch: ``events.alerts``, the events
        ``alert.raised`` and ``alert.cleared``, and ``on_alert``, a function or coroutine function that is called with
        each ``Alert`` that this watcher has raised or cleared. The watch goes on while it works; what it raises is logged.

        Errors: ``input.invalid``; ``store.closed`` in the end, where it is not cancelled. A store out of reach is waited
        for. Cancel safe.

        >>> watching = asyncio.create_task(k.agents.watch(every=5, on_alert=lambda alert: print(alert.text)))
        >>> await asyncio.sleep(0)
        >>> watching.cancel()
        True
        """
        watcher = self._native.watcher(
            {"roles": roles, "agent": agent, "every": every, "dead_after": dead_after, "stuck_after": stuck_after}
        )
        told: set[asyncio.Task[bool]] = set()
        while True:
            for alert in await watcher.next_alerts():
                if on_alert is not None:
                    telling = asyncio.ensure_future(called(on_alert, "on_alert", alert, alert.key))
                    told.add(telling)
                    telling.add_done_callback(told.discard)

    async def failovers(self, *, active: bool | None = None, since: datetime | None = None) -> List[FailoverEvent]:
        """When roles went from one agent to another, oldest first: all, or with ``active`` those whose role is not back yet, or
        is. ``since``: an aware datetime. Errors: ``input.invalid``. Cancel safe.

        >>> await k.agents.register("kublai"), await k.agents.register("ogedei")
        (None, None)
        >>> for agent in ("kublai", "ogedei"):
        ...     async with k.agents.lead("router", agent):
        ...         pass
        >>> [(one.from_agent, one.to_agent, one.triggered_by) for one in await k.agents.failovers(active=True)]
        [('kublai', 'ogedei', 'manual')]
        """
        return await self._native.failovers({"active": active, "since": since})

    def lead(
        self, role: str, agent: str, *, ttl: Duration = 30, wait: Duration = 0, reason: str | None = None
    ) -> Leading:
        """Holds a role for an agent, which one agent of the team at a time does. It is renewed, with the agent's heartbeats,
        until the end of ``async with``, or until it is handed back or lost. Each change of its holder is an event
        ``role.changed``. An agent's ``role`` in the registry is something else: a word about it.

        ``ttl``: seconds that the lease lasts without renewal, 0.1 to 86,400; it is renewed three times as often. ``wait``:
        seconds to wait while somebody else holds it. ``reason``: why, for the event.

        Errors: ``input.invalid``; ``agent.not_found``; ``role.held``, which names the holder and until when. Cancel safe:
        what a cancelled call has taken is handed back, or ends with its lease.

        >>> await k.agents.register("kublai")
        >>> async with k.agents.lead("router", "kublai") as lead:
        ...     lead.is_valid(), lead.holder, (await k.agents.leader("router")).term == lead.term
        (True, 'kublai', True)
        >>> await k.agents.leader("router")
        """
        return Leading(self._native, role, agent, {"ttl": ttl, "wait": wait, "reason": reason})

    async def leader(self, role: str) -> RoleLease | None:
        """Who holds a role, and until when; None where nobody does. Errors: ``input.invalid``. Cancel safe.

        >>> await k.agents.leader("router")
        """
        return await self._native.leader(role)

    async def hand_back(self, role: str, agent: str, *, to: str | None = None, reason: str | None = None) -> RoleLease:
        """Takes a role from the agent that holds it, in whatever process: that one learns it at its next renewal, and what it
        writes under its term is refused from now on. With ``to``, nobody but that agent may take the role in the next 30
        seconds. The answer is the lease as it ended; where nobody holds the role nothing happens.

        Errors: ``input.invalid``; ``role.held``, naming the holder, where another agent holds it; ``role.not_found`` where
        nobody ever has. Cancel safe: a cancelled call may still hand it back.

        >>> await k.agents.register("kublai")
        >>> await k.agents.register("ogedei")
        >>> lead = await k.agents.lead("router", "kublai")
        >>> lease = await k.agents.hand_back("router", "kublai", to="ogedei", reason="maintenance")
        >>> lease.term == lead.term
        True
        """
        return await self._native.hand_back(role, agent, {"to": to, "reason": reason})

    async def get(self, name: str) -> AgentInfo:
        """An agent by id, name or alias. What is written exactly so comes first; otherwise they are compared without
        case and without the accents of Latin, Greek and Cyrillic letters.

        Errors: ``agent.not_found``, with the nearest name.

        >>> await k.agents.register("temujin", display_name="Temüjin")
        >>> (await k.agents.get("TEMÜJIN")).id
        'temujin'
        """
        return await self._native.get(name)

    async def list(self) -> List[AgentInfo]:
        """All agents, in the order of their ids.

        >>> await k.agents.register_many(kurultai.council())
        >>> [agent.id for agent in await k.agents.list()]
        ['chagatai', 'jochi', 'kublai', 'mongke', 'ogedei', 'temujin']
        """
        return await self._native.list()

    async def with_capability(self, capability: str) -> List[AgentInfo]:
        """The agents that have a capability.

        >>> await k.agents.register_many(kurultai.council())
        >>> [agent.id for agent in await k.agents.with_capability("coding")]
        ['temujin']
        """
        return await self._native.with_capability(capability)

    async def drain(self, agent: str) -> None:
        """Lets an agent finish what it holds and gives it nothing new; ``register`` ends it.

        Errors: ``agent.not_found``.

        >>> await k.agents.register("jochi")
        >>> await k.agents.drain("jochi")
        >>> (await k.agents.get("jochi")).status
        'draining'
        """
        await self._native.drain(agent)

    async def update(
        self,
        agent: str,
        *,
        add: Iterable[str] | None = None,
        remove: Iterable[str] | None = None,
        metadata: Mapping[str, Any] | None | Unchanged = UNCHANGED,
    ) -> None:
        """What an agent has learned and lost: capabilities that it has from now on and those that it has no more. Other
        capabilities stay as they are, also where two change them at once. ``metadata`` takes the place of what was there:
        a JSON object of at most 16 KiB, or None.

        Errors: ``agent.not_found``, ``input.invalid``, ``input.payload``. Cancel safe: a cancelled call may still have
        changed the agent.

        >>> await k.agents.register("jochi", capabilities=["go", "testing"])
        >>> await k.agents.update("jochi", add=["rust"], remove=["go"], metadata={"model": "small"})
        >>> (await k.agents.get("jochi")).capabilities
        ['testing', 'rust']
        """
        changes: dict[str, Any] = {"add": add, "remove": remove}
        if metadata is not UNCHANGED:
            changes["metadata"] = metadata
        await self._native.update(agent, changes)

    async def deregister(self, agent: str, *, force: bool = False) -> None:
        """Removes an agent that holds nothing. With ``force`` also one that holds tasks: they are in the queue again at
        once. Errors: ``agent.not_found``; ``agent.in_use``, naming what it holds. Cancel safe: a cancelled call may still
        have removed it.

        >>> await k.agents.register("jochi")
        >>> await k.agents.deregister("jochi")
        """
        await self._native.deregister(agent, force)
