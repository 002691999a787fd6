"""Agents of decorated functions: results, failures, limits, stops, drain, signals."""

from __future__ import annotations

import asyncio
import contextvars
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
import unittest
from contextlib import asynccontextmanager
from typing import Any

import kurultai
from kurultai import Agent, Reject, Retry
from support import Team, on_both


@asynccontextmanager
async def serving(case: Any, agent: Agent) -> Any:
    """Runs the agent beside the block, then drains it; leaves what it handled as ``agent.handled``."""
    stop = asyncio.Event()
    running = asyncio.create_task(agent.serve(case.k, stop=stop))
    try:
        yield running
    finally:
        stop.set()
        agent.handled = await asyncio.wait_for(running, 20)  # type: ignore[attr-defined]


async def until(case: Any, task: Any, *statuses: str) -> Any:
    for _ in range(1000):
        got = await case.k.tasks.get(task)
        if got.status in statuses:
            return got
        await asyncio.sleep(0.01)
    case.fail(f"{got} never became {statuses}")


@on_both
class Handlers:
    async def test_async_and_sync_handlers_share_the_work(self: Any) -> None:
        agent, threads = Agent("temujin", capabilities=["coding"], concurrency=4), set()

        @agent.task("async")
        async def waits(ctx: kurultai.Context, payload: Any) -> Any:
            threads.add(threading.current_thread())
            await asyncio.sleep(0.001)
            ctx.usage(tokens=payload, cost=0.5)
            return {"n": payload}

        @agent.task("sync")
        def blocks(ctx: kurultai.blocking.Context, payload: Any) -> Any:
            threads.add(threading.current_thread())
            self.assertEqual(ctx.progress(0.5).signal, "continue")
            ctx.usage(tokens=payload)
            return {"n": payload}

        added = await self.k.tasks.enqueue_many(
            [{"type": ("async", "sync")[n % 2], "payload": n, "requires": ["coding"]} for n in range(40)]
        )
        other = await self.k.tasks.enqueue("other")
        async with serving(self, agent):
            for task in added:
                await until(self, task, "completed")
            self.assertEqual([agent.status for agent in await self.k.agents.list()], ["active"])
        done = await self.k.tasks.get_many(added)
        self.assertEqual([task.results for task in done], [{"n": n} for n in range(40)])
        self.assertEqual([task.usage.tokens for task in done], list(range(40)))
        self.assertEqual(agent.handled, 40)
        self.assertLessEqual(len(threads), 5)
        self.assertEqual((await self.k.tasks.get(other)).status, "pending")

    async def test_what_a_context_knows(self: Any) -> None:
        agent, seen = Agent("temujin"), {}
        first = await self.k.tasks.enqueue("first")
        task = await self.k.tasks.enqueue("t", {"a": 1}, depends_on=[first], retry=kurultai.RetryPolicy(base=0, cap=0))

        @agent.task("first")
        async def start(ctx: Any, payload: Any) -> Any:
            return "first done"

        @agent.task("t")
        async def work(ctx: Any, payload: Any) -> Any:
            if ctx.attempt == 1:
                seen[1] = (ctx.fencing_token, ctx.idempotency_key)
                await ctx.checkpoint({"page": 7})
                raise Retry("once more", after=0)
            seen[2] = (ctx.fencing_token, ctx.idempotency_key)
            self.assertEqual((payload, ctx.task.payload, ctx.task.checkpoint), ({"a": 1}, {"a": 1}, {"page": 7}))
            self.assertEqual([one.results for one in ctx.prerequisites], ["first done"])
            self.assertEqual(ctx.lease.task_id, task.id)
            self.assertEqual((await self.k.tasks.progress(ctx, 0.5)).signal, "continue")
            self.assertIsNone(ctx.stop)
            self.assertIn("attempt 2", repr(ctx))
            return [1]

        async with serving(self, agent):
            await until(self, task, "completed")
        self.assertEqual(seen[1][1], seen[2][1])
        self.assertIn(task.id, seen[1][1])
        self.assertGreater(seen[2][0], seen[1][0])

    async def test_how_handlers_fail(self: Any) -> None:
        agent = Agent("temujin", concurrency=8)

        def broken(ctx: Any, payload: Any) -> Any:
            raise ValueError("a bad value")

        @agent.task("async")
        async def raises(ctx: Any, payload: Any) -> Any:
            ctx.usage(tokens=3)
            raise ValueError("a bad value")

        agent.task("sync")(broken)
        agent.task("final", retries=0)(broken)

        @agent.task("reject")
        async def rejects(ctx: Any, payload: Any) -> Any:
            raise Reject("no such pull request")

        @agent.task("retry")
        def retries(ctx: Any, payload: Any) -> Any:
            raise Retry("busy", after=3600)

        @agent.task("late", timeout=0.05)
        async def late(ctx: Any, payload: Any) -> Any:
            await asyncio.sleep(60)

        @agent.task("late thread", timeout=0.05)
        def late_thread(ctx: Any, payload: Any) -> Any:
            ctx.cancelled.wait(60)
            stops.append(ctx.stop)

        @agent.task("refused")
        async def refused(ctx: Any, payload: Any) -> Any:
            return {"at": object()}

        @agent.task("cancels itself")
        async def cancels(ctx: Any, payload: Any) -> Any:
            raise asyncio.CancelledError

        @agent.task("long")
        async def long(ctx: Any, payload: Any) -> Any:
            raise ValueError("x" * 40_000 + " the end")

        stops: list[Any] = []
        names = ["async", "sync", "final", "reject", "retry", "late", "late thread", "refused", "cancels itself", "long"]
        added = await self.k.tasks.enqueue_many([{"type": name} for name in names])
        async with serving(self, agent):
            for task in added:
                for _ in range(1000):
                    if (await self.k.tasks.get(task)).errors:
                        break
                    await asyncio.sleep(0.01)
        got = dict(zip(names, await self.k.tasks.get_many(added)))
        error = {name: task.error_message for name, task in got.items()}
        for name in ("async", "sync", "final"):
            self.assertRegex(error[name], r"(?s)^Traceback .*test_agent.py.*ValueError: a bad value$")
            self.assertNotIn("_threads.py", error[name])
        self.assertEqual(got["async"].usage.tokens, 3)
        self.assertEqual(error["reject"], "no such pull request")
        self.assertEqual((error["retry"], error["late"]), ("busy", "timed out after 0.05 s"))
        self.assertEqual((error["late thread"], stops), ("timed out after 0.05 s", ["timeout"]))
        self.assertIn("results at $.at", error["refused"])
        self.assertIn("CancelledError", error["cancels itself"])
        self.assertTrue(error["long"].endswith(" the end") and len(error["long"]) < 17_000)
        dead = {name for name, task in got.items() if task.status == "dead_letter"}
        self.assertEqual(dead, {"final", "reject", "refused"})
        self.assertEqual([got[name].errors[0].kind for name in ("async", "late", "late thread")], ["failed", "timeout", "timeout"])
        self.assertGreater(got["retry"].run_at.timestamp() - time.time(), 3000)

    async def test_a_plain_handler_has_the_context_variables_of_its_agent(self: Any) -> None:
        agent, seen = Agent("temujin"), []
        request: contextvars.ContextVar[str] = contextvars.ContextVar("request", default="none")

        @agent.task("plain")
        def plain(ctx: Any, payload: Any) -> Any:
            seen.append(request.get())
            request.set("changed")

        request.set("mine")
        tasks = await self.k.tasks.enqueue_many([{"type": "plain"}] * 2)
        async with serving(self, agent):
            for task in tasks:
                await until(self, task, "completed")
        self.assertEqual((seen, request.get()), (["mine", "mine"], "mine"))

    async def test_a_traceback_begins_in_the_handler(self: Any) -> None:
        agent = Agent("temujin", concurrency=2)

        @agent.task("plain", retries=0)
        def plain(ctx: Any, payload: Any) -> Any:
            raise ValueError("here")

        @agent.task("async", retries=0)
        async def waits(ctx: Any, payload: Any) -> Any:
            await ctx.progress(2)

        tasks = await self.k.tasks.enqueue_many([{"type": "plain"}, {"type": "async"}])
        async with serving(self, agent):
            for task in tasks:
                text = (await until(self, task, "dead_letter")).error_message.splitlines()
                self.assertRegex("\n".join(text[:2]), r"^Traceback .*\n  File .*test_agent.py")

    async def test_a_second_end_by_a_handler_that_was_timed_out_counts_for_nothing(self: Any) -> None:
        agent, ended = Agent("temujin", grace=5), asyncio.Event()

        @agent.task("stubborn", timeout=0.1, retries=0)
        async def stubborn(ctx: Any, payload: Any) -> Any:
            try:
                await asyncio.sleep(60)
            except asyncio.CancelledError:
                self.assertEqual(ctx.stop, "timeout")
                await until(self, ctx.task, "dead_letter")
                with self.assertCode("lease.lost"):
                    await ctx.progress(0.5)
                ended.set()
            return "late"

        task = await self.k.tasks.enqueue("stubborn")
        async with serving(self, agent):
            await asyncio.wait_for(ended.wait(), 10)
        got = await self.k.tasks.get(task)
        self.assertEqual((got.status, got.results, got.errors[0].kind, agent.handled), ("dead_letter", None, "timeout", 1))

    async def test_a_handler_that_blocks_the_loop_is_a_warning(self: Any) -> None:
        agent = Agent("temujin")

        @agent.task("blocks", timeout=0.1, retries=0)
        async def blocks(ctx: Any, payload: Any) -> Any:
            time.sleep(6.5)

        task = await self.k.tasks.enqueue("blocks")
        with self.assertLogs("kurultai", "WARNING") as logs:
            async with serving(self, agent):
                await until(self, task, "dead_letter")
                await asyncio.sleep(0.1)
        [line] = [line for line in logs.output if "has not noticed for 5 s" in line]
        self.assertIn(task.id, line)

    async def test_cancel_suspend_and_loss_stop_the_handler(self: Any) -> None:
        for what in ("cancel", "suspend", "lose"):
            for kind in ("async", "sync"):
                with self.subTest(what=what, kind=kind):
                    await self._stops(what, kind)

    async def _stops(self: Any, what: str, kind: str) -> None:
        # Long enough for a server that plans its first statements.
        agent, seen = Agent("temujin", lease=0.3 if self.store == "sqlite" else 9), {}
        started = asyncio.Event()
        loop = asyncio.get_running_loop()

        if kind == "async":

            @agent.task(kind)
            async def waits(ctx: Any, payload: Any) -> Any:
                started.set()
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    seen["stop"] = ctx.stop
                    raise

        else:

            @agent.task(kind)
            def blocks(ctx: Any, payload: Any) -> Any:
                loop.call_soon_threadsafe(started.set)
                if ctx.cancelled.wait(60):
                    seen["stop"] = ctx.stop

        task = await self.k.tasks.enqueue(kind)
        async with serving(self, agent):
            await asyncio.wait_for(started.wait(), 10)
            if what == "cancel":
                await self.k.tasks.cancel(task)
            elif what == "suspend":
                await self.k.tasks.suspend(task)
            else:
                [held] = [t async for t in self.k.tasks.each(status="in_progress")]
                await self.k.tasks.release(await self._lease(held))
                await self.k.tasks.suspend(task)
            expected = {"cancel": "cancelled", "suspend": "suspended", "lose": "suspended"}[what]
            await until(self, task, expected)
            for _ in range(2000):
                if "stop" in seen:
                    break
                await asyncio.sleep(0.01)
        self.assertEqual(seen, {"stop": {"cancel": "cancelled", "suspend": "suspended", "lose": "lost"}[what]})
        self.assertEqual(agent.handled, 0)
        await self.k.tasks.cancel(task) if what != "cancel" else None

    async def _lease(self: Any, task: Any) -> str:
        """A lease that somebody else could have: the claim's id stands in no task, so it is read from the jobs."""
        for ctx in self.contexts:
            if ctx.task.id == task.id:
                return str(ctx.lease)
        raise AssertionError("no such context")

    def setUp(self: Any) -> None:
        self.contexts: list[Any] = []
        made, init = self.contexts, kurultai.Context.__init__

        def remember(ctx: Any, *args: Any) -> None:
            init(ctx, *args)
            made.append(ctx)

        kurultai.Context.__init__ = remember  # type: ignore[method-assign]
        self.addCleanup(lambda: setattr(kurultai.Context, "__init__", init))


