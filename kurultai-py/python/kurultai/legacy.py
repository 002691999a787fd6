"""The signed messages of teams that are older than this library: HMAC-SHA256 over a message's canonical JSON.

An old program changes one import. What it signs others verify as before, and what it verifies is held to more: the time
is required and signed, the key belongs to the agent, and the message is for its receiver.

>>> from kurultai.legacy import AgentKey, KeyStore, MessageSigner, MessageVerifier
>>> keys = KeyStore()
>>> signer = MessageSigner(keys.generate_key("Kublai"))
>>> message = signer.sign_delegation("task-1", "Jochi", {"topic": "audit"})
>>> MessageVerifier(keys, receiver="jochi").verify_message(message)
(True, None)
>>> message["to"] = "Chagatai"
>>> ok, reason = MessageVerifier(keys).verify_message(message)
>>> ok, reason.endswith("[sig.mismatch]")
(False, True)

All of it is pure: a verifier does not know whether a message was presented before. That is the mailbox's to know.
"""

from __future__ import annotations

import json
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta, timezone
from typing import Any, Protocol

from . import _native
from .errors import ConfigError, DeniedError, InputError, KurultaiError

__all__ = ["AgentKey", "KeyStore", "MessageSigner", "MessageVerifier"]

_LIFETIME = timedelta(days=90)
_Key = tuple[str, str, str, "datetime | None", bool]


def _utc(time: datetime) -> datetime:
    """A time without an offset is UTC."""
    return (time if time.tzinfo else time.replace(tzinfo=timezone.utc)).astimezone(timezone.utc)


def _now() -> datetime:
    return datetime.now(timezone.utc)


@dataclass(frozen=True)
class AgentKey:
    """A key of an agent. Whoever can verify with it can also sign with it.

    ``agent_id`` is the agent's name as it is sent (``Temüjin``). ``secret_key`` is a text of at least 32 characters,
    whose UTF-8 bytes are the HMAC key; a generated one is 64 hexadecimal digits. It is left out of the ``repr``.
    ``expires_at`` is None for a key without an end; a time without an offset is UTC.

    >>> from kurultai.legacy import AgentKey
    >>> AgentKey("Kublai", "kublai-001", "6b" * 32)
    AgentKey(agent_id='Kublai', key_id='kublai-001', created_at=None, expires_at=None, revoked=False)
    """

    agent_id: str
    key_id: str
    secret_key: str = field(repr=False)
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked: bool = False

    @classmethod
    def generate(cls, agent_id: str) -> AgentKey:
        """A new key: ``{agent in lower case}-{8 hexadecimal digits}``, which expires after 90 days.

        >>> from kurultai.legacy import AgentKey
        >>> AgentKey.generate("Temüjin").key_id.startswith("temüjin-")
        True
        """
        now = _now()
        key_id = f"{agent_id.lower()}-{secrets.token_hex(4)}"
        return cls(agent_id, key_id, secrets.token_hex(32), created_at=now, expires_at=now + _LIFETIME)

    @property
    def is_active(self) -> bool:
        """Whether it signs and verifies now: neither revoked nor expired."""
        return not self.revoked and (self.expires_at is None or _utc(self.expires_at) > _now())

    def _native(self) -> _Key:
        end = None if self.expires_at is None else _utc(self.expires_at)
        return self.agent_id, self.key_id, self.secret_key, end, self.revoked


class _Keys(Protocol):
    def get_key(self, agent_id: str, key_id: str, /) -> AgentKey | None: ...


