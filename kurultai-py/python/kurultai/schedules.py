"""The room ``schedules``: what is due when."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING, Any, List

from . import _native
from .types import CatchUp, Duration, Enqueued, Overlap, Schedule

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from .types import ScheduledTaskFields


class Schedules:
    """What is due when. A schedule enqueues a task at its times and does nothing else; every process that has the store open
    sees to it, and each time has its task once, whoever crashes."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Schedules) -> None:
        self._native = native

    async def put(
        self,
        name: str,
        type: str,
        payload: Any = None,
        *,
        every: Duration | None = None,
        cron: str | None = None,
        timezone: str = "UTC",
        catch_up: CatchUp = "one",
        overlap: Overlap | None = None,
        jitter: Duration = 0,
        start: datetime | None = None,
        **task_fields: Unpack[ScheduledTaskFields],
    ) -> Schedule:
        """Puts a schedule, in place of the one of its name. Programs put theirs whenever they start: where it is as it was,
        nothing changes; where its times are the same, what was missed is still caught up. A paused one stays paused.

        ``type``, ``payload`` and ``task_fields``: what each time enqueues, as of ``tasks.enqueue``; a schedule's task has no
        ``parent``, no ``depends_on`` and no time or key of its own. Its unique key is ``schedule:NAME:TIME``.

        ``every``: from one time to the next, 1 second or more, counted from ``start`` or else from the first put, whatever
        clocks show. Or ``cron``: five fields, minute hour day month weekday, as in ``0 9 * * MON``; or ``@hourly``,
        ``@daily``, ``@weekly``, ``@monthly``, ``@yearly``. It goes by the wall clock of ``timezone``, an IANA name. A time
        that the clock leaves out when it is put forward is due at that moment; one that it shows twice is due the first time.

        ``start``: nothing is due before. ``jitter``: by how much each task may come later than its time; the same for every
        process, and less than from one time to the next. ``catch_up``: what becomes of times that passed while no process
        had the store open: ``one`` task for all of them, ``skip``: none (what is less than a minute late counts as on time),
        ``all``: one for each. ``overlap``: what becomes of a time that comes while the schedule's last task is unfinished:
        ``skip``, which is the default, or ``allow``, which is the default with ``catch_up="all"``.

        Errors: ``input.invalid``, ``input.payload``. After ``store.outcome_unknown`` repeat it. Cancel safe: a cancelled call
        may still have put it.

        >>> monday = await k.schedules.put("report", "report", cron="0 9 * * MON", timezone="Asia/Ulaanbaatar", priority="P1")
        >>> monday.next_due == monday.upcoming[0], len(monday.upcoming), monday.task_fields
        (True, 3, {'priority': 'P1'})
        >>> often = await k.schedules.put("look", "look", {"at": "inbox"}, every=300)
        >>> often.upcoming[1] - often.upcoming[0]
        datetime.timedelta(seconds=300)
        """
        options: _native._ScheduleOptions = {
            "every": every,
            "cron": cron,
            "timezone": timezone,
            "catch_up": catch_up,
            "overlap": overlap,
            "jitter": jitter,
            "start": start,
        }
        return await self._native.put(name, {**task_fields, "type": type, "payload": payload}, options)

    async def list(self) -> List[Schedule]:
        """All schedules, in the order of their names, each with the next three times. Cancel safe.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> [(one.name, len(one.upcoming)) for one in await k.schedules.list()]
        [('nightly', 3)]
        """
        return await self._native.list()

    async def get(self, name: str) -> Schedule:
        """One of them. Errors: ``schedule.not_found``, with the nearest name. Cancel safe.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> (await k.schedules.get("nightly")).cron
        '30 2 * * *'
        """
        return await self._native.get(name)

    async def pause(self, name: str) -> Schedule:
        """Lets it enqueue nothing until ``unpause``, also where it is put again. Errors: ``schedule.not_found``. Cancel safe:
        a cancelled call may still have paused it.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> paused = await k.schedules.pause("nightly")
        >>> paused.paused, paused.next_due, paused.upcoming
        (True, None, [])
        """
        return await self._native.pause(name)

    async def unpause(self, name: str) -> Schedule:
        """Lets it enqueue again, from the next time on that is to come: what came while it was paused is not caught up.
        Errors: ``schedule.not_found``. Cancel safe: a cancelled call may still have unpaused it.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> paused = await k.schedules.pause("nightly")
        >>> (await k.schedules.unpause("nightly")).next_due == put.next_due
        True
        """
        return await self._native.unpause(name)

    async def remove(self, name: str) -> None:
        """Removes it; its tasks stay. Errors: ``schedule.not_found``. Cancel safe: a cancelled call may still have removed it.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> await k.schedules.remove("nightly")
        >>> await k.schedules.list()
        []
        """
        await self._native.remove(name)

    async def run_now(self, name: str) -> Enqueued:
        """Enqueues its task at once, also where it is paused; what is due when stays. Where it waits for its last task
        (``overlap`` is ``skip``), that one is the answer, marked ``deduplicated``.

        Errors: ``schedule.not_found``. Cancel safe: a cancelled call may still have enqueued the task.

        >>> put = await k.schedules.put("nightly", "report", cron="30 2 * * *")
        >>> first, second = await k.schedules.run_now("nightly"), await k.schedules.run_now("nightly")
        >>> first.deduplicated, second.deduplicated, first.id == second.id
        (False, True, True)
        """
        return await self._native.run_now(name)
