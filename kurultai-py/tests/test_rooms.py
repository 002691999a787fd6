"""Every operation of ``agents`` and ``events``, the options of ``open``, and the blocking face."""

from __future__ import annotations

import asyncio
import copy
import inspect
import json
import os
import pickle
import tempfile
import threading
import unicodedata
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any
from unittest import mock

import kurultai
from kurultai import NewAgent
from support import Team, on_both, until


@on_both
class Namespaces:
    async def test_they_are_listed_and_deleted(self: Any) -> None:
        name = f"{self.namespace}-b"
        async with kurultai.open(self.url, namespace=name) as other:
            await other.agents.register("temujin")
            await other.tasks.enqueue("x")
            alone = self.url == "memory:"
            listed = {team.name: (team.tasks, team.agents) for team in await self.k.namespaces()}
            self.assertEqual(listed.get(name), None if alone else (1, 1))
            self.assertEqual(listed[self.namespace], (0, 0))
            self.assertIs(await self.k.delete_namespace(name), not alone)
            self.assertIs(await self.k.delete_namespace(name), False)
            with self.assertRaises(kurultai.errors.InputError):
                await self.k.delete_namespace(self.namespace)
            if not alone:
                with self.assertRaises(kurultai.KurultaiError) as gone:
                    await other.tasks.enqueue("x")
                self.assertEqual(gone.exception.code, "store.namespace_missing")


@on_both
class Roles:
    async def test_who_leads(self: Any) -> None:
        agents, tasks = self.k.agents, self.k.tasks
        await agents.register_many([NewAgent("kublai"), NewAgent("ogedei")])
        async with agents.lead("router", "kublai", ttl=30, reason="first") as lead:
            self.assertEqual((lead.role, lead.holder, lead.is_valid()), ("router", "kublai", True))
            self.assertEqual(await agents.leader("router"), lead.lease)
            self.assertEqual(pickle.loads(pickle.dumps(lead.lease)), lead.lease)
            self.assertEqual([one.leads for one in await agents.health()], [["router"], []])
            with self.assertRaises(kurultai.errors.ConflictError) as held:
                await agents.lead("router", "ogedei")
            self.assertEqual(held.exception.code, "role.held")
            added = await tasks.enqueue("code", under=lead)
            await tasks.enqueue_many([{"type": "code"}], under=lead.lease)
            assigned = await tasks.assign(added, "ogedei", by="kublai", under=lead)
            self.assertEqual(assigned.assigned_to, "ogedei")
            with self.assertRaises(TypeError):
                await tasks.enqueue("code", under="router")
        self.assertIs(lead.is_valid(), False)
        await lead.lost()
        self.assertIsNone(await agents.leader("router"))
        late: list[Any] = [
            tasks.enqueue("code", under=lead),
            tasks.enqueue_many([{"type": "code"}], under=lead),
            tasks.assign(added, None, under=lead),
        ]
        for call in late:
            with self.assertRaises(kurultai.errors.LeaseLostError) as stale:
                await call
            self.assertEqual(stale.exception.code, "role.stale_term")
        other = await agents.lead("router", "ogedei", wait=5)
        self.assertGreater(other.term, lead.term)
        ended = await agents.hand_back("router", "ogedei", to="kublai", reason="maintenance")
        self.assertEqual(ended.term, other.term)
        with self.assertRaises(kurultai.errors.ConflictError):
            await agents.lead("router", "ogedei")
        [away] = await agents.failovers(active=True, since=datetime(2020, 1, 1, tzinfo=timezone.utc))
        self.assertEqual((away.from_agent, away.to_agent, away.triggered_by), ("kublai", "ogedei", "manual"))
        self.assertIsNone(away.deactivated_at)
        with self.assertRaises(AttributeError):
            agents.lead("router", "kublai").term

    async def test_a_lead_that_nobody_keeps_is_handed_back(self: Any) -> None:
        await self.k.agents.register("kublai")
        lead = await self.k.agents.lead("router", "kublai")
        self.assertTrue(lead.is_valid())
        del lead
        await self.eventually(lambda: self.is_free("router"))

    async def eventually(self: Any, ready: Any) -> None:
        for _ in range(2000):
            if await ready():
                return
            await asyncio.sleep(0.01)
        self.fail("it did not come")

    async def is_free(self: Any, role: str) -> bool:
        return await self.k.agents.leader(role) is None

    async def test_a_watch_takes_the_role_that_nobody_holds(self: Any) -> None:
        await self.k.agents.register_many([NewAgent("kublai"), NewAgent("ogedei")])
        await self.k.agents.beat_many(["kublai", "ogedei"])
        roles = {"router": ["kublai", "ogedei"]}
        watching = asyncio.create_task(self.k.agents.watch(roles, agent="kublai", every=0.2, dead_after=5))
        await self.eventually(lambda: self.leads("kublai"))
        watching.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await watching
        await self.eventually(lambda: self.is_free("router"))
        with self.assertRaises(kurultai.errors.InputError):
            await self.k.agents.watch(roles)

    async def leads(self: Any, agent: str) -> bool:
        lease = await self.k.agents.leader("router")
        return lease is not None and lease.holder == agent

    async def test_without_an_event_loop(self: Any) -> None:
        def block() -> None:
            with kurultai.blocking.open(self.url, namespace=self.namespace) as team:
                team.agents.register("kublai")
                with team.agents.lead("router", "kublai") as lead:
                    self.assertEqual(team.agents.leader("router").term, lead.term)
                    team.tasks.enqueue("code", under=lead)
                self.assertIsNone(team.agents.leader("router"))

        await asyncio.to_thread(block)


