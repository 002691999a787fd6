"""The old envelope: what an old program finds when it changes its import."""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

import kurultai
from kurultai.legacy import AgentKey, KeyStore, MessageSigner, MessageVerifier

KEY = AgentKey("Temüjin", "temüjin-001", "6b" * 32)
NOTE = {"type": "note", "to": "Ögedei", "n": 1.0, "e": 1e-07, "big": 2**53 + 1, "s": "a/b\u2028", "z": None}


def by_hand(
    message: dict[str, Any], key: AgentKey = KEY, at: datetime | None = None, **metadata: Any
) -> dict[str, Any]:
    """Signed as the old program did it."""
    now = (at or datetime.now(timezone.utc)).isoformat()
    said = {"agent_id": key.agent_id, "key_id": key.key_id, "timestamp": now, "algorithm": "HMAC-SHA256", **metadata}
    signed = {**message, "_sig_ts": said["timestamp"], "_sig_agent": said["agent_id"], "_sig_key_id": said["key_id"]}
    text = json.dumps(signed, sort_keys=True, separators=(",", ":"))
    signature = hmac.new(key.secret_key.encode(), text.encode(), hashlib.sha256).hexdigest()
    return {**message, "signature": signature, "sig_metadata": said}


def code(message: Any, keys: Any = None, receiver: Any = None) -> str | None:
    ok, reason = MessageVerifier(keys or KeyStore([KEY]), receiver).verify_message(message)
    assert ok is (reason is None)
    return reason and reason.rpartition("[")[2].rstrip("]")


class Envelope(unittest.TestCase):
    def test_what_was_signed_verifies(self) -> None:
        signed = MessageSigner(KEY).sign_message(NOTE)
        self.assertEqual({k: signed[k] for k in NOTE}, NOTE)
        self.assertEqual(signed, by_hand(NOTE, at=datetime.fromisoformat(signed["sig_metadata"]["timestamp"])))
        for form in (signed, json.dumps(signed), json.dumps(signed, indent=2, ensure_ascii=False).encode()):
            self.assertIsNone(code(form))
            self.assertIsNone(code(form, receiver="ogedei"))

    def test_a_seal_is_replaced(self) -> None:
        other = AgentKey("Jochi", "jochi-001", "j" * 32)
        again = MessageSigner(other).sign_message(MessageSigner(KEY).sign_message(NOTE))
        self.assertIsNone(code(again, KeyStore([other])))

    def test_a_delegation_is_for_its_receiver(self) -> None:
        message = MessageSigner(KEY).sign_delegation("t-1", "Jochi", {"topic": "audit"})
        for receiver, answer in (("Jochi", None), (["kublai", "jochi"], None), ("kublai", "sig.wrong_audience")):
            self.assertEqual(code(message, receiver=receiver), answer)

    def test_random_messages_both_ways(self) -> None:
        rng = random.Random(19)

        def value(depth: int) -> Any:
            kind = rng.randrange(8 if depth else 6)
            if kind == 6:
                return [value(depth - 1) for _ in range(rng.randrange(4))]
            if kind == 7:
                return {text(): value(depth - 1) for _ in range(rng.randrange(4))}
            integer, large, small = rng.randrange(-(10**30), 10**30), rng.gauss(0, 1e9), rng.random() * 1e-9
            return (None, rng.random() < 0.5, integer, large, small, text())[kind]

        def text() -> str:
            any_of = (128, 0x110000)
            return "".join(chr(rng.randrange(rng.choice(any_of))) for _ in range(rng.randrange(8)))

        for _ in range(2000):
            message = {text(): value(3) for _ in range(rng.randrange(6))}
            self.assertIsNone(code(by_hand(message)), message)
            signed = MessageSigner(KEY).sign_message(message)
            self.assertEqual(signed, by_hand(message, at=datetime.fromisoformat(signed["sig_metadata"]["timestamp"])))


