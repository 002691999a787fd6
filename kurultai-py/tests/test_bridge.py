"""The bridge under load and in odd places: crowds, cancellations, several loops, fork, exit, Ctrl-C, memory."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
import unittest
from typing import Any

import kurultai
from support import Team, on_both


@on_both
class Crowds:
    async def test_1000_concurrent_awaits(self: Any) -> None:
        added = await asyncio.gather(*(self.k.tasks.enqueue("t", {"n": n}) for n in range(1000)))
        self.assertEqual(len({one.id for one in added}), 1000)
        tasks = await asyncio.gather(*(self.k.tasks.get(one) for one in added))
        self.assertEqual([task.payload["n"] for task in tasks], list(range(1000)))
        self.assertEqual((await self.k.tasks.stats()).by_status, {"pending": 1000})

    async def test_a_storm_of_cancelled_claims_strands_nothing(self: Any) -> None:
        """Claims are cancelled before, while and after they are answered; what they were given goes back."""
        rounds = int(os.environ.get("KURULTAI_TEST_STORM", "10000" if self.store == "sqlite" else "1000")) // 500
        await self.k.agents.register("temujin")
        await self.k.tasks.enqueue_many([{"type": "t"} for _ in range(200)])
        chance, loop, cancelled, took = random.Random(7), asyncio.get_running_loop(), 0, 0.05

        async def given_back(claim: asyncio.Task[Any]) -> int:
            try:
                tasks = await claim
            except asyncio.CancelledError:
                return 0
            await self.k.tasks.finish_many([kurultai.Release(task) for task in tasks])
            return len(tasks)

        for _ in range(rounds):
            began = loop.time()
            claims = [asyncio.create_task(self.k.tasks.claim("temujin", wait=60)) for _ in range(500)]
            answers = [asyncio.create_task(given_back(claim)) for claim in claims]
            for n, claim in enumerate(claims):
                if n % 5:  # the others are left alone, and are answered however slow the machine is
                    loop.call_later(chance.random() * took, claim.cancel)
            counts = await asyncio.gather(*answers)
            self.assertEqual(counts[::5], [1] * 100)
            cancelled += counts.count(0)
            took = loop.time() - began  # cancel the next ones for as long as these took
        self.assertGreater(cancelled, rounds * 50)
        for _ in range(200):
            if (await self.k.tasks.stats()).by_status == {"pending": 200}:
                return
            await asyncio.sleep(0.05)
        self.fail(f"stranded: {(await self.k.tasks.stats()).by_status}, cancelled {cancelled}")


class Cancellation(Team):
    async def test_a_claim_cancelled_in_the_loop_turn_of_its_answer_gives_back(self) -> None:
        """The answer is there, its task is scheduled to take it, and then it is cancelled."""
        await self.k.agents.register("temujin")
        await self.k.tasks.enqueue("t")
        cancelled = 0
        for _ in range(50):
            claim = asyncio.create_task(self.k.tasks.claim("temujin"))
            await asyncio.sleep(0)
            if not claim.done():
                answer = claim._fut_waiter  # type: ignore[attr-defined]
                while not answer.done():
                    await asyncio.sleep(0)
            if claim.done():  # at once, or as uvloop has it: in the turn of its answer
                await self.k.tasks.release(claim.result()[0])
                continue
            cancelled += claim.cancel()
            with self.assertRaises(asyncio.CancelledError):
                await claim
            while (await self.k.tasks.stats()).by_status != {"pending": 1}:
                await asyncio.sleep(0.001)
        self.assertTrue(cancelled or type(asyncio.get_running_loop()).__module__.startswith("uvloop"))

    async def test_a_cancellation_keeps_its_message(self) -> None:
        await self.k.agents.register("temujin")
        said: list[Any] = []

        async def wait() -> None:
            try:
                await self.k.tasks.claim("temujin", wait=30)
            except asyncio.CancelledError as cancelled:
                said.extend(cancelled.args)

        waiting = asyncio.create_task(wait())
        await asyncio.sleep(0.01)
        waiting.cancel("enough")
        await waiting
        self.assertEqual(said, ["enough"])

    async def test_a_call_that_nobody_awaits_never_happens(self) -> None:
        self.k.tasks.enqueue("t").close()
        self.assertEqual((await self.k.tasks.stats()).by_status, {})

    async def test_a_waiting_claim_wakes_for_new_work(self) -> None:
        await self.k.agents.register("temujin")
        claim = asyncio.create_task(self.k.tasks.claim("temujin", wait=30))
        await asyncio.sleep(0.05)
        self.assertFalse(claim.done())
        await self.k.tasks.enqueue("t")
        self.assertEqual(len(await asyncio.wait_for(claim, 5)), 1)


class Loops(unittest.TestCase):
    def test_two_loops_in_two_threads(self) -> None:
        counts: list[int] = []

        async def work() -> None:
            async with kurultai.open("memory:") as k:
                await asyncio.gather(*(k.tasks.enqueue("t") for _ in range(500)))
                counts.append((await k.tasks.stats()).by_status["pending"])

        threads = [threading.Thread(target=lambda: asyncio.run(work())) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        self.assertEqual(counts, [500, 500])

    def test_one_handle_serves_several_loops_and_blocking_calls(self) -> None:
        team = kurultai.blocking.open("memory:")
        inner = team._inner

        async def add() -> None:
            await asyncio.gather(*(inner.tasks.enqueue("t") for _ in range(10)))

        asyncio.run(add())
        one, two = asyncio.new_event_loop(), asyncio.new_event_loop()
        for loop in (one, two, one, two):
            loop.run_until_complete(add())
        one.close()
        two.close()
        threads = [threading.Thread(target=lambda: team.tasks.enqueue("t")) for _ in range(10)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        self.assertEqual(team.tasks.stats().by_status, {"pending": 60})
        team.close()

    def test_a_task_that_ends_the_loop_leaves_the_others_to_its_next_run(self) -> None:
        async def add(k: kurultai.Kurultai, number: int) -> None:
            await k.tasks.enqueue("t")
            if number == 0:
                raise KeyboardInterrupt

        async def ended(tasks: list[asyncio.Task[None]]) -> None:
            await asyncio.wait(tasks, timeout=10)

        loop = asyncio.new_event_loop()
        k = loop.run_until_complete(kurultai.open("memory:")._open())
        tasks = [loop.create_task(add(k, number)) for number in range(100)]
        with self.assertRaises(KeyboardInterrupt):
            loop.run_until_complete(ended(tasks))
        loop.run_until_complete(ended(tasks))
        self.assertEqual(len([task for task in tasks if task.done()]), 100)
        self.assertIsInstance(tasks[0].exception(), KeyboardInterrupt)
        loop.run_until_complete(k.close())
        loop.close()

    def test_loops_leave_no_descriptors(self) -> None:
        async def add(k: kurultai.Kurultai) -> None:
            await asyncio.gather(k.tasks.enqueue("t"), k.tasks.enqueue("t"))

        with kurultai.blocking.open("memory:") as team:
            asyncio.run(add(team._inner))
            gc.collect()
            before = len(os.listdir("/proc/self/fd"))
            for _ in range(50):
                asyncio.run(add(team._inner))
            gc.collect()
            self.assertLessEqual(len(os.listdir("/proc/self/fd")), before + 4)

    def test_a_loop_that_cannot_watch_a_descriptor(self) -> None:
        """As Windows' proactor loop."""

        class Blind(asyncio.SelectorEventLoop):
            def add_reader(self, *_: Any) -> None:
                # asyncio's own self-pipe uses _add_reader.
                raise NotImplementedError

        async def add() -> int:
            async with kurultai.open("memory:") as k:
                await asyncio.gather(*(k.tasks.enqueue("t") for _ in range(100)))
                return (await k.tasks.stats()).by_status["pending"]

        loop = Blind()
        self.assertEqual(loop.run_until_complete(asyncio.wait_for(add(), 30)), 100)
        loop.close()