@on_both
class Agents:
    async def test_the_registry(self: Any) -> None:
        agents = self.k.agents
        await agents.register(
            "temujin",
            display_name="Temüjin",
            role="development",
            aliases=["developer"],
            capabilities=["coding"],
            max_concurrent=2,
        )
        await agents.register_many([NewAgent("jochi", capabilities=["coding"]), {"id": "kublai"}])
        got = await agents.get("DEVELOPER")
        self.assertEqual(
            (got.id, got.display_name, got.role, got.aliases, got.capabilities, got.max_concurrent, got.current_load),
            ("temujin", "Temüjin", "development", ["developer"], ["coding"], 2, 0),
        )
        self.assertTrue(got.has_room)
        self.assertEqual([agent.id for agent in await agents.list()], ["jochi", "kublai", "temujin"])
        self.assertEqual([agent.id for agent in await agents.with_capability("coding")], ["jochi", "temujin"])
        await self.k.tasks.enqueue_many([{"type": "t"}] * 3)
        self.assertEqual(len(await self.k.tasks.claim("temujin", max=3)), 2)
        self.assertEqual((await agents.get("temujin")).current_load, 2)
        await agents.drain("jochi")
        self.assertEqual((await agents.get("jochi")).status, "draining")
        self.assertEqual(await self.k.tasks.claim("jochi"), [])
        await agents.beat("kublai")
        self.assertEqual(await agents.beat_many(["kublai", "nobody"]), ["nobody"])
        await agents.deregister("kublai")
        with self.assertCode("agent.not_found") as unknown:
            await agents.get("temujim")
        self.assertIn("temujin", unknown.exception.message)
        for call in (agents.drain, agents.deregister, agents.beat, agents.update, agents.health):
            with self.assertCode("agent.not_found"):
                await call("nobody")
        with self.assertCode("input.invalid"):
            await agents.register("Not an id")
        with self.assertRaises(TypeError):
            await agents.register("a", capabilities="coding")

    async def test_what_an_agent_learns_and_loses(self: Any) -> None:
        agents = self.k.agents
        await agents.register("jochi", capabilities=["go", "testing"], metadata={"model": "small"})
        await agents.update("jochi", add=["rust", "testing"], remove=["go", "java"])
        got = await agents.get("jochi")
        self.assertEqual((got.capabilities, got.metadata), (["testing", "rust"], {"model": "small"}))
        await agents.update("jochi", metadata={"model": "large"})
        self.assertEqual((await agents.get("jochi")).metadata, {"model": "large"})
        await agents.update("jochi", metadata=None)
        got = await agents.get("jochi")
        self.assertEqual((got.capabilities, got.metadata), (["testing", "rust"], None))
        for wrong in (dict(add=["c"], remove=["c"]), dict(metadata={"x": "y" * 20_000}), dict(add=[""])):
            with self.assertCode("input.invalid"):
                await agents.update("jochi", **wrong)
        with self.assertCode("input.payload"):
            await agents.update("jochi", metadata={"at": object()})
        for mistaken in (dict(add="rust"), dict(remove=[7])):
            with self.assertRaises(TypeError):
                await agents.update("jochi", **mistaken)

    async def test_the_council(self: Any) -> None:
        await self.k.agents.register_many(kurultai.council())
        self.assertEqual(len(await self.k.agents.list()), 6)


