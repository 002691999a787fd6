"""Every kind of error arrives as its class, with code, retryable and retry_after."""

from __future__ import annotations

import copy
import os
import pathlib
import pickle
import re
import socket
import sqlite3
import tempfile
import unittest
from typing import Any

import kurultai
from kurultai import _native, errors
from support import NEO4J, Team, on_both


class Kinds(unittest.TestCase):
    def test_every_kind_of_the_core_has_a_class(self) -> None:
        self.assertEqual(set(_native.kinds()), set(errors.BY_KIND))
        for kind in _native.kinds():
            with self.subTest(kind), self.assertRaises(errors.BY_KIND[kind]) as raised:
                _native.provoke(kind)
            error = raised.exception
            self.assertIsInstance(error, kurultai.KurultaiError)
            self.assertEqual((error.kind, error.code, error.message), (kind, "test.provoked", "as asked"))
            self.assertEqual(str(error), "as asked [test.provoked]")
            self.assertEqual(error.retryable, kind in ("unavailable", "outcome_unknown", "limited", "timed_out"))
            self.assertIsNone(error.retry_after)

    def test_they_survive_pickle_and_copy(self) -> None:
        error = errors.LeaseLostError("gone", code="lease.lost", retryable=True, retry_after=1.5, task_id="one")
        for again in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
            self.assertIs(type(again), errors.LeaseLostError)
            self.assertEqual((again.code, again.retryable, again.retry_after), ("lease.lost", True, 1.5))
            self.assertEqual(again.task_id, "one")

    def test_they_are_what_python_calls_them(self) -> None:
        self.assertTrue(issubclass(errors.InputError, ValueError))
        self.assertTrue(issubclass(errors.NotFoundError, LookupError))


@on_both
class Real:
    async def test_half_of_a_surrogate_pair_is_no_text(self: Any) -> None:
        k, bad = self.k, "a\ud800"
        for field, call in (
            ("", lambda: k.agents.leader(bad)),
            ("", lambda: k.agents.register(bad)),
            ("", lambda: k.agents.get(bad)),
            ("", lambda: k.agents.register("temujin", display_name=bad)),
            ("", lambda: k.agents.update("temujin", add=[bad])),
            ("type", lambda: k.tasks.enqueue(bad)),
            ("title", lambda: k.tasks.enqueue("x", title=bad)),
            ("", lambda: k.tasks.enqueue("x", requires=[bad])),
            ("", lambda: k.tasks.claim(bad)),
            ("", lambda: k.tasks.get(bad)),
            ("", lambda: k.tasks.complete(bad)),
            ("", lambda: k.tasks.stop_all(bad)),
            ("assigned_to", lambda: k.tasks.list(assigned_to=bad)),
            ("", lambda: k.schedules.put(bad, "x", every=9)),
            ("type", lambda: k.schedules.put("x", bad, every=9)),
            ("timezone", lambda: k.schedules.put("x", "x", cron="@daily", timezone=bad)),
            ("", lambda: k.schedules.get(bad)),
            ("to", lambda: k.messages.send(bad, "x")),
            ("", lambda: k.messages.send("jochi", "x", reply_to=bad)),
            ("", lambda: k.messages.reject(bad, "no")),
            ("", lambda: k.messages.unread(bad)),
            ("topic", lambda: k.events.read(topic=bad)),
            ("", lambda: k.keys.rotate(bad)),
            ("", lambda: k.cycle(bad)),
        ):
            with self.subTest(field), self.assertCode("input.payload") as refused:
                await call()
            self.assertIn("a lone surrogate has no UTF-8 form", str(refused.exception))
            self.assertTrue(str(refused.exception).startswith(f"{field}: " if field else "'a\\ud800' is no text"), refused.exception)

    async def test_the_kinds_that_a_caller_can_bring_about(self: Any) -> None:
        k, task = self.k, await self.claimed("t")
        await k.tasks.release(task)
        cases = [
            (errors.InputError, "input.invalid", k.tasks.claim("temujin", max=0)),
            (errors.InputError, "input.payload", k.tasks.enqueue("t", {1})),
            (errors.NotFoundError, "task.not_found", k.tasks.get("nothing")),
            (errors.NotFoundError, "agent.not_found", k.tasks.claim("nobody")),
            (errors.ConflictError, "task.state", k.tasks.discard(task)),
            (errors.LeaseLostError, "lease.lost", k.tasks.complete(task)),
            (errors.ConfigError, "config.url", kurultai.open("mysql://x")._open()),
        ]
        for kind, code, call in cases:
            with self.subTest(code), self.assertRaises(kind) as raised:
                await call
            self.assertEqual((raised.exception.code, raised.exception.retryable), (code, False))


