"""Odd payloads: stored and read back equal, or refused with ``input.payload`` and the path."""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import uuid
from collections.abc import Iterator
from typing import Any

import kurultai
from support import Team, on_both


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


class Colour(str, enum.Enum):
    RED = "red"


class Count(enum.IntEnum):
    TWO = 2


EQUAL: dict[str, Any] = {
    "nothing": None,
    "true": True,
    "zero": 0,
    "empty": {"object": {}, "list": [], "text": ""},
    "2^53 + 1": 2**53 + 1,
    "2^63": 2**63,
    "-2^63": -(2**63),
    "2^64": 2**64,
    "4300 digits": 10**4299 + 7,
    "floats": [0.1, -0.0, 1e300, 5e-324, 1.7976931348623157e308, 1.0, 1e16, 1e-7],
    "text": "Temüjin 🐎 \u2028 \x00 \x1f \x7f \\ \" / </script>",
    "keys": {"": 1, "a.b": 2, 'quo"te': 3, "ключ": 4, "\n": 5},
    "64 levels": nested(64),
    "1 MiB": "x" * ((1 << 20) - 2),
    "surrogate pair": "\U0001f600",
    "shared, no circle": [[1], [1]],
    "str enum": Colour.RED,
    "int enum": [Count.TWO],
}

CIRCLE: dict[str, Any] = {"a": [1, {}]}
CIRCLE["a"][1]["self"] = CIRCLE
LONG: list[Any] = []
LONG.append({"x": LONG})

REFUSED: dict[str, tuple[Any, str]] = {
    "circle": (CIRCLE, "$.a[1].self"),
    "circle of a list": ({"p": LONG}, "$.p[0].x"),
    "NaN": ([1.0, {"x": math.nan}], "$[1].x"),
    "infinity": ({"x": math.inf}, "$.x"),
    "-infinity": ({"x": -math.inf}, "$.x"),
    "bytes": ({"raw": b"abc"}, "$.raw"),
    "bytearray": ([bytearray(b"abc")], "$[0]"),
    "datetime": ({"at": [datetime.datetime(2026, 1, 1)]}, "$.at[0]"),
    "decimal": ({"cost": decimal.Decimal("1.1")}, "$.cost"),
    "uuid": ({"id": uuid.uuid4()}, "$.id"),
    "set": ({"tags": {1, 2}}, "$.tags"),
    "complex": (1j, "$"),
    "object": ([object()], "$[0]"),
    "function": ([print], "$[0]"),
    "class": ([dict], "$[0]"),
    "lone surrogate": ({"text": "a\ud800b"}, "$.text"),
    "lone surrogate in a key": ({"k": {"\udfff": 1}}, "$.k"),
    "key that is no text": ({"k": {1: 2}}, "$.k"),
    "65 levels": (nested(65), "$" + "[0]" * 64),
    "2000 levels": (nested(900), "$" + "[0]" * 64),
    "1 MiB + 1": ("x" * ((1 << 20) - 1), "$"),
    "1 MiB + 1 further in": ({"a": 1, "b": ["x" * (1 << 20)]}, "$.b[0]"),
    "an integer of 5000 digits": ({"n": 10**4999}, "$.n"),
    "odd key": ({"a b": {"c": b""}}, '$["a b"].c'),
}


@dataclasses.dataclass
class Review:
    pr: int
    tags: list[str]
    parent: Any = None


class Model:
    """What pydantic models look like."""

    def model_dump(self, *, mode: str) -> dict[str, Any]:
        return {"mode": mode, "at": "2026-01-01T00:00:00Z"}


@on_both
class Payloads:
    async def test_what_is_stored_is_read_back_equal(self: Any) -> None:
        names = list(EQUAL)
        added = await self.k.tasks.enqueue_many([{"type": "t", "payload": EQUAL[name]} for name in names])
        for name, task in zip(names, await self.k.tasks.get_many(added)):
            with self.subTest(name):
                self.assertEqual(task.payload, EQUAL[name])
                self.assertEqual(str(task.payload)[:60], str(_plain(EQUAL[name]))[:60])
                self.assertIs(task.payload, task.payload)
        claimed = await self.claimed("work")
        await self.k.tasks.checkpoint(claimed, EQUAL["floats"])
        await self.k.tasks.complete(claimed, EQUAL["text"])
        task = await self.k.tasks.get(claimed)
        self.assertEqual((task.checkpoint, task.results), (EQUAL["floats"], EQUAL["text"]))

    async def test_what_cannot_be_is_refused_with_its_path(self: Any) -> None:
        claimed = await self.claimed("work")
        before = await self.k.events.last_seq()
        for name, (payload, path) in REFUSED.items():
            with self.subTest(name):
                calls = (
                    ("payload", lambda: self.k.tasks.enqueue("t", payload)),
                    ("payload", lambda: self.k.tasks.enqueue_many([{"type": "t"}, {"type": "t", "payload": payload}])),
                    ("results", lambda: self.k.tasks.complete(claimed, payload)),
                    ("results", lambda: self.k.tasks.complete_many([(claimed, payload)])),
                    ("checkpoint", lambda: self.k.tasks.checkpoint(claimed, payload)),
                    ("results", lambda: self.k.tasks.fail(claimed, "x", results=payload)),
                )
                for what, call in calls:
                    with self.assertCode("input.payload") as refused:
                        await call()
                    self.assertIn(f"{what} at {path}: ", refused.exception.message)
        self.assertEqual(await self.k.events.last_seq(), before)

    async def test_payloads_of_one_key_are_compared_to_the_last_digit(self: Any) -> None:
        first = await self.k.tasks.enqueue("once", {"id": 2**64 + 1, "a": 1}, unique_key="once")
        again = await self.k.tasks.enqueue("once", {"a": 1.0, "id": 2**64 + 1}, unique_key="once")
        self.assertEqual((again.id, again.deduplicated), (first.id, True))
        with self.assertCode("task.conflict"):
            await self.k.tasks.enqueue("once", {"id": 2**64 + 2, "a": 1}, unique_key="once")

    async def test_answers_end_where_they_would_be_too_long(self: Any) -> None:
        big = "x" * ((1 << 20) - 2)
        await self.k.agents.register("temujin")
        ids = [(await self.k.tasks.enqueue("big", big)).id for _ in range(20)]
        page = await self.k.tasks.list()
        self.assertEqual((len(page), page.next), (16, ids[15]))
        self.assertEqual([task.id async for task in self.k.tasks.each()], ids)
        first = await self.k.tasks.claim("temujin", max=20)
        self.assertEqual(len(first), 16)
        await self.k.tasks.complete_many([(task, big) for task in first + await self.k.tasks.claim("temujin", max=20)])
        await self.k.tasks.enqueue("sum", depends_on=ids)
        [summed] = await self.k.tasks.claim("temujin")
        told = [(one.omitted, one.results is None) for one in summed.prerequisites]
        self.assertEqual((told.count((False, False)), told.count((True, True))), (16, 4))

    async def test_a_circle_is_called_one(self: Any) -> None:
        with self.assertCode("input.payload") as refused:
            await self.k.tasks.enqueue("t", CIRCLE)
        self.assertIn("the same object is at $", refused.exception.message)