@on_both
class Liveness:
    async def test_the_six_names_in_either_form(self: Any) -> None:
        names = ["Kublai", "Möngke", "Chagatai", "Temüjin", "Jochi", "Ögedei"]
        ids = ["chagatai", "jochi", "kublai", "mongke", "ogedei", "temujin"]
        agents = self.k.agents
        self.assertEqual(await agents.beat_many(names), names)
        self.assertEqual(await agents.beat_many([unicodedata.normalize("NFD", name) for name in names], create=True), [])
        self.assertEqual(await agents.beat_many(names), [])
        self.assertEqual([agent.id for agent in await agents.list()], ids)
        self.assertEqual([(one.agent, one.state) for one in await agents.health()], [(id, "idle") for id in ids])
        with self.assertCode("input.invalid"):
            await agents.beat_many(["no name!"], create=True)
        with self.assertRaises(TypeError):
            await agents.beat_many("temujin")

    async def test_how_one_fares(self: Any) -> None:
        await self.k.agents.register("temujin")
        [idle] = await self.k.agents.health("Temüjin")
        self.assertEqual((idle.agent, idle.state, idle.holds, idle.dead_at), ("temujin", "idle", 0, None))
        self.assertEqual((idle.functional_age, idle.oldest_claim_age, idle.watched_for), (None, None, 0))
        task = await self.claimed("t")
        [alive] = await self.k.agents.health("temujin", dead_after=timedelta(minutes=3), stuck_after=60)
        self.assertEqual((alive.state, alive.holds), ("alive", 1))
        for age in (alive.infra_age, alive.functional_age, alive.oldest_claim_age, alive.watched_for):
            self.assertTrue(isinstance(age, float) and 0 <= age < 30, age)
        for wrong in (dict(dead_after=0), dict(stuck_after=0.5), dict(dead_after=float("inf"))):
            with self.assertCode("input.invalid"):
                await self.k.agents.health(**wrong)
        with self.assertCode("agent.in_use") as used:
            await self.k.agents.deregister("temujin")
        self.assertIn(task.id, used.exception.message)
        await self.k.agents.deregister("temujin", force=True)
        self.assertEqual(await self.k.agents.health(), [])
        self.assertEqual((await self.k.tasks.get(task)).status, "pending")
        with self.assertCode("lease.lost"):
            await self.k.tasks.complete(task)

    async def test_what_is_in_order_after_a_deployment(self: Any) -> None:
        def failing(checks: Any) -> list[str]:
            return [one.check for one in checks if not one.ok]

        checks = await self.k.verify()
        self.assertEqual(
            ([one.check for one in checks], failing(checks)),
            (["store", "schema", "clocks", "infra", "functional", "takeover"], ["infra"]),
        )
        self.assertRegex(checks[0].text, rf"^{self.store} answers within .* {self.namespace}")
        self.assertEqual((pickle.loads(pickle.dumps(checks)), checks[3].to_dict()["ok"]), (checks, False))
        with self.assertRaises(AttributeError):
            checks[0].ok = False
        await self.k.agents.register("temujin")
        self.assertEqual(failing(await self.k.verify(dead_after=timedelta(minutes=1), stuck_after=60)), [])
        self.assertEqual(failing(await self.k.verify(strict=True)), ["functional"])
        for wrong in (dict(dead_after=0), dict(stuck_after=0.5), dict(dead_after=float("inf"))):
            with self.assertCode("input.invalid"):
                await self.k.verify(**wrong)
        with self.assertRaises(TypeError):
            await self.k.verify(dead_after="long")

    async def test_a_watcher_declares_the_dead(self: Any) -> None:
        task = await self.claimed("t", agent="jochi")
        watching = asyncio.create_task(self.k.agents.watch(every=0.2, dead_after=1, stuck_after=1))
        with self.assertLogs("kurultai", "WARNING") as logs:
            await until(self, task, "pending")
            while not logs.output:
                await asyncio.sleep(0.01)
        self.assertIn("declared dead", logs.output[0])
        [dead] = await self.k.agents.health("jochi")
        self.assertEqual((dead.state, dead.dead_at is None), ("dead", False))
        self.assertIn("declared dead", dead.reason)
        await self.k.agents.beat("jochi")
        async for event in self.k.events.follow("agent.*", after_seq=0):
            if event.topic == "agent.recovered":
                break
        topics = [event.topic for event in await self.k.events.read(topic="agent.*")]
        self.assertEqual(topics, ["agent.registered", "agent.dead", "agent.recovered"])
        watching.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await watching

    async def test_a_watcher_tells_of_alerts_whatever_becomes_of_who_is_told(self: Any) -> None:
        for priority in ("P2", "P0"):
            task = await self.claimed("t", priority=priority)
            await self.k.tasks.fail(task, "never", retryable=False)
        self.assertEqual(await self.k.events.alerts(), [])
        told: list[Any] = []

        def on_alert(alert: Any) -> None:
            told.append((alert, threading.current_thread()))
            raise OSError(f"no phone for {alert.key}")

        with self.assertLogs("kurultai", "ERROR") as logs:
            watching = asyncio.create_task(self.k.agents.watch(every=0.05, on_alert=on_alert))
            while not any("on_alert failed with tasks.dead_letters" in line for line in logs.output):
                await asyncio.sleep(0.01)
        [(alert, thread)] = told
        self.assertIsNot(thread, threading.current_thread())
        self.assertEqual((alert.severity, alert.state, alert.cleared_at), ("critical", "raised", None))
        self.assertEqual(alert.text, "2 tasks are dead letters, 1 of P0")
        self.assertEqual(await self.k.events.alerts(), [alert])
        await self.k.tasks.stop_all("a drill")
        stopped = (await self.k.tasks.stats()).stopped
        for one in (alert, stopped):
            self.assertEqual(pickle.loads(pickle.dumps(one)), one)
        await self.k.tasks.start_all()
        watching.cancel()
        with self.assertRaises(asyncio.CancelledError):
            await watching
        over: asyncio.Queue[Any] = asyncio.Queue()
        watching = asyncio.create_task(self.k.agents.watch(every=0.05, on_alert=over.put))
        for dead in await self.k.tasks.dead_letters():
            await self.k.tasks.discard(dead)
        alert = await asyncio.wait_for(over.get(), 20)
        self.assertEqual((alert.state, isinstance(alert.cleared_at, datetime)), ("cleared", True))
        watching.cancel()

    async def test_a_cycle_delegates_and_wakes_who_sleeps_on_work(self: Any) -> None:
        clock = kurultai.ManualClock(datetime(2026, 1, 1, tzinfo=timezone.utc))
        options: Any = {"namespace": f"{self.namespace}-c", "clock": clock, "background": False}
        url = "sqlite:" + os.path.join(tempfile.mkdtemp(), "team.db") if self.url == "memory:" else self.url
        async with kurultai.open(url, **options) as k:
            await k.agents.register("kublai", capabilities=["routing"])
            await k.agents.register("jochi", capabilities=["testing"])
            task = await k.tasks.enqueue("check", requires=["testing"])
            identity = await k.keys.rotate("kublai")
            async with kurultai.open(url, identity=identity, **options) as kublai:
                clock.advance(300)
                await kublai.agents.beat("kublai")
                woken: list[str] = []
                report = await kublai.cycle("kublai", wake=woken.append)
                self.assertEqual((report.attention, report.asleep, report.woken, woken), ("work", ["jochi"], ["jochi"], ["jochi"]))
                self.assertEqual(report.text, f"delegated 1 task:\n- jochi: check {task}\nasleep with work: jochi")
                self.assertEqual(pickle.loads(pickle.dumps(report)), report)

                async def fails(agent: str) -> None:
                    raise OSError("no way to wake it")

                with self.assertLogs("kurultai", "ERROR") as logs:
                    report = await kublai.cycle("kublai", wake=fails)
                self.assertEqual((report.delegated, report.asleep, report.woken), ([], ["jochi"], []))
                self.assertIn("wake failed with jochi", logs.output[0])
                mine = await kublai.cycle("jochi")
                self.assertEqual((mine.term, mine.inbox.count, [one.id for one in mine.tasks]), (None, 1, [task.id]))

    async def test_how_a_watch_ends(self: Any) -> None:
        for wrong in (dict(every=0), dict(every=61), dict(every=float("inf")), dict(dead_after=0.5)):
            with self.assertCode("input.invalid"):
                await self.k.agents.watch(**wrong)
        with self.assertRaises(TypeError):
            await self.k.agents.watch(every="often")
        other = await self.open()
        watching = asyncio.create_task(other.agents.watch())
        await asyncio.sleep(0.05)
        await other.close()
        with self.assertCode("store.closed"):
            await asyncio.wait_for(watching, 20)

    async def test_the_longest_run(self: Any) -> None:
        task = await self.claimed("t", max_runtime=timedelta(seconds=60))
        self.assertEqual((task.max_runtime, (await self.k.tasks.get(task)).max_runtime), (60.0, 60.0))
        self.assertLessEqual(task.lease.expires_at, datetime.now(timezone.utc) + timedelta(seconds=60))
        other = await self.k.tasks.get(await self.k.tasks.enqueue("t", max_runtime=float("inf")))
        self.assertIsNone(other.max_runtime)
        self.assertIsNone((await self.k.tasks.get(await self.k.tasks.enqueue("t"))).max_runtime)
        with self.assertCode("input.invalid"):
            await self.k.tasks.enqueue("t", max_runtime=0.5)
        with self.assertRaises(TypeError):
            await self.k.tasks.enqueue("t", max_runtime="long")


