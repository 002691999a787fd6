"""Whether the stub says of each result what the native half does, down to the words of a Literal. stubtest compares names
and signatures, and cannot know the types of fields."""

from __future__ import annotations

import ast
import pathlib
import unittest
from datetime import datetime
from typing import Any, Literal

import kurultai
from kurultai import _native, blocking, types

#: Beside the source; a test of the wheel reads it there.
STUB = pathlib.Path(kurultai.__file__).parent / "_native.pyi"


class Fields(unittest.TestCase):
    def test_the_fields_of_results(self) -> None:
        names = {**vars(types), "Any": Any, "Literal": Literal, "datetime": datetime}
        said = {
            node.name: {
                field.target.id: ast.unparse(field.annotation.slice)
                for field in node.body
                if isinstance(field, ast.AnnAssign)
                and isinstance(field.target, ast.Name)
                and isinstance(field.annotation, ast.Subscript)
                and ast.unparse(field.annotation.value) == "Final"
            }
            for node in ast.parse(STUB.read_text()).body
            if isinstance(node, ast.ClassDef) and any(ast.unparse(base) in ("_View", "_Unhashable") for base in node.bases)
            and not node.name.startswith("_")
        }
        views = {name for name, value in vars(_native).items() if "__match_args__" in getattr(value, "__dict__", {})}
        self.assertEqual(set(said), views)
        for name in sorted(views):
            known = getattr(_native, name).__annotations__
            self.assertEqual(set(said[name]), set(known), name)
            self.assertEqual(set(said[name]), set(getattr(_native, name).__match_args__), name)
            for field, annotation in known.items():
                with self.subTest(f"{name}.{field}"):
                    self.assertEqual(eval(said[name][field], names), eval(annotation, names))


class Blocking(unittest.TestCase):
    def test_every_name_of_the_blocking_stub_is_there(self) -> None:
        stub = ast.parse(STUB.with_name("blocking.pyi").read_text())
        with blocking.open("memory:") as team:
            self.assertEqual(team.schedules.list(), [])
            rooms = {type(room): room for room in (getattr(team, name) for name in blocking.Kurultai.__slots__)}
            for node in stub.body:
                if not isinstance(node, ast.ClassDef):
                    continue
                cls = getattr(blocking, node.name)
                held = team if cls is blocking.Kurultai else rooms.get(cls, cls)
                for member in node.body:
                    name = member.target.id if isinstance(member, ast.AnnAssign) and isinstance(member.target, ast.Name) else getattr(member, "name", None)
                    with self.subTest(f"{node.name}.{name}"):
                        assert name is not None
                        self.assertTrue(hasattr(held, name))
                        if isinstance(member, ast.AnnAssign):
                            self.assertIs(type(getattr(held, name)), getattr(blocking, ast.unparse(member.annotation)))
        for name in blocking.__all__:
            self.assertTrue(hasattr(blocking, name), name)


if __name__ == "__main__":
    unittest.main()
