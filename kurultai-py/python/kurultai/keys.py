"""The room ``keys``: by which keys a team knows its agents."""

from __future__ import annotations

from typing import List

from . import _native
from .types import AgentKey, Identity


class Keys:
    """The public keys of one team's agents. Secrets are never in it: each agent keeps its own, in an ``Identity``."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Keys) -> None:
        self._native = native

    async def list(self, agent: str | None = None) -> List[AgentKey]:
        """The keys of an agent, or of all agents, in the order of their ids, each with the state that it is in now; an
        agent's oldest first. Errors: ``input.invalid``. Cancel safe.

        >>> jochi = await k.keys.rotate("jochi")
        >>> [(key.agent_id, key.state) for key in await k.keys.list("jochi")]
        [('jochi', 'active')]
        """
        return await self._native.list(agent)

    async def rotate(self, agent: str) -> Identity:
        """Makes an agent's next key and tells the team its public half. The secret half is in the answer alone: ``write``
        it to a file. Where the agent had a key, the new one is ``active`` after 30 seconds, when every process knows of it,
        and what was signed with the one before is verified for another 7 days. A key expires after 90 days.

        Errors: ``input.invalid``; ``key.conflict`` where somebody else changes the agent's keys at the same time. Cancel
        safe: a cancelled call may leave a key that nobody has.

        >>> jochi = await k.keys.rotate("jochi")
        >>> jochi.agent
        'jochi'
        """
        return await self._native.rotate(agent)

    async def add(self, agent: str, public_key: str) -> AgentKey:
        """Tells the team the public half of a key that an agent has made elsewhere, as ``rotate`` does: 32 bytes in
        base64url without padding, ``Identity.public_key``.

        Errors: as ``rotate``; ``key.weak``; ``key.conflict`` also where the team knows it already. Cancel safe: a cancelled
        call may still have added it.

        >>> jochi = kurultai.Identity.generate("jochi")
        >>> key = await k.keys.add("jochi", jochi.public_key)
        >>> key.state, key.key_id == jochi.key_id
        ('active', True)
        """
        return await self._native.add(agent, public_key)

    async def revoke(self, agent: str, key_id: str, reason: str) -> AgentKey:
        """Nothing that the key has signed counts any more, also what is in the inboxes. Where it is revoked already nothing
        changes. ``reason``: 1 to 1,000 characters.

        Errors: ``input.invalid``, ``key.unknown``, ``key.conflict``. Cancel safe: a cancelled call may still have revoked it.

        >>> jochi = await k.keys.rotate("jochi")
        >>> key = await k.keys.revoke("jochi", jochi.key_id, "the laptop is gone")
        >>> key.state, key.reason
        ('revoked', 'the laptop is gone')
        """
        return await self._native.revoke(agent, key_id, reason)