class KeyStore:
    """Keys in memory, found by their agent's folded name (``Temüjin`` = ``temujin``) and their id.

    A verifier takes anything that has ``get_key(agent_id, key_id)``.

    >>> from kurultai.legacy import AgentKey, KeyStore
    >>> keys = KeyStore([AgentKey("Temüjin", "temüjin-001", "6b" * 32)])
    >>> keys.get_key("temujin", "temüjin-001").agent_id
    'Temüjin'
    """

    def __init__(self, keys: Iterable[AgentKey] = ()) -> None:
        self._keys: dict[tuple[str, str], AgentKey] = {}
        for key in keys:
            self.add_key(key)

    @classmethod
    def from_env(cls, agents: Iterable[str], environ: Mapping[str, str] | None = None) -> KeyStore:
        """The keys of these agents from AGENT_KEY_<ID>, each with the id ``{agent in lower case}-001``.

        <ID> is the folded name in upper case with ``_`` for ``-``; the upper-cased name itself is read too
        (AGENT_KEY_TEMUJIN, AGENT_KEY_TEMÜJIN). An agent without a variable has no key.

        Errors: ``config.env`` where the two have different values.

        >>> from kurultai.legacy import KeyStore
        >>> keys = KeyStore.from_env(["Temüjin"], {"AGENT_KEY_TEMUJIN": "6b" * 32})
        >>> keys.get_active_key("Temüjin").key_id
        'temüjin-001'
        """
        environ = os.environ if environ is None else environ
        store = cls()
        for agent in agents:
            names = {f"AGENT_KEY_{form.upper()}" for form in (_native.fold(agent).replace("-", "_"), agent)}
            found = {environ[name] for name in names if environ.get(name)}
            if len(found) > 1:
                raise ConfigError(f"{' and '.join(sorted(names))} differ", code="config.env")
            for secret in found:
                store.add_key(AgentKey(agent, f"{agent.lower()}-001", secret))
        return store

    def add_key(self, key: AgentKey) -> None:
        """Adds a key, or puts it in the place of the one with the same agent and id.

        >>> from kurultai.legacy import AgentKey, KeyStore
        >>> KeyStore().add_key(AgentKey("Kublai", "kublai-001", "6b" * 32))
        """
        self._keys[_native.fold(key.agent_id), key.key_id] = key

    def generate_key(self, agent_id: str) -> AgentKey:
        """Adds a new key of the agent, which expires after 90 days. Its older keys still verify.

        >>> from kurultai.legacy import KeyStore
        >>> KeyStore().generate_key("Kublai").is_active
        True
        """
        key = AgentKey.generate(agent_id)
        self.add_key(key)
        return key

    def get_key(self, agent_id: str, key_id: str) -> AgentKey | None:
        """The agent's key with this id, in whatever state.

        >>> from kurultai.legacy import KeyStore
        >>> KeyStore().get_key("Kublai", "kublai-001")
        """
        return self._keys.get((_native.fold(agent_id), key_id))

    def get_active_key(self, agent_id: str) -> AgentKey | None:
        """The key that the agent signs with: the last one added that is neither revoked nor expired.

        >>> from kurultai.legacy import KeyStore
        >>> KeyStore().get_active_key("Kublai")
        """
        folded = _native.fold(agent_id)
        active = [key for (agent, _), key in self._keys.items() if agent == folded and key.is_active]
        return active[-1] if active else None

    def revoke_key(self, agent_id: str, key_id: str) -> bool:
        """From now on the key neither signs nor verifies. False where there is none.

        >>> from kurultai.legacy import KeyStore
        >>> keys = KeyStore()
        >>> key = keys.generate_key("Kublai")
        >>> keys.revoke_key("Kublai", key.key_id), keys.get_active_key("Kublai")
        (True, None)
        """
        key = self.get_key(agent_id, key_id)
        if key is not None:
            self.add_key(replace(key, revoked=True))
        return key is not None


