"""Other libraries at the work of bench.py. `cargo xtask bench --peers` runs it, right after ours; by hand:

    python3 peers.py cycle PEER CALLERS BATCH TASKS PLACE    a JSON line for `enqueue` and one for `cycle`
    python3 peers.py latency PEER PLACE                      enqueue -> handler starts, idle worker: one JSON line

PLACE is a fresh folder, or for saq and celery redis://HOST:PORT/DB, which is emptied first.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import mmap
import os
import random
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Awaitable, Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

PATIENCE = 300.0


class Ledger:
    """How often each task was handled, and when the first was; in a file, so that a worker process shares it."""

    HEAD = 8

    def __init__(self, path: str, tasks: int | None = None) -> None:
        if tasks is not None:
            Path(path).write_bytes(bytes(self.HEAD + tasks))
        with open(path, "r+b") as file:
            self.map = mmap.mmap(file.fileno(), 0)

    def handled(self, number: int) -> None:
        if self.map[: self.HEAD] == bytes(self.HEAD):
            self.map[: self.HEAD] = struct.pack("d", time.monotonic())
        self.map[self.HEAD + number] += 1

    def first(self) -> float:
        (first,) = struct.unpack("d", self.map[: self.HEAD])
        return float(first)

    def full(self) -> bool:
        return 0 not in self.map[self.HEAD :]

    def check(self) -> None:
        counts = self.map[self.HEAD :]
        once, never = counts.count(1), counts.count(0)
        assert once == len(counts), f"of {len(counts)} tasks {once} were handled once and {never} never"


def payload(number: int) -> dict[str, Any]:
    return {"i": number, "caller": 0, "text": "x" * 70}


def wait_for(done: Callable[[], bool], what: str) -> float:
    """When it was so."""
    end = time.monotonic() + PATIENCE
    while not done():
        assert time.monotonic() < end, f"no {what} within {PATIENCE:.0f} s"
        time.sleep(0.002)
    return time.monotonic()


def in_threads(threads: int, work: Callable[[int], None]) -> float:
    """How long it took; a thread's error is raised here."""
    errors: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            errors.append(error)

    running = [threading.Thread(target=run, args=[number]) for number in range(threads)]
    start = time.monotonic()
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    took = time.monotonic() - start
    if errors:
        raise errors[0]
    return took


class Run:
    """The shape asked for, and the rows of what was done."""

    def __init__(self, peer: str, callers: int, batch: int, tasks: int, place: str, scratch: str) -> None:
        self.peer, self.callers, self.batch, self.tasks, self.place = peer, callers, batch, tasks, place
        self.ledger_path = f"{scratch}/ledger"
        self.ledger = Ledger(self.ledger_path, tasks)
        self.threads = callers if batch > 1 else 1

    def enqueue(self, one: Callable[[Any], Any], many: Callable[[list[Any]], Any]) -> None:
        """By calls that block, in a thread for each caller with batches."""
        share = self.tasks // self.threads

        def enqueue(caller: int) -> None:
            for first in range(caller * share, (caller + 1) * share, self.batch):
                if self.batch == 1:
                    one(payload(first))
                else:
                    many([payload(number) for number in range(first, first + self.batch)])

        self.say("enqueue", self.threads, self.batch, in_threads(self.threads, enqueue), "process")

    def say(self, what: str, callers: int, batch: int, seconds: float, durability: str) -> None:
        row = {"peer": self.peer, "version": version(self.peer.split()[0]), "what": what, "callers": callers}
        rate = {"batch": batch, "durability": durability, "per_second": round(self.tasks / seconds)}
        print(json.dumps({**row, **rate}), flush=True)


def huey(run: Run) -> None:
    """Hands out a task by deleting it, so a cycle is one transaction. Its own default is fsync at each commit."""
    from huey import SqliteHuey
    from huey.signals import SIGNAL_COMPLETE

    only_process = run.peer == "huey fsync=False"
    durability = "process" if only_process else "full"
    queue = SqliteHuey(filename=f"{run.place}/huey.db", fsync=False if only_process else None, results=False)

    @queue.task()
    def handle(task: dict[str, Any]) -> None:
        run.ledger.handled(task["i"])

    ended = 0

    @queue.signal(SIGNAL_COMPLETE)
    def complete(_: str, __: Any) -> None:
        nonlocal ended
        ended += 1

    start = time.monotonic()
    for number in range(run.tasks):
        handle(payload(number))
    run.say("enqueue", 1, 1, time.monotonic() - start, durability)
    consumer = queue.create_consumer(workers=1, periodic=False, initial_delay=0.001, max_delay=0.001)
    consumer.start()
    end = wait_for(lambda: ended == run.tasks, "end of huey's tasks")
    consumer.stop(graceful=True)
    assert len(queue) == 0
    run.say("cycle", 1, 1, end - run.ledger.first(), durability)


