"""A handler at work, and what it may end with."""

from __future__ import annotations

import asyncio
import functools
import inspect
import math
import os.path
import traceback
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from . import blocking
from ._context import Context, MessageContext
from ._payload import Mismatch
from ._threads import Threads
from .types import Duration


class Retry(Exception):
    """Raised by a handler: try the task again ``after`` so many seconds (or a timedelta) instead of after the
    back-off of its policy. A negative time is 0, more than ten years are ten years, and what is no finite number of
    seconds leaves it to the back-off."""

    def __init__(self, message: str = "", *, after: Duration | None = None) -> None:
        if after is not None and (isinstance(after, bool) or not isinstance(after, (int, float, timedelta))):
            raise TypeError(f"after is {after!r}; allowed: seconds or a timedelta")
        super().__init__(message)
        self.after = after


class Reject(Exception):
    """Raised by a handler: no attempt will mend this; the task goes to the dead letters now."""


class Snooze(Exception):
    """Raised by a handler that has not failed and is not done: the task goes back to the queue and is run again ``after``
    so many seconds (or a timedelta), and no attempt is counted. A negative time is 0, more than ten years are ten years;
    with what is no finite number of seconds, and after ``max_snoozes`` (100), the attempt has failed."""

    def __init__(self, message: str = "", *, after: Duration) -> None:
        if isinstance(after, bool) or not isinstance(after, (int, float, timedelta)):
            raise TypeError(f"after is {after!r}; allowed: seconds or a timedelta")
        super().__init__(message)
        self.after = after


@dataclass(frozen=True)
class Handler:
    """A function and what its attempts may take."""

    function: Callable[..., Any]
    #: As the native half takes them.
    limits: dict[str, Any]
    #: Makes of what the function is given what it names; None where it names nothing.
    read: Callable[[Any], Any] | None
    #: What that is called.
    given: str

    def value(self, given: Any) -> Any:
        """A payload of another type is none that another attempt would mend."""
        if self.read is None:
            return given
        try:
            return self.read(given)
        except Mismatch as wrong:
            raise Reject(f"{self.given} at {wrong}") from None

    @property
    def awaits(self) -> bool:
        """Whether it surely returns a coroutine. A plain function may do so too, which only its call shows."""
        function = self.function
        while isinstance(function, functools.partial):
            function = function.func
        return inspect.iscoroutinefunction(function) or inspect.iscoroutinefunction(getattr(function, "__call__", None))


@dataclass(frozen=True)
class Ended:
    """How a handler ended: with results, or with an error."""

    results: Any = None
    error: BaseException | None = None


class Handling:
    """A handler at work; ``task`` never fails, whatever the handler does."""

    def __init__(self, handler: Handler, ctx: Context | MessageContext, threads: Threads) -> None:
        #: Whether it runs in a thread, where it cannot be cancelled.
        self._in_thread = not handler.awaits
        self._stopped = False
        self.task = asyncio.create_task(self._run(handler, ctx, threads))

    def stop(self) -> None:
        self._stopped = True
        if not self._in_thread:
            self.task.cancel()

    async def _run(self, handler: Handler, ctx: Context | MessageContext, threads: Threads) -> Ended:
        function = handler.function
        try:
            value = handler.value(ctx._given)
            if not self._in_thread:
                return Ended(await function(ctx, value))
            inner = blocking.Context(ctx) if isinstance(ctx, Context) else blocking.MessageContext(ctx)
            ended = await threads.start(functools.partial(_call, function, inner, value))
            if not inspect.isawaitable(ended.results) or self._stopped:
                return ended
            inner._hand_over()
            self._in_thread = False
            return Ended(await ended.results)
        except BaseException as error:  # an exit, too: first the attempt ends
            return Ended(error=error)


def _call(
    function: Callable[..., Any], ctx: blocking.Context | blocking.MessageContext, value: Any
) -> Ended:
    try:
        return Ended(function(ctx, value))
    except BaseException as error:
        return Ended(error=error)


class Wish(NamedTuple):
    """What a handler wants that raised."""

    wish: Literal["retry", "reject", "snooze"] | None = None
    after: float | None = None
    #: Of a Reject what it says itself: the sender of a message is told this, and no traceback.
    why: str | None = None


def wish_of(error: BaseException) -> Wish:
    """The outermost Retry, Reject or Snooze among an exception, those that it groups and its causes."""
    level, seen = [error], {id(error)}
    while level:
        for one in level:
            if isinstance(one, Reject):
                return Wish("reject", why=_words(one))
            if isinstance(one, Retry):
                return Wish("retry", _pause(one.after))
            if isinstance(one, Snooze):
                return Wish("snooze", _pause(one.after))
        inner = [inside for one in level for inside in _inside(one) if id(inside) not in seen]
        seen.update(map(id, inner))
        level = inner
    return Wish()


def _words(error: Exception) -> str:
    try:
        return str(error)
    except BaseException as broken:  # whatever its own __str__ does
        return f"{type(error).__name__}, whose text cannot be shown: {type(broken).__name__}"


def _inside(error: BaseException) -> Iterator[BaseException]:
    grouped = getattr(error, "exceptions", None)  # also of the backport for 3.10
    if isinstance(grouped, (tuple, list)):
        yield from (one for one in grouped if isinstance(one, BaseException))
    if error.__cause__ is not None:
        yield error.__cause__
    elif error.__context__ is not None and not error.__suppress_context__:
        yield error.__context__


def _pause(after: Any) -> float | None:
    """Seconds; NaN where it is nothing of the kind."""
    if after is None:
        return None
    try:
        return after.total_seconds() if isinstance(after, timedelta) else float(after)
    except OverflowError:
        return math.copysign(math.inf, after)
    except Exception:
        return math.nan


_OURS = os.path.dirname(__file__)


def text_of(error: BaseException) -> str:
    """The traceback from the handler on; of Retry, Reject and Snooze what they say."""
    try:
        if isinstance(error, (Retry, Reject, Snooze)) and error.__cause__ is None:
            return str(error) or f"{type(error).__name__} at the handler's request"
        trace = error.__traceback__
        while trace is not None and os.path.dirname(trace.tb_frame.f_code.co_filename) == _OURS:
            trace = trace.tb_next
        return "".join(traceback.format_exception(type(error), error, trace)).rstrip()
    except BaseException as broken:  # whatever its own __str__ does
        return f"{type(error).__name__}, whose text cannot be shown: {type(broken).__name__}"