@on_both
class Results:
    async def test_they_become_dicts_copies_and_pickles(self: Any) -> None:
        task = await self.claimed("t")
        await self.k.tasks.progress(task, 0.5)
        results = [
            task,
            task.lease,
            await self.k.tasks.get(task.id),
            await self.k.tasks.stats(),
            (await self.k.agents.list())[0],
            *await self.k.agents.health(),
            *await self.k.events.read(),
        ]
        for one in results:
            with self.subTest(type(one).__name__):
                again = pickle.loads(pickle.dumps(one))
                self.assertEqual((again, copy.copy(one), copy.deepcopy(one)), (one, one, one))
                self.assertEqual(list(one.to_dict()), list(one.__match_args__))
        said = task.to_dict()
        self.assertEqual((said["id"], said["type"], said["lease"]), (task.id, "t", str(task.lease)))
        json.dumps(said)
        await self.k.tasks.complete(pickle.loads(pickle.dumps(task)))

    async def test_a_deep_copy_shares_no_payload(self: Any) -> None:
        id = await self.k.tasks.enqueue("t", {"n": [1]})
        task = await self.k.tasks.get(id)
        other = copy.deepcopy(task)
        task.payload["n"].append(2)
        self.assertEqual(other.payload, {"n": [1]})

    async def test_why_as_a_dict(self: Any) -> None:
        explained = (await self.k.tasks.explain(await self.k.tasks.enqueue("t"))).to_dict()
        self.assertEqual(explained["reasons"][0]["reason"], "nobody_alive")
        self.assertIn("text", explained["reasons"][0])


