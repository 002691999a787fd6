"""Secrets that the team keeps in its store, and the envelopes of older programs through it."""

from __future__ import annotations

import asyncio
import copy
import json
import os
import pathlib
import pickle
import tempfile
import unittest
from datetime import datetime, timezone
from typing import Any
from unittest import mock

import kurultai
from kurultai import WrappingKey, errors, legacy
from support import on_both

SECRET = "5ec2" * 16


class TeamKeys:
    k: Any
    url: str
    namespace: str

    def team(self, **options: Any) -> Any:
        return kurultai.open(self.url, namespace=self.namespace, **options)

    async def test_the_team_keeps_a_key(self: Any) -> None:
        await self.k.agents.register("jochi")
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "team.key")
            old, new = WrappingKey.generate(), WrappingKey.generate()
            old.write(path)
            with self.assertRaises(errors.ConfigError) as lacks:
                await self.k.keys.rotate_in_store("ogedei")
            self.assertEqual(lacks.exception.code, "config.wrapping_key")
            async with self.team(wrapping_key=path) as team, self.team(wrapping_key=[old, new]) as both:
                key = await team.keys.rotate_in_store("ogedei")
                self.assertEqual((key.wrapping_key, key.algorithm, key.state), (old.id, "EdDSA", "active"))
                await team.messages.send("jochi", "greeting", "one", sender="ogedei")
                self.assertEqual(await team.keys.rewrap(new), 1)
                await both.messages.send("jochi", "greeting", "two", sender="ogedei")
            with mock.patch.dict(os.environ, {"KURULTAI_WRAPPING_KEY_FILE": str(path)}):
                async with self.team() as late:
                    with self.assertRaises(errors.ConfigError):
                        await late.messages.send("jochi", "greeting", "three", sender="ogedei")
                    self.assertEqual(await late.keys.import_rows([]), await late.keys.import_rows([]))
            self.assertEqual([one.body for one in await self.k.messages.inbox("jochi")], ["one", "two"])
            self.assertEqual(pickle.loads(pickle.dumps(key)).wrapping_key, old.id)

    async def test_an_envelope_is_admitted_once(self: Any) -> None:
        await self.k.agents.register("jochi")
        key = legacy.AgentKey("Temüjin", "temüjin-001", SECRET, created_at=datetime.now(timezone.utc))
        async with self.team(wrapping_key=WrappingKey.generate()) as team, self.team(min_version=2) as strict:
            report = await team.keys.import_rows([key, {"agent_id": "Temüjin", "key_id": "weak", "secret_key": "x"}])
            self.assertEqual([one.key_id for one in report.imported], ["temüjin-001"])
            self.assertEqual([(one.key_id, one.code) for one in report.skipped], [("weak", "key.weak")])
            self.assertNotIn("5ec2", repr(report))
            signer = legacy.MessageSigner(key)
            text = json.dumps(signer.sign_delegation("t-1", "Jochi", {"n": 1.0, "small": 1e-7}))
            for code, k, to in (
                ("sig.algorithm", strict, None),
                ("config.wrapping_key", self.k, None),
                ("sig.wrong_audience", team, "kublai"),
                (None, team, "jochi"),
                ("sig.replayed", team, None),
            ):
                try:
                    await k.messages.accept(text, to=to)
                    self.assertIsNone(code)
                except errors.KurultaiError as error:
                    self.assertEqual(error.code, code)
            with self.assertRaises(errors.InputError):
                await team.messages.accept(json.dumps(signer.sign_message({"type": "note"})))
            [got] = await team.messages.inbox("jochi")
            self.assertEqual((got.sender, got.type, got.task_id), ("temujin", "task_delegation", "t-1"))
            self.assertEqual(got.body["payload"], {"n": 1.0, "small": 1e-7})
            self.assertEqual((got.verified.version, got.verified.key_id), (1, "temüjin-001"))


on_both(TeamKeys)


class Keys(unittest.TestCase):
    def test_a_wrapping_key(self) -> None:
        key = WrappingKey.generate()
        self.assertIs(copy.deepcopy(key), key)
        self.assertRegex(repr(key), r"\AWrappingKey\(id=\"wrap-[0-9a-f]{16}\"\)\Z")
        with self.assertRaises(TypeError):
            pickle.dumps(key)
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "team.key")
            key.write(path)
            self.assertEqual((WrappingKey.read(path).id, path.stat().st_mode & 0o777), (key.id, 0o600))
            secret = path.read_text().strip()
            for wrong in (lambda: WrappingKey.read(secret), lambda: key.write(path)):
                with self.assertRaises(errors.ConfigError) as refused:
                    wrong()
                self.assertNotIn(secret, str(refused.exception))

    def test_what_is_no_row_shows_nothing(self) -> None:
        async def run() -> None:
            async with kurultai.open("memory:", wrapping_key=WrappingKey.generate()) as k:
                for rows in ([{"secret_key": SECRET.encode()}], [SECRET], 7):
                    with self.assertRaises((TypeError, ValueError)) as refused:
                        await k.keys.import_rows(rows)  # type: ignore[arg-type]
                    self.assertNotIn("5ec2", str(refused.exception))

        asyncio.run(run())
