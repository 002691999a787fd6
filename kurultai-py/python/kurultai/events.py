"""The room ``events``: what happened, in commit order."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping
from datetime import datetime
from typing import Any, List

from . import _native
from .errors import KurultaiError
from .types import (
    Alert,
    DeadEvent,
    Duration,
    Event,
    EventPage,
    NewEventFields,
    Published,
    Subscription,
    TaskLike,
)


class EventBatch:
    """The next events of a subscription, which nobody else is given until they are acknowledged, for as long as this process
    lives."""

    __slots__ = ("_ended", "_native")

    def __init__(self, native: _native.EventBatch) -> None:
        self._native = native
        self._ended = False

    @property
    def events(self) -> List[Event]:
        """Those that match, oldest first."""
        return self._native.events

    async def ack(self) -> None:
        """Says that the events are done: the subscription goes on behind them. A repetition does nothing more.

        Errors: ``event.stale_consumer`` where they were given to another consumer or the hold is over, and the cursor stays;
        ``subscription.not_found``. Cancel safe: a cancelled call may still have acknowledged.
        """
        await self._native.ack()
        self._ended = True

    async def retry(self, error: str, *, after: Duration = 0) -> None:
        """Has them given again, at once or after so many seconds, as somebody's next try; after 5 the first of them is a dead
        event, with this as its error.

        Errors: ``input.invalid``, and as ``ack``. Cancel safe: a cancelled call may still have given them back.
        """
        await self._native.retry(error, after)
        self._ended = True

    async def _leave(self) -> None:
        if not self._ended:
            try:
                await self.retry("it was not acknowledged")
            except KurultaiError:
                pass  # It is given again when the hold is over.


class Events:
    """The event log of one team."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Events) -> None:
        self._native = native

    async def publish(
        self,
        topic: str,
        payload: Any = None,
        *,
        source: str | None = None,
        task: TaskLike | None = None,
        correlation_id: str | None = None,
        key: str | None = None,
        cause: int | None = None,
    ) -> Published:
        """Tells of something that happened: an event of a topic of yours, in the log beside the library's own. ``topic``:
        words of letters, digits, ``_`` and ``-`` with dots between them, at most 128 bytes; what begins with ``task.``,
        ``tasks.``, ``agent.``, ``role.``, ``alert.``, ``message.`` or ``security.`` is the library's. ``payload``: JSON, at
        most 64 KiB.

        ``source``: the agent that it comes from. ``task``: what it is about. ``correlation_id``: what it belongs to; default
        that of ``cause``, else that of the task. ``key``: a second event of this key is not published, and the first one's
        number is the answer, for as long as retention keeps that; 1 to 256 characters. ``cause``: the ``seq`` of the event in
        whose handling it is published; a chain of more than 16 is refused. What a handler enqueues or sends does not go on
        with the chain.

        Errors: ``input.invalid``, also for a topic of the library; ``input.payload``; ``event.conflict`` where the key is that
        of an event with another topic, source, task or payload; ``event.loop``, ``event.not_found`` of the cause;
        ``task.not_found``. After ``store.outcome_unknown`` repeat it with a key. Cancel safe: a cancelled call may still have
        published.

        >>> await k.events.publish("deploy.done", {"version": 7}, source="temujin", key="deploy-7")
        Published(seq=1, deduplicated=False)
        >>> await k.events.publish("deploy.done", {"version": 7}, source="temujin", key="deploy-7")
        Published(seq=1, deduplicated=True)
        """
        return await self._native.publish(
            {
                "topic": topic,
                "payload": payload,
                "source": source,
                "task": task,
                "correlation_id": correlation_id,
                "key": key,
                "cause": cause,
            }
        )

    async def publish_many(self, events: Iterable[NewEventFields]) -> List[Published]:
        """Publishes many, all in one transaction or none. Errors as ``publish``; what is wrong with a value names the row,
        counted from 0.

        >>> await k.events.publish_many([{"topic": "deploy.begun"}, {"topic": "deploy.done", "payload": {"version": 7}}])
        [Published(seq=1, deduplicated=False), Published(seq=2, deduplicated=False)]
        """
        return await self._native.publish_many(events)

    async def subscribe(
        self,
        name: str,
        topic: str,
        *,
        agent: str | None = None,
        source: str | None = None,
        where: Mapping[str, Any] | None = None,
        start: int | datetime | None = None,
        batch: Duration = 0,
        quiet: Duration = 0,
    ) -> Subscription:
        """Has the store remember a reader under a name, whose events ``consume`` gives: none is missed while nobody reads, and
        of many readers one has each. Programs subscribe whenever they start: where one of the name is there, it is defined
        anew and goes on where it was, and ``start`` does not matter.

        ``topic`` is dotted: ``*`` is one word, ``**`` any number. ``agent``: whose it is. ``source``: only events that this
        agent caused. ``where``: only events of which this holds: ``{"all": [["payload.pr", "exists"], ["payload.n", "gt",
        3]]}``, or ``any``; operators ``eq``, ``in``, ``exists``, and of two numbers or two texts ``lt`` and ``gt``; fields
        ``topic``, ``source``, ``task_id``, ``task_type``, ``correlation_id`` and what is in the payload. ``start``: the number
        of the event behind which it begins, 0 for the first that the log has, or a time; default now. ``batch``: events are
        given together so many seconds after the first of them. ``quiet``: events are given together once none has come for so
        many seconds; with ``batch``, that is the longest that the first of them waits.

        Retention leaves what a subscription that is not paused has yet to take, up to twice as long as it leaves events.

        Errors: ``input.invalid``. After ``store.outcome_unknown`` repeat it. Cancel safe: a cancelled call may still have
        subscribed.

        >>> made = await k.events.subscribe("deployments", "deploy.**", agent="jochi")
        >>> made.cursor, made.lag
        (0, 0)
        """
        options: _native._SubscribeOptions = {
            "agent": agent,
            "source": source,
            "where": where,
            "start": start,
            "batch": batch,
            "quiet": quiet,
        }
        return await self._native.subscribe(name, topic, options)

    async def consume(
        self, name: str, *, max: int = 100, wait: Duration | None = None, hold: Duration = 30
    ) -> AsyncIterator[EventBatch]:
        """The events of a subscription, in batches of ``max`` at most, 1 to 1,000; nobody else is given them until the batch is
        acknowledged. It goes on until none has come for ``wait`` seconds, or for as long as you take them. What is not
        acknowledged is given again: when the next batch is asked for, or, where this process has died, after ``hold``
        seconds. From the third time on the first event is given alone, five times in all; then the subscription goes on
        without it (``dead``).

        Errors: ``input.invalid``, ``subscription.not_found``; ``event.cursor_too_old`` where retention has removed events
        before they were taken, which names the number to rewind to. Cancel safe: what a cancelled call was given is given
        again.

        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> done = await k.events.publish("deploy.done", {"version": 7})
        >>> async for batch in k.events.consume("deployments", wait=0):
        ...     for event in batch.events:
        ...         print(event.topic, event.payload)
        ...     await batch.ack()
        deploy.done {'version': 7}
        """
        options: _native._ConsumeOptions = {"max": max, "wait": 60 if wait is None else wait, "hold": hold}
        while True:
            native = await self._native.consume(name, options)
            if native is not None:
                batch = EventBatch(native)
                try:
                    yield batch
                finally:
                    await batch._leave()
            elif wait is not None:
                return

    async def subscriptions(self, agent: str | None = None) -> List[Subscription]:
        """The subscriptions of an agent, or all, in the order of their names. Cancel safe.

        >>> made = await k.events.subscribe("deployments", "deploy.**", agent="jochi")
        >>> [one.name for one in await k.events.subscriptions("jochi")]
        ['deployments']
        """
        return await self._native.subscriptions(agent)

    async def pause(self, name: str) -> Subscription:
        """Lets a subscription give nothing until ``unpause``; what was given may still be acknowledged. Retention does not wait
        for it meanwhile. Errors: ``subscription.not_found``, with the nearest name. Cancel safe: a cancelled call may still
        have paused it.

        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> (await k.events.pause("deployments")).paused
        True
        """
        return await self._native.pause(name)

    async def unpause(self, name: str) -> Subscription:
        """Lets it give events again, from where it was. Errors: ``subscription.not_found``. Cancel safe: a cancelled call may
        still have unpaused it.

        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> (await k.events.unpause("deployments")).paused
        False
        """
        return await self._native.unpause(name)

    async def rewind(self, name: str, to: int | datetime | None) -> Subscription:
        """Has a subscription go on somewhere else, forward or back: behind the event of a number, from a time on, or with what
        comes (None). Who has events of it can no longer acknowledge them.

        Errors: ``input.invalid``, ``subscription.not_found``. Cancel safe: a cancelled call may still have rewound it.

        >>> published = await k.events.publish("deploy.done")
        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> (await k.events.rewind("deployments", 0)).lag
        1
        """
        return await self._native.rewind(name, to)

    async def unsubscribe(self, name: str) -> None:
        """Removes a subscription, with what it says of dead events. Errors: ``subscription.not_found``. Cancel safe: a cancelled
        call may still have removed it.

        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> await k.events.unsubscribe("deployments")
        >>> await k.events.subscriptions()
        []
        """
        await self._native.unsubscribe(name)

    async def dead(self, name: str) -> List[DeadEvent]:
        """The events without which a subscription went on, oldest first: the newest 1,000. Errors:
        ``subscription.not_found``. Cancel safe.

        >>> made = await k.events.subscribe("deployments", "deploy.**")
        >>> await k.events.dead("deployments")
        []
        """
        return await self._native.dead(name)

    async def read(
        self,
        *,
        after_seq: int = 0,
        topic: str | None = None,
        source: str | None = None,
        task: TaskLike | None = None,
        type: str | None = None,
        since: datetime | None = None,
        limit: int = 1000,
        wait: Duration = 0,
    ) -> EventPage:
        """The events that match, oldest first. Read on with the page's ``next`` as ``after_seq``. ``topic`` is dotted:
        ``*`` is one word, ``**`` any number. ``type``: only those about tasks of this type. ``limit``: 1 to 10,000. Where there is none it waits up to ``wait`` seconds
        and returns as soon as one comes; an empty page is no error. With a ``wait`` the page may stop before the newest
        event, and the next has it.

        Errors: ``input.invalid``; ``event.cursor_too_old`` where retention has removed events after ``after_seq``. Cancel
        safe.

        >>> task = await k.tasks.enqueue("review")
        >>> [event.topic for event in await k.events.read(topic="task.*", task=task)]
        ['task.enqueued']
        """
        return await self._native.read(
            {
                "after_seq": after_seq,
                "topic": topic,
                "source": source,
                "task": task,
                "type": type,
                "since": since,
                "limit": limit,
                "wait": wait,
            }
        )

    async def each(
        self,
        *,
        after_seq: int = 0,
        topic: str | None = None,
        source: str | None = None,
        task: TaskLike | None = None,
        type: str | None = None,
        since: datetime | None = None,
    ) -> AsyncIterator[Event]:
        """Every event that matches and is there now, read 256 at a time. Parameters and errors as ``read``.

        >>> task = await k.tasks.enqueue("review")
        >>> async for event in k.events.each(topic="task.**"):
        ...     print(event.seq, event.topic)
        1 task.enqueued
        """
        while True:
            page = await self.read(
                after_seq=after_seq, topic=topic, source=source, task=task, type=type, since=since, limit=256
            )
            for event in page:
                yield event
            if len(page) < 256:
                return
            after_seq = page.next

    async def follow(
        self,
        topic: str | None = None,
        *,
        after_seq: int | None = None,
        source: str | None = None,
        task: TaskLike | None = None,
        type: str | None = None,
    ) -> AsyncIterator[Event]:
        """Events as they happen, for as long as you take them; from now on, or from ``after_seq`` on. It reads each event
        once, whether it matches or not, and goes on through an outage of the store. Parameters and errors as ``read``.

        >>> task = await k.tasks.enqueue("review")
        >>> async for event in k.events.follow("task.*", after_seq=0):
        ...     print(event.seq, event.topic)
        ...     break
        1 task.enqueued
        """
        seen = await self._native.last_seq() if after_seq is None else after_seq
        following = self._native.follow({"after_seq": seen, "topic": topic, "source": source, "task": task, "type": type})
        while True:
            for event in await following.next():
                yield event

    async def alerts(self) -> List[Alert]:
        """What burns now, the worst first, then the oldest. Whoever watches the team (``agents.watch``) raises and clears
        it; each change is an event, ``alert.raised`` or ``alert.cleared``. Cancel safe.

        >>> await k.events.alerts()
        []
        """
        return await self._native.alerts()

    async def last_seq(self) -> int:
        """The number of the newest event; 0 where nothing happened yet.

        >>> await k.events.last_seq()
        0
        """
        return await self._native.last_seq()
