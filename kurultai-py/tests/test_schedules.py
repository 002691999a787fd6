"""The room ``schedules``, as Python says it; what it does is proved by the core's cases and the scenarios."""

from __future__ import annotations

import copy
import pickle
import unittest
from datetime import datetime, timedelta, timezone
from typing import Any

import kurultai
from support import on_both

START = datetime(2026, 3, 1, 9, 7, 5, 123456, timezone.utc)


@on_both
class Schedules:
    async def asyncSetUp(self: Any) -> None:
        await super().asyncSetUp()  # type: ignore[misc]
        await self.k.close()
        self.clock = kurultai.ManualClock(START)
        self.namespace += "-c"
        self.k = await self.open(clock=self.clock, background=False)

    async def test_a_schedule_is_put_and_its_tasks_come(self: Any) -> None:
        put = await self.k.schedules.put(
            "report", "report", {"n": 1}, every=timedelta(hours=1), jitter=timedelta(seconds=0), start=START + timedelta(minutes=5),
            title="Weekly", description="All of it", priority="P0", priority_weight=0.75, requires=["writing"], prefers=["x"],
            assigned_to="chagatai", delegated_by="kublai", correlation_id="chain", expires_in=timedelta(hours=2),
            max_attempts=7, max_runtime=90, retry={"base": 1, "cap": 9, "jitter": False},
        )
        self.assertEqual((put.name, put.type, put.payload, put.every, put.cron), ("report", "report", {"n": 1}, 3600.0, None))
        self.assertEqual(put.next_due, START + timedelta(minutes=5))
        self.assertEqual(put.upcoming, [START + timedelta(minutes=5, hours=hours) for hours in range(3)])
        self.assertEqual((put.catch_up, put.overlap, put.jitter, put.timezone), ("one", "skip", 0.0, "UTC"))
        self.assertEqual(put.task_fields, {
            "title": "Weekly", "description": "All of it", "priority": "P0", "priority_weight": 0.75, "requires": ["writing"],
            "prefers": ["x"], "assigned_to": "chagatai", "delegated_by": "kublai", "correlation_id": "chain",
            "expires_in": 7200.0, "max_attempts": 7, "max_runtime": 90.0, "retry": {"base": 1.0, "cap": 9.0, "jitter": False},
        })
        self.clock.advance(timedelta(minutes=5))
        await self.k.maintain()
        schedule = await self.k.schedules.get("report")
        task = await self.k.tasks.get(schedule.last_task)
        self.assertEqual((task.type, task.payload, task.title, task.priority), ("report", {"n": 1}, "Weekly", "P0"))
        self.assertEqual((task.assigned_to, task.max_attempts, task.max_runtime), ("chagatai", 7, 90.0))
        self.assertEqual(task.unique_key, "schedule:report:2026-03-01T09:12:05.123456Z")
        self.assertEqual(schedule.last_due, START + timedelta(minutes=5))
        for again in (pickle.loads(pickle.dumps(schedule)), copy.copy(schedule), copy.deepcopy(schedule)):
            self.assertEqual(again, schedule)
        self.assertEqual(schedule.to_dict()["catch_up"], "one")
        self.assertEqual(await self.k.schedules.list(), [schedule])

    async def test_what_is_refused(self: Any) -> None:
        put = self.k.schedules.put
        for words, call in (
            ("cron is '0 25 * * MON'".replace("'", '"'), lambda: put("x", "y", cron="0 25 * * MON")),
            ("timezone is", lambda: put("x", "y", cron="0 9 * * *", timezone="Mars")),
            ("every is", lambda: put("x", "y")),
            ("every is", lambda: put("x", "y", every=0.5)),
            ("every is", lambda: put("x", "y", every=-1)),
            ("cron is", lambda: put("x", "y", every=60, cron="0 9 * * *")),
            ("catch_up is", lambda: put("x", "y", every=60, catch_up="some")),
            ("overlap is", lambda: put("x", "y", every=60, catch_up="all", overlap="skip")),
            ("expires_in is", lambda: put("x", "y", every=60, expires_in=0)),
            ("jitter is", lambda: put("x", "y", every=60, jitter=60)),
            ("start is", lambda: put("x", "y", every=60, start=datetime(2026, 3, 1))),
            ("unique_key is", lambda: put("x", "y", every=60, unique_key="k")),
            ("name is", lambda: put("", "y", every=60)),
            ("priority is", lambda: put("x", "y", every=60, priority="P9")),
        ):
            with self.subTest(words):
                with self.assertCode("input.invalid") as refused:
                    await call()
                self.assertIn(words, str(refused.exception))
        with self.assertCode("input.payload"):
            await put("x", "y", {1, 2}, every=60)
        for wrong in (lambda: put("x", "y", every="often"), lambda: put("x", "y", every=60, typo=1), lambda: put(5, "y", every=60)):
            with self.assertRaises(TypeError):
                await wrong()
        self.assertEqual(await self.k.schedules.list(), [])
        with self.assertCode("schedule.not_found"):
            await self.k.schedules.get("x")

    async def test_the_hook_of_payloads_counts(self: Any) -> None:
        k = await self.open(clock=self.clock, background=False, default=lambda value: sorted(value))
        self.assertEqual((await k.schedules.put("x", "y", {2, 1}, every=60)).payload, [1, 2])
        await k.close()


if __name__ == "__main__":
    unittest.main()
