"""Writes python/kurultai/blocking.pyi: the types of the blocking names, which at run time are made by one proxy.

``python3 stubs.py`` after a change of a room; a test says when it was forgotten.
"""

from __future__ import annotations

import ast
import pathlib

PACKAGE = pathlib.Path(__file__).parent / "python" / "kurultai"
HEAD = '''"""Generated from the asynchronous names by stubs.py."""

import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any, List, Literal, Tuple, Union, overload

from typing_extensions import Unpack

from . import _client, _context, _native, agents, events, keys, messages, schedules, tasks
from ._client import Retention, TaskDefaults
from ._context import Stop
from .errors import KurultaiError
from .legacy import AgentKey as LegacyKey
from .types import *
from .types import DependencyFields, NewAgentFields, NewEventFields, NewMessageFields, NewTaskFields, RetryPolicyFields, ScheduledTaskFields, TaskFields, UsageFields
'''
CLASSES = (
    ("tasks", "Tasks"),
    ("agents", "Leadership"),
    ("agents", "Agents"),
    ("schedules", "Schedules"),
    ("events", "EventBatch"),
    ("events", "Events"),
    ("messages", "Messages"),
    ("keys", "Keys"),
    ("_context", "Draining"),
    ("_context", "Context"),
    ("_context", "MessageContext"),
    ("_client", "Kurultai"),
)


def definition(path: str, name: str, kind: type) -> ast.AST:
    tree = ast.parse((PACKAGE / f"{path}.py").read_text())
    return next(node for node in tree.body if isinstance(node, kind) and getattr(node, "name", "") == name)


def stub(function: ast.FunctionDef | ast.AsyncFunctionDef, comment: str = "") -> str:
    decorators = "".join(f"@{ast.unparse(decorator)}\n" for decorator in function.decorator_list)
    assert function.returns is not None
    returns = ast.unparse(function.returns).replace("AsyncIterator[", "Iterator[").replace("Leading", "Leadership")
    return f"{decorators}def {function.name}({ast.unparse(function.args)}) -> {returns}: ...{comment}"


def proxy(path: str, name: str) -> str:
    node = definition(path, name, ast.ClassDef)
    assert isinstance(node, ast.ClassDef)
    lines = [f"def __init__(self, inner: {path}.{name}) -> None: ..."]
    overloads: list[str] = []
    for member in node.body:
        if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name):
            kept = f"@property\ndef {member.target.id}(self) -> {ast.unparse(member.annotation)}: ..."
            lines.append(ast.unparse(member) if name == "Kurultai" else kept)
        elif isinstance(member, (ast.FunctionDef, ast.AsyncFunctionDef)) and (
            not member.name.startswith("_") or member.name == "__bool__"
        ):
            if any(ast.unparse(decorator) == "overload" for decorator in member.decorator_list):
                # A text is iterable too, and comes first.
                comment = "" if member.name in overloads else "  # type: ignore[overload-overlap]"
                lines.append(stub(member, comment))
                overloads.append(member.name)
            elif member.name not in overloads:
                lines.append(stub(member))
    if name == "Leadership":
        lines.append("def __enter__(self) -> Leadership: ...\ndef __exit__(self, *error: object) -> None: ...")
    if name in ("Context", "MessageContext"):
        lines.append("def _hand_over(self) -> None: ...")
    if name == "Kurultai":
        lines.append("def __enter__(self) -> Kurultai: ...\ndef __exit__(self, *error: object) -> None: ...")
    body = "\n".join(lines).replace("\n", "\n    ")
    return f"class {name}:\n    {body}\n"


def text() -> str:
    opening = definition("_client", "open", ast.FunctionDef)
    assert isinstance(opening, ast.FunctionDef)
    opening.returns = ast.Name("Kurultai")
    names = ", ".join(f'"{name}"' for name in ("Agents", "Context", "EventBatch", "Events", "Keys", "Kurultai", "Leadership", "MessageContext", "Messages", "Schedules", "Tasks", "open"))
    parts = [HEAD, f"__all__ = [{names}]\n", *(proxy(*one) for one in CLASSES), stub(opening) + "\n"]
    return "\n".join(parts)


if __name__ == "__main__":
    (PACKAGE / "blocking.pyi").write_text(text())