class MessageSigner:
    """Signs messages with a key.

    Errors: ``key.revoked``, ``key.expired``, ``key.weak``; ``input.payload`` where the message is no JSON, or has a key
    that begins with ``_sig_``.
    """

    def __init__(self, key: AgentKey) -> None:
        self.key = key

    def sign_message(self, message: Mapping[str, Any]) -> dict[str, Any]:
        """The message with ``signature`` and ``sig_metadata``; the message itself is left as it is.

        >>> from kurultai.legacy import AgentKey, MessageSigner
        >>> signed = MessageSigner(AgentKey("Kublai", "kublai-001", "6b" * 32)).sign_message({"type": "note"})
        >>> list(signed), signed["sig_metadata"]["key_id"]
        (['type', 'signature', 'sig_metadata'], 'kublai-001')
        """
        body = {key: value for key, value in message.items() if key not in ("signature", "sig_metadata")}
        signature, timestamp = _native.legacy_seal(json.dumps(body), self.key._native(), _now())
        metadata = {
            "agent_id": self.key.agent_id,
            "key_id": self.key.key_id,
            "timestamp": timestamp,
            "algorithm": "HMAC-SHA256",
        }
        return {**body, "signature": signature, "sig_metadata": metadata}

    def sign_delegation(self, task_id: str, to: str, payload: Any = None) -> dict[str, Any]:
        """A signed message of the type ``task_delegation`` from the key's agent.

        >>> from kurultai.legacy import AgentKey, MessageSigner
        >>> signer = MessageSigner(AgentKey("Kublai", "kublai-001", "6b" * 32))
        >>> message = signer.sign_delegation("task-1", "Jochi", {"topic": "audit"})
        >>> message["type"], message["from"], message["to"], message["payload"]
        ('task_delegation', 'Kublai', 'Jochi', {'topic': 'audit'})
        """
        return self.sign_message(
            {
                "type": "task_delegation",
                "task_id": task_id,
                "from": self.key.agent_id,
                "to": to,
                "payload": payload,
            }
        )


class MessageVerifier:
    """Verifies messages with the keys that it finds.

    ``receiver`` is who reads them: a name, or several (``["kublai", "role:router"]``). Without it a message is right
    whomever ``to`` and ``delegate`` name.
    """

    def __init__(self, keys: _Keys, receiver: str | Iterable[str] | None = None) -> None:
        self.keys = keys
        self._audiences = [receiver] if isinstance(receiver, str) else list(receiver or ())

    def verify_message(self, message: Mapping[str, Any] | str | bytes) -> tuple[bool, str | None]:
        """Whether the message's signature holds, and if not, why not, with the code at its end in brackets.

        Give the text as it was received where you have it: a dict no longer shows that a key was there twice.
        The codes are ``sig.missing``, ``sig.malformed``, ``sig.algorithm``, ``sig.mismatch``, ``sig.expired`` and
        ``sig.from_future`` (300 seconds), ``sig.wrong_audience``, ``key.unknown``, ``key.revoked``, ``key.expired``
        and ``key.weak``.

        >>> from kurultai.legacy import KeyStore, MessageVerifier
        >>> MessageVerifier(KeyStore()).verify_message({"type": "note"})
        (False, 'the message is not signed [sig.missing]')
        """
        try:
            text, said = _read(message)
            key = self._key(said)
            _native.legacy_verify(text, key, self._audiences, _now())
        except KurultaiError as error:
            return False, str(error)
        return True, None

    def _key(self, message: object) -> _Key | None:
        metadata = message.get("sig_metadata") if isinstance(message, Mapping) else None
        if not isinstance(metadata, Mapping):
            return None
        agent, key_id = metadata.get("agent_id"), metadata.get("key_id")
        if not isinstance(agent, str) or not isinstance(key_id, str):
            return None
        try:
            key = self.keys.get_key(agent, key_id)
        except (UnicodeEncodeError, InputError):  # Of a lone surrogate, which is in no name.
            return None
        return key._native() if key else None


def _read(message: Mapping[str, Any] | str | bytes) -> tuple[str, object]:
    """A message as text and as an object."""
    try:
        if isinstance(message, bytes):
            message = message.decode()
        if isinstance(message, str):
            message.encode()
            return message, json.loads(message)
        return json.dumps(message), message
    except (TypeError, ValueError, RecursionError) as error:
        raise DeniedError(f"the message is no JSON: {error}", code="sig.malformed") from error