@on_both
class Events:
    async def test_events_are_published_and_consumed_by_who_subscribes_to_them(self: Any) -> None:
        events = self.k.events
        task = await self.k.tasks.enqueue("deploy")
        first = await events.publish("deploy.begun", {"version": 7}, source="temujin", task=task, key="begun-7")
        self.assertEqual((first.seq, first.deduplicated), (2, False))
        again = await events.publish("deploy.begun", {"version": 7}, source="temujin", task=task, key="begun-7")
        self.assertEqual((again.seq, again.deduplicated, hash(again) == hash(first)), (2, True, True))
        for wrong, code in (
            (events.publish("deploy.begun", 8, key="begun-7"), "event.conflict"),
            (events.publish("task.done"), "input.invalid"),
            (events.publish_many([{"topic": "a"}, {"topic": "b c"}]), "input.invalid"),
            (events.publish("a", float("nan")), "input.payload"),
            (events.subscribe("s", "x", where={"none": []}), "input.invalid"),
        ):
            with self.assertRaises(kurultai.KurultaiError) as refused:
                await wrong
            self.assertEqual(refused.exception.code, code)
        made = await events.subscribe("s", "deploy.**", agent="jochi", start=0, where={"any": [["payload.version", "exists"]]})
        self.assertEqual((made.cursor, made.where, made.batch), (0, {"any": [["payload.version", "exists"]]}, None))
        self.assertEqual(pickle.loads(pickle.dumps(made)), made)
        await events.publish_many(
            [
                {"topic": "deploy.done", "payload": {"version": 7}, "cause": first.seq},
                {"topic": "deploy.note"},
                {"topic": "deploy.done", "payload": {"version": 8}},
            ]
        )
        seen: list[list[int]] = []
        async for batch in events.consume("s", max=2, wait=0):
            seen.append([event.seq for event in batch.events])
            # What is not acknowledged comes again.
            if len(seen) == 2:
                await batch.ack()
            if len(seen) == 3:
                await batch.retry("not yet")
                [row] = await events.subscriptions("jochi")
                self.assertEqual((row.tries, row.error), (1, "not yet"))
            if len(seen) == 4:
                await batch.ack()
        self.assertEqual(seen, [[2, 3], [2, 3], [5], [5]])
        self.assertEqual((await events.rewind("s", datetime(1970, 1, 1, tzinfo=timezone.utc))).cursor, 0)
        consuming = events.consume("s")
        [batch] = [await consuming.__anext__()]
        await consuming.aclose()
        [row] = await events.subscriptions()
        self.assertEqual((row.held_until, row.tries), (None, 1), "a loop that is left gives it back")
        self.assertTrue((await events.pause("s")).paused)
        self.assertFalse((await events.unpause("s")).paused)
        self.assertEqual((await events.rewind("s", None)).lag, 0)
        self.assertEqual(await events.dead("s"), [])

        async def next_one() -> int:
            async for batch in events.consume("s"):
                await batch.ack()
                return batch.events[0].seq
            return 0

        waiting = asyncio.ensure_future(next_one())
        seq = (await events.publish("deploy.done", {"version": 9})).seq
        self.assertEqual(await asyncio.wait_for(waiting, 20), seq)
        await events.unsubscribe("s")
        with self.assertRaises(kurultai.errors.NotFoundError):
            await events.unsubscribe("s")

    async def test_the_log(self: Any) -> None:
        events = self.k.events
        self.assertEqual(await events.last_seq(), 0)
        start = datetime.now(timezone.utc) - timedelta(minutes=5)
        task = await self.claimed("t")
        await self.k.tasks.fail(task, "oh", retryable=False)
        log = await events.read()
        self.assertEqual([event.seq for event in log], list(range(1, len(log) + 1)))
        self.assertEqual(await events.last_seq(), len(log))
        self.assertEqual(
            [event.topic for event in await events.read(topic="task.*", task=task)],
            ["task.enqueued", "task.claimed", "task.dead_letter"],
        )
        self.assertEqual([event.seq for event in await events.read(after_seq=2)], [3, 4])
        self.assertEqual(len(await events.read(source="temujin", since=start, limit=2)), 2)
        empty = await events.read(since=datetime.now(timezone.utc) + timedelta(days=1))
        self.assertEqual((empty.events, empty.next), ([], log.next))
        first = log.events[1]
        self.assertEqual((first.task_id, first.created_at.tzinfo), (task.id, timezone.utc))
        self.assertEqual(first.correlation_id, task.id)
        with self.assertCode("input.invalid"):
            await events.read(limit=10_001)

    async def test_each_reads_on(self: Any) -> None:
        await self.k.tasks.enqueue_many([{"type": "t"}] * 600)
        self.assertEqual([event.seq async for event in self.k.events.each(topic="task.**")], list(range(1, 601)))

    async def test_matches(self: Any) -> None:
        self.assertTrue(kurultai.matches("task.*", "task.claimed"))
        self.assertFalse(kurultai.matches("task.*", "agent.registered"))