def honker(run: Run) -> None:
    """Opens its file with synchronous=NORMAL."""
    import honker as library

    queue = library.open(f"{run.place}/honker.db").queue("bench")

    def enqueue_many(payloads: list[Any]) -> None:
        with queue.db.transaction() as tx:
            for each in payloads:
                queue.enqueue(each, tx=tx)

    def work(caller: int) -> None:
        worker = f"worker-{caller}"
        while jobs := queue.claim_batch(worker, run.batch):
            for job in jobs:
                run.ledger.handled(job.payload["i"])
            if run.batch == 1:
                assert jobs[0].ack()
            else:
                assert queue.ack_batch([job.id for job in jobs], worker) == len(jobs)

    run.enqueue(queue.enqueue, enqueue_many)
    run.say("cycle", run.threads, run.batch, in_threads(run.threads, work), "process")
    rows = queue.db.query("select (select count(*) from _honker_live) + (select count(*) from _honker_dead) as n")
    assert rows[0]["n"] == 0, rows


def flexiq(run: Run) -> None:
    """Opens its file with synchronous=NORMAL. Takes batches in, and hands out a task at a time."""
    os.environ["FLEXIQ_LOG_LEVEL"] = "ERROR"
    from flexiq import Queue

    concurrency = 1000
    settings = {"scheduler_poll_interval_ms": 1, "scheduler_batch_size": 100, "async_concurrency": concurrency}
    queue = Queue(db_path=f"{run.place}/flexiq.db", **settings)

    @queue.task(name="handle")
    async def handle(task: dict[str, Any]) -> None:
        run.ledger.handled(task["i"])

    run.enqueue(handle.delay, lambda payloads: queue.enqueue_many("handle", [(each,) for each in payloads]))
    with contextlib.redirect_stdout(sys.stderr):
        worker = threading.Thread(target=queue.run_worker)
        worker.start()
        wait_for(run.ledger.full, "end of FlexiQ's tasks")
        end = wait_for(lambda: queue.stats()["completed"] == run.tasks, "completion of FlexiQ's tasks")
        queue.shutdown()
        worker.join()
    if run.batch == 1:
        run.say("cycle", concurrency, 1, end - run.ledger.first(), "process")


async def saq(run: Run) -> None:
    """With its own concurrency of 10, and of 20 calls at once; more of either is not faster."""
    from saq import Queue, Worker

    concurrency = 10
    queue = Queue.from_url(run.place, name="bench")
    share = run.tasks // run.callers

    async def enqueue(caller: int) -> None:
        for number in range(caller * share, (caller + 1) * share):
            await queue.enqueue("handle", task=payload(number))

    async def handle(_: Any, *, task: dict[str, Any]) -> None:
        run.ledger.handled(task["i"])

    ended, done = 0, asyncio.Event()

    async def after(_: Any) -> None:
        nonlocal ended
        ended += 1
        if ended == run.tasks:
            done.set()

    start = time.monotonic()
    await asyncio.gather(*(enqueue(caller) for caller in range(run.callers)))
    run.say("enqueue", run.callers, 1, time.monotonic() - start, "process")
    worker = Worker(queue, [("handle", handle)], concurrency=concurrency, after_process=after)
    working = asyncio.create_task(worker.start())
    await asyncio.wait_for(done.wait(), PATIENCE)
    end = time.monotonic()
    assert await queue.count("incomplete") == 0
    run.say("cycle", concurrency, 1, end - run.ledger.first(), "process")
    await worker.stop()
    await working
    await queue.disconnect()


def celery_app(place: str, ledger_path: str) -> Any:
    from celery import Celery

    app = Celery("bench", broker=place)
    app.conf.update(
        task_ignore_result=True,
        worker_prefetch_multiplier=64,
        worker_send_task_events=False,
        broker_connection_retry_on_startup=True,
    )
    ledger = Ledger(ledger_path)

    @app.task(name="handle")
    def handle(task: dict[str, Any]) -> None:
        ledger.handled(task["i"])

    return app


