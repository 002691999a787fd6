"""What the tests share: a team of its own for each case, on each store that the run was given."""

from __future__ import annotations

import asyncio
import logging
import os
import sys
import tempfile
import unittest
import uuid
from contextlib import asynccontextmanager
from typing import Any

import kurultai

if os.environ.get("KURULTAI_TEST_LOOP") == "uvloop":
    import uvloop

    asyncio.set_event_loop_policy(uvloop.EventLoopPolicy())

# The failures that the cases cause are no news.
logging.getLogger("kurultai").addHandler(logging.NullHandler())

#: The server that the run was given; without it the cases of that store do not exist.
NEO4J = os.environ.get("KURULTAI_TEST_NEO4J")


class Team(unittest.IsolatedAsyncioTestCase):
    """Opens ``self.k`` on ``self.url``, in a namespace of its own."""

    store = "sqlite"

    async def asyncSetUp(self) -> None:
        asyncio.get_running_loop().set_debug(False)  # unittest's debug mode reports every slow turn of the loop
        self.namespace = f"t-{uuid.uuid4().hex}"
        if self.store == "neo4j":
            self.url = NEO4J
        else:
            folder = tempfile.TemporaryDirectory()
            self.addCleanup(folder.cleanup)
            self.url = f"sqlite:{folder.name}/team.db?durability=process"
        self.k = await self.open()

    async def asyncTearDown(self) -> None:
        await self.k.close()

    async def open(self, **options: Any) -> kurultai.Kurultai:
        """The same team, as another process would open it."""
        return await kurultai.open(self.url, namespace=self.namespace, **options)

    async def claimed(self, *types: str, agent: str = "temujin", **fields: Any) -> Any:
        """Tasks of these types, claimed; a list where there is more than one."""
        await self.k.agents.register(agent)
        await self.k.tasks.enqueue_many([{"type": type, **fields} for type in types])
        tasks = await self.k.tasks.claim(agent, max=len(types), types=types)
        self.assertEqual(len(tasks), len(types))
        return tasks[0] if len(types) == 1 else tasks

    def assertCode(self, code: str) -> Any:
        return _Code(self, code)


class _Code:
    def __init__(self, case: unittest.TestCase, code: str) -> None:
        self.case, self.code = case, code
        self.exception: Any = None

    def __enter__(self) -> _Code:
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> bool:
        if not isinstance(error, kurultai.KurultaiError):
            if error is None:
                self.case.fail(f"no error; expected {self.code}")
            return False
        self.case.assertEqual(error.code, self.code, error)
        self.exception = error
        return True


def on_both(cases: type) -> type:
    """Makes of ``Tasks`` the classes ``TasksSqlite`` and ``TasksNeo4j``; the name itself becomes no test."""
    module = sys.modules[cases.__module__]
    for store in ("sqlite", "neo4j") if NEO4J else ("sqlite",):
        name = f"{cases.__name__}{store.capitalize()}"
        setattr(module, name, type(name, (cases, Team), {"store": store, "__module__": cases.__module__}))
    return cases


@asynccontextmanager
async def serving(case: Any, agent: kurultai.Agent) -> Any:
    """Runs the agent beside the block, then drains it; leaves what it handled as ``agent.handled``."""
    stop = asyncio.Event()
    running = asyncio.create_task(agent.serve(case.k, stop=stop))
    try:
        yield running
    finally:
        stop.set()
        agent.handled = await asyncio.wait_for(running, 20)  # type: ignore[attr-defined]


async def until(case: Any, task: Any, *statuses: str) -> Any:
    for _ in range(1000):
        got = await case.k.tasks.get(task)
        if got.status in statuses:
            return got
        await asyncio.sleep(0.01)
    case.fail(f"{got} never became {statuses}")
