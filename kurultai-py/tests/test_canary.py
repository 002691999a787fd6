"""Secrets that can be recognised, used in every way there is, and then looked for in whatever Python shows."""

from __future__ import annotations

import base64
import gc
import io
import json
import logging
import pathlib
import tempfile
import traceback
from typing import Any

import kurultai
from kurultai import Identity, legacy
from support import on_both

SEED = b"CANARY<python>key0123456789?~ABC"
LEGACY = "CANARY<legacy>key0123456789?~DEF"
TEXT = base64.urlsafe_b64encode(SEED).decode().rstrip("=")


def forms(secret: bytes) -> list[bytes]:
    """Every form of its first part."""
    parts = [secret[:18], secret[3:21]]
    texts = [form for part in parts for form in (
        part.hex(), part.hex().upper(), base64.b64encode(part).decode(), base64.urlsafe_b64encode(part).decode(),
        str(list(part))[1:-1], repr(part)[2:-1])]
    return [text.encode() for text in texts] + parts


def key_file(folder: str, mode: int = 0o600, **changed: str) -> str:
    text = {"agent": "kublai", "key_id": Canary.KEY_ID, "algorithm": "EdDSA", "secret": TEXT} | changed
    path = pathlib.Path(folder, f"{len(list(pathlib.Path(folder).iterdir()))}.key")
    path.write_text(json.dumps(text))
    path.chmod(mode)
    return str(path)


class Shown:
    """What a program might print."""

    def __init__(self, case: Any) -> None:
        self.case, self.text = case, io.StringIO()

    def thing(self, *things: Any) -> None:
        for thing in things:
            self.text.write(f"{thing!r} {thing}\n")

    def error(self, error: BaseException, *, given: bool = False) -> None:
        """``given``: the caller has handed the secret over itself, which is in the variables of the frames then."""
        self.thing(error, error.args, error.__cause__, error.__context__)
        shown = traceback.TracebackException.from_exception(error, capture_locals=not given)
        for frame in shown.stack:
            if frame.filename == __file__:
                # What the test itself has in its hands is no leak.
                frame.locals = None
        self.text.write("".join(shown.format()))

    async def refused(self, code: str, call: Any, *, given: bool = False) -> None:
        with self.case.assertCode(code) as raised:
            made = call()
            if hasattr(made, "__await__"):
                await made
        self.error(raised.exception, given=given)


