"""Messages reach an agent at work: handlers, and the inbox in the middle of a task."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import threading
from typing import Any

import kurultai
from kurultai import Agent, Reject, Retry, errors
from support import on_both, serving, until

PROMPT = {"base": 0, "cap": 0, "jitter": False}


@dataclasses.dataclass
class Greeting:
    name: str


class WithTwo:
    """kublai, who asks, and jochi, whose agent works on ``self.k``."""

    async def asyncSetUp(self: Any) -> None:
        await super().asyncSetUp()  # type: ignore[misc]
        await self.k.agents.register_many([{"id": "kublai"}, {"id": "jochi"}])
        self.kublai = await self.open(identity=await self.k.keys.rotate("kublai"))
        key = await self.k.keys.rotate("jochi")
        await self.k.close()
        self.k = await self.open(identity=key)

    async def asyncTearDown(self: Any) -> None:
        await self.kublai.close()
        await super().asyncTearDown()  # type: ignore[misc]

    async def read(self: Any, count: int = 0) -> None:
        """Until so many are left."""
        for _ in range(2000):
            if (await self.k.messages.unread("jochi")).count == count:
                return
            await asyncio.sleep(0.01)
        self.fail("the messages were never read")


@on_both
class Handlers(WithTwo):
    async def test_a_message_is_answered_while_a_task_of_its_agent_runs(self: Any) -> None:
        agent, answered = Agent("jochi"), asyncio.Event()

        @agent.task("long")
        async def long(ctx: Any, payload: Any) -> Any:
            await answered.wait()
            return "done"

        @agent.on_message("question")
        async def answer(ctx: Any, body: Any) -> None:
            assert (ctx.message.sender, ctx.message.delivery, ctx.stop) == ("kublai", 1, None)
            await ctx.reply({"of": body})

        task = await self.k.tasks.enqueue("long")
        async with serving(self, agent):
            await until(self, task, "in_progress")
            got = await self.kublai.messages.ask("jochi", "question", "which?", task=task, timeout=20)
            self.assertEqual((await self.k.tasks.get(task)).status, "in_progress")
            answered.set()
            self.assertEqual((await until(self, task, "completed")).results, "done")
        self.assertEqual((got.body, got.sender, got.type, got.task_id), ({"of": "which?"}, "jochi", "reply", task.id))
        self.assertEqual(agent.handled, 2)
        self.assertEqual((await self.k.messages.unread()).count, 0)

    async def test_an_error_has_it_delivered_again_five_times(self: Any) -> None:
        agent, seen = Agent("jochi"), []

        @agent.on_message("greeting", retry=PROMPT)
        async def fails(ctx: Any, body: Any) -> None:
            seen.append(ctx.message.delivery)
            raise OSError("no such file")

        sent = await self.kublai.messages.send("jochi", "greeting")
        with self.assertLogs("kurultai", logging.WARNING) as logs:
            async with serving(self, agent):
                await self.read()
        self.assertEqual(seen, [1, 2, 3, 4, 5])
        [line] = [line for line in logs.output if "delivery 1 of 5 failed: OSError: no such file; again after" in line]
        self.assertIn(sent.id, line)
        [event] = await self.k.events.read(topic="message.failed")
        self.assertEqual((event.payload["code"], event.payload["reason"]), ("message.undeliverable", "OSError: no such file"))

    async def test_what_a_handler_rejects_has_failed_with_its_text(self: Any) -> None:
        agent = Agent("jochi")

        @agent.on_message("greeting")
        def rejects(ctx: Any, body: Any) -> None:
            raise Reject("not for me")

        @agent.on_message("wrapped")
        def wraps(ctx: Any, body: Any) -> None:
            try:
                rejects(ctx, body)
            except Reject as rejected:
                raise RuntimeError("password 1") from rejected

        @agent.on_message("typed")
        async def typed(ctx: Any, body: Greeting) -> None:
            assert body.name == "temujin"

        for type, body in (("greeting", 1), ("wrapped", 2), ("typed", {"name": "temujin"}), ("typed", {"name": 7})):
            await self.kublai.messages.send("jochi", type, body)
        async with serving(self, agent):
            await self.read()
        self.assertEqual(agent.handled, 4)
        # Only what a Reject says itself is told: no traceback, and nothing of what it is a cause of.
        failed = [event.payload for event in await self.k.events.read(topic="message.failed")]
        self.assertEqual({one["code"] for one in failed}, {"message.rejected"})
        reasons = sorted(one["reason"] for one in failed)
        self.assertEqual(reasons, ["body at $.name is 7; allowed: str", "not for me", "not for me"])

    async def test_a_handler_beyond_its_time_is_cancelled_and_its_message_comes_again(self: Any) -> None:
        agent, seen = Agent("jochi"), []

        @agent.on_message("greeting", timeout=0.1, retry=PROMPT)
        async def slow(ctx: Any, body: Any) -> None:
            if ctx.message.delivery == 1:
                try:
                    await asyncio.sleep(60)
                finally:
                    seen.append((ctx.stop, ctx.cancelled.is_set()))

        await self.kublai.messages.send("jochi", "greeting")
        async with serving(self, agent):
            await self.read()
        self.assertEqual(seen, [("timeout", True)])

    async def test_a_plain_function_has_a_thread_and_a_blocking_context(self: Any) -> None:
        agent, threads = Agent("jochi"), []

        @agent.on_message("question")
        def answer(ctx: kurultai.blocking.MessageContext, body: Any) -> None:
            threads.append(threading.current_thread())
            ctx.enqueue("review", body, unique_key=f"of {ctx.message.id}")
            assert ctx.team.tasks.find(f"of {ctx.message.id}") is not None and not ctx.draining
            ctx.reply(ctx.message.body, type="answer")
            assert ctx.reply("more").deduplicated is False

        async with serving(self, agent):
            got = await self.kublai.messages.ask("jochi", "question", [1], timeout=20)
            await self.read()
        self.assertEqual((got.type, got.body), ("answer", [1]))
        self.assertIsNot(threads[0], threading.main_thread())
        [more] = await self.kublai.messages.inbox()
        self.assertEqual((more.type, more.body), ("reply", "more"))
        [task] = await self.k.tasks.list(type="review")
        self.assertEqual(task.delegated_by, "jochi")

    async def test_a_drain_waits_for_handlers_and_gives_back_the_rest(self: Any) -> None:
        agent, begun = Agent("jochi", concurrency=2, grace=0.2), asyncio.Event()

        @agent.on_message("short")
        async def short(ctx: Any, body: Any) -> None:
            await ctx.draining.wait()

        @agent.on_message("long")
        async def long(ctx: Any, body: Any) -> None:
            begun.set()
            await asyncio.sleep(60)

        for type in ("short", "long"):
            await self.kublai.messages.send("jochi", type)
        async with serving(self, agent):
            await begun.wait()
        self.assertEqual(agent.handled, 1)
        [left] = await self.k.messages.inbox()
        self.assertEqual((left.type, left.delivery), ("long", 2))

    async def test_two_agents_of_one_name_never_have_the_same_message(self: Any) -> None:
        seen: list[int] = []
        other = await self.open()

        def agent() -> Agent:
            agent = Agent("jochi", concurrency=4)

            @agent.on_message("count")
            async def count(ctx: Any, body: int) -> None:
                seen.append(body)

            return agent

        await self.kublai.messages.send_many([{"to": "jochi", "type": "count", "body": n} for n in range(40)])
        stop = asyncio.Event()
        serving = [asyncio.create_task(agent().serve(team, stop=stop)) for team in (self.k, other)]
        await self.read()
        stop.set()
        self.assertEqual(sum(await asyncio.gather(*serving)), 40)
        self.assertEqual(sorted(seen), list(range(40)))
        await other.close()

    async def test_a_wish_says_when_it_comes_again_and_no_identity_answers_nothing(self: Any) -> None:
        agent, codes = Agent("jochi"), []
        other = await self.open()

        @agent.on_message("greeting")
        async def again(ctx: Any, body: Any) -> None:
            if ctx.message.delivery == 1:
                raise Retry(after=0)
            try:
                await ctx.reply()
            except errors.ConfigError as error:
                codes.append(error.code)

        await self.kublai.messages.send("jochi", "greeting")
        stop = asyncio.Event()
        serving = asyncio.create_task(agent.serve(other, stop=stop))
        await self.read()
        stop.set()
        self.assertEqual((await serving, codes), (2, ["config.identity"]))
        await other.close()

    async def test_a_cancelled_serve_gives_back_at_once(self: Any) -> None:
        agent, begun = Agent("jochi", grace=30), asyncio.Event()

        @agent.on_message("greeting")
        async def long(ctx: Any, body: Any) -> None:
            begun.set()
            await asyncio.sleep(60)

        await self.kublai.messages.send("jochi", "greeting")
        running = asyncio.create_task(agent.serve(self.k))
        await begun.wait()
        running.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await asyncio.wait_for(running, 10)
        [left] = await self.k.messages.inbox(wait=20)
        self.assertEqual(left.delivery, 2)

    async def test_what_cannot_be(self: Any) -> None:
        agent = Agent("jochi")
        handler = lambda ctx, body: None  # noqa: E731
        for timeout in (0, -1, float("inf"), 13 * 3600):
            with self.assertRaisesRegex(ValueError, "timeout"):
                agent.on_message("x", timeout=timeout)
        agent.on_message("x")(handler)
        with self.assertRaisesRegex(ValueError, "a handler for 'x' already"):
            agent.on_message("x")
        with self.assertRaisesRegex(TypeError, "a context and a body"):
            agent.on_message("y")(lambda body: None)
        with self.assertRaisesRegex(TypeError, "name the message type"):
            agent.on_message(handler)  # type: ignore[type-var]
        with self.assertRaisesRegex(ValueError, "no handlers"):
            await Agent("jochi").serve(self.k)


@on_both
class InTheMiddle(WithTwo):
    async def at_work(self: Any, work: Any) -> Any:
        agent = Agent("jochi")
        agent.task("work")(work)
        task = await self.k.tasks.enqueue("work")
        async with serving(self, agent):
            return (await until(self, task, "completed", "dead_letter")).results

    async def test_a_handler_reads_what_waits(self: Any) -> None:
        await self.kublai.messages.send_many(
            [{"to": "jochi", "type": type, "body": type, "urgent": type == "c"} for type in ("a", "b", "c", "d")]
        )

        async def work(ctx: Any, payload: Any) -> Any:
            before, read = ctx.unread.count, []
            extended = await ctx.progress(0.5)
            assert ctx.unread == extended.unread
            async for message in ctx.messages(types=["a", "b", "c"]):
                read.append(message.body)
                if message.body == "b":
                    break
            return [before, extended.unread.count, extended.unread.urgent, read]

        self.assertEqual(await self.at_work(work), [0, 4, 1, ["c", "a", "b"]])
        # The one at which the loop was left waits, and the one that it did not ask for.
        self.assertEqual((await self.k.messages.unread()).count, 2)
        self.assertEqual([message.type for message in await self.k.messages.inbox()], ["d"])

    async def test_it_waits_where_it_is_told_to(self: Any) -> None:
        async def work(ctx: Any, payload: Any) -> Any:
            asyncio.get_running_loop().call_later(
                0.05, lambda: asyncio.ensure_future(self.kublai.messages.send("jochi", "late", "at last"))
            )
            async for message in ctx.messages(wait=20):
                return message.body

        self.assertEqual(await self.at_work(work), "at last")

    async def test_a_plain_function_reads_them_too(self: Any) -> None:
        await self.kublai.messages.send_many([{"to": "jochi", "type": "n", "body": n} for n in range(3)])

        def work(ctx: kurultai.blocking.Context, payload: Any) -> Any:
            return [message.body for message in ctx.messages()]

        self.assertEqual(await self.at_work(work), [0, 1, 2])
        self.assertEqual((await self.k.messages.unread()).count, 0)

    async def test_what_a_cancelled_inbox_was_given_goes_back_uncounted(self: Any) -> None:
        await self.kublai.messages.send("jochi", "greeting")
        reached = 0
        for _ in range(8):
            asking = asyncio.create_task(self.k.messages.inbox(wait=20))
            await asyncio.sleep(0)
            asking.cancel()
            try:
                [got] = await asking  # it was quicker, and this delivery counts
                await self.k.messages.retry(got)
                reached += 1
                if reached == 4:
                    break
            except asyncio.CancelledError:
                pass
        [got] = await self.k.messages.inbox(wait=20)
        self.assertEqual(got.delivery, reached + 1)