def run(code: str, *args: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
    """In a process of its own."""
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *args],
        # From 3.12 on Python warns of fork beside threads, rightly; the tests of fork do it on purpose.
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        capture_output=True,
        text=True,
        timeout=timeout,
    )


class Processes(unittest.TestCase):
    def assertRuns(self, code: str, *args: str) -> str:
        done = run(code, *args)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def test_a_forked_child_gets_a_clear_error_and_ends(self) -> None:
        out = self.assertRuns(
            """
            import asyncio, os, kurultai
            team = kurultai.blocking.open("memory:")
            team.agents.register("temujin")
            child = os.fork()
            if child == 0:
                for call in (lambda: team.tasks.stats(), lambda: kurultai.blocking.open("memory:"), team.close):
                    try:
                        call()
                    except kurultai.errors.ConfigError as error:
                        print(error.code, flush=True)
                async def again():
                    await kurultai.open("memory:")
                try:
                    asyncio.run(again())
                except kurultai.errors.ConfigError as error:
                    print(error.code, "spawn" in str(error), flush=True)
                raise SystemExit(0)
            assert os.waitpid(child, 0)[1] == 0
            team.tasks.enqueue("t")
            print(team.tasks.stats().by_status)
            """
        )
        self.assertEqual(out, "config.fork\nconfig.fork\nconfig.fork\nconfig.fork True\n{'pending': 1}\n")

    def test_a_child_forked_before_the_first_open_works(self) -> None:
        self.assertRuns(
            """
            import os, kurultai
            child = os.fork()
            with kurultai.blocking.open("memory:") as team:
                team.tasks.enqueue("t")
            if child:
                assert os.waitpid(child, 0)[1] == 0
            """
        )

    def test_fork_while_calls_run(self) -> None:
        self.assertRuns(
            """
            import asyncio, os, kurultai
            async def main():
                async with kurultai.open("memory:") as k:
                    await k.agents.register("temujin")
                    claim = asyncio.create_task(k.tasks.claim("temujin", wait=30))
                    calls = [asyncio.create_task(k.tasks.enqueue("t")) for _ in range(100)]
                    await asyncio.sleep(0)
                    child = os.fork()
                    if child == 0:
                        del claim, calls
                        os._exit(0)
                    await asyncio.gather(*calls, claim)
                    assert os.waitpid(child, 0)[1] == 0
            asyncio.run(main())
            """
        )

    def test_the_interpreter_exits_during_work(self) -> None:
        for end in ("", "raise SystemExit(0)", "loop.close()", "del loop, coroutines, tasks, k"):
            with self.subTest(end):
                self.assertRuns(
                    textwrap.dedent(
                        """
                    import asyncio, logging, sys, warnings, kurultai
                    warnings.simplefilter("ignore")
                    logging.disable()  # asyncio's own complaint of pending tasks
                    loop = asyncio.new_event_loop()
                    k = loop.run_until_complete(kurultai.open("memory:")._open())
                    loop.run_until_complete(k.agents.register("temujin"))
                    coroutines = [k.tasks.claim("temujin", wait=60)] + [k.tasks.enqueue("t") for _ in range(500)]
                    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
                    loop.call_soon(loop.stop)
                    loop.run_forever()
                    """
                    )
                    + end
                )

    def test_a_bot_that_enqueues_once_exits_by_itself(self) -> None:
        started = time.monotonic()
        self.assertRuns("import kurultai; kurultai.blocking.open('memory:').tasks.enqueue('t')")
        self.assertLess(time.monotonic() - started, 10)

    @unittest.skipUnless(hasattr(signal, "SIGINT") and os.name == "posix", "signals are POSIX's")
    def test_ctrl_c_ends_a_blocking_call(self) -> None:
        # A test that a shell runs in the background inherits that the signal is ignored.
        code = """
            import signal
            signal.signal(signal.SIGINT, signal.default_int_handler)
            import kurultai
            with kurultai.blocking.open("memory:") as team:
                team.agents.register("temujin")
                print("waiting", flush=True)
                try:
                    team.tasks.claim("temujin", wait=60)
                except KeyboardInterrupt:
                    team.tasks.enqueue("t")
                    print("interrupted", team.tasks.stats().by_status)
        """
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdout=subprocess.PIPE,
            text=True,
        )
        assert child.stdout is not None
        self.assertEqual(child.stdout.readline(), "waiting\n")
        time.sleep(0.2)
        started = time.monotonic()
        child.send_signal(signal.SIGINT)
        out = child.communicate(timeout=20)[0]
        self.assertEqual((out, child.returncode), ("interrupted {'pending': 1}\n", 0))
        self.assertLess(time.monotonic() - started, 5)

    def test_threads_of_a_blocking_team_run_beside_each_other(self) -> None:
        """A call that waits does not hold the GIL."""
        with kurultai.blocking.open("memory:") as team:
            team.agents.register("temujin")
            got: list[Any] = []
            waiting = threading.Thread(target=lambda: got.extend(team.tasks.claim("temujin", wait=30)))
            waiting.start()
            time.sleep(0.05)
            team.tasks.enqueue("t")
            waiting.join(10)
            self.assertEqual(len(got), 1)