class Holes(unittest.TestCase):
    def test_what_is_refused(self) -> None:
        now, good = datetime.now(timezone.utc), by_hand(NOTE)
        for expected, message in (
            (None, good),
            ("sig.missing", NOTE),
            ("sig.missing", {k: v for k, v in good.items() if k != "signature"}),
            ("sig.malformed", {k: v for k, v in good.items() if k != "sig_metadata"}),
            ("sig.malformed", {**good, "_sig_ts": now.isoformat()}),
            ("sig.malformed", {**good, "signature": good["signature"].upper()}),
            ("sig.malformed", {**good, "signature": None}),
            ("sig.malformed", {**good, "sig_metadata": None}),
            ("sig.malformed", {**good, "sig_metadata": {}}),
            ("sig.malformed", by_hand(NOTE, agent_id=7)),
            ("sig.malformed", by_hand(NOTE, agent_id="\ud800")),
            ("sig.malformed", by_hand(NOTE, timestamp=now.replace(tzinfo=None).isoformat())),
            ("sig.malformed", by_hand(NOTE, timestamp=None)),
            ("sig.malformed", by_hand(NOTE, more="x")),
            ("sig.algorithm", by_hand(NOTE, algorithm="none")),
            ("sig.mismatch", {**good, "signature": "0" * 64}),
            ("sig.mismatch", {**good, "type": "order"}),
            ("sig.expired", by_hand(NOTE, at=now - timedelta(seconds=301))),
            ("sig.from_future", by_hand(NOTE, at=now + timedelta(seconds=310))),
            ("key.unknown", by_hand(NOTE, key_id="temüjin-002")),
            ("key.unknown", by_hand(NOTE, agent_id="Jochi")),
            ("sig.malformed", {**good, "n": float("nan")}),
            ("sig.malformed", {**good, "n": object()}),
            ("sig.malformed", {**good, 1: "a", "1": "b"}),
            ("sig.malformed", "[" * 100_000),
            ("sig.malformed", '{"a": 1, "a": 2, ' + json.dumps(good)[1:]),
            ("sig.malformed", b"\xff"),
            ("sig.malformed", "\ud800"),
            ("sig.malformed", []),
            ("sig.malformed", None),
        ):
            with self.subTest(expected, message=str(message)[:200]):
                self.assertEqual(code(message), expected)

    def test_keys_that_do_not_count(self) -> None:
        past = datetime.now() - timedelta(days=2)  # Without an offset, which is UTC.
        for expected, key in (
            ("key.revoked", AgentKey(KEY.agent_id, KEY.key_id, KEY.secret_key, revoked=True)),
            ("key.expired", AgentKey(KEY.agent_id, KEY.key_id, KEY.secret_key, expires_at=past)),
            ("key.weak", AgentKey(KEY.agent_id, KEY.key_id, "k" * 31)),
        ):
            self.assertEqual(code(by_hand(NOTE), KeyStore([key])), expected)
            with self.assertRaises(kurultai.errors.DeniedError) as caught:
                MessageSigner(key).sign_message(NOTE)
            self.assertEqual(caught.exception.code, expected)

    def test_what_is_not_signed(self) -> None:
        for message in ({"_sig_ts": "x"}, {"n": float("inf")}):
            with self.assertRaises(kurultai.errors.InputError) as caught:
                MessageSigner(KEY).sign_message(message)
            self.assertEqual(caught.exception.code, "input.payload")

    def test_a_store_that_answers_with_anothers_key(self) -> None:
        class Careless:
            def get_key(self, agent_id: str, key_id: str) -> AgentKey:
                return AgentKey("Jochi", "jochi-001", "j" * 32)

        posing = AgentKey("Temüjin", "temüjin-001", "j" * 32)
        self.assertEqual(code(by_hand(NOTE, posing), Careless()), "key.unknown")


class Keys(unittest.TestCase):
    def test_a_store_of_keys(self) -> None:
        keys = KeyStore()
        old, new = keys.generate_key("Temüjin"), keys.generate_key("Temüjin")
        self.assertRegex(new.key_id, r"\Atemüjin-[0-9a-f]{8}\Z")
        self.assertRegex(new.secret_key, r"\A[0-9a-f]{64}\Z")
        assert new.created_at and new.expires_at
        self.assertEqual(new.expires_at - new.created_at, timedelta(days=90))
        self.assertEqual(keys.get_active_key("temujin"), new)
        # The older one still verifies, until it is revoked.
        signed = MessageSigner(old).sign_message(NOTE)
        self.assertIsNone(code(signed, keys))
        self.assertTrue(keys.revoke_key("TEMUJIN", old.key_id))
        self.assertFalse(keys.revoke_key("Temüjin", "nothing"))
        self.assertEqual(code(signed, keys), "key.revoked")

    def test_keys_from_the_environment(self) -> None:
        environ = {"AGENT_KEY_TEMÜJIN": "6b" * 32, "AGENT_KEY_NIGHT_OPS": "n" * 32, "AGENT_KEY_JOCHI": ""}
        keys = KeyStore.from_env(["Temüjin", "night-ops", "Jochi"], environ)
        self.assertIsNone(code(by_hand(NOTE), keys))
        self.assertEqual(keys.get_key("Night-Ops", "night-ops-001"), AgentKey("night-ops", "night-ops-001", "n" * 32))
        self.assertIsNone(keys.get_active_key("Jochi"))
        KeyStore.from_env(["Temüjin"], {**environ, "AGENT_KEY_TEMUJIN": "6b" * 32})
        with self.assertRaises(kurultai.errors.ConfigError) as caught:
            KeyStore.from_env(["Temüjin"], {**environ, "AGENT_KEY_TEMUJIN": "x" * 32})
        self.assertEqual(caught.exception.code, "config.env")
        self.assertNotIn("x" * 32, str(caught.exception))

    def test_no_secret_is_shown(self) -> None:
        shown = [repr(KEY), repr(KeyStore([KEY])), repr(MessageSigner(KEY).sign_message(NOTE))]
        shown += [str(MessageVerifier(KeyStore([KEY])).verify_message({**by_hand(NOTE), "n": 2}))]
        self.assertNotIn(KEY.secret_key, "".join(shown))


if __name__ == "__main__":
    unittest.main()
