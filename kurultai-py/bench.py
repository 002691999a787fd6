"""What kurultai costs from Python. `cargo xtask bench` runs it, beside Rust and Node; by hand after
`cargo xtask python --release`:

    python3 bench.py calls                            a call's own cost, a JSON line each
    python3 bench.py uvloop                           the same of awaited calls, on uvloop, which must be installed
    python3 bench.py cycle URL CALLERS BATCH TASKS    what benches/src/runner.rs does: one JSON line
"""

from __future__ import annotations

import asyncio
import json
import queue
import statistics
import sys
import threading
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

import kurultai
from kurultai import NewTask, _native

PAYLOAD = {"pr": 42, "repository": "kublai/kurultai", "labels": ["bug", "store"], "score": 0.75, "draft": False}
TYPES = ("review", "build", "test")


def row(what: str, us: float) -> None:
    print(json.dumps({"what": what, "us": round(us, 3)}), flush=True)


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


async def calls() -> None:
    """Of the bridge itself; calls that cost the core nothing."""

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
        async def turn() -> None:
            await asyncio.sleep(0)

        start = time.perf_counter()
        await asyncio.gather(*(turn() for _ in range(1000)))
        return (time.perf_counter() - start) / 1000

    row("two-thread ping-pong", best(pingpong))
    row("awaited call, already ready", await abest(ready, 20))
    row("awaited call, alone", await abest(one, 20))
    row("awaited call, 1000 at once", await abest(crowd, 20))
    row("asyncio's own share of that", await abest(crowd_of_asyncio, 20))


async def batches() -> None:
    def make() -> float:
        start = time.perf_counter()
        for _ in range(100):
            NewTask("review", PAYLOAD, priority="P1", requires=["development"])
        return time.perf_counter() - start

    text = json.dumps(PAYLOAD)
    plain = [{"type": "review", "payload": PAYLOAD, "priority": "P1", "requires": ["development"]}] * 100
    # The last is refused, so that nothing reaches a store.
    refused = [*plain, {"type": ""}]

    async def enter() -> float:
        start = time.perf_counter()
        try:
            await k.tasks.enqueue_many(refused)
        except kurultai.errors.InputError:
            return time.perf_counter() - start
        raise AssertionError("a task without a type was taken")

    def dump() -> float:
        start = time.perf_counter()
        json.dumps(plain)
        return time.perf_counter() - start

    async def out(look: bool) -> float:
        batch = _native.sample(100, text)
        start = time.perf_counter()
        tasks = await batch
        if look:
            for task in tasks:
                task.id, task.type, task.payload
        return time.perf_counter() - start

    async with kurultai.open("memory:", background=False) as k:
        row("batch of 100 tasks in", await abest(enter, 50))
    row("100 NewTask made", best(make, 50))
    row("json.dumps of such a batch", best(dump, 50))
    row("batch of 100 tasks out", await abest(lambda: out(False), 50))
    row("batch of 100 tasks out, payloads read", await abest(lambda: out(True), 50))


async def iteration() -> None:
    """Through events, 256 at a time; and the same lists without the iteration, which is the store's own share."""
    count = 10_000

    async def each() -> float:
        start = time.perf_counter()
        seen = 0
        async for _ in k.events.each():
            seen += 1
        assert seen == count
        return (time.perf_counter() - start) / count

    async def pages() -> float:
        start = time.perf_counter()
        last = 0
        while page := await k.events.read(after_seq=last, limit=256):
            last = page.next
        return (time.perf_counter() - start) / count

    async with kurultai.open("memory:", background=False) as k:
        for _ in range(count // 1000):
            await k.tasks.enqueue_many([{"type": "review"}] * 1000)
        row("async for, an event", await abest(each, 10))
        row("the same in lists of 256", await abest(pages, 10))


async def cycle(url: str, callers: int, batch: int, count: int) -> None:
    """Enqueues and then works it all off; fails unless the store has as many completions as there were tasks."""

    async def enqueue(caller: int) -> None:
        for first in range(0, count // callers, batch):
            many = [
                NewTask(TYPES[i % 3], {"i": i, "caller": caller, "text": "x" * 70}, requires=["development"])
                for i in range(first, first + batch)
            ]
            await k.tasks.enqueue_many(many)

    async def work(_: int) -> None:
        while tasks := await k.tasks.claim("temujin", max=batch):
            if batch == 1:
                await k.tasks.complete(tasks[0], {"ok": True})
            else:
                await k.tasks.complete_many([(task, {"ok": True}) for task in tasks])

    async def together(caller: Callable[[int], Awaitable[None]]) -> float:
        start = time.perf_counter()
        await asyncio.gather(*(caller(number) for number in range(callers)))
        return round(count / (time.perf_counter() - start))

    async with kurultai.open(url, namespace=f"bench-{uuid.uuid4().hex}") as k:
        await k.agents.register("temujin", capabilities=["development"])
        figures = {"enqueue_per_s": await together(enqueue), "cycle_per_s": await together(work)}
        done = (await k.tasks.stats()).by_status
        assert done == {"completed": count}, done
    print(json.dumps(figures))


async def main() -> None:
    match sys.argv[1:]:
        case ["calls"]:
            await calls()
            await batches()
            await iteration()
        case ["uvloop"]:
            await calls()
        case ["cycle", url, callers, batch, count]:
            await cycle(url, int(callers), int(batch), int(count))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    if sys.argv[1:] == ["uvloop"]:
        import uvloop

        uvloop.install()
    asyncio.run(main())