class Memory(unittest.TestCase):
    def test_memory_stays_flat(self) -> None:
        """KURULTAI_TEST_CALLS=1000000 is the long form."""
        calls = int(os.environ.get("KURULTAI_TEST_CALLS", "20000"))

        def resident() -> int:
            with open("/proc/self/statm") as statm:
                return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        async def work(k: kurultai.Kurultai, count: int) -> None:
            for _ in range(count // 100):
                await asyncio.gather(*(k.events.last_seq() for _ in range(50)))
                for _ in range(48):
                    await k.tasks.enqueue("t", {"text": "x" * 1000}, unique_key="always the same")
                with self.assertRaises(kurultai.errors.NotFoundError):
                    await k.tasks.get("nothing")
                claim = asyncio.ensure_future(k.tasks.claim("temujin", wait=9))
                await asyncio.sleep(0)
                claim.cancel()

        async def main() -> None:
            async with kurultai.open("memory:", background=False) as k:
                await k.agents.register("temujin")
                await k.tasks.pause()
                await work(k, calls // 4)
                gc.collect()
                before = resident()
                await work(k, calls)
                gc.collect()
                grown = resident() - before
                self.assertLess(grown, 8 << 20, f"{grown / calls:.0f} bytes a call")

        asyncio.run(main())


class Logs(unittest.TestCase):
    def test_warnings_of_the_core_arrive(self) -> None:
        """A worker that cannot write its heartbeat says so, from a thread of tokio."""

        async def main() -> None:
            async with kurultai.open("memory:") as k:
                agent, stop = kurultai.Agent("temujin", heartbeat=0.02), asyncio.Event()
                begun = asyncio.Event()

                @agent.task("t")
                async def waits(ctx: Any, payload: Any) -> None:
                    begun.set()
                    await stop.wait()

                serving = asyncio.create_task(agent.serve(k, stop=stop))
                await k.tasks.enqueue("t")
                await asyncio.wait_for(begun.wait(), 10)
                await k.agents.deregister("temujin", force=True)
                for _ in range(200):
                    if any("no heartbeat" in record.getMessage() for record in logs.records):
                        break
                    await asyncio.sleep(0.02)
                stop.set()
                with contextlib.suppress(kurultai.KurultaiError):
                    await serving

        with self.assertLogs("kurultai", logging.DEBUG) as logs:
            asyncio.run(main())
        self.assertIn("the agent has started", logs.records[0].getMessage())
        [line] = [record.getMessage() for record in logs.records if "no heartbeat" in record.getMessage()]
        self.assertIn("agent.not_found", line)
        self.assertTrue(all(record.name.startswith("kurultai.") for record in logs.records), logs.output)