class Opening(Team):
    async def test_options(self) -> None:
        self.assertEqual((self.k.namespace, self.k.store_name), (self.namespace, "sqlite"))
        self.assertGreaterEqual(self.k.statements, 0)
        self.assertIn(self.namespace, repr(self.k))
        k = await self.open(
            task_defaults={"max_attempts": 9, "expires_in": None, "lease": 77},
            retention={"tasks": timedelta(days=1), "events": 86400},
            aging=None,
            migrate=False,
        )
        await k.agents.register("temujin")
        task = await k.tasks.get(await k.tasks.enqueue("t"))
        self.assertEqual((task.max_attempts, task.expires_at), (9, None))
        [claimed] = await k.tasks.claim("temujin")
        self.assertGreater(claimed.lease.expires_at - datetime.now(timezone.utc), timedelta(seconds=60))
        await k.close()
        with self.assertCode("store.closed"):
            await k.tasks.enqueue("t")
        for wrong in (dict(retention={"task": 1}), dict(task_defaults={"leese": 1})):
            with self.assertRaises(TypeError):
                await self.open(**wrong)

    async def test_the_environment_names_the_store(self) -> None:
        with mock.patch.dict(os.environ, {"KURULTAI_URL": "memory:"}):
            async with kurultai.open() as k:
                self.assertEqual(k.store_name, "sqlite")
        with mock.patch.dict(os.environ, clear=True), self.assertCode("config.url"):
            await kurultai.open()

    async def test_real_coroutines(self) -> None:
        task = asyncio.create_task(self.k.tasks.stats())
        self.assertEqual((await task).by_status, {})
        one = await asyncio.wait_for(self.k.tasks.enqueue("t"), 5)
        self.assertTrue(one.id)
        self.assertTrue(inspect.iscoroutinefunction(self.k.tasks.claim))

    async def test_an_error_has_the_callers_stack(self) -> None:
        async def here() -> None:
            await self.k.tasks.get("nothing")

        try:
            await here()
        except kurultai.KurultaiError as error:
            trace, names = error.__traceback__, []
            while trace:
                names.append(trace.tb_frame.f_code.co_name)
                trace = trace.tb_next
        self.assertEqual(names, ["test_an_error_has_the_callers_stack", "here", "get"])


