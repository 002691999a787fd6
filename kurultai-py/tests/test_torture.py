"""Every way in which a handler may end, by the table that Rust and Node are tortured with too."""

from __future__ import annotations

import asyncio
import functools
import json
import math
import os
import signal
import sys
import time
import unittest
from pathlib import Path
from typing import Any

from kurultai import Agent, Reject, Retry, Snooze
from support import on_both

TABLE = Path(__file__).parents[2] / "tests" / "torture.json"
#: The ways that Python has.
WAYS = [way for way in json.loads(TABLE.read_text())["ways"] if "python" not in way.get("not", {})]


def of_python(field: Any) -> Any:
    return field.get("python") if isinstance(field, dict) else field


class Wordless(Exception):
    def __str__(self) -> str:
        raise ValueError("no words")


class Unready:
    """What the agent's default= hook chokes on."""


def hook(value: Any) -> Any:
    if isinstance(value, Unready):
        raise RuntimeError("not now")
    return value


async def soon(value: Any) -> Any:
    await asyncio.sleep(0.001)
    return value


async def boom(*_: Any) -> Any:
    await asyncio.sleep(0.001)
    raise ValueError("boom")


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def itself() -> Any:
    value: list[Any] = []
    value.append(value)
    return value


def chained(outer: BaseException, cause: BaseException) -> BaseException:
    outer.__cause__ = cause
    return outer


def circular() -> BaseException:
    error = ValueError("circular")
    error.__context__ = other = KeyError("other")
    other.__context__ = error
    return error


def overflow(depth: int = 0) -> int:
    return overflow(depth + 1) + 1


class Then:
    def __await__(self) -> Any:
        raise ValueError("not then")
        yield


def raising(error: Any) -> Any:
    async def way(ctx: Any, payload: Any) -> Any:
        await ctx.progress(0.1)
        raise error()

    return way


def returning(value: Any) -> Any:
    async def way(ctx: Any, payload: Any) -> Any:
        return value()

    return way


def plain(value: Any) -> Any:
    return lambda ctx, payload: value()


def plain_boom(ctx: Any, payload: Any) -> Any:
    raise ValueError("boom")


def using(**usage: Any) -> Any:
    async def way(ctx: Any, payload: Any) -> Any:
        ctx.usage(**usage)

    return way


async def tells_nonsense(ctx: Any, payload: Any) -> Any:
    await ctx.progress(math.nan)


async def cancels_itself(ctx: Any, payload: Any) -> Any:
    task = asyncio.current_task()
    assert task is not None
    task.cancel()
    await asyncio.sleep(10)


def stops_an_iteration(ctx: Any, payload: Any) -> Any:
    return next(iter([]))


async def takes_no_payload(*given: Any) -> Any:
    def inner(ctx: Any) -> None: ...

    return inner(*given)


async def raises_while_handling(ctx: Any, payload: Any) -> Any:
    try:
        raise Retry("busy", after=5)
    except Retry:
        raise ValueError("boom")  # noqa: B904


async def raises_instead(ctx: Any, payload: Any) -> Any:
    try:
        raise Retry("busy", after=5)
    except Retry:
        raise ValueError("boom") from None


async def retries_after_a_text(ctx: Any, payload: Any) -> Any:
    raise Retry("busy", after="soon")  # type: ignore[arg-type]


class Callable:
    async def __call__(self, ctx: Any, payload: Any) -> Any:
        await ctx.progress(0.5)
        return "called"


async def with_more(more: str, ctx: Any, payload: Any) -> Any:
    await ctx.progress(0.5)
    return more


async def inner(ctx: Any, payload: Any) -> Any:
    await ctx.progress(0.5)
    return ctx.attempt


def around(ctx: Any, payload: Any) -> Any:
    ctx.progress(0.25)
    return inner(ctx, payload)


async def never_ends(ctx: Any, payload: Any) -> Any:
    await asyncio.sleep(3600)


def never_ends_in_a_thread(ctx: Any, payload: Any) -> Any:
    ctx.cancelled.wait(60)
    assert ctx.stop == "timeout", ctx.stop
    return "late"


def is_silent_in_a_thread(ctx: Any, payload: Any) -> Any:
    time.sleep(1)
    assert ctx.stop == "stalled", ctx.stop
    return "late"


async def does_not_take_its_time_out(ctx: Any, payload: Any) -> Any:
    for _ in range(10):
        try:
            await asyncio.sleep(0.1)
        except asyncio.CancelledError:
            pass
    return "late"


async def blocks(ctx: Any, payload: Any) -> Any:
    time.sleep(3)
    return "late"


async def exits(ctx: Any, payload: Any) -> Any:
    sys.exit(3)


async def interrupts(ctx: Any, payload: Any) -> Any:
    raise KeyboardInterrupt


async def is_killed(ctx: Any, payload: Any) -> Any:
    os.kill(os.getpid(), signal.SIGKILL)
    await asyncio.sleep(10)