class Hooks(Team):
    async def test_dataclasses_and_models_are_taken_as_they_are(self) -> None:
        task = await self.k.tasks.enqueue("t", Review(42, ["a"], Review(41, [], Model())))
        payload = (await self.k.tasks.get(task)).payload
        inner = {"pr": 41, "tags": [], "parent": Model().model_dump(mode="json")}
        self.assertEqual(payload, {"pr": 42, "tags": ["a"], "parent": inner})

    async def test_default_is_asked_for_the_rest(self) -> None:
        k = await self.open(default=lambda value: {"iso": value.isoformat()})
        at = datetime.datetime(2026, 1, 1)
        task = await k.tasks.enqueue("t", [at])
        [many] = await k.tasks.enqueue_many([{"type": "t", "payload": {"at": at}}])
        self.assertEqual((await k.tasks.get(task)).payload, [{"iso": "2026-01-01T00:00:00"}])
        self.assertEqual((await k.tasks.get(many)).payload, {"at": {"iso": "2026-01-01T00:00:00"}})
        await k.agents.register("temujin")
        [own] = await k.tasks.enqueue_many([{"type": "other", "payload": at, "default": str}])
        self.assertEqual((await k.tasks.get(own)).payload, "2026-01-01 00:00:00")
        [one, two] = await k.tasks.claim("temujin", max=2, types=["t"])
        await k.tasks.checkpoint(one, at)
        self.assertEqual((await k.tasks.complete(one, at)).status, "completed")
        self.assertEqual((await k.tasks.complete_many([(two, at)]))[0].status, "completed")
        with self.assertRaisesRegex(AttributeError, "isoformat"):  # the hook's own error
            await k.tasks.enqueue("t", [object()])
        await k.close()

    async def test_a_dict_that_changes_while_it_is_read_is_refused(self) -> None:
        """Iterating over one is a panic in Rust."""

        def grow(value: object) -> int:
            payload["more"] = 1
            return 1

        def swap(value: object) -> int:
            del payload["b"]
            payload["new"] = 2
            return 1

        class Grows(list[str]):
            def __iter__(self) -> Iterator[str]:
                fields["title"] = "late"
                return iter([])

        payload: dict[str, Any] = {"a": object(), "b": 2}
        with self.assertCode("input.payload"):
            kurultai.NewTask("t", payload, default=grow)
        payload = {"a": object(), "b": 2, "c": 3}
        self.assertIn('{"a":1,"c":3,"new":2}', repr(kurultai.NewTask("t", payload, default=swap)))
        fields: Any = {"type": "t", "depends_on": Grows(), "description": "x"}
        with self.assertRaisesRegex(RuntimeError, "changed while it was read"):
            await self.k.tasks.enqueue_many([fields])

    async def test_a_default_that_never_ends_is_refused(self) -> None:
        new = kurultai.NewTask
        with self.assertCode("input.payload") as refused:
            new("t", {"x": object()}, default=lambda value: object())
        self.assertIn("$.x", refused.exception.message)
        with self.assertCode("input.payload"):
            new("t", object(), default=lambda value: [value])

    async def test_a_model_that_contains_itself(self) -> None:
        review = Review(1, [])
        review.parent = review
        with self.assertCode("input.payload") as refused:
            await self.k.tasks.enqueue("t", review)
        self.assertIn("contains itself", refused.exception.message)

    async def test_tuples_come_back_as_lists(self) -> None:
        task = await self.k.tasks.enqueue("t", {"pair": (1, ("a",))})
        self.assertEqual((await self.k.tasks.get(task)).payload, {"pair": [1, ["a"]]})


def _plain(value: Any) -> Any:
    if isinstance(value, enum.Enum):
        return value.value
    return [_plain(item) for item in value] if isinstance(value, list) else value
