"""One of several processes, in any language, that share a queue: team.py URL AGENT TASKS AGENTS."""

import asyncio
import json
import sys

import kurultai


async def main(url, name, tasks, agents):
    tasks, agents = int(tasks), int(agents)
    did = []
    agent = kurultai.Agent(name, concurrency=2)

    @agent.task("square")
    async def square(ctx, payload):
        await asyncio.sleep(0.02)
        n = payload["n"]
        did.append(n)
        return {"n": n, "square": n * n, "by": name}

    async with kurultai.open(url) as team:
        # Every process adds all tasks; their keys see to it that each is there once.
        every = range(1, tasks + 1)
        await team.tasks.enqueue_many(
            kurultai.NewTask("square", {"n": n}, unique_key=f"square-{n}") for n in every
        )
        await team.agents.register(name)
        while len(await team.agents.list()) < agents:
            await asyncio.sleep(0.02)

        async def done():
            while (await team.tasks.stats()).by_status.get("completed") != tasks:
                await asyncio.sleep(0.02)

        await agent.serve(team, stop=done())
    print(json.dumps({"agent": name, "did": sorted(did)}, separators=(",", ":")))


if len(sys.argv) != 5:
    sys.exit("team.py URL AGENT TASKS AGENTS")
asyncio.run(main(*sys.argv[1:]))
