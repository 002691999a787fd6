"""Replays tests/scenarios/*.json as Rust and Node do; that folder's README has the format."""

from __future__ import annotations

import json
import pathlib
import tempfile
from datetime import datetime, timedelta, timezone
from typing import Any

import kurultai
from kurultai import Complete, Fail, KurultaiError, Postpone, Release
from support import on_both

FOLDER = pathlib.Path(__file__).parents[2] / "tests" / "scenarios"
START = datetime(2026, 3, 1, 9, 7, 5, 123_000, tzinfo=timezone.utc)
TIMES = {"run_at", "expires_at", "since", "start"}


class Replay:
    """One scenario on one store."""

    def __init__(self, case: Any, k: kurultai.Kurultai, namespace: str, clock: kurultai.ManualClock, identities: Any) -> None:
        self.case, self.k, self.namespace, self.clock = case, k, namespace, clock
        self.kept: dict[str, Any] = dict(identities)
        #: Roles, which are handed back where nobody holds them any more.
        self.held: list[kurultai.Leadership] = []

    async def step(self, step: dict[str, Any]) -> None:
        unknown = set(step) - {"do", "with", "as", "expect", "error", "kind", "advance"}
        self.case.assertEqual(unknown, set())
        if "advance" in step:
            self.clock.advance(step["advance"])
            return
        try:
            answer = await self.call(step["do"], self.resolve(step.get("with", {})))
        except KurultaiError as error:
            self.case.assertEqual(error.code, step.get("error"), error)
            self.case.assertEqual(error.kind, step.get("kind", error.kind), error)
            return
        self.case.assertNotIn("error", step, f"should have failed, but gave {answer}")
        if "expect" in step:
            self.fits(self.resolve(step["expect"]), answer, "$")
        if "as" in step:
            self.kept[step["as"]] = answer

    async def call(self, operation: str, arguments: dict[str, Any]) -> Any:
        *room, name = operation.split(".")
        if room in (["identities"], ["tokens"]):
            return self.without_store(name, **arguments)
        if name == "finish":
            return await self.k.tasks.finish(ending(arguments["finish"]))
        if name == "finish_many":
            answers = await self.k.tasks.finish_many([ending(finish) for finish in arguments["finishes"]])
            return [{"error": one.code} if isinstance(one, KurultaiError) else one for one in answers]
        if operation == "messages.ack":
            answers = await self.k.messages.ack(arguments["messages"])
            return [{"error": one.code} if isinstance(one, KurultaiError) else one for one in answers]
        if operation == "keys.rewrap":
            return await self.k.keys.rewrap(kurultai.WrappingKey.generate())
        if operation == "events.consume":
            retry = arguments.pop("retry", None)
            async for batch in self.k.events.consume(wait=0, **arguments):
                await (batch.ack() if retry is None else batch.retry(retry))
                return {"events": batch.events}
            return {"events": []}
        if operation in ("events.subscribe", "events.rewind"):
            place = given(arguments)
            start = place.pop("after_seq", place.pop("start", None))
            place["start" if name == "subscribe" else "to"] = start
            return await getattr(self.k.events, name)(**place)
        if name == "lead":
            lead = await self.k.agents.lead(**arguments)
            self.held.append(lead)
            return lead.lease
        if name == "enqueue_many":
            arguments["tasks"] = [given(task) for task in arguments["tasks"]]
        handle = getattr(self.k, room[0]) if room else self.k
        return await getattr(handle, name)(**given(arguments))

    def without_store(self, name: str, at: float = 0, **arguments: Any) -> Any:
        moment = START + timedelta(seconds=at)
        if name == "verify":
            return kurultai.verify(arguments.pop("token"), at=moment, **arguments)
        if name == "read":
            return key_file(**arguments)
        identity = key_file(arguments.pop("key"))
        return kurultai.sign(
            arguments.pop("body"), identity, namespace=self.namespace, issued_at=moment, **arguments
        )

    def resolve(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.resolve(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.resolve(item) for item in value]
        if isinstance(value, str) and value.startswith("#"):
            return f"{self.case.namespace}-{value[1:]}"
        if isinstance(value, str) and value.startswith("$") and value != "$any":
            name, *path = value[1:].split(".")
            found = self.kept[name]
            for key in path:
                found = look_up(found, key)
            return found
        return value

    def fits(self, expected: Any, answer: Any, path: str) -> None:
        if expected == "$any":
            self.case.assertIsNotNone(answer, path)
        elif isinstance(expected, dict):
            for key, value in expected.items():
                self.fits(value, look_up(answer, key), f"{path}.{key}")
        elif isinstance(expected, list):
            self.case.assertEqual(len(expected), len(answer), f"{path}: {answer}")
            for index, (one, other) in enumerate(zip(expected, answer)):
                self.fits(one, other, f"{path}.{index}")
        elif isinstance(expected, (int, float)) and not isinstance(expected, bool):
            if isinstance(answer, str):
                answer = datetime.fromisoformat(answer.replace("Z", "+00:00"))
            found = (answer - START).total_seconds() if isinstance(answer, datetime) else answer
            self.case.assertIsInstance(found, (int, float), path)
            self.case.assertAlmostEqual(expected, found, delta=0.001, msg=path)
        else:
            self.case.assertEqual(expected, answer, path)


def key_file(text: str, mode: str = "600") -> kurultai.Identity:
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder, "key")
        path.write_text(text)
        path.chmod(int(mode, 8))
        return kurultai.Identity.read(path)


def look_up(value: Any, key: str) -> Any:
    if isinstance(value, (list, tuple)):
        return value[int(key)]
    if isinstance(value, dict):
        return value.get(key)
    if isinstance(value, kurultai.Reason):
        return value.reason if key == "reason" else value.details.get(key)
    return getattr(value, key)


def given(arguments: dict[str, Any]) -> dict[str, Any]:
    """The arguments as Python takes them."""
    made = dict(arguments)
    for key in TIMES & made.keys():
        if made[key] is not None:
            made[key] = START + timedelta(seconds=made[key])
    if "from" in made:
        made["from_"] = made.pop("from")
    if isinstance(made.get("wait_for"), dict):
        made["wait_for"] = made["wait_for"]["quorum"]
    return made


def ending(finish: dict[str, Any]) -> Any:
    [(kind, arguments)] = finish.items()
    return {"complete": Complete, "fail": Fail, "release": Release, "snooze": Postpone}[kind](**arguments)


def replay(name: str) -> Any:
    async def test(self: Any) -> None:
        clock = kurultai.ManualClock(START)
        # Not the namespace of `self.k`, whose background goes by the real time.
        namespace = f"{self.namespace}-s"
        scenario = json.loads((FOLDER / f"{name}.json").read_text())
        identities = {agent: kurultai.Identity.generate(agent) for agent in scenario.get("identities", ())}
        options: Any = {"clock": clock, "background": False, "identity": identities.values()}
        if scenario.get("wrapping_key"):
            options["wrapping_key"] = kurultai.WrappingKey.generate()
        async with kurultai.open(self.url, namespace=namespace, **options) as k:
            run = Replay(self, k, namespace, clock, identities)
            for number, step in enumerate(scenario["steps"], 1):
                with self.subTest(f"{name}.json, step {number} ({step.get('do', 'advance')})"):
                    await run.step(step)

    return test


names = sorted(file.stem for file in FOLDER.glob("*.json"))
assert names, f"no scenarios in {FOLDER}"
on_both(type("Scenarios", (), {f"test_{name}": replay(name) for name in names} | {"__module__": __name__}))