class Blocking(unittest.TestCase):
    def test_the_same_names(self) -> None:
        for name in ("Tasks", "Agents", "Events", "Messages", "Keys", "Kurultai"):
            face, proxy = getattr(kurultai, name), getattr(kurultai.blocking, name)
            public = {n for n, member in vars(face).items() if not n.startswith("_") and callable(member)}
            self.assertGreater(len(public), 0)
            for method in public:
                self.assertTrue(callable(getattr(proxy, method)), method)
                self.assertFalse(inspect.iscoroutinefunction(getattr(proxy, method)), method)
                self.assertEqual(
                    inspect.signature(getattr(proxy, method)), inspect.signature(getattr(face, method)), method
                )
                self.assertEqual(getattr(proxy, method).__doc__, getattr(face, method).__doc__)

    def test_a_whole_story(self) -> None:
        with kurultai.blocking.open("memory:", namespace="council") as team:
            self.assertEqual((team.namespace, team.store_name), ("council", "sqlite"))
            team.agents.register("temujin")
            build = team.tasks.enqueue("build", {"pr": 42})
            team.tasks.enqueue("review", depends_on=[build])
            [task] = team.tasks.claim("temujin", wait=1)
            self.assertEqual(team.tasks.complete(task, {"ok": True}).status, "completed")
            self.assertEqual([task.type for task in team.tasks.each()], ["build", "review"])
            self.assertEqual(next(iter(team.events.each())).seq, 1)
            team.events.subscribe("s", "deploy.*")
            team.events.publish("deploy.done", 7)
            for batch in team.events.consume("s", wait=0):
                self.assertIsInstance(batch, kurultai.blocking.EventBatch)
                self.assertEqual([event.payload for event in batch.events], [7])
                batch.ack()
            self.assertEqual(team.events.subscriptions()[0].lag, 0)
            self.assertEqual(len(team.tasks.list()), 2)
            self.assertEqual([one.check for one in team.verify() if not one.ok], [])
            self.assertEqual([one.state for one in team.agents.health("temujin")], ["idle"])
            with self.assertRaises(kurultai.errors.NotFoundError):
                team.tasks.get("nothing")
        with self.assertRaises(kurultai.KurultaiError) as closed:
            team.tasks.enqueue("t")
        self.assertEqual(closed.exception.code, "store.closed")

    def test_inside_a_running_loop_too(self) -> None:
        async def main() -> None:
            with kurultai.blocking.open("memory:") as team:
                team.tasks.enqueue("t")
                self.assertEqual((await team._inner.tasks.stats()).by_status, {"pending": 1})

        asyncio.run(main())

    def test_a_foreign_coroutine_is_refused(self) -> None:
        from kurultai import _native

        with self.assertRaises(RuntimeError):
            _native.run(asyncio.sleep(1))