def celery(run: Run) -> None:
    """Takes a task out of redis for good before its handler runs (its default, `acks_late=False`)."""
    app = celery_app(run.place, run.ledger_path)
    handle = app.tasks["handle"]
    start = time.monotonic()
    with app.producer_pool.acquire(block=True) as producer:
        for number in range(run.tasks):
            handle.apply_async((payload(number),), producer=producer)
    run.say("enqueue", 1, 1, time.monotonic() - start, "process")
    options = ["worker", "--pool=solo", "--loglevel=error"]
    options += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
    worker = subprocess.Popen(
        [sys.executable, "-m", "celery", "--quiet", "-A", "peers:worker_app", *options],
        cwd=Path(__file__).parent,
        env={**os.environ, "PEERS_PLACE": run.place, "PEERS_LEDGER": run.ledger_path},
        stdout=sys.stderr,
    )
    try:
        end = wait_for(run.ledger.full, "end of Celery's tasks")
        run.say("cycle", 1, 1, end - run.ledger.first(), "process")
    finally:
        worker.terminate()
        worker.wait(30)
    with app.connection_for_read() as connection:
        left = connection.default_channel.client.llen("celery") + connection.default_channel.client.hlen("unacked")
        assert left == 0, f"{left} messages are left"


def __getattr__(name: str) -> Any:
    """`worker_app` is what Celery's worker process imports."""
    if name == "worker_app":
        return celery_app(os.environ["PEERS_PLACE"], os.environ["PEERS_LEDGER"])
    raise AttributeError(name)


PEERS: dict[str, Callable[[Run], Awaitable[None] | None]] = {
    "huey": huey,
    "huey fsync=False": huey,
    "honker": honker,
    "flexiq": flexiq,
    "saq": saq,
    "celery": celery,
}


def cycle(peer: str, callers: int, batch: int, tasks: int, place: str) -> None:
    if place.startswith("redis:"):
        from redis import Redis

        with Redis.from_url(place) as redis:
            redis.flushdb()
    with tempfile.TemporaryDirectory(prefix="peers-") as scratch:
        run = Run(peer, callers, batch, tasks, place, scratch)
        done = PEERS[peer](run)
        if asyncio.iscoroutine(done):
            asyncio.run(done)
        run.ledger.check()


SAMPLES = 500


class Clock:
    """Times from before `enqueue` until its handler starts, one task at a time, with pauses that no poll is in step with."""

    def __init__(self) -> None:
        self.started: asyncio.Future[float] = asyncio.Future()

    def handler(self) -> None:
        self.started.set_result(time.perf_counter())

    async def sample(self, peer: str, enqueue: Callable[[], Any]) -> None:
        times = []
        for _ in range(SAMPLES):
            await asyncio.sleep(random.uniform(0.005, 0.01))
            self.started = asyncio.Future()
            before = time.perf_counter()
            sent = enqueue()
            if asyncio.iscoroutine(sent):
                await sent
            times.append((await asyncio.wait_for(self.started, PATIENCE) - before) * 1e3)
        times.sort()
        p50, p99 = (times[int((SAMPLES - 1) * share)] for share in (0.5, 0.99))
        print(json.dumps({"peer": peer, "p50_ms": round(p50, 3), "p99_ms": round(p99, 3)}), flush=True)


async def honker_latency(place: str) -> None:
    import honker as library

    queue = library.open(f"{place}/honker.db").queue("bench")
    clock = Clock()

    async def work() -> None:
        async for job in queue.claim("worker"):
            clock.handler()
            job.ack()

    working = asyncio.create_task(work())
    await clock.sample("honker", lambda: queue.enqueue(payload(0)))
    working.cancel()


async def kurultai_latency(place: str) -> None:
    import kurultai as library

    agent, clock, stop = library.Agent("temujin"), Clock(), asyncio.Event()

    @agent.task("handle")
    async def handle(_: Any, __: Any) -> None:
        clock.handler()

    async with library.open(f"sqlite:{place}/kurultai.db?durability=process") as k:
        serving = asyncio.create_task(agent.serve(k, stop=stop))
        await clock.sample("kurultai", lambda: k.tasks.enqueue("handle", payload(0)))
        stop.set()
        await serving


LATENCIES = {"honker": honker_latency, "kurultai": kurultai_latency}


def main() -> None:
    logging.getLogger("saq").setLevel(logging.ERROR)
    match sys.argv[1:]:
        case ["cycle", peer, callers, batch, tasks, place] if peer in PEERS:
            cycle(peer, int(callers), int(batch), int(tasks), place)
        case ["latency", peer, place] if peer in LATENCIES:
            asyncio.run(LATENCIES[peer](place))
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main()