def group() -> BaseException:
    if sys.version_info >= (3, 11):
        return ExceptionGroup("two of them", [ValueError("one"), ExceptionGroup("deeper", [Reject("no such thing")])])
    return chained(ValueError("two of them"), Reject("no such thing"))


def half() -> BaseException:
    return ValueError("half \ud83d")


def completing(team: Any) -> Any:
    async def way(ctx: Any, payload: Any) -> Any:
        await team.tasks.complete(ctx, "first")
        return "second"

    return way


async def no_error(ctx: Any, payload: Any) -> Any:
    raise {"code": 7}  # type: ignore[misc]


def handlers(team: Any) -> dict[str, Any]:
    """Each way by its name."""
    busy = functools.partial(functools.partial, Retry, "busy")
    no_such = functools.partial(Reject, "no such thing")
    years = 11 * 365 * 86_400
    return {
        "alive": returning(lambda: {"a": [1, "b", None]}),
        "returns_json": returning(lambda: {"a": (1, "b", None)}),
        "returns_nothing": returning(lambda: None),
        "returns_an_object_of_a_class": returning(lambda: {"at": object()}),
        "returns_too_much": returning(lambda: "x" * (1 << 20)),
        "returns_too_deep": returning(lambda: nested(65)),
        "returns_nan": returning(lambda: {"n": math.nan}),
        "returns_itself": returning(itself),
        "returns_a_generator": returning(lambda: (n for n in range(3))),
        "returns_what_raises_when_written": returning(lambda: {"at": [Unready()]}),
        "returns_what_awaits": plain(lambda: soon([1])),
        "returns_what_raises_when_awaited": plain(Then),
        "raises": boom,
        "raises_at_once": raising(lambda: ValueError("boom")),
        "raises_no_error": no_error,
        "raises_without_words": raising(Wordless),
        "raises_half_a_character": raising(half),
        "raises_its_own_cause": raising(circular),
        "raises_much": raising(lambda: ValueError("x" * (3 << 20) + " the end")),
        "raises_with_causes": raising(lambda: chained(ValueError("outer"), KeyError("inner"))),
        "overflows_the_stack": returning(overflow),
        "cancels_itself": cancels_itself,
        "stops_an_iteration": stops_an_iteration,
        "takes_no_payload": takes_no_payload,
        "tells_nonsense": tells_nonsense,
        "retries_after_5_s": raising(busy(after=5)),
        "retries_after_nothing": raising(busy(after=0)),
        "retries_after_a_negative_time": raising(busy(after=-1)),
        "retries_after_nan": raising(busy(after=math.nan)),
        "retries_after_infinity": raising(busy(after=math.inf)),
        "retries_after_eleven_years": raising(busy(after=years)),
        "retries_after_a_text": retries_after_a_text,
        "snoozes_for_5_s": raising(functools.partial(Snooze, after=5)),
        "snoozes_for_nothing": raising(functools.partial(Snooze, after=0)),
        "wraps_a_snooze": raising(lambda: chained(ValueError("outer"), Snooze(after=5))),
        "snoozes_for_nan": raising(functools.partial(Snooze, after=math.nan)),
        "rejects": raising(no_such),
        "wraps_a_retry": raising(lambda: chained(ValueError("outer"), Retry("busy", after=5))),
        "wraps_a_reject": raising(lambda: chained(ValueError("outer"), Reject("inner"))),
        "retries_because_of_a_reject": raising(lambda: chained(Retry("busy", after=5), Reject("inner"))),
        "rejects_because_of_a_retry": raising(lambda: chained(Reject("no such thing"), Retry("busy", after=5))),
        "groups_a_reject": raising(group),
        "raises_while_handling_a_retry": raises_while_handling,
        "raises_instead_of_a_retry": raises_instead,
        "uses_nan": using(cost=math.nan),
        "uses_less_than_nothing": using(tokens=-1),
        "completes_its_task_itself": completing(team),
        "is_an_object_with_an_async_call": Callable(),
        "is_a_partial_async_function": functools.partial(with_more, "more"),
        "is_a_plain_function_around_an_async_one": around,
        "is_plain_and_raises": plain_boom,
        "never_ends": never_ends,
        "never_ends_in_a_thread": never_ends_in_a_thread,
        "does_not_take_its_time_out": does_not_take_its_time_out,
        "blocks": blocks,
        "is_silent": never_ends,
        "is_silent_in_a_thread": is_silent_in_a_thread,
        "hangs": blocks,
        "exits": exits,
        "exits_in_a_thread": lambda ctx, payload: sys.exit(3),
        "interrupts": interrupts,
        "is_killed": is_killed,
    }


def once(handler: Any) -> Any:
    """A coroutine function whose second attempt succeeds."""

    async def second(ctx: Any, payload: Any) -> Any:
        return "again" if ctx.fencing_token > 1 else await handler(ctx, payload)

    return second