@on_both
class Canary:
    KEY_ID = "kublai-canary"

    async def test_no_secret_leaks(self: Any) -> None:
        records = io.StringIO()
        handler, logger = logging.StreamHandler(records), logging.getLogger("kurultai")
        level = logger.level
        logger.addHandler(handler)
        logger.setLevel(1)
        self.addCleanup(logger.setLevel, level)
        self.addCleanup(logger.removeHandler, handler)
        # The core learns what is wanted with its next record.
        shown = Shown(self)
        with tempfile.TemporaryDirectory() as folder:
            self.mistakes(shown, folder)
            await self.life(shown, folder)
        self.legacy(shown)
        gc.collect()
        await self.k.close()
        said = shown.text.getvalue().encode() + records.getvalue().encode()
        self.assertIn(b"Identity(", said)
        self.assertIn(b"key.revoked", said)
        if self.store == "sqlite":
            folder = pathlib.Path(self.url.removeprefix("sqlite:").split("?")[0]).parent
            stored = b"".join(file.read_bytes() for file in folder.iterdir())
            self.assertIn(self.public.encode(), stored)
            said += stored
        for form in forms(SEED) + forms(LEGACY.encode()):
            at = said.find(form)
            self.assertEqual(at, -1, f"{form!r} is in {said[max(at - 300, 0) : at + 100]!r}")
        # What is looked for would be found.
        for text in (TEXT, SEED.hex(), repr(SEED), str(list(SEED)), base64.b64encode(SEED).decode(), SEED.decode()):
            self.assertTrue(any(form in text.encode() for form in forms(SEED)), text)

    def mistakes(self: Any, shown: Shown, folder: str) -> None:
        def refused(code: str, **changed: Any) -> None:
            path = key_file(folder, **changed)
            with self.assertCode(code) as raised:
                Identity.read(path)
            shown.error(raised.exception)

        refused("key.permissions", mode=0o644)
        for changed in (
            {"secret": TEXT + "="}, {"algorithm": TEXT}, {"agent": f"kublai {TEXT}"}, {"key_id": TEXT * 4},
            {TEXT: TEXT}, {"secret": SEED.hex()}, {"secret": SEED.decode()}, {"secret": f"{TEXT} "},
        ):
            refused("config.key", **changed)
        for text in (f'{{"{TEXT}":1,"{TEXT}":2}}', f'["{TEXT}"]', f'"{TEXT}"', TEXT + TEXT):
            path = pathlib.Path(folder, "wrong.key")
            path.write_text(text)
            path.chmod(0o600)
            with self.assertCode("config.key") as raised:
                Identity.read(str(path))
            shown.error(raised.exception)
            path.unlink()
        for wrong in (TEXT, SEED, [TEXT], {"secret": TEXT}):
            for call in (
                lambda: kurultai.sign(1, wrong, audience="jochi", type="x"),  # type: ignore[arg-type]
                lambda: kurultai.open("memory:", identity=wrong if not isinstance(wrong, str) else [5]),  # type: ignore[arg-type]
            ):
                try:
                    call()
                except (TypeError, kurultai.KurultaiError) as error:
                    shown.error(error, given=True)

    async def life(self: Any, shown: Shown, folder: str) -> None:
        me = Identity.read(key_file(folder))
        self.public = me.public_key
        key_id = (await self.k.keys.add("kublai", me.public_key)).key_id
        me = Identity.read(key_file(folder, key_id=key_id))
        shown.thing(me, [me], {"key": me}, dir(me))
        k = await self.open(identity=me)
        shown.thing(k, k.messages, k.keys)
        await shown.refused("key.conflict", lambda: self.k.keys.add("kublai", me.public_key))
        for wrong in (TEXT + "=", base64.b64encode(SEED).decode(), SEED.hex(), TEXT[:-1] + "+"):
            await shown.refused("input.invalid", lambda: self.k.keys.add("kublai", wrong), given=True)
        sent = await k.messages.send("jochi", "note", {"n": 1})
        token = kurultai.sign({"n": 2}, me, audience="jochi", type="note", namespace=self.namespace)
        shown.thing(sent, token, await self.k.messages.accept(token))
        await shown.refused("sig.replayed", lambda: self.k.messages.accept(token))
        await shown.refused("sig.malformed", lambda: self.k.messages.accept(TEXT), given=True)
        await shown.refused("input.invalid", lambda: k.messages.send("No One", "note"))
        await shown.refused("config.identity", lambda: k.messages.send("jochi", "note", sender="jochi"))
        got = await self.k.messages.inbox("jochi", max=1)
        shown.thing(got, got[0].to_dict(), await self.k.messages.ack(got))
        made = await self.k.keys.rotate("kublai")
        shown.thing(made, await self.k.keys.list(), await self.k.keys.revoke("kublai", key_id, "lost"))
        await shown.refused("key.revoked", lambda: k.messages.send("jochi", "note"))
        shown.thing(await self.k.messages.inbox("jochi"), await self.k.messages.list())
        await k.close()

    def legacy(self: Any, shown: Shown) -> None:
        key = legacy.AgentKey("Kublai", "kublai-001", LEGACY)
        keys = legacy.KeyStore([key])
        signer, verifier = legacy.MessageSigner(key), legacy.MessageVerifier(keys)
        signed = signer.sign_message({"to": "jochi"})
        shown.thing(key, [key], keys, signer, verifier, signed, verifier.verify_message(signed))
        shown.thing(verifier.verify_message({**signed, "to": "ogedei"}))
        keys.revoke_key("Kublai", "kublai-001")
        shown.thing(verifier.verify_message(signed), keys.get_key("Kublai", "kublai-001"))
        for wrong in ({"_sig_ts": 1}, {"x": float("nan")}):
            with self.assertRaises(kurultai.KurultaiError) as raised:
                signer.sign_message(wrong)
            shown.error(raised.exception)
