"""Payloads as the types that handlers name."""

from __future__ import annotations

import asyncio
import unittest
from dataclasses import dataclass, field
from typing import Any, Literal, Optional

import kurultai
from kurultai import Agent
from kurultai._payload import Mismatch, reader
from support import on_both, serving, until


@dataclass
class Author:
    name: str


@dataclass
class Review:
    pr: int
    author: Author
    labels: list[str] = field(default_factory=list)
    kind: Literal["code", "text"] = "code"
    score: Optional[float] = None

    def __post_init__(self) -> None:
        if self.pr < 1:
            raise ValueError("pr is 1 or more")


class Model:
    """As pydantic's are called."""

    def __init__(self, n: int) -> None:
        self.n = n

    @classmethod
    def model_validate(cls, value: Any) -> Model:
        if not isinstance(value, dict) or not isinstance(value.get("n"), int):
            raise ValueError("n must be a number")
        return cls(value["n"])


def takes_review(ctx: Any, payload: Review) -> None: ...
def takes_model(ctx: Any, payload: Model) -> None: ...
def takes_many(ctx: Any, payload: list[Review] | None) -> None: ...
def takes_anything(ctx: Any, payload: dict[str, Any]) -> None: ...
def takes_unknown(ctx: Any, payload: Missing) -> None: ...  # type: ignore[name-defined]  # noqa: F821


class Readers(unittest.TestCase):
    def test_what_is_no_model_is_left_alone(self) -> None:
        for function in (takes_anything, takes_unknown, lambda ctx, payload: None, print, lambda *all: None):
            self.assertIsNone(reader(function))

    def test_dataclasses_and_what_they_hold(self) -> None:
        read = reader(takes_review)
        assert read is not None
        full = {"pr": 7, "author": {"name": "Jochi"}, "labels": ["a"], "kind": "text", "score": 1}
        self.assertEqual(read(full), Review(7, Author("Jochi"), ["a"], "text", 1.0))
        self.assertEqual(read({"pr": 7, "author": {"name": "J"}}), Review(7, Author("J")))
        for wrong, says in [
            ("x", "$ is 'x'; allowed: Review"),
            ({"pr": 7}, "$: Review needs 'author'"),
            ({"pr": "7", "author": {"name": "J"}}, "$.pr is '7'; allowed: int"),
            ({"pr": True, "author": {"name": "J"}}, "$.pr is True; allowed: int"),
            ({"pr": 7, "author": {"name": 1}}, "$.author.name is 1; allowed: str"),
            ({"pr": 7, "author": {"name": "J"}, "labels": ["a", 2]}, "$.labels[1] is 2; allowed: str"),
            ({"pr": 7, "author": {"name": "J"}, "kind": "video"}, "$.kind is 'video'"),
            ({"pr": 7, "author": {"name": "J"}, "more": 1}, "$: Review has no field 'more'"),
            ({"pr": 0, "author": {"name": "J"}}, "$ is no Review: pr is 1 or more"),
        ]:
            with self.subTest(wrong), self.assertRaises(Mismatch) as refused:
                read(wrong)
            self.assertIn(says, str(refused.exception))

    def test_models_lists_and_unions(self) -> None:
        read, many = reader(takes_model), reader(takes_many)
        assert read is not None and many is not None
        self.assertEqual(read({"n": 3}).n, 3)
        with self.assertRaisesRegex(Mismatch, r"\$ is no Model: n must be a number"):
            read({"n": "x"})
        self.assertIsNone(many(None))
        self.assertEqual(many([{"pr": 1, "author": {"name": "J"}}]), [Review(1, Author("J"))])
        with self.assertRaisesRegex(Mismatch, r"\$\[0\]: Review needs 'author'"):
            many([{"pr": 1}])


@on_both
class Handlers:
    async def test_a_payload_of_another_type_goes_to_the_dead_letters(self: Any) -> None:
        agent, seen = Agent("temujin"), []

        @agent.task("review")
        async def review(ctx: kurultai.Context, payload: Review) -> Any:
            seen.append(payload)
            return payload.author.name

        @agent.task("plain")
        def plain(ctx: kurultai.blocking.Context, payload: Review) -> Any:
            return payload.pr

        good = await self.k.tasks.enqueue("review", {"pr": 1, "author": {"name": "Jochi"}})
        bad = await self.k.tasks.enqueue("review", {"pr": "one"})
        sync = await self.k.tasks.enqueue("plain", {"pr": 2, "author": {"name": "Jochi"}})
        async with serving(self, agent):
            await until(self, good, "completed")
            await until(self, bad, "dead_letter")
            await until(self, sync, "completed")
        self.assertEqual(seen, [Review(1, Author("Jochi"))])
        refused = await self.k.tasks.get(bad)
        self.assertEqual((refused.attempts, refused.error_message), (1, "payload at $.pr is 'one'; allowed: int"))

    async def test_a_handler_may_have_pauses_of_its_own(self: Any) -> None:
        agent = Agent("temujin")

        @agent.task("t", retry={"base": 3, "cap": 3, "jitter": False})
        async def fails(ctx: Any, payload: Any) -> None:
            raise ValueError("no")

        with self.assertRaisesRegex(TypeError, "called with a context and a payload: `def"):

            @agent.task("other")
            async def takes_one(payload: Any) -> None: ...

        task = await self.k.tasks.enqueue("t")
        async with serving(self, agent):
            while not (failed := await self.k.tasks.get(task)).errors:
                await asyncio.sleep(0.01)
        self.assertAlmostEqual((failed.run_at - failed.errors[0].at).total_seconds(), 3, places=1)


if __name__ == "__main__":
    unittest.main()