class Stores(Team):
    async def test_unavailable_is_retryable_and_says_when(self) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        with self.assertRaises(errors.UnavailableError) as raised:
            await kurultai.open(f"neo4j://neo4j:very-secret@127.0.0.1:{port}/neo4j")
        error = raised.exception
        self.assertEqual((error.code, error.retryable, error.retry_after), ("store.unavailable", True, 1.0))
        self.assertIn("refused", str(error.__cause__))
        self.assertNotIn("very-secret", repr(error) + str(error) + str(error.__cause__))

    async def test_a_newer_schema_is_storage(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "team.db"
            async with kurultai.open(f"sqlite:{path}"):
                pass
            with sqlite3.connect(path) as db:
                tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
                [ledger] = [name for name in tables if "migration" in name or "schema" in name]
                columns = [row[1] for row in db.execute(f"PRAGMA table_info({ledger})")]
                row = list(db.execute(f"SELECT * FROM {ledger} ORDER BY 1 DESC LIMIT 1").fetchone())
                row[0] = row[0] + 1000
                db.execute(f"INSERT INTO {ledger} ({', '.join(columns)}) VALUES ({', '.join('?' * len(row))})", row)
            db.close()
            with self.assertRaises(errors.StorageError) as raised:
                await kurultai.open(f"sqlite:{path}")
            self.assertEqual(raised.exception.code, "store.schema_newer")


if NEO4J:

    class Denied(unittest.IsolatedAsyncioTestCase):
        async def test_a_wrong_password_is_denied_and_never_shown(self) -> None:
            url = re.sub(r"//([^:]+):[^@]*@", r"//\1:wrong-secret@", NEO4J or "")
            with self.assertRaises(errors.DeniedError) as raised:
                await kurultai.open(url)
            self.assertEqual(raised.exception.code, "store.auth")
            self.assertNotIn("wrong-secret", repr(raised.exception) + str(raised.exception))


class Source(unittest.TestCase):
    """What Rust has, Python has: an operation that is added there and forgotten here fails."""

    CORE = pathlib.Path(__file__).parents[2] / "kurultai-core" / "src"

    def operations(self, path: str, handle: str) -> set[str]:
        text = (self.CORE / path).read_text()
        body = re.search(rf"^impl {handle} {{\n(.*?)^}}", text, re.S | re.M)
        self.assertIsNotNone(body, path)
        assert body is not None
        return set(re.findall(r"^    pub async fn (\w+)", body.group(1), re.M))

    def test_every_operation_of_the_core(self) -> None:
        # `open_with` and `from_env` are options of `open`.
        elsewhere = {"open", "open_with", "from_env"}
        for path, handle, least in (
            ("tasks/handle.rs", "Tasks", 25),
            ("agents/handle.rs", "Agents", 8),
            ("events/handle.rs", "Events", 2),
            ("kurultai.rs", "Kurultai", 1),
        ):
            names = self.operations(path, handle) - (elsewhere if handle == "Kurultai" else set())
            self.assertGreaterEqual(len(names), least)
            for face in (getattr(kurultai, handle), getattr(kurultai.blocking, handle)):
                self.assertEqual({name for name in names if not hasattr(face, name)}, set(), face)

    def test_the_rooms_are_all_there(self) -> None:
        text = (self.CORE / "kurultai.rs").read_text()
        rooms = re.findall(r"pub fn (\w+)\(&self\) -> (?:Tasks|Agents|Events|[A-Z]\w+) \{", text)
        self.assertGreaterEqual(len(rooms), 3)
        for room in rooms:
            self.assertIn(room, kurultai.Kurultai.__slots__)
