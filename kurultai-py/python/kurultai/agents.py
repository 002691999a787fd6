"""The room ``agents``: who is there."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, List, Union

from . import _native
from .types import AgentInfo, NewAgent, NewAgentFields


class Agents:
    """The registry of one team."""

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

    async def beat_many(self, agents: Iterable[str]) -> List[str]:
        """The heartbeats of many agents in one statement, as a sidecar writes them. Returns the ids that are not
        registered; the others have their beat. Errors: ``input.invalid``. Cancel safe.

        >>> await k.agents.register("jochi")
        >>> await k.agents.beat_many(["jochi", "nobody"])
        ['nobody']
        """
        return await self._native.beat_many(agents)

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

    async def deregister(self, agent: str) -> None:
        """Removes an agent. Its leases run out by themselves. Errors: ``agent.not_found``.

        >>> await k.agents.register("jochi")
        >>> await k.agents.deregister("jochi")
        """
        await self._native.deregister(agent)