def an_agent(team: Any, *names: str) -> Agent:
    agent = Agent("temujin", lease=2, grace=0.5, default=hook)
    every = handlers(team)
    limits = {way["way"]: way for way in WAYS}
    again = {way["way"] for way in WAYS if of_python(way.get("attempts", 1)) > 1 or way.get("snoozes")}
    for name in (*names, "alive"):
        way = limits.get(name, {})
        stall = {"stall_after": way["stall"], "on_stall": "release"} if "stall" in way else {}
        agent.task(name, timeout=way.get("timeout"), **stall)(every[name] if name not in again else once(every[name]))
    return agent


@on_both
class Torture:
    async def add(self: Any, way: str) -> Any:
        return await self.k.tasks.enqueue(way, max_attempts=3, retry={"base": 60, "jitter": False})

    async def over(self: Any, way: str, task: Any, attempts: int = 1) -> Any:
        """The task once so many attempts are over."""
        for _ in range(3000):
            got = await self.k.tasks.get(task)
            snoozed = attempts == 0 and got.snoozes > 0
            if len(got.errors) >= max(attempts, 1) or got.status == "completed" or snoozed:
                return got
            await asyncio.sleep(0.01)
        self.fail(f"{way}: an attempt never ended: {got}")

    def check(self: Any, way: dict[str, Any], task: Any) -> None:
        name, ends = way["way"], (of_python(way["status"]), of_python(way.get("attempts", 1)))
        self.assertEqual((name, task.status, task.attempts), (name, *ends), task.errors)
        self.assertEqual((name, task.snoozes), (name, way.get("snoozes", 0)))
        if "until" in way:
            self.assertAlmostEqual((task.run_at - task.updated_at).total_seconds(), way["until"], delta=0.5)
        self.assertEqual(len(task.errors), ends[1] > 0 and ends != ("completed", 1), task.errors)
        for error in task.errors:
            self.assertEqual((name, error.kind), (name, of_python(way.get("kind", "failed"))), error.error)
            for text in of_python(way["contains"]):
                self.assertIn(text, error.error, name)
            pause = of_python(way.get("pause"))
            if pause is not None:
                self.assertEqual((name, int((task.run_at - error.at).total_seconds())), (name, pause))

    async def does_another(self: Any) -> None:
        task = await self.add("alive")
        self.assertEqual((await self.over("alive", task)).status, "completed")

    async def test_whatever_a_handler_does_its_attempt_ends(self: Any) -> None:
        ways = [way for way in WAYS if not way.get("child")]
        agent, stop = an_agent(self.k, *(way["way"] for way in ways)), asyncio.Event()
        serving = asyncio.create_task(agent.serve(self.k, stop=stop))
        for way in ways:
            task = await self.add(way["way"])
            self.check(way, await self.over(way["way"], task, of_python(way.get("attempts", 1))))
            await self.does_another()
            # What a handler does after its time counts for nothing.
            after = await self.k.tasks.get(task)
            self.check(way, after)
            if after.status == "pending":
                # Another attempt would count too, where the rest takes long.
                await self.k.tasks.cancel(task)
        stop.set()
        attempts = sum(of_python(way.get("attempts", 1)) + way.get("snoozes", 0) for way in ways)
        self.assertEqual(await asyncio.wait_for(serving, 20), attempts + len(ways))

    async def test_a_handler_that_blocks_or_ends_its_process(self: Any) -> None:
        for way in (way for way in WAYS if way.get("child")):
            name, task = way["way"], await self.add(way["way"])
            child = await self.child(name)
            if "ends" in way:
                await asyncio.wait_for(child.wait(), 20)
                self.assertEqual((name, child.returncode), (name, way["ends"]))
                child = await self.child(name)
            self.check(way, await self.over(name, task, of_python(way.get("attempts", 1))))
            self.assertIsNone(child.returncode, "it blocks, or is there to go on")
            await self.does_another()
            self.check(way, await self.k.tasks.get(task))
            child.send_signal(signal.SIGTERM)
            await asyncio.wait_for(child.wait(), 20)

    async def child(self: Any, way: str) -> Any:
        """A process that serves this way and the other task."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = await asyncio.create_subprocess_exec(
            sys.executable, __file__, self.url, self.namespace, way, env=env, stderr=asyncio.subprocess.DEVNULL
        )
        self.addCleanup(lambda: child.returncode is None and child.kill())
        return child


class Table(unittest.TestCase):
    def test_each_way_is_there_once(self) -> None:
        names = [way["way"] for way in WAYS]
        self.assertEqual(sorted({*names, "alive"}), sorted(handlers(None)))


if __name__ == "__main__":
    url, namespace, way = sys.argv[1:]
    agent = an_agent(None, way)
    agent.url, agent.namespace = url, namespace
    agent.run()