class Draining(Team):
    async def test_a_drain_lets_handlers_finish_within_their_grace(self) -> None:
        agent, stop = Agent("temujin", concurrency=2, grace=0.2), asyncio.Event()
        ended: list[str] = []

        @agent.task("short")
        async def short(ctx: Any, payload: Any) -> Any:
            await asyncio.sleep(0.1)
            return "done"

        @agent.task("long")
        async def long(ctx: Any, payload: Any) -> Any:
            try:
                await asyncio.sleep(60)
            finally:
                ended.append(ctx.stop)

        short_one, long_one, later = await self.k.tasks.enqueue_many(
            [{"type": "short", "priority": "P0"}, {"type": "long", "priority": "P0"}, {"type": "short"}]
        )
        running = asyncio.create_task(agent.serve(self.k, stop=stop))
        await until(self, long_one, "in_progress")
        await until(self, short_one, "in_progress")
        stop.set()
        self.assertEqual(await asyncio.wait_for(running, 10), 1)
        statuses = [task.status for task in await self.k.tasks.get_many([short_one, long_one, later])]
        self.assertEqual((statuses, ended), (["completed", "pending", "pending"], ["drained"]))

    async def test_a_cancelled_serve_releases_at_once(self) -> None:
        agent = Agent("temujin", grace=30)

        @agent.task("t")
        async def long(ctx: Any, payload: Any) -> Any:
            await asyncio.sleep(60)

        task = await self.k.tasks.enqueue("t")
        running = asyncio.create_task(agent.serve(self.k))
        await until(self, task, "in_progress")
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asyncio.wait_for(running, 5)
        self.assertEqual((await until(self, task, "pending")).attempts, 0)

    async def test_an_awaitable_stops_too(self) -> None:
        agent = Agent("temujin")
        agent.task("t")(lambda ctx, payload: None)
        self.assertEqual(await asyncio.wait_for(agent.serve(self.k, stop=asyncio.sleep(0.05)), 10), 0)

    async def test_a_stop_that_fails_drains_and_raises(self) -> None:
        agent = Agent("temujin")
        agent.task("t")(lambda ctx, payload: None)

        async def broken() -> None:
            raise OSError("no such thing")

        with self.assertRaises(OSError):
            await asyncio.wait_for(agent.serve(self.k, stop=broken()), 10)

    async def test_it_claims_no_more_than_it_has_room_for(self) -> None:
        agent, most, now = Agent("temujin", concurrency=3), 0, 0

        @agent.task("t")
        async def work(ctx: Any, payload: Any) -> None:
            nonlocal most, now
            now += 1
            held = (await self.k.tasks.stats()).by_status.get("in_progress", 0)
            most = max(most, now, held)
            await asyncio.sleep(0.005)
            now -= 1

        added = await self.k.tasks.enqueue_many([{"type": "t"}] * 30)
        async with serving(self, agent):
            for task in added:
                await until(self, task, "completed")
        self.assertEqual(most, 3)

    async def test_mistakes_are_named(self) -> None:
        agent = Agent("temujin")
        with self.assertRaisesRegex(ValueError, "no handlers"):
            await agent.serve(self.k)
        agent.task("t")(print)
        with self.assertRaisesRegex(ValueError, "already"):
            agent.task("t")
        with self.assertRaisesRegex(TypeError, 'agent.task\\("review"\\)'):
            agent.task(print)  # type: ignore[arg-type]
        with self.assertRaisesRegex(TypeError, "the handler of 'u' is 7"):
            agent.task("u")(7)  # type: ignore[type-var]
        nan, wrong = float("nan"), "no time"
        for kind, options in (
            (TypeError, {"timeout": wrong}),
            (TypeError, {"timeout": True}),
            (ValueError, {"timeout": -1}),
            (ValueError, {"timeout": 0}),
            (ValueError, {"timeout": nan}),
            (ValueError, {"retries": -1}),
            (TypeError, {"retries": nan}),
            (TypeError, {"retries": True}),
        ):
            [field] = options
            with self.subTest(options), self.assertRaisesRegex(kind, f"^{field} is .*; allowed: "):
                agent.task("u", **options)
        agent.task("for ever", timeout=float("inf"))(print)
        for kind, options in (
            (TypeError, {"capabilities": "development"}),
            (TypeError, {"aliases": "x"}),
            (TypeError, {"capabilities": [1]}),
            (TypeError, {"concurrency": "4"}),
            (TypeError, {"concurrency": True}),
            (ValueError, {"concurrency": 0}),
            (ValueError, {"max_concurrent": -1}),
            (ValueError, {"lease": nan}),
            (TypeError, {"grace": "long"}),
            (ValueError, {"heartbeat": -1}),
            (TypeError, {"url": 7}),
            (TypeError, {"default": 7}),
        ):
            [field] = options
            with self.subTest(options), self.assertRaisesRegex(kind, f"^{field} is .*; allowed: "):
                Agent("temujin", **options)
        with self.assertRaisesRegex(TypeError, "after is 'soon'"):
            Retry("busy", after="soon")  # type: ignore[arg-type]
        odd = Agent("Not an id")
        odd.task("t")(print)
        with self.assertCode("input.invalid"):
            await odd.serve(self.k)


    async def test_an_exit_goes_through_after_the_attempt_has_failed(self) -> None:
        agent, ended = Agent("temujin", concurrency=2), []

        @agent.task("exits")
        async def exits(ctx: Any, payload: Any) -> Any:
            await asyncio.sleep(0.01)
            sys.exit(3)

        @agent.task("goes on")
        async def goes_on(ctx: Any, payload: Any) -> Any:
            await asyncio.sleep(0.3)
            ended.append(ctx.stop)

        other = await self.k.tasks.enqueue("goes on")
        task = await self.k.tasks.enqueue("exits", retry={"base": 60, "jitter": False})
        # In a task of its own an exit would end the loop of the tests.
        with self.assertRaises(SystemExit) as exit:
            await agent.serve(self.k)
        self.assertEqual((exit.exception.code, ended), (3, [None]))
        got = await self.k.tasks.get(task)
        self.assertEqual((got.status, got.attempts, (await self.k.tasks.get(other)).status), ("pending", 1, "completed"))
        self.assertIn("SystemExit: 3", got.error_message)

    async def test_a_store_that_is_closed_ends_its_agent(self) -> None:
        agent = Agent("temujin")
        agent.task("t")(lambda ctx, payload: None)
        with self.assertNoLogs("kurultai", "WARNING"):
            async with kurultai.open(self.url, namespace=self.namespace) as k:
                running = asyncio.create_task(agent.serve(k))
                await until(self, await k.tasks.enqueue("t"), "completed")
            self.assertEqual(await asyncio.wait_for(running, 10), 1)


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
        self.assertEqual((done.stdout, done.stderr, done.returncode), ("0 {'pending': 1}\n", "", 0))
