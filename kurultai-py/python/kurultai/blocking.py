"""The same names without ``await``: every call runs to its end on the calling thread, and Ctrl-C ends it.

>>> with kurultai.blocking.open("memory:") as team:
...     team.agents.register("temujin")
...     task = team.tasks.enqueue("review", {"pr": 42})
...     [claimed] = team.tasks.claim("temujin")
...     team.tasks.complete(claimed, {"ok": True}).status
'completed'
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator
from typing import Any

from . import _client, _native
from ._context import Context as AsyncContext
from ._context import Draining as AsyncDraining
from ._context import MessageContext as AsyncMessageContext
from .agents import Agents as AsyncAgents
from .agents import Leadership as AsyncLeadership
from .agents import _let_go
from .events import EventBatch as AsyncEventBatch
from .events import Events as AsyncEvents
from .keys import Keys as AsyncKeys
from .messages import Messages as AsyncMessages
from .schedules import Schedules as AsyncSchedules
from .tasks import Tasks as AsyncTasks

__all__ = ["Agents", "Context", "EventBatch", "Events", "Keys", "Kurultai", "Leadership", "MessageContext", "Messages", "Schedules", "Tasks", "open"]


def _blocking(cls: type) -> Callable[[type], type]:
    """Gives a class every public member of an asynchronous one, with its calls made blocking."""

    def fill(proxy: type) -> type:
        for name, member in vars(cls).items():
            if not name.startswith("_") and not hasattr(proxy, name):
                if inspect.isfunction(member):
                    setattr(proxy, name, _method(name, member))
                elif isinstance(member, property):
                    setattr(proxy, name, property(_read(name), doc=member.__doc__))
        proxy.__doc__ = cls.__doc__
        return proxy

    return fill


def _method(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def call(self: Any, *args: Any, **options: Any) -> Any:
        result = getattr(self._inner, name)(*args, **options)
        if inspect.iscoroutine(result):
            return result if self._awaits else _native.run(result)
        return _iterate(result) if inspect.isasyncgen(result) and not self._awaits else result

    return call


def _iterate(items: Any) -> Iterator[Any]:
    try:
        while True:
            try:
                item = _native.run(items.__anext__())
            except StopAsyncIteration:
                return
            yield item
    finally:
        _native.run(items.aclose())


def _read(name: str) -> Callable[[Any], Any]:
    return lambda self: getattr(self._inner, name)


class _Proxy:
    __slots__ = ("_inner",)
    #: Whether its calls are awaited after all.
    _awaits = False

    def __init__(self, inner: Any) -> None:
        self._inner = inner

    def __repr__(self) -> str:
        return f"blocking {self._inner!r}"


@_blocking(AsyncTasks)
class Tasks(_Proxy):
    __slots__ = ()


@_blocking(AsyncLeadership)
class Leadership(_Proxy):
    __slots__ = ()

    def __enter__(self) -> Leadership:
        return self

    def __exit__(self, *error: object) -> None:
        _native.run(_let_go(self._inner))


@_blocking(AsyncAgents)
class Agents(_Proxy):
    __slots__ = ()

    @functools.wraps(AsyncAgents.lead)
    def lead(self, *args: Any, **options: Any) -> Any:
        leading = self._inner.lead(*args, **options)
        return leading if self._awaits else Leadership(_native.run(leading._lead()))


@_blocking(AsyncSchedules)
class Schedules(_Proxy):
    __slots__ = ()


@_blocking(AsyncEventBatch)
class EventBatch(_Proxy):
    __slots__ = ()


@_blocking(AsyncEvents)
class Events(_Proxy):
    __slots__ = ()

    @functools.wraps(AsyncEvents.consume)
    def consume(self, *args: Any, **options: Any) -> Any:
        batches = self._inner.consume(*args, **options)
        return batches if self._awaits else map(EventBatch, _iterate(batches))


@_blocking(AsyncMessages)
class Messages(_Proxy):
    __slots__ = ()


@_blocking(AsyncKeys)
class Keys(_Proxy):
    __slots__ = ()


@_blocking(_client.Kurultai)
class Kurultai(_Proxy):
    __slots__ = ("agents", "events", "keys", "messages", "schedules", "tasks")

    def __init__(self, inner: _client.Kurultai) -> None:
        super().__init__(inner)
        self.tasks = Tasks(inner.tasks)
        self.agents = Agents(inner.agents)
        self.schedules = Schedules(inner.schedules)
        self.events = Events(inner.events)
        self.messages = Messages(inner.messages)
        self.keys = Keys(inner.keys)

    def __enter__(self) -> Kurultai:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    @functools.wraps(_client.Kurultai.close)
    def close(self) -> None:
        _native.run(self._inner._close())


@_blocking(AsyncDraining)
class Draining(_Proxy):
    __slots__ = ()

    def __bool__(self) -> bool:
        return bool(self._inner)


class _HandlerProxy(_Proxy):
    """What a handler that is no coroutine gets."""

    __slots__ = ("_awaits",)
    cancelled = property(_read("cancelled"))
    draining = property(lambda self: self._inner.draining if self._awaits else Draining(self._inner.draining))
    team = property(lambda self: self._inner.team if self._awaits else Kurultai(self._inner.team))

    def __init__(self, inner: AsyncContext | AsyncMessageContext) -> None:
        super().__init__(inner)
        self._awaits = False

    def _hand_over(self) -> None:
        """The handler has returned a coroutine, which runs in the event loop and awaits the calls of its context."""
        self._awaits = True


@_blocking(AsyncContext)
class Context(_HandlerProxy):
    __slots__ = ()
    task = property(_read("task"))


@_blocking(AsyncMessageContext)
class MessageContext(_HandlerProxy):
    __slots__ = ()
    message = property(_read("message"))


@functools.wraps(_client.open)
def open(*args: Any, **options: Any) -> Kurultai:
    return Kurultai(_native.run(_client.open(*args, **options)._open()))
