"""Every example of the docstrings and of the README runs, and prints what it says."""

from __future__ import annotations

import ast
import asyncio
import contextlib
import doctest
import importlib
import importlib.util
import inspect
import io
import os
import pathlib
import pkgutil
import re
import subprocess
import sys
import tempfile
import types
import unittest
import uuid

import kurultai
from support import NEO4J

ROOT = pathlib.Path(__file__).parents[1]
PAGE = ROOT.parent / "RECIPES.md"


def modules() -> list[types.ModuleType]:
    names = [m.name for m in pkgutil.iter_modules(kurultai.__path__) if m.name != "_native"]
    return [kurultai] + [importlib.import_module(f"kurultai.{name}") for name in names]


async def run(test: doctest.DocTest) -> list[str]:
    """Runs the examples as ``python -m asyncio`` would, with a fresh team as ``k``, which speaks for temujin;
    returns what differs."""
    checker, wrong = doctest.OutputChecker(), []
    me = kurultai.Identity.generate("temujin")
    async with kurultai.open("memory:", identity=me) as k:
        await k.keys.add("temujin", me.public_key)
        names = {"kurultai": kurultai, "asyncio": asyncio, "k": k}
        for example in test.examples:
            out = io.StringIO()
            flags = sum(flag for flag, on in example.options.items() if on)
            code = compile(
                example.source, test.name, "single", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True
            )
            with contextlib.redirect_stdout(out):
                running = types.FunctionType(code, names)()
                if inspect.iscoroutine(running):
                    await running
            if not checker.check_output(example.want, out.getvalue(), flags):
                wrong.append(checker.output_difference(example, out.getvalue(), flags))
    return wrong


class Docstrings(unittest.TestCase):
    maxDiff = None

    def test_examples_run(self) -> None:
        finder, count = doctest.DocTestFinder(exclude_empty=True), 0
        for module in modules():
            for test in finder.find(module, module.__name__):
                if test.examples:
                    with self.subTest(test.name):
                        self.assertEqual(asyncio.run(run(test)), [])
                    count += 1
        self.assertGreater(count, 40)

    def test_every_operation_has_an_example(self) -> None:
        for room in (
            kurultai.Tasks,
            kurultai.Agents,
            kurultai.Schedules,
            kurultai.Events,
            kurultai.Messages,
            kurultai.Keys,
            kurultai.Kurultai,
        ):
            for name, member in vars(room).items():
                if inspect.isfunction(member) and not name.startswith("_"):
                    self.assertIn(">>>", member.__doc__ or "", f"{room.__name__}.{name}")


class Readme(unittest.TestCase):
    def test_python_blocks_run(self) -> None:
        for readme, least in ((ROOT / "README.md", 2), (ROOT.parent / "README.md", 1)):
            blocks = re.findall(r"```python\n(.*?)```", readme.read_text(), re.S)
            self.assertGreaterEqual(len(blocks), least)
            self.run_all(blocks)

    def run_all(self, blocks: list[str]) -> None:
        for block in blocks:
            with tempfile.TemporaryDirectory() as folder, self.subTest(block):
                done = subprocess.run(
                    [sys.executable, "-c", block],
                    cwd=folder,
                    env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                    capture_output=True,
                    text=True,
                    timeout=60,
                )
                self.assertEqual((done.returncode, done.stderr), (0, ""))


class Recipes(unittest.TestCase):
    """The Python programs of RECIPES.md, on each store; one that needs a package runs where that is installed."""

    def test_recipes_run(self) -> None:
        recipes = re.findall(r"^## (.*?)$(?:(?!^## ).)*?^```python\n(.*?)^```", PAGE.read_text(), re.S | re.M)
        self.assertGreaterEqual(len(recipes), 6)
        for title, code in recipes:
            self.run_one(title, code)
            if NEO4J:
                self.run_one(f"{title}, on Neo4j", on_neo4j(code, NEO4J))

    def run_one(self, title: str, code: str) -> None:
        with self.subTest(title), tempfile.TemporaryDirectory() as folder:
            missing = [name for name in imported(code) if importlib.util.find_spec(name) is None]
            if missing:
                self.skipTest(f"without {', '.join(missing)}")
            program = pathlib.Path(folder, "test_recipe.py")
            program.write_text(code)
            pytest = ["-m", "pytest", "-q", "-p", "no:cacheprovider"] if "pytest" in imported(code) else []
            done = subprocess.run(
                [sys.executable, *pytest, program.name],
                cwd=folder,
                env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
            self.assertEqual(done.returncode, 0, done.stdout)


def on_neo4j(code: str, url: str) -> str:
    """The same program on that server. What names a file is one team of its own, each ``memory:`` another one."""
    file = f"{url!r}, namespace='recipe-{uuid.uuid4().hex}'"
    memory = f"{url!r}, namespace='recipe-' + __import__('uuid').uuid4().hex"
    moved = code.replace('"sqlite:team.db"', file).replace('"memory:"', memory)
    if moved == code or "sqlite:" in moved or "memory:" in moved:
        raise AssertionError("a recipe opens a store in a way that this does not know")
    return moved


def imported(code: str) -> set[str]:
    """The packages that a program imports at its top."""
    packages = set()
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            packages.update(alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            packages.add(node.module.split(".")[0])
    return packages


class Stubs(unittest.TestCase):
    def test_blocking_pyi_is_up_to_date(self) -> None:
        spec = importlib.util.spec_from_file_location("stubs", ROOT / "stubs.py")
        assert spec is not None and spec.loader is not None
        stubs = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(stubs)
        written = (ROOT / "python" / "kurultai" / "blocking.pyi").read_text()
        self.assertEqual(ast.dump(ast.parse(written)), ast.dump(ast.parse(stubs.text())), "run stubs.py")
