"""Whether what an agent is made of can be; a refusal names the field, the value and what is allowed."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Any

from .types import Duration


def text(field: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _wrong(TypeError, field, value, "a text")
    return value


def names(field: str, value: Iterable[str] | None) -> list[str] | None:
    """A single text would be a list of letters, which nobody means."""
    if value is None:
        return None
    allowed = 'a list of names, such as ["development"]'
    if isinstance(value, (str, bytes)) or not isinstance(value, Iterable):
        raise _wrong(TypeError, field, value, allowed)
    listed = list(value)
    if not all(isinstance(name, str) for name in listed):
        raise _wrong(TypeError, field, listed, allowed)
    return listed


def whole(field: str, value: Any, least: int) -> int:
    allowed = f"a whole number, {least} or more"
    if isinstance(value, bool) or not isinstance(value, int):
        raise _wrong(TypeError, field, value, allowed)
    if not least <= value < 2**32:
        raise _wrong(ValueError, field, value, allowed)
    return value


def seconds(field: str, value: Duration) -> float:
    if isinstance(value, timedelta):
        value = value.total_seconds()
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise _wrong(TypeError, field, value, "seconds or a timedelta")
    if not value >= 0:
        raise _wrong(ValueError, field, value, "0 or more seconds")
    return float(value)


def limit(field: str, value: Duration) -> float | None:
    """A span in which something can be done; infinity is none."""
    limited = span(field, value)
    return None if math.isinf(limited) else limited


def span(field: str, value: Duration) -> float:
    """More than nothing; infinity is for ever."""
    given = seconds(field, value)
    if given == 0:
        raise _wrong(ValueError, field, value, "more than 0 seconds, or None")
    return given


def within(field: str, value: Duration, most: float) -> float:
    """More than nothing and no more than that."""
    given = span(field, value)
    if given > most:
        raise _wrong(ValueError, field, value, f"at most {most:g} seconds")
    return given


def one_of(field: str, value: Any, *words: str) -> None:
    if value not in words:
        raise _wrong(ValueError if isinstance(value, str) else TypeError, field, value, " or ".join(map(repr, words)))


def hook(field: str, value: Callable[[Any], Any] | None) -> Callable[[Any], Any] | None:
    if value is not None and not callable(value):
        raise _wrong(TypeError, field, value, "a function")
    return value


def _wrong(kind: type[Exception], field: str, value: Any, allowed: str) -> Exception:
    return kind(f"{field} is {repr(value)[:80]}; allowed: {allowed}")
