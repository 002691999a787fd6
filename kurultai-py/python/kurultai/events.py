"""The room ``events``: what happened, in commit order."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import datetime
from typing import List

from . import _native
from .types import Alert, Duration, Event, EventPage, TaskLike


class Events:
    """The event log of one team."""

    __slots__ = ("_native",)

    def __init__(self, native: _native.Events) -> None:
        self._native = native

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
