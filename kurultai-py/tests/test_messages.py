"""The rooms ``messages`` and ``keys``, identities, and tokens without a store."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import os
import pathlib
import pickle
import random
import stat
import tempfile
import unittest
import warnings
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import kurultai
from kurultai import Identity, NewMessage, errors
from support import on_both

try:
    import jwt
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
except ImportError:
    jwt = None  # type: ignore[assignment]
try:
    from joserfc import jwk as joserfc, jws
except ImportError:
    joserfc = None  # type: ignore[assignment]

START = datetime(2026, 3, 1, 9, 7, 5, 123_000, tzinfo=timezone.utc)


def unpadded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def padded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


def secret_of(identity: Identity) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "key")
        identity.write(path)
        return str(json.loads(pathlib.Path(path).read_text())["secret"])


class WithTwo:
    """kublai and jochi, each with a handle of its own."""

    async def asyncSetUp(self: Any) -> None:
        await super().asyncSetUp()  # type: ignore[misc]
        await self.k.agents.register_many([{"id": "kublai"}, {"id": "jochi"}])
        self.key = await self.k.keys.rotate("kublai")
        self.kublai = await self.open(identity=self.key)
        self.jochi = await self.open(identity=[await self.k.keys.rotate("jochi")])

    async def asyncTearDown(self: Any) -> None:
        await self.kublai.close()
        await self.jochi.close()
        await super().asyncTearDown()  # type: ignore[misc]


@on_both
class Messages(WithTwo):
    async def test_what_is_said_arrives(self: Any) -> None:
        body = {"pr": 42, "ü": [1.5, None, True, 10**30, "\U0001f40e"]}
        task = await self.k.tasks.enqueue("review")
        sent = await self.kublai.messages.send("jochi", "review", body, task=task, ttl=timedelta(minutes=5))
        self.assertEqual((str(sent), sent.deduplicated, sent.recipient), (sent.id, False, "alive"))
        self.assertEqual(hash(sent), hash(copy.deepcopy(sent)))
        [message] = await self.jochi.messages.inbox()
        self.assertEqual(
            (message.id, message.sender, message.to, message.type, message.body, message.task_id),
            (sent.id, "kublai", "jochi", "review", body, task.id),
        )
        self.assertEqual((message.reply_to, message.thread, message.code), (None, sent.id, None))
        self.assertEqual((message.status, message.delivery, message.urgent), ("delivered", 1, False))
        self.assertEqual(
            (message.verified.agent, message.verified.key_id, message.verified.version),
            ("kublai", self.key.key_id, 2),
        )
        self.assertLessEqual((message.expires_at - message.created_at), timedelta(minutes=5))
        self.assertEqual(message.to_dict()["verified"], {"agent": "kublai", "key_id": self.key.key_id, "version": 2})
        self.assertNotIn("receipt", message.to_dict())
        with self.assertRaises(AttributeError):
            message.body = "other"

    async def test_results_cross_processes(self: Any) -> None:
        sent = await self.kublai.messages.send("jochi", "note", {"n": 1})
        [message] = await self.jochi.messages.inbox()
        results = [sent, message, message.receipt, message.verified, await self.jochi.messages.unread()]
        results += [await self.jochi.messages.ack(message), *(await self.k.keys.list())]
        for result in results:
            for again in (pickle.loads(pickle.dumps(result)), copy.copy(result), copy.deepcopy(result)):
                self.assertIs(type(again), type(result))
                self.assertEqual((again, again.to_dict(), repr(again)), (result, result.to_dict(), repr(result)))

    async def test_every_form_of_a_receipt(self: Any) -> None:
        await self.kublai.messages.send_many([NewMessage("jochi", "note", i) for i in range(5)])
        a, b, c, d, e = await self.jochi.messages.inbox()
        self.assertEqual([message.body for message in (a, b, c, d, e)], [0, 1, 2, 3, 4])

        class Held:
            receipt = c.receipt

        self.assertEqual(kurultai.Receipt.parse(str(b.receipt)), b.receipt)
        for form in (a, b.receipt, Held(), str(d.receipt)):
            settled = await self.jochi.messages.ack(form)
            self.assertEqual((settled.status, settled.repeated), ("acknowledged", False))
        answers = await self.jochi.messages.ack((one for one in (a, str(e.receipt), "nothing/1")))
        self.assertEqual([one.repeated for one in answers[:2]], [True, False])
        self.assertEqual((type(answers[2]), answers[2].code), (errors.NotFoundError, "message.not_found"))
        self.assertEqual(await self.jochi.messages.ack([]), [])
        for wrong in (5, None, [5], kurultai.NewMessage("jochi", "note")):
            with self.subTest(wrong), self.assertRaises(TypeError):
                await self.jochi.messages.ack(wrong)
        with self.assertCode("input.invalid"):
            await self.jochi.messages.ack("no receipt")

    async def test_a_delivery_ends_once(self: Any) -> None:
        await self.kublai.messages.send("jochi", "note")
        [first] = await self.jochi.messages.inbox(visible=0.1)
        self.assertEqual(await self.jochi.messages.inbox(), [])
        [second] = await self.jochi.messages.inbox(wait=20)
        self.assertEqual((first.id, first.delivery, second.delivery), (second.id, 1, 2))
        with self.assertCode("lease.lost") as late:
            await self.jochi.messages.ack(first)
        self.assertIsInstance(late.exception, errors.LeaseLostError)
        self.assertEqual((await self.jochi.messages.retry(second, after=timedelta(0))).status, "pending")
        [third] = await self.jochi.messages.inbox()
        self.assertEqual((await self.jochi.messages.reject(third, "not mine")).status, "failed")
        [event] = await self.k.events.read(topic="message.failed")
        self.assertEqual((event.payload["code"], event.payload["reason"]), ("message.rejected", "not mine"))
        self.assertEqual([one.code for one in await self.k.messages.list(to="jochi")], ["message.rejected"])

    async def test_urgent_ones_first_and_what_waits(self: Any) -> None:
        sent = await self.kublai.messages.send_many(
            [{"to": "jochi", "type": "note", "dedupe_key": "n"}, NewMessage("jochi", "alarm", urgent=True)]
        )
        again = await self.kublai.messages.send("jochi", "note", dedupe_key="n")
        self.assertEqual((again.id, again.deduplicated), (sent[0].id, True))
        unread = await self.jochi.messages.unread()
        self.assertEqual((unread, unread.count, unread.urgent), (await self.k.messages.unread("jochi"), 2, 1))
        self.assertEqual([one.type for one in await self.jochi.messages.inbox(types=["alarm"], max=1)], ["alarm"])
        self.assertEqual([one.type for one in await self.k.messages.inbox("jochi")], ["note"])

    async def test_a_thread_and_pages(self: Any) -> None:
        question = await self.kublai.messages.send("jochi", "question", "who?")
        [asked] = await self.jochi.messages.inbox()
        answer = await self.jochi.messages.send("kublai", "answer", "I", reply_to=asked)
        await self.kublai.messages.send("jochi", "note")
        for id in (question, question.id, asked):
            thread = await self.k.messages.thread(id)
            self.assertEqual([(one.id, one.thread) for one in thread], [(i.id, question.id) for i in (question, answer)])
        page = await self.k.messages.list(from_="kublai", limit=1)
        self.assertEqual((len(page), page.messages[0].id), (1, question.id))
        rest = await self.k.messages.list(from_="kublai", cursor=page.next)
        self.assertEqual(([one.type for one in rest], rest.next), (["note"], None))
        self.assertIn("MessagePage(messages=[", repr(rest))

    async def test_a_question_is_answered(self: Any) -> None:
        async def answer() -> None:
            [question] = await self.jochi.messages.inbox(wait=20)
            await self.jochi.messages.send(question.sender, "answer", question.body + 1, reply_to=question)

        answering = asyncio.create_task(answer())
        answered = await self.kublai.messages.ask("jochi", "question", 41, timeout=20)
        await answering
        self.assertEqual((answered.body, answered.sender, answered.type), (42, "jochi", "answer"))
        self.assertEqual((await self.kublai.messages.unread()).count, 0)
        with self.assertCode("message.no_reply") as none:
            await self.kublai.messages.ask("jochi", "question", timeout=0.05)
        self.assertIsInstance(none.exception, errors.TimedOutError)
        self.assertTrue(none.exception.retryable)

    async def test_an_inbox_that_waits(self: Any) -> None:
        waiting = asyncio.create_task(self.jochi.messages.inbox(wait=20))
        await asyncio.sleep(0.1)
        await self.kublai.messages.send("jochi", "note")
        self.assertEqual(len(await asyncio.wait_for(waiting, 10)), 1)
        cancelled = asyncio.create_task(self.jochi.messages.inbox(wait=20))
        await asyncio.sleep(0.05)
        cancelled.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await cancelled

    async def test_tokens_from_outside_count_once(self: Any) -> None:
        token = kurultai.sign({"pr": 1}, self.key, audience="jochi", type="review", namespace=self.namespace)
        sent = await self.k.messages.accept(token)
        with self.assertCode("sig.replayed") as again:
            await self.k.messages.accept(token)
        self.assertIsInstance(again.exception, errors.DeniedError)
        [message] = await self.jochi.messages.inbox()
        self.assertEqual((message.id, message.body, message.sender), (sent.id, {"pr": 1}, "kublai"))
        stranger = Identity.generate("kublai")
        head, payload, signature = token.split(".")
        changed = json.dumps({**json.loads(padded(payload)), "body": {"pr": 2}}).encode()
        for code, wrong in (
            ("key.unknown", kurultai.sign(1, stranger, audience="jochi", type="x", namespace=self.namespace)),
            ("sig.wrong_namespace", kurultai.sign(1, self.key, audience="jochi", type="x", namespace="other")),
            ("sig.mismatch", ".".join((head, unpadded(changed), signature))),
            ("sig.malformed", "a.b"),
            ("sig.malformed", "\ud800"),
            ("sig.missing", ""),
        ):
            with self.subTest(code), self.assertCode(code):
                await self.k.messages.accept(wrong)
        for old, code in ((-timedelta(days=8), "sig.expired"), (timedelta(hours=1), "sig.from_future")):
            at = datetime.now(timezone.utc) + old
            token = kurultai.sign(1, self.key, audience="jochi", type="x", namespace=self.namespace, issued_at=at)
            with self.assertCode(code):
                await self.k.messages.accept(token)

    async def test_calls_that_are_wrong(self: Any) -> None:
        send, inbox = self.kublai.messages.send, self.jochi.messages.inbox
        for code, words, call in (
            ("config.identity", "no identity", lambda: self.k.messages.send("jochi", "note")),
            ("config.identity", "no identity", lambda: self.k.messages.inbox()),
            ("config.identity", "jochi", lambda: send("jochi", "note", sender="jochi")),
            ("input.invalid", "to is", lambda: send("No Such Id", "note")),
            ("input.invalid", "type is", lambda: send("jochi", "")),
            ("input.invalid", "ttl is", lambda: send("jochi", "agent.stop", ttl=301)),
            ("input.invalid", "ttl is", lambda: send("jochi", "note", ttl=-1)),
            ("input.invalid", "dedupe_key is", lambda: send("jochi", "note", dedupe_key="")),
            ("input.payload", "body at $.when", lambda: send("jochi", "note", {"when": START})),
            ("input.payload", "body at $", lambda: send("jochi", "note", "x" * 300_000)),
            ("input.invalid", "message 1: to is", lambda: self.kublai.messages.send_many(
                [NewMessage("jochi", "a"), NewMessage("?", "a")])),
            ("input.payload", "message 1: body at $", lambda: self.kublai.messages.send_many(
                [NewMessage("jochi", "a"), {"to": "jochi", "type": "a", "body": {1}}])),
            ("input.invalid", "max is", lambda: inbox(max=0)),
            ("input.invalid", "max is", lambda: inbox(max=-1)),
            ("input.invalid", "visible is", lambda: inbox(visible=0.01)),
            ("input.invalid", "wait is", lambda: inbox(wait=-1)),
            ("input.invalid", "agent is", lambda: inbox("No Such Id")),
            ("input.invalid", "limit is", lambda: self.k.messages.list(limit=0)),
            ("input.invalid", "from is", lambda: self.k.messages.list(to="jochi", from_="kublai")),
            ("input.invalid", "public_key is", lambda: self.k.keys.add("jochi", "short")),
            ("key.weak", "small order", lambda: self.k.keys.add("jochi", "A" * 43)),
            ("key.unknown", "nothing", lambda: self.k.keys.revoke("jochi", "nothing", "lost")),
            ("input.invalid", "reason is", lambda: self.k.keys.revoke("jochi", "nothing", "")),
        ):
            with self.subTest(words, code=code):
                with self.assertCode(code) as refused:
                    await call()
                self.assertIn(words, str(refused.exception))
        for call in (
            lambda: self.kublai.messages.send_many([{"to": "jochi", "type": "a", "typo": 1}]),
            lambda: self.kublai.messages.send_many(["jochi"]),
            lambda: inbox(types="note"),
            lambda: inbox(max="many"),
            lambda: send("jochi", "note", reply_to=5),
        ):
            with self.assertRaises(TypeError):
                await call()
        self.assertEqual(len(await self.k.messages.list()), 0)

    async def test_a_hook_for_what_json_has_no_form_for(self: Any) -> None:
        k = await self.open(identity=self.key, default=lambda value: value.isoformat())
        await k.messages.send("jochi", "note", START)
        await k.messages.send_many([{"to": "jochi", "type": "note", "body": START}])
        await k.messages.send_many([NewMessage("jochi", "note", {1}, default=list)])
        bodies = [one.body for one in await self.jochi.messages.inbox()]
        self.assertEqual(bodies, [START.isoformat(), START.isoformat(), [1]])
        await k.close()

    async def test_the_blocking_face(self: Any) -> None:
        def talk() -> None:
            with kurultai.blocking.open(self.url, namespace=self.namespace, identity=self.key) as k:
                k.messages.send("kublai", "note", "to myself")
                [message] = k.messages.inbox(wait=5)
                self.assertEqual((message.body, k.messages.unread().count), ("to myself", 1))
                self.assertEqual(k.messages.ack(message).status, "acknowledged")
                self.assertEqual(k.messages.ack([message])[0].repeated, True)
                with self.assertRaises(errors.LeaseLostError):
                    k.messages.reject(message, "too late")
                self.assertEqual([key.state for key in k.keys.list("kublai")], ["active"])

        await asyncio.get_running_loop().run_in_executor(None, talk)


@on_both
class Keys:
    async def test_rotation_and_revocation(self: Any) -> None:
        clock = kurultai.ManualClock(START)
        options: Any = {"clock": clock, "background": False}
        name = f"{self.namespace}-c"
        async with kurultai.open(self.url, namespace=name, **options) as k:
            old = await k.keys.rotate("kublai")
            clock.advance(1)
            new = await k.keys.rotate("kublai")
            self.assertEqual([one.state for one in await k.keys.list("kublai")], ["verify_only", "pending"])
            async with kurultai.open(self.url, namespace=name, identity=[old], **options) as former:
                await former.messages.send("jochi", "note", "old")
            async with kurultai.open(self.url, namespace=name, identity=new, **options) as now:
                await now.messages.send("jochi", "note", "new")
                self.assertEqual([one.body for one in await k.messages.inbox("jochi")], ["old", "new"])
                clock.advance(30)
                first, second = await k.keys.list()
                self.assertEqual((first.key_id, first.public_key), (old.key_id, old.public_key))
                self.assertEqual((first.state, second.state), ("verify_only", "active"))
                self.assertEqual(second.algorithm, "EdDSA")
                self.assertEqual(second.expires_at - second.created_at, timedelta(days=90))
                self.assertEqual(second.state_at(second.created_at), "pending")
                self.assertEqual(second.state_at(second.expires_at), "expired")
                await now.messages.send("jochi", "note", "in flight")
                revoked = await k.keys.revoke("kublai", new.key_id, "lost")
                self.assertEqual((revoked.state, revoked.reason), ("revoked", "lost"))
                self.assertEqual(await k.messages.inbox("jochi"), [])
                with self.assertCode("key.revoked") as refused:
                    await now.messages.send("jochi", "note", "after")
                self.assertIsInstance(refused.exception, errors.DeniedError)
                self.assertFalse(refused.exception.retryable)

    async def test_a_key_that_was_made_elsewhere(self: Any) -> None:
        mine = Identity.generate("kublai")
        key = await self.k.keys.add("kublai", mine.public_key)
        self.assertEqual((key.agent_id, key.key_id, key.state), ("kublai", mine.key_id, "active"))
        with self.assertCode("key.conflict") as twice:
            await self.k.keys.add("kublai", mine.public_key)
        self.assertIsInstance(twice.exception, errors.ConflictError)


class Identities(unittest.IsolatedAsyncioTestCase):
    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def code(self, call: Any, *arguments: Any) -> str:
        with self.assertRaises(kurultai.KurultaiError) as refused:
            call(*arguments)
        self.assertIn(type(refused.exception), (errors.ConfigError, errors.DeniedError, errors.InputError))
        return refused.exception.code

    def test_a_key_file(self) -> None:
        made, path = Identity.generate("temujin"), self.folder / "temujin.key"
        made.write(path)
        self.assertEqual(stat.S_IMODE(path.stat().st_mode), 0o600)
        read = Identity.read(str(path))
        self.assertEqual(
            (read.agent, read.key_id, read.public_key), (made.agent, made.key_id, made.public_key)
        )
        self.assertEqual(self.code(made.write, path), "config.key")
        self.assertEqual(self.code(Identity.read, self.folder / "none"), "config.key")
        path.chmod(0o644)
        self.assertEqual(self.code(Identity.read, path), "key.permissions")
        self.assertEqual(self.code(Identity.generate, "Not An Id"), "input.invalid")

    def test_from_the_environment(self) -> None:
        made = Identity.generate("night-ops")
        secret = secret_of(made)
        with mock.patch.dict(os.environ, {"AGENT_KEY_NIGHT_OPS": secret}):
            self.assertEqual(Identity.env("night-ops").public_key, made.public_key)
        with mock.patch.dict(os.environ, {"AGENT_KEY_NIGHT_OPS": "A" * 43}):
            self.assertEqual(self.code(Identity.env, "night-ops"), "key.weak")
        self.assertEqual(self.code(Identity.env, "nobody"), "config.env")

    def test_the_secret_is_shown_nowhere(self) -> None:
        made = Identity.generate("temujin")
        secret = secret_of(made)
        shown = [repr(made), str(made), f"{made!r:>200}", repr(vars(type(made)))]
        for again in (copy.copy(made), copy.deepcopy({"key": made})["key"]):
            self.assertIs(again, made)
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with self.assertRaisesRegex(TypeError, "not pickled") as refused:
                pickle.dumps(made, protocol)
            shown.append(repr(refused.exception))
        token = kurultai.sign({"a": 1}, made, audience="jochi", type="x")
        shown += [token, str(padded(token.split(".")[1])), repr(kurultai.verify(
            token, [("temujin", made.public_key)], audience="jochi"))]
        for form in (secret, padded(secret).hex(), str(list(padded(secret)))):
            self.assertNotIn(form, "".join(shown))
        self.assertEqual(repr(made), f"Identity('temujin', key_id='{made.key_id}')".replace("'", '"'))
        with self.assertRaises(TypeError):
            Identity()  # type: ignore[call-arg]
        with self.assertRaises(AttributeError):
            made.agent = "other"  # type: ignore[misc]

    async def test_every_form_that_open_takes(self) -> None:
        one, two = Identity.generate("one"), Identity.generate("two")
        path = self.folder / "one.key"
        one.write(path)
        for given in (path, str(path), one, [path], (one,)):
            async with kurultai.open("memory:", identity=given) as k:
                await k.keys.add("one", one.public_key)
                await k.messages.send("one", "note")
                self.assertEqual(len(await k.messages.inbox()), 1)
        async with kurultai.open("memory:", identity=iter([path, two])) as k:
            await k.keys.add("two", two.public_key)
            with self.assertRaises(errors.ConfigError) as several:
                await k.messages.send("one", "note")
            self.assertEqual(several.exception.code, "config.identity")
            await k.messages.send("one", "note", sender="two")
        for wrong in (5, [5], [None]):
            with self.assertRaises(TypeError):
                await kurultai.open("memory:", identity=wrong)  # type: ignore[arg-type]
        with self.assertRaises(errors.ConfigError) as missing:
            await kurultai.open("memory:", identity=self.folder / "none")
        self.assertEqual(missing.exception.code, "config.key")


class Tokens(unittest.TestCase):
    def setUp(self) -> None:
        self.me = Identity.generate("temujin")
        self.pair = ("temujin", self.me.public_key)

    def verify(self, token: str, keys: Any = None, audience: Any = "jochi", **options: Any) -> Any:
        return kurultai.verify(token, keys or [self.pair], audience=audience, **options)

    def code(self, *arguments: Any, **options: Any) -> str:
        with self.assertRaises(errors.DeniedError) as refused:
            self.verify(*arguments, **options)
        return refused.exception.code

    def test_what_was_signed_is_verified(self) -> None:
        token = kurultai.sign(
            {"pr": 42}, self.me, audience="role:router", type="task_x", namespace="council", task="t-1",
            reply_to="m-1", ttl=60, issued_at=START,
        )
        message = self.verify(token, audience=["jochi", "role:router"], namespace="council", at=START)
        issued = START.replace(microsecond=0)
        self.assertEqual(
            {name: value for name, value in message.to_dict().items() if name != "id"},
            {
                "namespace": "council", "sender": "temujin", "key_id": self.me.key_id, "audience": "role:router",
                "type": "task_x", "body": {"pr": 42}, "task_id": "t-1", "reply_to": "m-1", "issued_at": issued,
                "expires_at": issued + timedelta(seconds=60),
            },
        )
        for again in (pickle.loads(pickle.dumps(message)), copy.deepcopy(message)):
            self.assertEqual((again, hash(again)), (message, hash(message)))
        id = message.id
        self.assertEqual(self.verify(kurultai.sign(1, self.me, audience="jochi", type="x", id=id)).id, id)

    def test_what_is_refused(self) -> None:
        token = kurultai.sign(1, self.me, audience="jochi", type="x", issued_at=START)
        at, other = START, Identity.generate("temujin")
        self.assertEqual(self.verify(token, at=at, audience=None).sender, "temujin")
        for code, arguments in (
            ("sig.wrong_audience", {"audience": "ogedei"}),
            ("sig.wrong_namespace", {"namespace": "other"}),
            ("sig.expired", {"at": at + timedelta(days=8)}),
            ("sig.from_future", {"at": at - timedelta(hours=1)}),
            ("sig.mismatch", {"keys": [("temujin", other.public_key)]}),
            ("key.unknown", {"keys": [("temujin", other.public_key), ("temujin", Identity.generate("temujin").public_key)]}),
            ("key.unknown", {"keys": [("jochi", self.me.public_key)]}),
        ):
            with self.subTest(code):
                self.assertEqual(self.code(token, **{"at": at, **arguments}), code)
        for code, text in (("sig.missing", ""), ("sig.malformed", "a.b.c"), ("sig.malformed", "\ud800"), ("sig.malformed", "a")):
            self.assertEqual(self.code(text), code)
        self.assertEqual(self.code(token, keys=[("temujin", "A" * 43)]), "key.weak")
        with self.assertRaises(ValueError):
            self.verify(token, audience=[])
        with self.assertRaises(errors.InputError):
            self.verify(token, [("temujin", "short")])
        for wrong in ([5], ["ab"], ["temujin"], [("a", "b", "c")]):
            with self.subTest(wrong), self.assertRaises(TypeError):
                self.verify(token, wrong)
        with self.assertRaises(TypeError):
            kurultai.sign(1, "temujin", audience="jochi", type="x")  # type: ignore[arg-type]
        for words, options in (
            ("audience is", {"audience": "No One"}),
            ("type is", {"type": ""}),
            ("ttl is", {"ttl": 0}),
            ("id is", {"id": "m-1"}),
            ("issued_at is", {"issued_at": datetime(2026, 3, 1)}),
        ):
            with self.subTest(words), self.assertRaisesRegex(errors.InputError, words):
                kurultai.sign(1, self.me, **{"audience": "jochi", "type": "x", **options})  # type: ignore[arg-type]

    def test_keys_of_a_team(self) -> None:
        async def keys() -> list[kurultai.AgentKey]:
            async with kurultai.open("memory:") as k:
                await k.keys.add("temujin", self.me.public_key)
                token = kurultai.sign(1, self.me, audience="jochi", type="x")
                self.assertEqual(self.verify(token, await k.keys.list()).body, 1)
                return [await k.keys.revoke("temujin", self.me.key_id, "lost")]

        revoked = asyncio.run(keys())
        self.assertEqual(self.code(kurultai.sign(1, self.me, audience="jochi", type="x"), revoked), "key.revoked")

    def test_every_bit_counts(self) -> None:
        token = kurultai.sign({"pr": 42}, self.me, audience="jochi", type="x")
        for index, letter in enumerate(token):
            for bit in range(7):
                flipped = token[:index] + chr(ord(letter) ^ 1 << bit) + token[index + 1 :]
                with self.assertRaises(errors.DeniedError):
                    self.verify(flipped)


#: How many tokens go each way; 10,000 were tried by hand.
TOKENS = int(os.environ.get("KURULTAI_TEST_TOKENS", "1000"))


def random_body(rng: random.Random, depth: int = 3) -> Any:
    kind = rng.randrange(8 if depth else 6)
    if kind == 6:
        return [random_body(rng, depth - 1) for _ in range(rng.randrange(4))]
    if kind == 7:
        return {random_text(rng): random_body(rng, depth - 1) for _ in range(rng.randrange(4))}
    numbers = rng.randrange(-(10**30), 10**30), rng.gauss(0, 1e9), rng.random() * 1e-9
    return (None, rng.random() < 0.5, *numbers, random_text(rng))[kind]


def random_text(rng: random.Random) -> str:
    letters = (rng.randrange(rng.choice((128, 0x110000))) for _ in range(rng.randrange(8)))
    return "".join(chr(letter) for letter in letters if not 0xD800 <= letter < 0xE000)


class OtherLibrary:
    """The same tokens as another library reads and writes them."""

    def setUp(self) -> None:
        self.me = Identity.generate("temujin")
        self.header = {"alg": "EdDSA", "kid": self.me.key_id, "typ": "kurultai-msg+jwt"}

    def read(self, token: str) -> tuple[Any, Any]:
        raise NotImplementedError

    def write(self, payload: Any) -> str:
        raise NotImplementedError

    def test_both_ways(self: Any) -> None:
        rng, now = random.Random(19), int(datetime.now(timezone.utc).timestamp())
        for _ in range(TOKENS):
            body = random_body(rng)
            token = kurultai.sign(body, self.me, audience="jochi", type="x", task="t")
            header, said = self.read(token)
            self.assertEqual((said["body"], said["mt"], said["tid"], said["task"]), (body, "x", "default", "t"))
            self.assertEqual(header, self.header)
            ours = kurultai.verify(token, [("temujin", self.me.public_key)], audience="jochi")

            body = random_body(rng)
            payload = {
                "aud": "jochi", "body": body, "exp": now + 600, "iat": now, "iss": "temujin", "jti": ours.id, "mt": "x",
                "tid": "default",
            }
            message = kurultai.verify(self.write(payload), [("temujin", self.me.public_key)], audience="jochi")
            self.assertEqual((message.body, message.id), (body, ours.id))


@unittest.skipIf(jwt is None, "without pyjwt[crypto]")
class PyJwt(OtherLibrary, unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        self.public = Ed25519PublicKey.from_public_bytes(padded(self.me.public_key))
        self.private = Ed25519PrivateKey.from_private_bytes(padded(secret_of(self.me)))

    def read(self, token: str) -> tuple[Any, Any]:
        said = jwt.decode(token, self.public, algorithms=["EdDSA"], audience="jochi", issuer="temujin")
        return jwt.get_unverified_header(token), said

    def write(self, payload: Any) -> str:
        return str(jwt.encode(payload, self.private, "EdDSA", self.header))


@unittest.skipIf(joserfc is None, "without joserfc")
class JoseRfc(OtherLibrary, unittest.TestCase):
    def setUp(self) -> None:
        super().setUp()
        # It would rather have the algorithm called Ed25519, as RFC 9864 does.
        quiet = warnings.catch_warnings()
        quiet.__enter__()
        self.addCleanup(quiet.__exit__, None, None, None)
        warnings.simplefilter("ignore")
        key = {"kty": "OKP", "crv": "Ed25519", "x": self.me.public_key, "d": secret_of(self.me)}
        self.key = joserfc.OKPKey.import_key(key)

    def read(self, token: str) -> tuple[Any, Any]:
        read = jws.deserialize_compact(token, self.key, algorithms=["EdDSA"])
        return read.headers(), json.loads(read.payload)

    def write(self, payload: Any) -> str:
        return str(jws.serialize_compact(self.header, json.dumps(payload), self.key, algorithms=["EdDSA"]))


if __name__ == "__main__":
    unittest.main()
