"""The room ``keys``: by which keys a team knows its agents."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, List, Union

from . import _native
from .legacy import AgentKey as LegacyKey
from .types import AgentKey, Identity, ImportedKeys, WrappingKeyLike


class Keys:
    """The keys of one team's agents. An agent keeps its own secret, in an ``Identity``, or the team keeps it in the store,
    wrapped under a key that is not there."""

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

    async def rotate_in_store(self, agent: str) -> AgentKey:
        """Makes an agent's next key, as ``rotate`` does, and keeps its secret half in the store, wrapped: every process that
        has the wrapping key sends as this agent, with ``sender=``. Where a key of the agent's own follows, they do no more.

        Errors: ``input.invalid``, ``key.conflict``; ``config.wrapping_key`` where the team was opened without a wrapping key.
        Cancel safe: a cancelled call may leave a key.

        >>> async with kurultai.open("memory:", wrapping_key=kurultai.WrappingKey.generate()) as team:
        ...     key = await team.keys.rotate_in_store("jochi")
        ...     sent = await team.messages.send("kublai", "greeting", "hi", sender="jochi")
        ...     key.wrapping_key[:5], sent.deduplicated
        ('wrap-', False)
        """
        return await self._native.rotate_in_store(agent)

    async def rewrap(self, to: WrappingKeyLike) -> int:
        """Wraps every secret that the store keeps for this namespace under another key, a ``WrappingKey`` or its file, in one
        transaction or not at all, and wraps with that one from now on. Returns how many those were. Other processes open
        them as soon as they have the new key as well: give it to them first, beside the old one.

        Errors: ``config.wrapping_key`` where this team was opened without a key that has wrapped one; ``key.unwrap`` where
        one was changed in the database; ``key.conflict`` where somebody else changes keys at the same time. Then nothing was
        changed. Cancel safe: a cancelled call may still have done it.

        >>> async with kurultai.open("memory:", wrapping_key=kurultai.WrappingKey.generate()) as team:
        ...     key = await team.keys.rotate_in_store("jochi")
        ...     await team.keys.rewrap(kurultai.WrappingKey.generate())
        1
        """
        return await self._native.rewrap(to)

    async def import_rows(
        self,
        rows: Iterable[Union[Mapping[str, Any], LegacyKey]] | None = None,
        *,
        agents: Iterable[str] | None = None,
        dry_run: bool = False,
    ) -> ImportedKeys:
        """Imports the keys of an older program's legacy envelopes and keeps their secrets wrapped. On Neo4j it takes over the
        nodes ``AgentKey`` that have a plain secret (``secret_key`` or ``key_hash``) and no namespace; the plain secret is
        gone when the wrapped one is there, so the older program signs no more with it. A file of SQLite has none: give
        ``rows``, which come from elsewhere on both stores. A key that does not say when it ends is good for another 90 days.
        Repeating it imports nothing twice.

        A row has ``agent_id`` (the agent's name as it is sent, or else ``agent``), ``key_id`` (or ``id``), ``secret_key`` (or
        ``key_hash``), and where there is more to say ``revoked`` (or ``is_active``), ``created_at``, ``expires_at``; an
        ``AgentKey`` of ``kurultai.legacy`` is one. ``agents`` takes only theirs; ``dry_run`` only says what would be done.

        Errors: ``config.wrapping_key`` where the team was opened without a wrapping key; ``input.invalid`` where a row is
        none; ``key.conflict`` where somebody else changes an agent's keys at the same time; ``key.unwrap`` where a key that
        is there does not open. Cancel safe: a repetition goes on where a cancelled call was.

        >>> async with kurultai.open("memory:", wrapping_key=kurultai.WrappingKey.generate()) as team:
        ...     report = await team.keys.import_rows([
        ...         {"agent_id": "Temüjin", "key_id": "temüjin-001", "secret_key": "6b" * 32},
        ...         {"agent_id": "Temüjin", "key_id": "temüjin-002", "secret_key": "short"},
        ...     ])
        ...     [key.key_id for key in report.imported], [row.code for row in report.skipped]
        (['temüjin-001'], ['key.weak'])
        """
        text = None if rows is None else json.dumps([_fields(row) for row in rows], default=_time)
        return await self._native.import_rows({"rows": text, "agents": agents, "dry_run": dry_run})

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


def _fields(row: Mapping[str, Any] | LegacyKey) -> dict[str, Any]:
    return dict(vars(row)) if isinstance(row, LegacyKey) else dict(row)


def _time(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"a row has a {type(value).__name__}")  # Not the value: it may be a secret.
