"""What people meet every day: failures in the log, stops that come at once, and what a handler reaches."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from kurultai import Agent, Snooze
from support import on_both, serving, until


@on_both
class Daily:
    async def test_each_failure_is_one_warning_and_is_explained(self: Any) -> None:
        agent = Agent("temujin")

        @agent.task("review")
        async def review(ctx: Any, payload: Any) -> Any:
            return payload["pr"]

        task = await self.k.tasks.enqueue("review", {}, max_attempts=3, retry={"base": 60, "jitter": False})
        with self.assertLogs("kurultai", "INFO") as logs:
            async with serving(self, agent):
                while not (await self.k.tasks.get(task)).errors:
                    await asyncio.sleep(0.01)
                await asyncio.sleep(0.1)
                [reason] = (await self.k.tasks.explain(task)).reasons
        [line] = [line for line in logs.output if task.id in line]
        self.assertRegex(line, "^WARNING:kurultai.*type \"review\", attempt 1 of 3 failed: KeyError: 'pr'; again at 20")
        [started] = [line for line in logs.output if "the agent has started" in line]
        for field in ("temujin", "review", self.store, self.namespace):
            self.assertIn(field, started)
        self.assertEqual((reason.reason, reason.details["error"]), ("failed", "KeyError: 'pr'"))
        self.assertRegex(str(reason), "^attempt 1 of 3 failed: KeyError: 'pr'; again at ")

    async def test_tasks_that_expire_are_one_warning(self: Any) -> None:
        async with await self.open(background=False) as k:
            with self.assertLogs("kurultai", "WARNING") as logs:
                await self.k.tasks.enqueue_many([{"type": type, "expires_in": 0.01} for type in ("deploy", "lint", "lint")])
                for _ in range(200):
                    await k.maintain()
                    if (await k.tasks.stats()).by_status.get("expired", 0) == 3:
                        break
                    await asyncio.sleep(0.02)
                await asyncio.sleep(0.05)
        self.assertRegex("\n".join(logs.output), "tasks have expired: nobody claimed them in time count=[123] ")
        self.assertRegex("\n".join(logs.output), r'types=\["(deploy|lint)"(, "(deploy|lint)")?\]')

    async def test_a_cancellation_reaches_a_running_handler_with_its_reason(self: Any) -> None:
        seen: dict[str, Any] = {}
        agent, started = Agent("temujin", lease=60, concurrency=2), asyncio.Event()
        loop = asyncio.get_running_loop()

        @agent.task("async")
        async def waits(ctx: Any, payload: Any) -> Any:
            started.set()
            try:
                await asyncio.sleep(60)
            finally:
                seen["async"] = ctx.stop, ctx.stop_reason, time.monotonic()

        @agent.task("sync")
        def blocks(ctx: Any, payload: Any) -> Any:
            loop.call_soon_threadsafe(started.set)
            ctx.cancelled.wait(60)
            seen["sync"] = ctx.stop, ctx.stop_reason, time.monotonic()

        async with serving(self, agent):
            for kind in ("async", "sync"):
                started.clear()
                task = await self.k.tasks.enqueue(kind)
                await asyncio.wait_for(started.wait(), 10)
                begun = time.monotonic()
                await self.k.tasks.cancel(task, reason="no need")
                await until(self, task, "cancelled")
                *why, at = seen[kind]
                self.assertEqual(why, ["cancelled", "no need"])
                self.assertLess(at - begun, 5)

    async def test_a_drain_is_heard_when_it_begins(self: Any) -> None:
        agent, stop = Agent("temujin", concurrency=2), asyncio.Event()
        started: list[bool] = []

        @agent.task("async")
        async def waits(ctx: Any, payload: Any) -> Any:
            started.append(bool(ctx.draining) or ctx.draining.is_set())
            await ctx.draining.wait()
            return bool(ctx.draining), ctx.stop

        @agent.task("sync")
        def blocks(ctx: Any, payload: Any) -> Any:
            started.append(bool(ctx.draining) or ctx.draining.is_set())
            ctx.draining.wait()
            return bool(ctx.draining), ctx.stop

        tasks = await self.k.tasks.enqueue_many([{"type": "async"}, {"type": "sync"}])
        running = asyncio.create_task(agent.serve(self.k, stop=stop))
        while len(started) < 2:
            await asyncio.sleep(0.01)
        self.assertEqual(started, [False, False])
        stop.set()
        self.assertEqual(await asyncio.wait_for(running, 10), 2)
        for task in await self.k.tasks.get_many(tasks):
            self.assertEqual(task.results, [True, None])

    async def test_a_handler_reaches_its_team_and_enqueues_parts(self: Any) -> None:
        agent = Agent("temujin")

        @agent.task("async")
        async def plans(ctx: Any, payload: Any) -> Any:
            assert ctx.team is self.k
            part = await ctx.enqueue("part", {"n": 1}, priority="P1")
            return (await ctx.team.tasks.get(part)).status

        @agent.task("sync")
        def blocks(ctx: Any, payload: Any) -> Any:
            assert ctx.team.schedules.list() == []
            part = ctx.enqueue("part", {"n": 2}, delegated_by="somebody")
            return ctx.team.tasks.get(part).status

        added = await self.k.tasks.enqueue_many([{"type": "async"}, {"type": "sync"}])
        async with serving(self, agent):
            for task in added:
                await until(self, task, "blocked")
        for task, by in zip(added, ("temujin", "somebody")):
            [part] = [part async for part in self.k.tasks.each(parent=task)]
            self.assertEqual((part.delegated_by, part.type, part.correlation_id), (by, "part", task.id))
            self.assertEqual((await self.k.tasks.get(task)).results, "pending")

    async def test_a_team_says_how_often_a_task_may_be_put_off(self: Any) -> None:
        async with await self.open(task_defaults={"max_snoozes": 1}) as k:
            await k.tasks.snooze(await self.claimed("t"), after=0)
            [task] = await k.tasks.claim("temujin")
            self.assertEqual(task.snoozes, 1)
            self.assertTrue((await k.tasks.snooze(task, after=0)).failed)

    async def test_who_waits_in_vain_knows_for_which_task(self: Any) -> None:
        with self.assertCode("task.timeout") as late:
            await self.k.tasks.call("nobody does this", timeout=0.01)
        task = await self.k.tasks.get(late.exception.task_id)
        self.assertEqual(task.type, "nobody does this")
        await self.k.tasks.cancel(task)
        with self.assertCode("task.failed") as failed:
            await self.k.tasks.wait_for(task)
        self.assertEqual(failed.exception.task_id, task.id)
        with self.assertCode("task.not_found") as unknown:
            await self.k.tasks.get("nothing")
        self.assertIsNone(unknown.exception.task_id)

    async def test_a_snooze_puts_off_and_says_what_it_needs(self: Any) -> None:
        for wrong in (None, True, "soon"):
            with self.assertRaisesRegex(TypeError, "after is .*; allowed: seconds or a timedelta"):
                Snooze(after=wrong)  # type: ignore[arg-type]
        task = await self.claimed("t")
        finished = await self.k.tasks.snooze(task, after=60)
        self.assertEqual((finished.status, finished.failed), ("pending", False))
        got = await self.k.tasks.get(task)
        self.assertEqual((got.snoozes, got.attempts, got.run_at), (1, 0, finished.run_at))
        [event] = (await self.k.events.read(topic="task.snoozed")).events
        self.assertEqual(event.payload["snoozes"], 1)
        with self.assertCode("lease.lost"):
            await self.k.tasks.snooze(task, after=60)
