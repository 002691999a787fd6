"""Every operation of the room ``tasks``, with what it takes and answers."""

from __future__ import annotations

import asyncio
import inspect
import math
import sys
from datetime import datetime, timedelta, timezone
from typing import Any

import kurultai
from kurultai import Complete, Dependency, Fail, NewTask, Postpone, Release, RetryPolicy, Usage
from kurultai.types import NewTaskFields
from support import on_both


@on_both
class Tasks:
    async def test_what_is_given_of_a_task_changes(self: Any) -> None:
        tasks = self.k.tasks
        made = await tasks.enqueue("x", {"n": 1}, assigned_to="jochi", delay=60, expires_in=600)
        at = datetime(2040, 2, 3, tzinfo=timezone.utc)
        moved = await tasks.update(made, title="new", payload=None, run_at=at, expires_at=at, priority="high")
        self.assertEqual((moved.title, moved.payload, moved.priority), ("new", None, "P1"))
        self.assertEqual((moved.run_at, moved.expires_at, moved.assigned_to), (at, at, "jochi"))
        moved = await tasks.update(made, run_at=None, expires_at=None, assigned_to=None)
        self.assertLess(moved.run_at, at)
        self.assertEqual((moved.expires_at, moved.assigned_to, moved.title), (None, None, "new"))
        for wrong in ({}, {"title": None}, {"priority": "soon"}, {"run_at": at.replace(tzinfo=None)}, {"priority_weight": 2}):
            with self.assertRaises(kurultai.errors.InputError, msg=wrong):
                await tasks.update(made, **wrong)
        with self.assertRaises(TypeError):
            await tasks.update(made, run_at="soon")
        with self.assertRaises(TypeError):
            await tasks.update(made, limit=5)
        with self.assertRaises(kurultai.errors.InputError):
            await tasks.cancel_many(reason="everything")

    async def test_enqueue_takes_every_field(self: Any) -> None:
        first = await self.k.tasks.enqueue("first")
        other, whole = await self.k.tasks.enqueue("other"), await self.k.tasks.enqueue("whole")
        at = datetime(2040, 2, 3, 4, 5, 6, 7, tzinfo=timezone(timedelta(hours=2)))
        mine = f"{self.namespace}-mine"
        task = await self.k.tasks.enqueue(
            "t",
            {"a": [1]},
            id=mine,
            title="A title",
            description="What to do",
            priority="critical",
            priority_weight=0.75,
            requires=["rust"],
            prefers=("tokio",),
            assigned_to="temujin",
            delegated_by="kublai",
            parent=whole,
            depends_on=[first, Dependency(other, "feeds_into", weight=0.5), {"prerequisite": other.id, "type": "parallel_ok"}],
            unique_key="once",
            run_at=at,
            expires_at=at + timedelta(days=3),
            max_attempts=7,
            retry=RetryPolicy(base=1, cap=timedelta(seconds=2), jitter=False),
            wait_for=2,
            on_prerequisite_failure="continue",
        )
        self.assertEqual((task.id, task.deduplicated), (mine, False))
        got = await self.k.tasks.get(task)
        expected = dict(
            id=mine,
            type="t",
            title="A title",
            description="What to do",
            status="blocked",
            priority="P0",
            priority_weight=0.75,
            payload={"a": [1]},
            required_capabilities=["rust"],
            preferred_capabilities=["tokio"],
            assigned_to="temujin",
            delegated_by="kublai",
            parent_id=whole.id,
            unique_key="once",
            run_at=at,
            expires_at=at + timedelta(days=3),
            attempts=0,
            max_attempts=7,
            claimed_by=None,
            claimed_at=None,
            lease_version=0,
            lease_expires_at=None,
            progress=None,
            checkpoint=None,
            results=None,
            error_message=None,
            errors=[],
            usage=None,
            completed_at=None,
        )
        self.assertEqual({name: getattr(got, name) for name in expected}, expected)
        self.assertIn(first.id, got.depends_on)
        self.assertEqual(got.run_at.tzinfo, timezone.utc)
        self.assertLess(abs(datetime.now(timezone.utc) - got.created_at), timedelta(minutes=5))
        again = await self.k.tasks.enqueue("t", {"a": [1]}, unique_key="once")
        self.assertEqual((again.id, again.deduplicated), (mine, True))
        with self.assertCode("task.conflict"):
            await self.k.tasks.enqueue("t", {"a": [2]}, unique_key="once")

    async def test_times_and_spans(self: Any) -> None:
        k = self.k
        later = await k.tasks.enqueue("t", delay=timedelta(hours=1))
        soon = await k.tasks.enqueue("t", delay=3600.5)
        for task in (later, soon):
            left = (await k.tasks.get(task)).run_at - datetime.now(timezone.utc)
            self.assertTrue(timedelta(minutes=55) < left < timedelta(minutes=65), left)
        never = await k.tasks.enqueue("t", expires_in=math.inf)
        usual = await k.tasks.enqueue("t")
        self.assertIsNone((await k.tasks.get(never)).expires_at)
        self.assertIsNotNone((await k.tasks.get(usual)).expires_at)
        for wrong in (
            dict(run_at=datetime(2030, 1, 1)),
            dict(delay=-1),
            dict(delay=math.nan),
            dict(delay=1, run_at=datetime.now(timezone.utc)),
            dict(expires_in=1, expires_at=datetime.now(timezone.utc)),
            dict(priority="P9"),
            dict(wait_for="some"),
            dict(on_prerequisite_failure="panic"),
        ):
            with self.assertCode("input.invalid"):
                await k.tasks.enqueue("t", **wrong)
        for wrong in (dict(requires="rust"), dict(depends_on="abc"), dict(delay="1h"), dict(run_at=5), dict(parent=5)):
            with self.assertRaises(TypeError):
                await k.tasks.enqueue("t", **wrong)

    async def test_a_wrong_value_is_named_with_what_is_allowed(self: Any) -> None:
        tasks = self.k.tasks
        late, early = datetime.max.replace(tzinfo=timezone.utc), datetime.min.replace(tzinfo=timezone.utc)
        west, east = timezone(timedelta(hours=-9)), timezone(timedelta(hours=9))
        calls = {
            "max_attempts is '-1'": lambda: tasks.enqueue("t", max_attempts=-1),
            "max_attempts is '9999": lambda: tasks.enqueue("t", max_attempts=9999),
            "delay is '-1'": lambda: tasks.enqueue("t", delay=-1),
            "delay is 'NaN'": lambda: tasks.enqueue("t", delay=math.nan),
            "expires_in is '-1'": lambda: tasks.enqueue("t", expires_in=timedelta(seconds=-1)),
            "expires_in is '1000000000000 s'": lambda: tasks.enqueue("t", expires_in=1e12),
            "retry.base is '-1'": lambda: tasks.enqueue("t", retry={"base": -1}),
            "wait_for is '-2'": lambda: tasks.enqueue("t", wait_for=-2),
            "run_at is '2030-01-01 00:00:00'": lambda: tasks.enqueue("t", run_at=datetime(2030, 1, 1)),
            "run_at is '9999-12-31T23:59:59.999999+00:00'": lambda: tasks.enqueue("t", run_at=late),
            "run_at is '9999-12-31 23:59:59.999999-09:00'": lambda: tasks.enqueue("t", run_at=late.replace(tzinfo=west)),
            "run_at is '0001-01-01T00:00:00+00:00'": lambda: tasks.enqueue("t", run_at=early),
            "run_at is '0001-01-01 00:00:00+09:00'": lambda: tasks.enqueue("t", run_at=early.replace(tzinfo=east)),
            "expires_at is '1969-12-31T": lambda: tasks.enqueue("t", expires_at=datetime(1969, 12, 31, tzinfo=timezone.utc)),
            "since is '0001-01-01T00:00:00+00:00'": lambda: self.k.events.read(since=early),
            "task 1: max_attempts is '-1'": lambda: tasks.enqueue_many([{"type": "t"}, {"type": "t", "max_attempts": -1}]),
            "task 1: priority_weight is '2'": lambda: tasks.enqueue_many([{"type": "t"}, {"type": "t", "priority_weight": 2}]),
            "max is '-1'": lambda: tasks.claim("temujin", max=-1),
            "max is '1001'": lambda: tasks.claim("temujin", max=1001),
            "lease is '-1'": lambda: tasks.claim("temujin", lease=-1),
            "wait is '-1'": lambda: tasks.claim("temujin", wait=-1),
            "limit is '-1'": lambda: tasks.list(limit=-1),
            "limit is '0'": lambda: tasks.list(limit=0),
            "max_concurrent is '-1'": lambda: self.k.agents.register("x", max_concurrent=-1),
            "task_defaults.expires_in is '-1'": lambda: self.open(task_defaults={"expires_in": -1}),
            "task_defaults.max_attempts is '-1'": lambda: self.open(task_defaults={"max_attempts": -1}),
            "retention.tasks is '-1'": lambda: self.open(retention={"tasks": -1}),
            "aging is '-1'": lambda: self.open(aging=-1),
        }
        for message, call in calls.items():
            with self.subTest(message), self.assertCode("input.invalid") as refused:
                await call()
            said = refused.exception.message.replace('"', "'")
            self.assertTrue(said.startswith(message) and "; allowed: " in said, said)
        types = {
            "task 1: run_at: expected a datetime, not '2030-01-01'": [{"type": "t"}, {"type": "t", "run_at": "2030-01-01"}],
            "task 1: priority: expected a str, not 1": [{"type": "t"}, {"type": "t", "priority": 1}],
            "task 0: depends_on: expected a list of tasks, ids or Dependency, not 'id'": [{"type": "t", "depends_on": "id"}],
            "task 0: a task has no field 'typo'": [{"type": "t", "typo": 1}],
        }
        for message, rows in types.items():
            with self.subTest(message), self.assertRaises(TypeError) as wrong:
                await tasks.enqueue_many(rows)
            self.assertEqual(str(wrong.exception), message)
        self.assertEqual((await tasks.list()).tasks, [])

    async def test_times_come_back_as_they_were(self: Any) -> None:
        last = datetime.max.replace(tzinfo=timezone.utc)
        for run_at, expires_at in [
            (last.replace(year=9989), last),
            (datetime(1970, 1, 1, tzinfo=timezone.utc), datetime(2100, 1, 1, 0, 0, 0, 1, tzinfo=timezone.utc)),
        ]:
            task = await self.k.tasks.get(await self.k.tasks.enqueue("t", run_at=run_at, expires_at=expires_at))
            self.assertEqual((task.run_at, task.expires_at), (run_at, expires_at))
        latest = await self.k.tasks.get(await self.k.tasks.enqueue("t", run_at=last.replace(year=9989)))
        self.assertIn("9990", repr(latest))

    async def test_what_was_sent_before_a_close_is_committed(self: Any) -> None:
        k = await self.open()
        sent = [asyncio.create_task(k.tasks.enqueue("t", n)) for n in range(100)]
        await k.close()
        await asyncio.gather(*sent)
        with self.assertCode("store.closed"):
            await k.tasks.enqueue("late")
        self.assertEqual((await self.k.tasks.stats()).by_status, {"pending": 100})

    async def test_enqueue_many_is_all_or_none(self: Any) -> None:
        build = NewTask("build", {"pr": 42})
        added = await self.k.tasks.enqueue_many([build, {"type": "review", "depends_on": [build]}])
        self.assertEqual([one.id for one in added][0], build.id)
        self.assertEqual((await self.k.tasks.get(added[1])).depends_on, [build.id])
        with self.assertCode("task.dependency_unknown"):
            await self.k.tasks.enqueue_many([{"type": "a"}, {"type": "b", "depends_on": ["nothing"]}])
        with self.assertCode("task.dependency_cycle"):
            await self.k.tasks.enqueue_many(
                [{"type": "a", "id": "a", "depends_on": ["b"]}, {"type": "b", "id": "b", "depends_on": ["a"]}]
            )
        with self.assertRaises(TypeError):
            await self.k.tasks.enqueue_many([{"type": "a", "typo": 1}])
        with self.assertRaises(TypeError):
            await self.k.tasks.enqueue_many(["a"])
        self.assertEqual(len((await self.k.tasks.list()).tasks), 2)

        class Boastful(list[Any]):
            def __len__(self) -> int:
                return sys.maxsize

        self.assertEqual(len(await self.k.tasks.enqueue_many(Boastful([build]))), 1)

    async def test_every_field_of_a_task_is_read_and_named_where_it_is_wrong(self: Any) -> None:
        fields = set(inspect.signature(NewTask).parameters)
        self.assertEqual(fields - {"default"}, NewTaskFields.__required_keys__ | NewTaskFields.__optional_keys__)
        for field in sorted(fields - {"payload", "default"}):
            with self.subTest(field), self.assertRaises((TypeError, kurultai.errors.InputError)) as refused:
                NewTask(**{"type": "t", field: object()})
            self.assertNotIn("has no field", str(refused.exception))
        for wrong in (dict(title=3), dict(requires=[3]), dict(max_attempts="x"), dict(delay="1h")):
            [field] = wrong
            for make in (lambda: NewTask("t", **wrong), lambda: self.k.tasks._native.enqueue({"type": "t", **wrong})):
                with self.subTest(field), self.assertRaisesRegex(TypeError, f"^{field}: "):
                    make()
        with self.assertRaisesRegex(TypeError, "a task has no field 'typo'"):
            NewTask("t", typo=1)
        with self.assertCode("input.invalid"):
            await self.k.tasks.enqueue_many([{"payload": 1}])
        self.assertEqual(await self.k.tasks.enqueue_many([]), [])

    async def test_a_claim_has_everything_a_worker_needs(self: Any) -> None:
        await self.k.agents.register("temujin", capabilities=["rust"])
        first = await self.k.tasks.enqueue("first")
        second = await self.k.tasks.enqueue(
            "second", {"n": 1}, title="T", description="D", delegated_by="kublai", depends_on=[first], requires=["rust"]
        )
        self.assertEqual(await self.k.tasks.claim("temujin", types=["other"]), [])
        [task] = await self.k.tasks.claim("temujin", max=5, types=["first", "second"], lease=60)
        self.assertGreater(task.lease.expires_at - datetime.now(timezone.utc), timedelta(seconds=50))
        await self.k.tasks.complete(task, {"r": [1.5]})
        [task] = await self.k.tasks.claim("temujin", max=5, lease=timedelta(seconds=60))
        self.assertEqual((task.id, task.type, task.title, task.description), (second.id, "second", "T", "D"))
        self.assertEqual((task.payload, task.delegated_by, task.attempt, task.max_attempts), ({"n": 1}, "kublai", 1, 3))
        [prerequisite] = task.prerequisites
        self.assertEqual(
            (prerequisite.id, prerequisite.dependency_type, prerequisite.status, prerequisite.results),
            (first.id, "blocks", "completed", {"r": [1.5]}),
        )
        self.assertEqual((task.lease.task_id, task.lease.attempt, task.lease.version > 0), (task.id, 1, True))
        with self.assertCode("agent.not_found"):
            await self.k.tasks.claim("nobody")

    async def test_every_form_of_a_lease_works(self: Any) -> None:
        one, two, three, four = await self.claimed("a", "b", "c", "d")

        class Holder:
            lease = four.lease

        for task in (one, two.lease, str(three.lease), Holder()):
            self.assertEqual((await self.k.tasks.complete(task)).status, "completed")
        self.assertEqual(kurultai.Lease.parse(str(three.lease)), three.lease)
        with self.assertCode("input.invalid"):
            await self.k.tasks.complete("no lease")
        for wrong in (None, 5, object(), one.id.encode()):
            with self.assertRaises(TypeError):
                await self.k.tasks.complete(wrong)

    async def test_the_ways_to_finish(self: Any) -> None:
        a, b, c, d, e = await self.claimed("a", "b", "c", "d", "e", max_attempts=2)
        done = await self.k.tasks.complete(a, {"ok": True}, usage=Usage(tokens=5, cost=0.5, seconds=1.5))
        self.assertEqual((done.id, done.status, done.repeated), (a.id, "completed", False))
        self.assertTrue((await self.k.tasks.complete(a, {"ok": True})).repeated)
        got = await self.k.tasks.get(a)
        self.assertEqual((got.results, got.usage), ({"ok": True}, Usage(tokens=5, cost=0.5, seconds=1.5)))
        self.assertEqual((await self.k.tasks.fail(b, ValueError("oh"), retry_after=60)).status, "pending")
        got = await self.k.tasks.get(b)
        self.assertEqual((got.error_message, got.errors[0].error, got.errors[0].agent), ("oh", "oh", "temujin"))
        dead = await self.k.tasks.fail(c, "no", retryable=False, results=[1], usage={"tokens": 3})
        self.assertEqual(dead.status, "dead_letter")
        got = await self.k.tasks.get(c)
        self.assertEqual((got.results, got.usage.tokens), ([1], 3))
        self.assertEqual((await self.k.tasks.release(d)).status, "pending")
        self.assertEqual((await self.k.tasks.finish(Complete(e, 1, usage={"cost": 2}))).status, "completed")
        with self.assertCode("lease.lost"):
            await self.k.tasks.complete(d)

    async def test_many_finishes_have_an_answer_each(self: Any) -> None:
        a, b, c, d = await self.claimed("a", "b", "c", "d")
        await self.k.tasks.release(d)
        answers = await self.k.tasks.finish_many([Complete(a, 1), Fail(b, "x", retryable=False), Release(c), Complete(d)])
        self.assertEqual([answer.status for answer in answers[:3]], ["completed", "dead_letter", "pending"])
        self.assertIsInstance(answers[3], kurultai.errors.LeaseLostError)
        self.assertEqual(answers[3].code, "lease.lost")
        g = await self.claimed("g")
        [put_off] = await self.k.tasks.finish_many([Postpone(g, after=timedelta(minutes=1))])
        got = await self.k.tasks.get(g)
        self.assertEqual((put_off.status, put_off.run_at, got.snoozes, got.attempts), ("pending", got.run_at, 1, 0))
        with self.assertCode("input.invalid"):
            Postpone(g, after=-1)
        [e, f] = await self.claimed("e", "f")
        done = await self.k.tasks.complete_many([(e, {"e": 1}), (str(f.lease), None)])
        self.assertEqual([answer.status for answer in done], ["completed", "completed"])
        self.assertEqual((await self.k.tasks.get(e)).results, {"e": 1})
        with self.assertRaises(TypeError):
            await self.k.tasks.finish_many([a])

    async def test_renewal_tells_what_to_do(self: Any) -> None:
        task, other = await self.claimed("a", "b")
        extended = await self.k.tasks.extend(task, 120)
        self.assertEqual(extended.signal, "continue")
        self.assertGreater(extended.lease.expires_at, task.lease.expires_at + timedelta(seconds=60))
        self.assertEqual((await self.k.tasks.progress(task, 0.5)).signal, "continue")
        self.assertEqual((await self.k.tasks.checkpoint(task, {"page": 7})).signal, "continue")
        got = await self.k.tasks.get(task)
        self.assertEqual((got.progress, got.checkpoint), (0.5, {"page": 7}))
        await self.k.tasks.renew(task, ttl=timedelta(seconds=5), progress=0.75, checkpoint=[8])
        got = await self.k.tasks.get(task)
        self.assertEqual((got.progress, got.checkpoint), (0.75, [8]))
        self.assertEqual(await self.k.tasks.cancel(task, "not needed"), "in_progress")
        self.assertEqual((await self.k.tasks.extend(task)).signal, "cancel")
        self.assertEqual(await self.k.tasks.suspend(other), "in_progress")
        self.assertEqual((await self.k.tasks.extend(other)).signal, "suspend")

    async def test_control(self: Any) -> None:
        k, task = self.k, await self.k.tasks.enqueue("deploy")
        self.assertEqual(await k.tasks.suspend(task.id), "suspended")
        self.assertEqual(await k.tasks.resume(task), "pending")
        self.assertEqual(await k.tasks.cancel(task), "cancelled")
        self.assertEqual(await k.tasks.requeue(task), "pending")
        await k.tasks.pause("deploy")
        await k.agents.register("temujin")
        self.assertEqual((await k.tasks.stats()).paused, ["deploy"])
        self.assertEqual(await k.tasks.claim("temujin"), [])
        await k.tasks.unpause("deploy")
        await k.tasks.pause()
        self.assertEqual((await k.tasks.stats()).paused, [""])
        self.assertEqual(await k.tasks.claim("temujin"), [])
        await k.tasks.unpause()
        [claimed] = await k.tasks.claim("temujin")
        await k.tasks.fail(claimed, "x", retryable=False)
        self.assertEqual([dead.id for dead in await k.tasks.dead_letters(type="deploy")], [task.id])
        self.assertEqual(len(await k.tasks.dead_letters(type="other")), 0)
        self.assertEqual(await k.tasks.discard(task), "cancelled")
        with self.assertCode("task.state"):
            await k.tasks.resume(task)
        await k.maintain()
        plan = await k.adopt(dry_run=True, ids=["nobody"], types=["none"])
        self.assertEqual((plan.dry_run, plan.tasks, plan.agents, plan.by_status), (True, 0, 0, {}))
        with self.assertCode("input.invalid"):
            await k.adopt(labels=[""])
        with self.assertRaises(TypeError):
            await k.adopt(labels="Task")

    async def test_depend(self: Any) -> None:
        a, b, c = await self.k.tasks.enqueue_many([{"type": "a"}, {"type": "b"}, {"type": "c"}])
        await self.k.tasks.add_dependency(b, a)
        await self.k.tasks.add_dependency(c, Dependency(a, "feeds_into"))
        self.assertEqual((await self.k.tasks.get(b)).status, "blocked")
        self.assertEqual((await self.k.tasks.get(c)).status, "pending")
        with self.assertCode("task.dependency_cycle") as refused:
            await self.k.tasks.add_dependency(a, b)
        self.assertIn(a.id, refused.exception.message)

    async def test_reading(self: Any) -> None:
        k = self.k
        whole = await k.tasks.enqueue("whole")
        added = await k.tasks.enqueue_many(
            [{"type": "t", "payload": n, "assigned_to": "jochi", "parent": whole} for n in range(600)]
        )
        got = await k.tasks.get_many([added[5], "nothing", added[6].id])
        self.assertEqual([task and task.payload for task in got], [5, None, 6])
        page = await k.tasks.list(type="t", status="pending", assigned_to="jochi", parent=whole, limit=400)
        self.assertEqual((len(page), page.tasks[0].payload, page.next is not None), (400, 0, True))
        rest = await k.tasks.list(type="t", cursor=page.next, limit=400)
        self.assertEqual(([task.payload for task in rest], rest.next), (list(range(400, 600)), None))
        self.assertEqual([task.payload async for task in k.tasks.each(type="t")], list(range(600)))
        self.assertEqual(len(await k.tasks.list(claimed_by="temujin")), 0)
        for wrong in (dict(limit=1001), dict(status="odd")):
            with self.assertCode("input.invalid"):
                await k.tasks.list(**wrong)
        with self.assertCode("task.not_found"):
            await k.tasks.get("nothing")

    async def test_stats_and_explain(self: Any) -> None:
        task = await self.claimed("a")
        await asyncio.sleep(0.01)
        await self.k.tasks.complete(task)
        waiting = await self.k.tasks.enqueue("b", requires=["cobol"])
        blocked = await self.k.tasks.enqueue("c", depends_on=[waiting])
        stats = await self.k.tasks.stats()
        self.assertEqual(stats.by_status, {"pending": 1, "completed": 1, "blocked": 1})
        self.assertGreaterEqual(stats.run_seconds.p50, 0.01)
        self.assertGreaterEqual(stats.run_seconds.p99, stats.wait_seconds.p50 * 0)
        self.assertGreaterEqual(stats.oldest_pending_seconds, 0)
        why = await self.k.tasks.explain(waiting)
        self.assertEqual((why.id, why.status, why.candidates), (waiting.id, "pending", []))
        [reason] = why.reasons
        self.assertEqual((reason.reason, reason.details), ("capability_missing", {"capabilities": ["cobol"]}))
        self.assertIn("cobol", str(reason))
        self.assertIn("cobol", str(why))
        [reason] = (await self.k.tasks.explain(blocked)).reasons
        self.assertEqual((reason.reason, reason.details["tasks"]), ("blocked_by", [[waiting.id, "pending"]]))

    async def test_results_are_frozen_and_readable(self: Any) -> None:
        task = await self.claimed("review", payload={"pr": 42})
        with self.assertRaises(AttributeError):
            task.type = "other"
        self.assertRegex(repr(task), r"^Claimed\(id='.*', type='review', .*payload=\{'pr': 42\}, .*lease=Lease\(")
        [same] = [t for t in [task] if t == task]
        self.assertEqual(len({same, task}), 1)
        self.assertNotEqual(task, await self.k.tasks.get(task))
        match task:
            case kurultai.Claimed(type="review", payload={"pr": number}):
                self.assertEqual(number, 42)
            case _:
                self.fail("no match")

    async def test_lapsed_leases_return_by_the_given_clock(self: Any) -> None:
        clock = kurultai.ManualClock(datetime(2026, 3, 1, 9, 7, 5, tzinfo=timezone.utc))
        # Not the namespace of `self.k`, whose background goes by the real time.
        k = await kurultai.open(self.url, namespace=f"{self.namespace}-c", clock=clock, background=False)
        await k.agents.register("temujin")
        await k.tasks.enqueue("t", retry=RetryPolicy(base=0, cap=0))
        [task] = await k.tasks.claim("temujin")
        clock.advance(timedelta(seconds=31))
        self.assertEqual(clock.now().second, 36)
        with self.assertCode("lease.lost"):
            await k.tasks.complete(task)
        await k.maintain()
        [again] = await k.tasks.claim("temujin")
        self.assertEqual((again.attempt, again.lease.version > task.lease.version), (2, True))
        await k.close()
