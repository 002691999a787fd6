"""A participant in Python; README.md has the protocol."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
import time
from typing import Any

import kurultai

Fields = dict[str, Any]


def say(line: Fields) -> None:
    sys.stdout.buffer.write(json.dumps(line).encode() + b"\n")
    sys.stdout.buffer.flush()


def seen(task: kurultai.Task) -> list[Any]:
    return [task.id, task.status, task.lease_version, task.claimed_by]


async def perform(team: kurultai.Kurultai, do: str, given: Fields) -> Any:
    tasks, events = team.tasks, team.events
    if do == "register":
        return await team.agents.register(given["agent"])
    if do == "enqueue":
        if len(given["tasks"]) == 1:
            added = [await tasks.enqueue(**given["tasks"][0])]
        else:
            added = await tasks.enqueue_many(given["tasks"])
        return [[one.id, one.deduplicated] for one in added]
    if do == "claim":
        claimed = await tasks.claim(given.pop("agent"), **given)
        return [[task.id, task.lease.version, str(task.lease)] for task in claimed]
    if do in ("complete", "fail", "release"):
        lease = given.pop("lease")
        if do == "fail":
            given["error"] = "broken"
        finished = await getattr(tasks, do)(lease, **given)
        return [finished.status, finished.repeated]
    if do == "extend":
        return (await tasks.extend(given["lease"], given["ttl"])).signal
    if do in ("cancel", "suspend", "resume", "requeue", "discard"):
        return await getattr(tasks, do)(given["task"])
    if do == "depend":
        return await tasks.add_dependency(given["task"], given["on"])
    if do == "get":
        return seen(await tasks.get(given["task"]))
    if do == "list":
        return [seen(task) for task in (await tasks.list(**given)).tasks]
    if do == "read":
        read = await events.read(after_seq=given.pop("after"), **given)
        return [[event.seq, event.topic, event.task_id, event.source] for event in read]
    if do == "last_seq":
        return await events.last_seq()
    if do == "look":
        other = sqlite3.connect(given["file"])
        other.execute("select count(*) from task").fetchone()
        return other.close()
    if do == "close":
        return await team.close()
    if do == "serve":
        return serve(team, **given)
    raise ValueError(f"no operation {do}")


running: set[asyncio.Task[Any]] = set()


def serve(team: kurultai.Kurultai, agent: str, type: str) -> None:
    serving = kurultai.Agent(agent)

    @serving.task(type)
    async def handle(ctx: Any, payload: Any) -> Any:
        return payload

    running.add(asyncio.create_task(serving.serve(team)))


async def call(teams: list[kurultai.Kurultai], order: Fields) -> None:
    number = {"call": order["call"]}
    given = {name: value for name, value in order["with"].items() if value is not None}
    say({**number, "at": time.monotonic_ns()})
    try:
        answer = {"ok": await perform(teams[order["team"]], order["do"], given)}
    except kurultai.KurultaiError as error:
        answer = {"error": error.code, "message": str(error)}
    except Exception as error:  # a defect: the run reports it
        answer = {"error": type(error).__name__, "message": str(error)}
    say({**number, "at": time.monotonic_ns(), **answer})


async def main(url: str, *namespaces: str) -> None:
    orders = asyncio.StreamReader(limit=1 << 24)
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(orders), sys.stdin
    )
    teams = [await kurultai.open(url, namespace=namespace) for namespace in namespaces]
    say({"ready": True})
    while line := await orders.readline():
        task = asyncio.create_task(call(teams, json.loads(line)))
        running.add(task)
        task.add_done_callback(running.discard)


asyncio.run(main(*sys.argv[1:]))
