"""Agents as programs: signals, exits, and what is left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
import unittest
from typing import Any

import kurultai


class Signals(unittest.TestCase):
    def run_code(self, code: str, *, signals: Any = (), **options: Any) -> Any:
        """Runs a program, to which a signal is sent for each line that it prints."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(code)],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            **options,
        )
        assert child.stdout is not None
        for number in signals:
            self.assertTrue(child.stdout.readline())
            child.send_signal(number)
        out, err = child.communicate(timeout=30)
        return out, err, child.returncode

    def test_a_second_signal_of_any_kind_ends_at_once(self) -> None:
        for first, second in ((signal.SIGINT, signal.SIGTERM), (signal.SIGTERM, signal.SIGINT)):
            with self.subTest((first, second)):
                code = """
                    import asyncio, kurultai
                    agent = kurultai.Agent("temujin", "memory:", grace=60)
                    @agent.task("t")
                    async def work(ctx, payload):
                        print("working", flush=True)
                        await asyncio.sleep(0.5)
                        print("drained", flush=True)
                        await asyncio.sleep(60)
                    async def main():
                        async with kurultai.open("memory:") as k:
                            await k.tasks.enqueue("t")
                            stop = asyncio.Event()
                            kurultai.agent._on_signal(stop)
                            await agent.serve(k, stop=stop)
                    asyncio.run(main())
                """
                begun = time.monotonic()
                returned = self.run_code(code, signals=(first, second))[2]
                self.assertIn(returned, (-second, 1))
                self.assertLess(time.monotonic() - begun, 20)

    def test_a_plain_handler_that_outlasts_its_drain_is_one_line(self) -> None:
        for does in ("threading.Event().wait()", "time.sleep(2.5); ctx.progress(0.5)"):
            with self.subTest(does), tempfile.TemporaryDirectory() as folder:
                code = f"""
                    import logging, threading, time, kurultai
                    logging.basicConfig()
                    agent = kurultai.Agent("temujin", "sqlite:{folder}/team.db", grace=0.2)
                    @agent.task("t")
                    def work(ctx, payload):
                        print("working", flush=True)
                        {does}
                    with kurultai.blocking.open(agent.url) as team:
                        team.tasks.enqueue("t")
                    print("handled", agent.run(), flush=True)
                    time.sleep(2)
                """
                out, err, returned = self.run_code(code, signals=[signal.SIGTERM])
                self.assertEqual((out, returned), ("handled 0\n", 0))
                self.assertRegex(err, r"^[^\n]*left behind[^\n]*\n$")

    def test_a_loop_that_is_closed_under_a_claim_strands_nothing(self) -> None:
        with tempfile.TemporaryDirectory() as folder:
            code = f"""
                import asyncio, kurultai
                url = "sqlite:{folder}/team.db"
                async def main():
                    k = await kurultai.open(url)
                    await k.agents.register("temujin")
                    claiming = asyncio.ensure_future(k.tasks.claim("temujin", wait=30))
                    await asyncio.sleep(0.1)
                    return k, claiming
                loop = asyncio.new_event_loop()
                kept = loop.run_until_complete(main())
                loop.close()
                with kurultai.blocking.open(url) as team:
                    team.agents.register("jochi")
                    task = team.tasks.enqueue("t")
                    [claimed] = team.tasks.claim("jochi", wait=10)
                    print(claimed.id == task.id, claimed.attempt)
            """
            out, err, returned = self.run_code(code)
            self.assertEqual((out, returned), ("True 1\n", 0), err)

    def test_sigterm_and_ctrl_c_drain(self) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            with self.subTest(number), tempfile.TemporaryDirectory() as folder:
                code = f"""
                    import asyncio, kurultai
                    agent = kurultai.Agent("temujin", "sqlite:{folder}/team.db", concurrency=2)
                    @agent.task("t")
                    async def work(ctx, payload):
                        print("working", flush=True)
                        await asyncio.sleep(0.3)
                        return "done"
                    with kurultai.blocking.open(agent.url) as team:
                        team.tasks.enqueue_many([{{"type": "t"}}] * 3)
                    print("handled", agent.run(), flush=True)
                """
                env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
                child = subprocess.Popen(
                    [sys.executable, "-c", textwrap.dedent(code)], env=env, stdout=subprocess.PIPE, text=True
                )
                assert child.stdout is not None
                self.assertEqual(child.stdout.readline(), "working\n")
                self.assertEqual(child.stdout.readline(), "working\n")
                child.send_signal(number)
                self.assertEqual(child.communicate(timeout=20)[0], "handled 2\n")
                self.assertEqual(child.returncode, 0)
                with kurultai.blocking.open(f"sqlite:{folder}/team.db") as team:
                    self.assertEqual(team.tasks.stats().by_status, {"completed": 2, "pending": 1})

    def test_a_stuck_thread_does_not_hold_up_the_exit(self) -> None:
        code = """
            import os, signal, threading, kurultai
            agent = kurultai.Agent("temujin", "memory:", grace=0.1)
            @agent.task("t")
            def stuck(ctx, payload):
                os.kill(os.getpid(), signal.SIGTERM)
                threading.Event().wait()
            async def main():
                import asyncio
                async with kurultai.open("memory:") as k:
                    await k.tasks.enqueue("t")
                    stop = asyncio.Event()
                    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
                    print(await agent.serve(k, stop=stop), (await k.tasks.stats()).by_status)
            import asyncio
            asyncio.run(main())
        """
        done = subprocess.run(
            [sys.executable, "-c", textwrap.dedent(code)],
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        self.assertEqual((done.stdout, done.returncode), ("0 {'pending': 1}\n", 0))
        [line] = done.stderr.splitlines()
        self.assertIn("does not stop (drained) and is left behind", line)
