"""A payload as the type that its handler names: a pydantic model, a dataclass, or anything built of them."""

from __future__ import annotations

import dataclasses
import inspect
import types
import typing
from collections.abc import Callable
from typing import Any, Literal, Union


class Mismatch(ValueError):
    """The payload is not of the type that its handler names."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"{path}{why}")
        self.path = path


def reader(function: Callable[..., Any]) -> Callable[[Any], Any] | None:
    """What makes the second argument of a handler; None where that names neither a model nor a dataclass. An annotation
    that cannot be looked up names nothing."""
    try:
        parameters = list(inspect.signature(function, eval_str=True).parameters.values())
    except (NameError, TypeError, ValueError, AttributeError):
        return None
    if len(parameters) < 2 or parameters[1].kind not in (
        inspect.Parameter.POSITIONAL_ONLY,
        inspect.Parameter.POSITIONAL_OR_KEYWORD,
    ):
        return None
    wanted = parameters[1].annotation
    return (lambda payload: _read(wanted, payload, "$")) if _has_a_model(wanted) else None


def _has_a_model(wanted: Any) -> bool:
    if isinstance(wanted, type) and (hasattr(wanted, "model_validate") or dataclasses.is_dataclass(wanted)):
        return True
    return any(_has_a_model(inner) for inner in typing.get_args(wanted))


def _read(wanted: Any, value: Any, path: str) -> Any:
    origin, arguments = typing.get_origin(wanted), typing.get_args(wanted)
    if origin in (Union, types.UnionType):
        return _one_of(arguments, value, path)
    if origin is Literal:
        return value if value in arguments else _refuse(path, value, wanted)
    if origin in (list, dict):
        if not isinstance(value, origin):
            _refuse(path, value, wanted)
        if origin is list:
            return [_read(arguments[0], item, f"{path}[{index}]") for index, item in enumerate(value)]
        return {key: _read(arguments[1], item, f"{path}.{key}") for key, item in value.items()}
    if wanted is None or wanted is type(None):
        return value if value is None else _refuse(path, value, "None")
    if not isinstance(wanted, type):
        return value  # Any, a type variable, a NewType: nothing that could be checked
    if hasattr(wanted, "model_validate"):
        try:
            return wanted.model_validate(value)
        except ValueError as wrong:
            raise Mismatch(path, f" is no {wanted.__name__}: {wrong}") from wrong
    if dataclasses.is_dataclass(wanted):
        return _dataclass(wanted, value, path)
    if wanted is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    fits = isinstance(value, wanted) and not (isinstance(value, bool) and wanted in (int, float))
    return value if fits else _refuse(path, value, wanted)


def _one_of(arguments: tuple[Any, ...], value: Any, path: str) -> Any:
    wrong = None
    for argument in arguments:
        try:
            return _read(argument, value, path)
        except Mismatch as mismatch:
            # The deepest says most: the value was nearly this one.
            wrong = mismatch if wrong is None or len(mismatch.path) > len(wrong.path) else wrong
    assert wrong is not None
    raise wrong


def _dataclass(wanted: Any, value: Any, path: str) -> Any:
    if not isinstance(value, dict):
        _refuse(path, value, wanted)
    hints = typing.get_type_hints(wanted)
    fields = {field.name: field for field in dataclasses.fields(wanted) if field.init}
    for name in value.keys() - fields.keys():
        raise Mismatch(path, f": {wanted.__name__} has no field {name!r}")
    given = {name: _read(hints[name], item, f"{path}.{name}") for name, item in value.items()}
    for name, field in fields.items():
        needed = field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
        if needed and name not in value:
            raise Mismatch(path, f": {wanted.__name__} needs {name!r}")
    try:
        return wanted(**given)
    except ValueError as wrong:  # of its own __post_init__
        raise Mismatch(path, f" is no {wanted.__name__}: {wrong}") from wrong


def _refuse(path: str, value: Any, wanted: Any) -> Any:
    name = wanted.__name__ if isinstance(wanted, type) else str(wanted).replace("typing.", "")
    raise Mismatch(path, f" is {value!r:.80}; allowed: {name}")
