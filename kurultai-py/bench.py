"""What a call costs from Python, as JSON lines. Build first: cargo xtask python wheel, or an optimised library in place.

    python3 bench.py [--url sqlite:PATH?durability=process] [--tasks 20000] [--only NAME]

Rows: pingpong (a thread woken and back, us: what the machine asks for any hand-over), ready (an await whose answer is
there at once), one (an awaited call that goes to a thread of tokio and back), crowd (1,000 of those at once, each; beside it what
asyncio's own gather costs), in / out (a batch of 100 tasks becomes the core's, becomes Python's), cycle (claim + complete a
second, 1,000 at once and in batches of 100).
"""

from __future__ import annotations

import argparse
import asyncio
import json
import queue
import statistics
import sys
import tempfile
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import kurultai
from kurultai import NewTask, _native

PAYLOAD = {"pr": 42, "repository": "kublai/kurultai", "labels": ["bug", "store"], "score": 0.75, "draft": False}


def row(what: str, value: float, unit: str, **more: Any) -> None:
    print(json.dumps({"what": what, "value": round(value, 3), "unit": unit, **more}), flush=True)


def best(measure: Callable[[], float], times: int = 5) -> float:
    """The median of a few runs, in microseconds."""
    return statistics.median(measure() for _ in range(times)) * 1e6


async def abest(measure: Callable[[], Awaitable[float]], times: int = 5) -> float:
    return statistics.median([await measure() for _ in range(times)]) * 1e6


def pingpong(rounds: int = 2000) -> float:
    here: queue.SimpleQueue[int] = queue.SimpleQueue()
    there: queue.SimpleQueue[int] = queue.SimpleQueue()

    def answer() -> None:
        for _ in range(rounds):
            here.put(there.get())

    thread = threading.Thread(target=answer)
    thread.start()
    start = time.perf_counter()
    for number in range(rounds):
        there.put(number)
        here.get()
    took = time.perf_counter() - start
    thread.join()
    return took / rounds


async def calls(only: str | None) -> None:
    """Of the bridge itself."""

    async def ready() -> float:
        start = time.perf_counter()
        for _ in range(20_000):
            await _native.ready()
        return (time.perf_counter() - start) / 20_000

    async def one() -> float:
        start = time.perf_counter()
        for _ in range(1000):
            await _native.hop()
        return (time.perf_counter() - start) / 1000

    async def call() -> None:
        await _native.hop()

    async def crowd() -> float:
        start = time.perf_counter()
        await asyncio.gather(*(call() for _ in range(1000)))
        return (time.perf_counter() - start) / 1000

    async def crowd_of_asyncio() -> float:
        """What gather and its tasks cost without us."""

        async def turn() -> None:
            await asyncio.sleep(0)

        start = time.perf_counter()
        await asyncio.gather(*(turn() for _ in range(1000)))
        return (time.perf_counter() - start) / 1000

    for name, measure in (("ready", ready), ("one", one), ("crowd", crowd), ("crowd asyncio", crowd_of_asyncio)):
        if only in (None, name):
            row(name, await abest(measure, 20), "us")


async def batches(only: str | None) -> None:
    def make() -> float:
        start = time.perf_counter()
        for _ in range(100):
            NewTask("review", PAYLOAD, priority="P1", requires=["development"])
        return time.perf_counter() - start

    if only in (None, "in"):
        row("in", best(make, 50), "us", batch=100)
    if only not in (None, "out"):
        return
    text = json.dumps(PAYLOAD)

    async def out(look: bool) -> float:
        batch = _native.sample(100, text)
        start = time.perf_counter()
        tasks = await batch
        if look:
            for task in tasks:
                task.id, task.type, task.payload
        return time.perf_counter() - start

    row("out", await abest(lambda: out(False), 50), "us", batch=100)
    row("out, id, type and payload read", await abest(lambda: out(True), 50), "us", batch=100)


async def cycles(url: str, count: int, only: str | None) -> None:
    for name, callers, batch in (("cycle 1000", 1000, 1), ("cycle 4 x 100", 4, 100)):
        if only not in (None, "cycle"):
            continue
        async with kurultai.open(url, namespace=f"bench-{uuid.uuid4().hex}", background=False) as k:
            await k.agents.register("temujin")
            for first in range(0, count, 1000):
                many = min(1000, count - first)
                await k.tasks.enqueue_many([{"type": "review", "payload": PAYLOAD}] * many)

            async def single() -> None:
                while tasks := await k.tasks.claim("temujin"):
                    await k.tasks.complete(tasks[0], {"ok": True})

            async def many_at_once() -> None:
                while tasks := await k.tasks.claim("temujin", max=batch):
                    await k.tasks.complete_many([(task, {"ok": True}) for task in tasks])

            start = time.perf_counter()
            await asyncio.gather(*((single if batch == 1 else many_at_once)() for _ in range(callers)))
            took = time.perf_counter() - start
            done = (await k.tasks.stats()).by_status
            assert done == {"completed": count}, done
            row(name, count / took, "per second", store=k.store_name, callers=callers, batch=batch, tasks=count)


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", help="default: a new SQLite file, durability=process")
    parser.add_argument("--tasks", type=int, default=20_000)
    parser.add_argument("--only", choices=["pingpong", "ready", "one", "crowd", "crowd asyncio", "in", "out", "cycle"])
    given = parser.parse_args()
    loop = type(asyncio.get_running_loop()).__module__
    row("python", sys.version_info[0] + sys.version_info[1] / 100, "version", loop=loop)
    if given.only in (None, "pingpong"):
        row("pingpong", best(pingpong), "us")
    await calls(given.only)
    await batches(given.only)
    with tempfile.TemporaryDirectory() as folder:
        await cycles(given.url or f"sqlite:{folder}/bench.db?durability=process", given.tasks, given.only)


if __name__ == "__main__":
    asyncio.run(main())
