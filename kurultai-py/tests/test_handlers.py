"""Handlers at work: results, failures, contexts, stops."""

from __future__ import annotations

import asyncio
import contextvars
import os
import sys
import threading
import time
from contextlib import asynccontextmanager
from typing import Any

import kurultai
from kurultai import Agent, Reject, Retry
from support import on_both, serving, until


#: A program whose handler blocks its event loop for so many seconds; the system ends it after a minute.
HANGS = """
import signal, sys, time, kurultai
signal.alarm(60)
agent = kurultai.Agent("temujin", sys.argv[1], namespace=sys.argv[2], stall_after=0.5, lease=2)

@agent.task("hangs")
async def hangs(ctx, payload):
    time.sleep(payload)

agent.run()
"""


async def fares(k: Any, state: str, agent: str = "temujin") -> Any:
    """The health of the agent once it is so."""
    for _ in range(1000):
        found = [one for one in await k.agents.health() if one.agent == agent]
        if found and found[0].state == state:
            return found[0]
        await asyncio.sleep(0.02)
    raise AssertionError(f"{agent} never became {state}: {found}")


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
            self.assertRegex(error[name], r"(?s)^Traceback .*test_handlers.py.*ValueError: a bad value$")
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
                self.assertRegex("\n".join(text[:2]), r"^Traceback .*\n  File .*test_handlers.py")

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

    async def test_a_silent_handler_is_reported_and_may_still_end(self: Any) -> None:
        agent, go_on = Agent("temujin", stall_after=0.5), asyncio.Event()
        looking = await self.open()

        @agent.task("silent")
        async def silent(ctx: Any, payload: Any) -> Any:
            await go_on.wait()
            return ctx.stop

        async with serving(self, agent):
            task = await self.k.tasks.enqueue("silent")
            with self.assertLogs("kurultai", "WARNING") as logs:
                stuck = await fares(looking, "stuck")
            self.assertEqual((stuck.agent, stuck.holds), ("temujin", 1))
            self.assertRegex(stuck.reason, rf"^the handler of task {task.id} \(silent\) has been silent for ")
            self.assertRegex(logs.output[0], rf"{task.id}.*no sign of life")
            [event] = await looking.events.read(topic="agent.stuck")
            self.assertEqual((event.source, event.task_id), ("temujin", task.id))
            # Its lease is renewed meanwhile, and that is no sign of work.
            self.assertEqual((await self.k.tasks.get(task)).status, "in_progress")
            go_on.set()
            got = await until(self, task, "completed")
            self.assertEqual((got.results, got.attempts, got.errors), (None, 1, []))
            await fares(looking, "idle")
        await looking.close()

    async def test_a_handler_that_shows_a_sign_of_life_again_is_stuck_no_more(self: Any) -> None:
        agent, go_on, end = Agent("temujin", stall_after=0.5, lease=2), asyncio.Event(), asyncio.Event()

        @agent.task("pauses")
        async def pauses(ctx: Any, payload: Any) -> None:
            await go_on.wait()
            while not end.is_set():
                await ctx.progress(0.5)
                await asyncio.sleep(0.05)

        async with serving(self, agent):
            task = await self.k.tasks.enqueue("pauses")
            await fares(self.k, "stuck")
            go_on.set()
            await fares(self.k, "alive")
            end.set()
            await until(self, task, "completed")

    async def test_a_silent_handler_is_let_go(self: Any) -> None:
        for kind in ("async", "sync"):
            with self.subTest(kind):
                await self._let_go(kind)

    async def _let_go(self: Any, kind: str) -> None:
        agent = Agent("temujin", grace=5, stall_after=600)
        loop, ended, seen = asyncio.get_running_loop(), asyncio.Event(), []

        if kind == "async":

            @agent.task(kind, stall_after=0.3, on_stall="release", retries=0)
            async def waits(ctx: Any, payload: Any) -> Any:
                try:
                    await asyncio.sleep(60)
                except asyncio.CancelledError:
                    seen.append((ctx.stop, bool(ctx.cancelled)))
                    await until(self, ctx.task, "dead_letter")
                    with self.assertCode("lease.lost"):
                        await ctx.progress(0.5)
                    with self.assertCode("lease.lost"):
                        await self.k.tasks.complete(ctx, "late")
                    ended.set()
                return "late"

        else:

            @agent.task(kind, stall_after=0.3, on_stall="release", retries=0)
            def blocks(ctx: Any, payload: Any) -> Any:
                time.sleep(0.6)
                ctx.cancelled.wait(20)
                seen.append((ctx.stop, bool(ctx.cancelled)))
                # It is told before the end is stored.
                while ctx.team.tasks.get(ctx.task.id).status != "dead_letter":
                    time.sleep(0.01)
                with self.assertCode("lease.lost"):
                    ctx.team.tasks.complete(ctx, "late")
                loop.call_soon_threadsafe(ended.set)
                return "late"

        async with serving(self, agent):
            task = await self.k.tasks.enqueue(kind)
            got = await until(self, task, "dead_letter")
            await asyncio.wait_for(ended.wait(), 20)
        self.assertEqual(seen, [("stalled", True)])
        got = await self.k.tasks.get(task)
        self.assertEqual((got.results, [error.kind for error in got.errors], agent.handled), (None, ["stalled"], 1))
        self.assertIn("no sign of life", got.error_message)

    async def test_what_is_a_sign_of_life(self: Any) -> None:
        agent = Agent("temujin", concurrency=20, stall_after=1, on_stall="release")
        signs: dict[str, Any] = {
            "alive": lambda ctx: ctx.alive(),
            "cancelled": lambda ctx: ctx.cancelled.is_set(),
            "cancelled as itself": lambda ctx: bool(ctx.cancelled),
            "waiting for cancelled": lambda ctx: ctx.cancelled.wait(0.001),
            "draining": lambda ctx: bool(ctx.draining),
            "stop": lambda ctx: ctx.stop,
            "stop_reason": lambda ctx: ctx.stop_reason,
            "lease": lambda ctx: ctx.lease,
            "fencing_token": lambda ctx: ctx.fencing_token,
            "idempotency_key": lambda ctx: ctx.idempotency_key,
            "team": lambda ctx: ctx.team.namespace,
            "usage": lambda ctx: ctx.usage(tokens=1),
        }

        def handler(sign: Any, kind: str) -> Any:
            async def waits(ctx: Any, payload: Any) -> None:
                for _ in range(20):
                    await asyncio.sleep(0.1)
                    sign(ctx)

            def blocks(ctx: Any, payload: Any) -> None:
                for _ in range(20):
                    time.sleep(0.1)
                    sign(ctx)

            return waits if kind == "async" else blocks

        @agent.task("nothing", retries=0)
        async def nothing(ctx: Any, payload: Any) -> None:
            for _ in range(20):
                await asyncio.sleep(0.1)
                assert ctx.attempt and ctx.task.payload is None

        for name, sign in signs.items():
            agent.task(name, retries=0)(handler(sign, "async"))
        for name in ("alive", "cancelled", "team"):
            agent.task(f"{name} in a thread", retries=0)(handler(signs[name], "sync"))
        names = [*signs, "alive in a thread", "cancelled in a thread", "team in a thread"]
        async with serving(self, agent):
            silent = await self.k.tasks.enqueue("nothing")
            added = await self.k.tasks.enqueue_many([{"type": name} for name in names])
            for name, task in zip(names, added):
                got = await until(self, task, "completed", "dead_letter")
                self.assertEqual((name, got.status, got.errors), (name, "completed", []))
            self.assertEqual((await until(self, silent, "dead_letter")).errors[0].kind, "stalled")

    async def test_the_longest_run_is_kept_by_the_store(self: Any) -> None:
        agent, why = Agent("temujin"), []

        @agent.task("long", retries=0)
        async def long(ctx: Any, payload: Any) -> None:
            try:
                await asyncio.sleep(60)
            finally:
                why.append(ctx.stop)

        async with serving(self, agent):
            task = await self.k.tasks.enqueue("long", max_runtime=1)
            got = await until(self, task, "dead_letter")
        self.assertEqual(([error.kind for error in got.errors], why), (["max_runtime"], ["timeout"]))
        self.assertIn("max_runtime of 1 s", got.error_message)

    async def test_a_handler_that_blocks_its_loop_is_found_by_others(self: Any) -> None:
        task = await self.k.tasks.enqueue("hangs", 4)
        async with self.hanging() as child:
            await self._found(task)
            self.assertEqual((await until(self, task, "completed")).errors, [])
            child.terminate()
            _, said = await asyncio.wait_for(child.communicate(), 20)
        self.assertIn(f"{task.id}", said.decode())
        self.assertIn("no sign of life", said.decode())

    async def test_a_handler_that_blocks_its_loop_for_ever_is_found_by_others(self: Any) -> None:
        task = await self.k.tasks.enqueue("hangs", 1e6, retry={"base": 0, "jitter": False})
        async with self.hanging() as child:
            await self._found(task)
            begun = time.monotonic()
            while time.monotonic() < begun + 3:  # longer than its lease, which the process goes on renewing
                self.assertEqual((await fares(self.k, "stuck")).holds, 1)
                await asyncio.sleep(0.2)
            self.assertEqual((await self.k.tasks.get(task)).status, "in_progress")
            self.assertIsNone(child.returncode)
        got = await until(self, task, "pending")
        self.assertEqual([error.kind for error in got.errors], ["lapsed"])

    async def _found(self: Any, task: Any) -> None:
        stuck = await fares(self.k, "stuck")
        self.assertRegex(stuck.reason, rf"^the handler of task {task.id} \(hangs\) has been silent for ")
        self.assertLess(stuck.infra_age, 30)

    @asynccontextmanager
    async def hanging(self: Any) -> Any:
        """A process of ``HANGS``, which is killed after the block whatever it does."""
        env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", HANGS, self.url, self.namespace, env=env, stderr=asyncio.subprocess.PIPE
        )
        try:
            yield child
        finally:
            if child.returncode is None:
                child.kill()
                await child.wait()

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
