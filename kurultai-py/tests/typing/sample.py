"""What users write, as mypy --strict and pyright see it; a line that says to ignore its type must be refused by both.
Never run; `cargo xtask test` checks it."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Union

from typing_extensions import assert_type

import kurultai
from kurultai import (
    AgentHealth,
    AgentMessage,
    Check,
    Claimed,
    Complete,
    Enqueued,
    Finished,
    KurultaiError,
    NewMessage,
    NewTask,
    Page,
    Postpone,
    Release,
    Sent,
    Settled,
    Task,
)
from kurultai.types import Health, KeyState, Status


async def tasks(url: str) -> None:
    async with kurultai.open(url, namespace="council", retention={"tasks": timedelta(days=1)}, aging=None) as k:
        assert_type(k, kurultai.Kurultai)
        await k.agents.register("temujin", capabilities=["development"])
        task = await k.tasks.enqueue("review", {"pr": 42}, priority="P1", delay=1.5, depends_on=["a"])
        assert_type(task, Enqueued)
        await k.tasks.enqueue("after", depends_on=[task, kurultai.Dependency(task, "feeds_into")], parent=task)
        await k.tasks.enqueue_many([NewTask("a", run_at=datetime.now(timezone.utc)), {"type": "b", "payload": [1]}])
        claimed = await k.tasks.claim("temujin", max=10, wait=timedelta(seconds=5))
        assert_type(claimed, list[Claimed])
        for one in claimed:
            assert_type(one.payload, Any)
            assert_type(await k.tasks.complete(one, {"ok": True}, usage={"tokens": 5}), Finished)
            await k.tasks.complete(one.lease)
            await k.tasks.complete(str(one.lease))
            await k.tasks.progress(one, 0.5)
        answers = await k.tasks.finish_many([Complete(claimed[0]), Release(claimed[1]), Postpone(claimed[2], after=60)])
        for answer in answers:
            if isinstance(answer, KurultaiError):
                print(answer.code, answer.retryable, answer.retry_after, answer.task_id)
            else:
                assert_type(answer, Finished)
        assert_type(await k.tasks.get(task), Task)
        assert_type(await k.tasks.cancel(task.id), Status)
        page = await k.tasks.list(status="pending", limit=10)
        assert_type(page, Page)
        assert_type([one.id for one in page], list[str])
        async for each in k.tasks.each(status="pending"):
            assert_type(each, Task)
        created: asyncio.Task[kurultai.Stats] = asyncio.create_task(k.tasks.stats())
        print((await created).wait_seconds.p50, [event.seq for event in await k.events.read(task=task)])


async def liveness(k: kurultai.Kurultai) -> None:
    assert_type(await k.agents.beat_many(["Temüjin"], create=True), list[str])
    for one in await k.agents.health("temujin", dead_after=timedelta(minutes=2), stuck_after=60):
        assert_type(one, AgentHealth)
        assert_type(one.state, Health)
        assert_type(one.infra_age, Union[float, None])
    await k.agents.update("temujin", add=["rust"], remove=["go"], metadata=None)
    await k.agents.deregister("temujin", force=True)
    checks = await k.verify(strict=True, dead_after=timedelta(minutes=1), stuck_after=60)
    assert_type(checks, list[Check])
    assert_type([(one.check, one.ok, one.text) for one in checks], list[tuple[str, bool, str]])
    burning: list[str] = [alert.key for alert in await k.events.alerts() if alert.severity == "critical"]
    asked: int = await k.tasks.stop_all(", ".join(burning))
    await k.tasks.start_all()
    stopped = (await k.tasks.stats()).stopped
    print(asked, stopped.reason if stopped else None)
    await k.agents.watch(every=5, on_alert=lambda alert: print(alert.text))


async def messages(url: str) -> None:
    me = kurultai.Identity.read("temujin.key")
    assert_type((me.agent, me.key_id, me.public_key), tuple[str, str, str])
    async with kurultai.open(url, identity=me) as k:
        assert_type(await k.keys.rotate("temujin"), kurultai.Identity)
        key = await k.keys.add("temujin", me.public_key)
        assert_type(key.state, KeyState)
        sent = await k.messages.send("jochi", "review", {"pr": 42}, ttl=timedelta(minutes=5), urgent=True)
        assert_type(sent, Sent)
        await k.messages.send_many([NewMessage("jochi", "a", reply_to=sent), {"to": "jochi", "type": "b"}])
        inbox = await k.messages.inbox(max=5, types=["review"], wait=5, visible=timedelta(seconds=30))
        assert_type(inbox, list[AgentMessage])
        assert_type(await k.messages.ack(inbox[0]), Settled)
        assert_type(await k.messages.ack(str(inbox[0].receipt)), Settled)
        assert_type(await k.messages.ack(inbox), list[Union[Settled, KurultaiError]])
        assert_type(await k.messages.ack([inbox[0].receipt]), list[Union[Settled, KurultaiError]])
        await k.messages.reject(inbox[0].receipt, "not mine")
        assert_type([one.body for one in await k.messages.list(from_="temujin")], list[Any])
        assert_type((await k.messages.ask("jochi", "question", timeout=5)).verified.agent, str)
        token = kurultai.sign({"pr": 42}, me, audience="jochi", type="review")
        kurultai.verify(token, await k.keys.list(), audience=["jochi", "role:router"])
        assert_type(kurultai.verify(token, [("temujin", me.public_key)], audience="jochi").type, str)
        kurultai.verify(token, [])  # type: ignore[call-arg]
        kurultai.sign(1, "temujin", audience="jochi", type="x")  # type: ignore[arg-type]
        await k.messages.ack(5)  # type: ignore[call-overload]
        await k.messages.send("jochi", "review", typo=1)  # type: ignore[call-arg]
    kurultai.open(url, identity=["temujin.key", me])
    kurultai.open(url, identity=5)  # type: ignore[arg-type]


async def mistakes(k: kurultai.Kurultai) -> None:
    await k.agents.health(stuck_after="long")  # type: ignore[arg-type]
    (await k.verify())[0].ok = True  # type: ignore[misc]
    await k.tasks.list(status="odd")  # type: ignore[arg-type]
    await k.tasks.enqueue("t", typo=1)  # type: ignore[call-arg]
    await k.tasks.enqueue("t", priority="p9")  # type: ignore[arg-type]
    await k.tasks.enqueue_many([{"type": "t", "typo": 1}])  # type: ignore[list-item]
    await k.tasks.complete(5)  # type: ignore[arg-type]
    (await k.tasks.get("t")).status = "done"  # type: ignore[misc, assignment]


def blocking(url: str) -> None:
    with kurultai.blocking.open(url) as k:
        task = k.tasks.enqueue("review", {"pr": 42})
        assert_type(task, Enqueued)
        assert_type(k.tasks.claim("temujin"), list[Claimed])
        assert_type(k.verify(), list[Check])
        assert_type(k.agents.health(), list[AgentHealth])
        assert_type(k.messages.ack(k.messages.inbox()[0]), Settled)
        for each in k.tasks.each():
            assert_type(each, Task)


agent = kurultai.Agent(
    "temujin", "sqlite:team.db", capabilities=["development"], concurrency=4, stall_after=60, on_stall="release"
)


@agent.task("review", timeout=600, retries=2, stall_after=timedelta(minutes=5), on_stall="report")
async def review(ctx: kurultai.Context, payload: dict[str, int]) -> dict[str, bool]:
    await ctx.progress(0.5)
    await ctx.enqueue("lint", payload, priority="high", delay=timedelta(seconds=1), unique_key="lint-1")
    await ctx.enqueue("lint", parent="another")  # type: ignore[call-arg]
    await ctx.enqueue("lint", priority="p9")  # type: ignore[arg-type]
    ctx.usage(tokens=5)
    if ctx.attempt > 1:
        raise kurultai.Retry("busy", after=60)
    return {"ok": payload["pr"] == ctx.fencing_token}


@agent.task("build")
def build(ctx: kurultai.blocking.Context, payload: None) -> str:
    ctx.enqueue("lint", typo=1)  # type: ignore[call-arg]
    ctx.alive()
    if ctx.cancelled.is_set():
        raise kurultai.Reject(str(ctx.stop))
    ctx.checkpoint({"page": 7})
    return ctx.idempotency_key


@dataclass
class PullRequest:
    number: int


@agent.task("merge", retry={"base": timedelta(minutes=1)})
async def merge(ctx: kurultai.Context, pull: PullRequest) -> None:
    raise kurultai.Snooze(after=pull.number)


@agent.on_message("question", timeout=timedelta(minutes=2), retry={"base": 1})
async def answer(ctx: kurultai.MessageContext, body: PullRequest) -> None:
    assert_type(await ctx.reply({"of": ctx.message.sender}, type="answer"), kurultai.Sent)
    assert_type(await ctx.enqueue("review", body.number, unique_key=ctx.message.id), Enqueued)
    await ctx.enqueue("review", typo=1)  # type: ignore[call-arg]


@agent.on_message("note")
def note(ctx: kurultai.blocking.MessageContext, body: str) -> None:
    assert_type(ctx.reply(), kurultai.Sent)


@agent.task("read")
async def read(ctx: kurultai.Context, payload: None) -> int:
    async for message in ctx.messages(types=["note"], wait=timedelta(seconds=1)):
        assert_type(message, kurultai.AgentMessage)
    return ctx.unread.count + (await ctx.progress(1)).unread.urgent


agent.on_message("wrong", timeout="a minute")(note)  # type: ignore[arg-type]


async def wrong(ctx: kurultai.Context, pull: PullRequest) -> None:
    raise kurultai.Snooze()  # type: ignore[call-arg]


agent.task("wrong", timeout="a minute")(wrong)  # type: ignore[arg-type]
agent.task("wrong", on_stall="ignore")(wrong)  # type: ignore[arg-type]
agent.task("wrong", tries=3)(wrong)  # type: ignore[call-arg]


def main() -> int:
    return agent.run()
