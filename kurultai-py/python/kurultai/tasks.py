"""The room ``tasks``: what must be done."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable
from datetime import datetime
from typing import Any, List, Literal, Tuple, Union

from . import _native
from .errors import KurultaiError
from .types import (
    UNCHANGED,
    Claimed,
    Complete,
    Dependency,
    DependencyFields,
    Duration,
    Enqueued,
    Explanation,
    Extended,
    Fail,
    Finished,
    LeaseLike,
    NewTask,
    NewTaskFields,
    OnPrerequisiteFailure,
    Page,
    Postpone,
    PriorityWord,
    Release,
    RetryPolicy,
    RetryPolicyFields,
    Stats,
    Status,
    Task,
    TaskLike,
    UnderLike,
    Unchanged,
    Usage,
    UsageFields,
)


def _matching(
    status: Status | None,
    type: str | None,
    assigned_to: str | None,
    claimed_by: str | None,
    parent: TaskLike | None,
) -> _native._Filter:
    return {
        "status": status,
        "type": type,
        "assigned_to": assigned_to,
        "claimed_by": claimed_by,
        "parent": parent,
    }


class Tasks:
    """The queue of one team."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Tasks) -> None:
        self._native = native

    def _under(self, under: UnderLike | None) -> _native.Tasks:
        return self._native if under is None else self._native.under(under)

    async def enqueue(
        self,
        type: str,
        payload: Any = None,
        *,
        id: str | None = None,
        title: str | None = None,
        description: str | None = None,
        priority: PriorityWord | None = None,
        priority_weight: float | None = None,
        requires: Iterable[str] | None = None,
        prefers: Iterable[str] | None = None,
        assigned_to: str | None = None,
        delegated_by: str | None = None,
        parent: TaskLike | None = None,
        correlation_id: str | None = None,
        depends_on: Iterable[Union[TaskLike, Dependency, DependencyFields]] | None = None,
        unique_key: str | None = None,
        run_at: datetime | None = None,
        delay: Duration | None = None,
        expires_at: datetime | None = None,
        expires_in: Duration | None = None,
        max_attempts: int | None = None,
        max_runtime: Duration | None = None,
        retry: Union[RetryPolicy, RetryPolicyFields, None] = None,
        wait_for: Union[Literal["all", "any"], int, None] = None,
        on_prerequisite_failure: OnPrerequisiteFailure | None = None,
        under: UnderLike | None = None,
    ) -> Enqueued:
        """Adds a task. A task whose id or unique key is there already is not added again: its id is the answer,
        marked ``deduplicated``; with another type or payload it is ``task.conflict``.

        ``payload``: what JSON can say, at most 1 MiB and 64 levels. ``priority``: P0 (or critical,
        urgent), P1 (high), P2 (normal, medium; the default) or P3 (low, backlog); P0 is served first;
        ``priority_weight``, 0 to 1, orders within it. ``requires``: capabilities that the claimer must have
        all of; ``prefers``: whoever has these takes it first. ``depends_on``: it waits for these; another edge than
        ``blocks`` is a ``Dependency``. ``expires_in``: how long it may wait once it can be claimed; ``math.inf`` for
        ever; by default as the team is configured, 30 minutes. ``max_runtime``: how long one attempt may take, 1 second or
        more, kept by the store: its lease never lasts longer, and then the attempt has failed. ``wait_for``: how many of its children a parent waits
        for. ``on_prerequisite_failure``: ``block`` (default), ``cancel`` or ``continue``. ``correlation_id``: what its
        chain of work is known by in events; by default the parent's, or its own id. ``under``: a role that is held
        (``agents.lead``); the task is added only where it still is, which the store checks in the same transaction:
        ``role.stale_term`` otherwise.

        Errors: ``input.invalid``, ``input.payload``, ``task.dependency_unknown``, ``task.dependency_cycle``,
        ``task.not_found`` (the parent), ``task.conflict``, ``task.too_deep`` (more tasks above it than ``max_depth``),
        ``task.delegation_cycle`` (it would go back to who gave it on). After ``store.outcome_unknown`` repeat it with the same
        ``id`` or ``unique_key``. Cancel safe: a cancelled call may still have added the task.

        >>> build = await k.tasks.enqueue("build", {"pr": 42}, priority="P1", requires=["development"])
        >>> review = await k.tasks.enqueue("review", depends_on=[build], unique_key="review-42")
        >>> (await k.tasks.get(review)).status
        'blocked'
        """
        task: NewTaskFields = {
            "type": type,
            "payload": payload,
            "id": id,
            "title": title,
            "description": description,
            "priority": priority,
            "priority_weight": priority_weight,
            "requires": requires,
            "prefers": prefers,
            "assigned_to": assigned_to,
            "delegated_by": delegated_by,
            "parent": parent,
            "correlation_id": correlation_id,
            "depends_on": depends_on,
            "unique_key": unique_key,
            "run_at": run_at,
            "delay": delay,
            "expires_at": expires_at,
            "expires_in": expires_in,
            "max_attempts": max_attempts,
            "max_runtime": max_runtime,
            "retry": retry,
            "wait_for": wait_for,
            "on_prerequisite_failure": on_prerequisite_failure,
        }
        return await self._under(under).enqueue(task)

    async def enqueue_many(
        self, tasks: Iterable[Union[NewTask, NewTaskFields]], *, under: UnderLike | None = None
    ) -> List[Enqueued]:
        """Adds all or none, in one transaction. Tasks may depend on each other, in any order. ``under``, errors and cancel
        safety as ``enqueue``.

        >>> build = kurultai.NewTask("build", {"pr": 42})
        >>> added = await k.tasks.enqueue_many([build, {"type": "review", "depends_on": [build]}])
        >>> len(added), added[0].id == build.id
        (2, True)
        """
        return await self._under(under).enqueue_many(tasks)

    async def claim(
        self,
        agent: str,
        *,
        max: int = 1,
        types: Iterable[str] | None = None,
        lease: Duration | None = None,
        wait: Duration = 0,
    ) -> List[Claimed]:
        """Takes at most ``max`` tasks (1 to 1,000) for an agent, the most urgent first: those whose required
        capabilities it has, that are assigned to it or to nobody, and no more than its ``max_concurrent`` allows.
        Where there is none it waits up to ``wait`` seconds and returns as soon as work arrives; an empty list is no
        error. ``types``: only these. ``lease``: seconds without renewal after which others get it; default 30.

        Errors: ``agent.not_found``, ``input.invalid``. Cancel safe: what a cancelled call was given is released.

        >>> await k.agents.register("temujin", capabilities=["development"])
        >>> added = await k.tasks.enqueue("review", {"pr": 42}, requires=["development"])
        >>> for task in await k.tasks.claim("temujin", max=10, wait=5):
        ...     done = await k.tasks.complete(task, {"ok": True})
        >>> done.status
        'completed'
        """
        return await self._native.claim(agent, {"max": max, "types": types, "lease": lease, "wait": wait})

    async def stream(
        self,
        agent: str,
        *,
        batch: int = 1,
        types: Iterable[str] | None = None,
        lease: Duration | None = None,
    ) -> AsyncIterator[Claimed]:
        """Claimed tasks, one after another, for as long as you take them. Finish each before you take the next, or renew
        its lease. Those of a ``batch`` that are not reached are released. It goes on through an outage of the store.
        Parameters and errors as ``claim``.

        >>> await k.agents.register("jochi")
        >>> added = await k.tasks.enqueue("analysis")
        >>> async for task in k.tasks.stream("jochi"):
        ...     done = await k.tasks.complete(task)
        ...     break
        >>> done.status
        'completed'
        """
        options: _native._ClaimOptions = {"max": batch, "types": types, "lease": lease, "wait": 30, "persistent": True}
        while True:
            left = await self._native.claim(agent, options)
            try:
                while left:
                    yield left.pop(0)
            finally:
                if left:
                    await self.finish_many([Release(task) for task in left])

    async def complete(
        self, task: LeaseLike, results: Any = None, *, usage: Union[Usage, UsageFields, None] = None
    ) -> Finished:
        """Ends a task well and stores its results. A repetition with the same lease gets the same answer, marked
        ``repeated``. A parent whose children are not done becomes ``blocked`` and completes when they do.

        Errors: ``lease.lost`` (nothing was stored), ``input.payload``. After ``store.outcome_unknown`` repeat it.
        Cancel safe: a cancelled call may still have ended the task.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> await k.tasks.complete(task, {"ok": True}, usage={"tokens": 812, "cost": 0.02})  # doctest: +ELLIPSIS
        Finished(id='...', status='completed', repeated=False, failed=False)
        """
        return await self._native.complete(task, results, usage)

    async def fail(
        self,
        task: LeaseLike,
        error: Union[str, BaseException],
        *,
        retryable: bool = True,
        retry_after: Duration | None = None,
        results: Any = None,
        usage: Union[Usage, UsageFields, None] = None,
    ) -> Finished:
        """Ends an attempt badly: the task is tried again after a back-off (or after ``retry_after``), or goes to the
        dead letters when its attempts are used up or ``retryable`` is False. ``results``: what was achieved
        nevertheless. An error text over 16 KiB keeps its end. Errors and cancel safety as ``complete``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.fail(task, "no such pull request", retryable=False)).status
        'dead_letter'
        """
        return await self._native.fail(
            task, error, {"retryable": retryable, "retry_after": retry_after, "results": results, "usage": usage}
        )

    async def release(self, task: LeaseLike) -> Finished:
        """Gives a task back at once; the attempt does not count. Errors as ``complete``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.release(task)).status
        'pending'
        """
        return await self._native.release(task)

    async def snooze(self, task: LeaseLike, *, after: Duration) -> Finished:
        """Puts a task off: it goes back to the queue, to be claimed after this time. No attempt is counted, but one of its
        snoozes: after ``max_snoozes`` (100) it fails instead. It may expire meanwhile. Errors as ``complete``, and ``input.invalid`` beyond
        ten years.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.snooze(task, after=60)).status
        'pending'
        >>> (await k.tasks.get(added)).snoozes
        1
        """
        return await self._native.snooze(task, after)

    async def finish(self, finish: Union[Complete, Fail, Release, Postpone]) -> Finished:
        """Ends one attempt in any way. ``Postpone`` is what ``snooze`` does. Errors and cancel safety as ``complete``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.finish(kurultai.Complete(task, {"ok": True}))).status
        'completed'
        """
        return await self._native.finish(finish)

    async def finish_many(
        self, finishes: Iterable[Union[Complete, Fail, Release, Postpone]]
    ) -> List[Union[Finished, KurultaiError]]:
        """Ends many attempts in one transaction; each has its own answer: a Finished, or its error as a value. Fails
        whole, before anything is stored, with ``input.invalid`` or ``input.payload``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue_many([{"type": "review"}, {"type": "build"}])
        >>> one, two = await k.tasks.claim("temujin", max=2)
        >>> answers = await k.tasks.finish_many([kurultai.Complete(one), kurultai.Fail(two, "broken")])
        >>> [answer.status for answer in answers]
        ['completed', 'pending']
        """
        return await self._native.finish_many(finishes)

    async def complete_many(
        self, done: Iterable[Tuple[LeaseLike, Any]]
    ) -> List[Union[Finished, KurultaiError]]:
        """``finish_many`` of pairs: a task and its results.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue_many([{"type": "review"}, {"type": "build"}])
        >>> claimed = await k.tasks.claim("temujin", max=2)
        >>> [answer.status for answer in await k.tasks.complete_many((task, {"ok": True}) for task in claimed)]
        ['completed', 'completed']
        """
        return await self._native.complete_many(done)

    async def extend(self, task: LeaseLike, ttl: Duration = 30) -> Extended:
        """Lets the lease last at least ``ttl`` seconds from now and says what the holder should do: go on, or stop
        because the task was cancelled or suspended. Errors: ``lease.lost``, ``input.invalid``. Cancel safe.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.extend(task, 60)).signal
        'continue'
        """
        return await self._native.renew(task, {"ttl": ttl})

    async def progress(self, task: LeaseLike, progress: float) -> Extended:
        """Notes how far the work is, 0 to 1; a sign of life. Errors and answer as ``extend``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.progress(task, 0.4)).signal
        'continue'
        """
        return await self._native.renew(task, {"progress": progress})

    async def checkpoint(self, task: LeaseLike, checkpoint: Any) -> Extended:
        """Stores where the next attempt can go on; a sign of life. Errors and answer as ``extend``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> signal = await k.tasks.checkpoint(task, {"page": 7})
        >>> released = await k.tasks.release(task)
        >>> (await k.tasks.claim("temujin"))[0].checkpoint
        {'page': 7}
        """
        return await self._native.checkpoint(task, checkpoint)

    async def renew(
        self,
        task: LeaseLike,
        *,
        ttl: Duration | None = None,
        progress: float | None = None,
        checkpoint: Any = None,
    ) -> Extended:
        """``extend``, ``progress`` and ``checkpoint`` in one call; what is None stays as it is.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> (await k.tasks.renew(task, ttl=60, progress=0.4, checkpoint={"page": 7})).signal
        'continue'
        """
        return await self._native.renew(task, {"ttl": ttl, "progress": progress, "checkpoint": checkpoint})

    async def cancel(self, task: TaskLike, reason: str | None = None, *, children: bool = False) -> Status:
        """Cancels a task: at once where nobody holds it; otherwise its holder learns it at its next ``extend``. Its
        children stay; with ``children`` everything below it is cancelled as well, and what is finished is passed
        over, be it the task itself. Returns the task's status. Errors: ``task.not_found``, ``task.state`` where it is
        finished. Cancel safe: a repetition goes on where a cancelled call was.

        >>> await k.tasks.cancel(await k.tasks.enqueue("review"), "not needed any more")
        'cancelled'
        """
        return await self._native.cancel(task, reason, children)

    async def cancel_many(
        self,
        *,
        status: Status | None = None,
        type: str | None = None,
        assigned_to: str | None = None,
        claimed_by: str | None = None,
        parent: TaskLike | None = None,
        reason: str | None = None,
    ) -> int:
        """Cancels all tasks that match in every way given, as ``cancel`` does each, 200 at a time; what is finished is
        passed over. Returns how many it cancelled or asked their holders to stop. Errors: ``input.invalid`` where
        nothing is said of the tasks. What was done before an error stays so. Cancel safe as ``cancel``.

        >>> added = await k.tasks.enqueue_many([{"type": "review"}, {"type": "review"}, {"type": "build"}])
        >>> await k.tasks.cancel_many(type="review", reason="replaced")
        2
        """
        matching = _matching(status, type, assigned_to, claimed_by, parent)
        return await self._native.cancel_many(matching, reason)

    async def update(
        self,
        task: TaskLike,
        *,
        title: str | None = None,
        description: str | None = None,
        payload: Any = UNCHANGED,
        priority: PriorityWord | None = None,
        priority_weight: float | None = None,
        run_at: datetime | None | Unchanged = UNCHANGED,
        expires_at: datetime | None | Unchanged = UNCHANGED,
        assigned_to: str | None | Unchanged = UNCHANGED,
    ) -> Task:
        """Changes what is given of a task that nobody holds, and returns the task as it is then. None for ``run_at`` is at
        once, for ``expires_at`` never, for ``assigned_to`` anybody. It keeps its age in the order; a rank that
        something more urgent waits for stays, and what it waits for rises with it. With a time-out and a new
        ``run_at`` the time-out counts anew; ``expires_at`` ends it. An enqueue under its unique key compares with the
        new payload.

        Errors: ``input.invalid``, ``input.payload``, ``task.not_found``, ``task.state`` where it is held or finished,
        ``task.delegation_cycle`` where ``assigned_to`` would give it back to who gave it on. After ``store.outcome_unknown`` repeat it. Cancel safe: a cancelled call may still have changed the task.

        >>> task = await k.tasks.enqueue("review", {"pr": 41}, assigned_to="jochi")
        >>> task = await k.tasks.update(task, payload={"pr": 42}, assigned_to=None)
        >>> task.payload, task.assigned_to
        ({'pr': 42}, None)
        """
        said = {
            "title": title,
            "description": description,
            "priority": priority,
            "priority_weight": priority_weight,
        }
        changes = {name: value for name, value in said.items() if value is not None}
        open = {"payload": payload, "run_at": run_at, "expires_at": expires_at, "assigned_to": assigned_to}
        changes.update((name, value) for name, value in open.items() if value is not UNCHANGED)
        return await self._native.update(task, changes)

    async def reprioritize(
        self, task: TaskLike, priority: PriorityWord | None = None, weight: float | None = None
    ) -> Task:
        """Changes how urgent a task is; what is None stays as it is. Answer, errors and cancel safety as ``update``.

        >>> task = await k.tasks.reprioritize(await k.tasks.enqueue("review"), "P0", weight=0.9)
        >>> task.priority, task.priority_weight
        ('P0', 0.9)
        """
        return await self._native.reprioritize(task, priority, weight)

    async def assign(
        self, task: TaskLike, agent: str | None, *, by: str | None = None, under: UnderLike | None = None
    ) -> Task:
        """Gives a task to one agent, or with None to anybody; ``by`` is who decided it. ``under`` as of ``enqueue``. Answer,
        errors and cancel safety as ``update``.

        >>> (await k.tasks.assign(await k.tasks.enqueue("review"), "jochi", by="kublai")).assigned_to
        'jochi'
        """
        return await self._under(under).assign(task, agent, by)

    async def suspend(self, task: TaskLike) -> Status:
        """Takes a task out of the queue until ``resume``; its holder learns it at its next ``extend``. Errors:
        ``task.not_found``, ``task.state``.

        >>> await k.tasks.suspend(await k.tasks.enqueue("review"))
        'suspended'
        """
        return await self._native.suspend(task)

    async def resume(self, task: TaskLike) -> Status:
        """Ends ``suspend``. Errors: ``task.not_found``, ``task.state``.

        >>> task = await k.tasks.enqueue("review")
        >>> await k.tasks.suspend(task), await k.tasks.resume(task)
        ('suspended', 'pending')
        """
        return await self._native.resume(task)

    async def requeue(self, task: TaskLike) -> Status:
        """Gives a dead, cancelled or expired task fresh attempts; its errors and its fencing version stay. Errors:
        ``task.not_found``, ``task.state``, ``task.conflict`` where a later task has taken its unique key.

        >>> task = await k.tasks.enqueue("review")
        >>> await k.tasks.cancel(task), await k.tasks.requeue(task)
        ('cancelled', 'pending')
        """
        return await self._native.requeue(task)

    async def requeue_many(
        self,
        *,
        status: Status | None = None,
        type: str | None = None,
        assigned_to: str | None = None,
        claimed_by: str | None = None,
        parent: TaskLike | None = None,
    ) -> int:
        """Requeues all tasks that match, 200 at a time; what cannot be requeued is passed over. Returns how many it was.
        Parameters, errors and cancel safety as ``cancel_many``.

        >>> await k.tasks.requeue_many(status="dead_letter", type="review")
        0
        """
        return await self._native.requeue_many(_matching(status, type, assigned_to, claimed_by, parent))

    async def discard(self, task: TaskLike) -> Status:
        """Gives up a dead letter: it becomes ``cancelled``. Errors: ``task.not_found``, ``task.state``.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue("review")
        >>> [task] = await k.tasks.claim("temujin")
        >>> failed = await k.tasks.fail(task, "no such pull request", retryable=False)
        >>> await k.tasks.discard(task)
        'cancelled'
        """
        return await self._native.discard(task)

    async def pause(self, type: str | None = None) -> None:
        """Stops giving out a task type, or with None every task. Holders see it at their next ``extend`` and go on; who
        wants them to stop as well calls ``stop_all``. Errors: ``input.invalid``.

        >>> await k.tasks.pause("deploy")
        >>> (await k.tasks.stats()).paused
        ['deploy']
        """
        await self._native.pause(type)

    async def unpause(self, type: str | None = None) -> None:
        """Ends ``pause``; without a type it ends a stop too, as ``start_all`` does. Errors: ``input.invalid``.

        >>> await k.tasks.pause()
        >>> await k.tasks.unpause()
        """
        await self._native.unpause(type)

    async def stop_all(self, reason: str) -> int:
        """The emergency stop: from now on nothing is given out, and every holder is asked to cancel. What is held ends
        ``cancelled`` when its holder gives it back or fails, or when its lease runs out; what is completed before the
        holder has heard of it stays completed. An agent's handlers hear of it within a second or two, with the
        ``reason`` (1 to 1,000 characters); other holders when they renew their lease. Returns how many holders it has
        asked; those that were asked before are not asked again, and a stop that is there already keeps its reason.

        Events: ``tasks.stopped``, and ``task.cancel_requested`` for each task. Errors: ``input.invalid``. A cancelled call
        may leave holders unasked: repeat it.

        >>> await k.agents.register("temujin")
        >>> added = await k.tasks.enqueue_many([{"type": "deploy"}, {"type": "deploy"}])
        >>> [held] = await k.tasks.claim("temujin")
        >>> await k.tasks.stop_all("the bill is on fire")
        1
        >>> await k.tasks.claim("temujin"), (await k.tasks.extend(held)).signal
        ([], 'cancel')
        >>> (await k.tasks.stats()).stopped.reason
        'the bill is on fire'
        >>> (await k.tasks.release(held)).status
        'cancelled'
        """
        return await self._native.stop_all(reason)

    async def start_all(self) -> None:
        """Gives out tasks again after ``stop_all``, or after a pause of everything; types that are paused by themselves
        stay so. What was cancelled stays cancelled: ``requeue_many`` brings it back. Event: ``tasks.started``, where
        there was a stop.

        >>> asked = await k.tasks.stop_all("a drill")
        >>> await k.tasks.start_all()
        >>> print((await k.tasks.stats()).stopped)
        None
        """
        await self._native.start_all()

    async def add_dependency(self, task: TaskLike, on: Union[TaskLike, Dependency, DependencyFields]) -> None:
        """Lets a task that is there already wait for another, or be fed by it. Errors: ``task.not_found``,
        ``task.dependency_unknown``, ``task.dependency_cycle`` naming the cycle, ``task.state`` where the dependent
        is held or finished.

        >>> build, review = await k.tasks.enqueue("build"), await k.tasks.enqueue("review")
        >>> await k.tasks.add_dependency(review, build)
        >>> (await k.tasks.get(review)).status
        'blocked'
        """
        await self._native.add_dependency(task, on)

    async def wait_for(self, task: TaskLike, *, timeout: Duration = 10) -> Task:
        """Waits until a task is completed, at most ``timeout`` seconds (``math.inf``: without end), and returns it. However
        many wait, a process reads the log once; an outage of the store does not end a wait before its time.

        Errors: ``task.failed`` where it ended otherwise, with the stored error as the cause; ``task.timeout``, which is a
        ``TimeoutError``: nothing is cancelled, wait again; both with the task's id in ``task_id``. ``task.not_found``. Cancel safe.

        >>> task = await k.tasks.enqueue("review")
        >>> try:
        ...     await k.tasks.wait_for(task, timeout=0.01)
        ... except TimeoutError as error:
        ...     print(error.code)
        task.timeout
        """
        return await self._native.wait_for(task, timeout)

    async def call(
        self, task: Union[str, NewTask, NewTaskFields], payload: Any = None, *, timeout: Duration = 30
    ) -> Any:
        """Enqueues a task, waits for its end, and returns its results. ``task``: its type, or a ``NewTask`` or a dict, which
        have a payload of their own. Errors and cancel safety as ``enqueue`` and ``wait_for``: the task stays.

        >>> agent, stop = kurultai.Agent("jochi"), asyncio.Event()
        >>> @agent.task("sum")
        ... async def sum_up(ctx, numbers):
        ...     return sum(numbers)
        >>> serving = asyncio.create_task(agent.serve(k, stop=stop))
        >>> await k.tasks.call("sum", [1, 2, 3])
        6
        >>> stop.set()
        >>> await serving
        1
        """
        if isinstance(task, str):
            added = await self.enqueue(task, payload)
        elif payload is None:
            [added] = await self.enqueue_many([task])
        else:
            raise TypeError("a NewTask has its payload already")
        return (await self.wait_for(added, timeout=timeout)).results

    async def get(self, task: TaskLike) -> Task:
        """The whole task. Errors: ``task.not_found``.

        >>> task = await k.tasks.get(await k.tasks.enqueue("review", {"pr": 42}))
        >>> task.status, task.payload
        ('pending', {'pr': 42})
        """
        return await self._native.get(task)

    async def get_many(self, tasks: Iterable[TaskLike]) -> List[Union[Task, None]]:
        """The whole tasks; None where there is no such task.

        >>> await k.tasks.get_many(["nothing"])
        [None]
        """
        return await self._native.get_many(list(tasks))

    async def find(self, unique_key: str) -> Task | None:
        """The task that has this unique key, or that had it last and is dead, cancelled or expired; None where there is
        none. Errors: ``input.invalid``.

        >>> added = await k.tasks.enqueue("report", unique_key="report-2026-03")
        >>> (await k.tasks.find("report-2026-03")).status
        'pending'
        """
        return await self._native.find(unique_key)

    async def list(
        self,
        *,
        status: Status | None = None,
        type: str | None = None,
        assigned_to: str | None = None,
        claimed_by: str | None = None,
        parent: TaskLike | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        """A page of the tasks that match in every way given, in the order in which they were made. ``cursor``:
        ``next`` of the page before. ``limit``: 1 to 1,000. Errors: ``input.invalid``.

        >>> added = await k.tasks.enqueue_many([{"type": "review"}, {"type": "build"}])
        >>> page = await k.tasks.list(status="pending", limit=1)
        >>> [task.type for task in page], page.next is not None
        (['review'], True)
        """
        return await self._native.list(
            {
                "status": status,
                "type": type,
                "assigned_to": assigned_to,
                "claimed_by": claimed_by,
                "parent": parent,
                "cursor": cursor,
                "limit": limit,
            }
        )

    async def each(
        self,
        *,
        status: Status | None = None,
        type: str | None = None,
        assigned_to: str | None = None,
        claimed_by: str | None = None,
        parent: TaskLike | None = None,
    ) -> AsyncIterator[Task]:
        """Every task that matches, read 256 at a time. Parameters and errors as ``list``.

        >>> added = await k.tasks.enqueue_many([{"type": "review"}, {"type": "build"}])
        >>> async for task in k.tasks.each(status="pending"):
        ...     print(task.type)
        review
        build
        """
        cursor = None
        while True:
            page = await self.list(
                status=status,
                type=type,
                assigned_to=assigned_to,
                claimed_by=claimed_by,
                parent=parent,
                cursor=cursor,
                limit=256,
            )
            for task in page.tasks:
                yield task
            cursor = page.next
            if cursor is None:
                return

    async def dead_letters(
        self,
        *,
        type: str | None = None,
        assigned_to: str | None = None,
        claimed_by: str | None = None,
        parent: TaskLike | None = None,
        cursor: str | None = None,
        limit: int = 100,
    ) -> Page:
        """The tasks that failed for good. Parameters and errors as ``list``.

        >>> (await k.tasks.dead_letters()).tasks
        []
        """
        return await self.list(
            status="dead_letter",
            type=type,
            assigned_to=assigned_to,
            claimed_by=claimed_by,
            parent=parent,
            cursor=cursor,
            limit=limit,
        )

    async def stats(self) -> Stats:
        """Counts by status, the oldest task that can be claimed, how long tasks wait and run, what is paused or stopped.

        >>> added = await k.tasks.enqueue("review")
        >>> (await k.tasks.stats()).by_status
        {'pending': 1}
        """
        return await self._native.stats()

    async def explain(self, task: TaskLike) -> Explanation:
        """Why a task is not claimed. Errors: ``task.not_found``.

        >>> task = await k.tasks.enqueue("review", id="review-42", requires=["rust"])
        >>> print(await k.tasks.explain(task))
        review-42 is pending: no agent is alive
        """
        return await self._native.explain(task)
