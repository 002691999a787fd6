"""Agents of decorated functions: how they serve, drain, and say what is wrong with them."""

from __future__ import annotations

import asyncio
import sys
from typing import Any

import kurultai
from kurultai import Agent, Retry
from support import Team, serving, until


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
            (ValueError, {"stall_after": 0}),
            (TypeError, {"stall_after": wrong}),
            (ValueError, {"on_stall": "kill"}),
            (TypeError, {"on_stall": 7}),
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
            (ValueError, {"stall_after": 0}),
            (TypeError, {"stall_after": None}),
            (ValueError, {"on_stall": "kill"}),
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

    async def test_a_store_that_is_closed_gets_back_what_its_agent_holds(self) -> None:
        agent, begun, why = Agent("temujin", concurrency=2, grace=600), asyncio.Event(), []

        @agent.task("t")
        async def handle(ctx: Any, payload: Any) -> None:
            begun.set()
            try:
                await asyncio.sleep(600)
            finally:
                why.append(ctx.stop)

        k = await self.open()
        tasks = await k.tasks.enqueue_many([{"type": "t"}] * 2)
        running = asyncio.create_task(agent.serve(k))
        await begun.wait()
        with self.assertNoLogs("kurultai", "WARNING"):
            await asyncio.wait_for(k.close(), 10)
            got = await self.k.tasks.get_many(tasks)
            self.assertEqual([(task.status, task.attempts) for task in got], [("pending", 0)] * 2)
            self.assertEqual(await asyncio.wait_for(running, 10), 0)
        self.assertEqual(set(why), {"drained"})

    async def test_an_agent_that_starts_while_its_store_is_closed_ends_at_once(self) -> None:
        agent, k = Agent("temujin"), await self.open()
        agent.task("t")(lambda ctx, payload: None)
        running = asyncio.create_task(agent.serve(k))
        await k.close()
        self.assertEqual(await asyncio.wait_for(running, 10), 0)
        with self.assertCode("store.closed"):
            await agent.serve(k)
