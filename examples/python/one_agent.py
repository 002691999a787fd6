"""An agent with one handler: one_agent.py [URL]."""

import asyncio
import json
import sys

import kurultai

agent = kurultai.Agent("temujin")


@agent.task("greet")
async def greet(ctx, payload):
    # A handler may say how far it is, and leave where its next attempt can go on.
    await ctx.progress(0.5)
    return {"greeting": f"hello, {payload['name']}"}


async def main(url="memory:"):
    async with kurultai.open(url) as team:
        tasks = [await team.tasks.enqueue("greet", {"name": name}) for name in ("Kublai", "Temüjin", "Jochi")]

        # An agent usually works until SIGTERM: `agent.run()`. This one stops when its tasks are done.
        async def done():
            while (await team.tasks.stats()).by_status.get("completed") != 3:
                await asyncio.sleep(0.01)

        await agent.serve(team, stop=done())
        for task in await team.tasks.get_many(tasks):
            print(json.dumps(task.results, ensure_ascii=False, separators=(",", ":")))


asyncio.run(main(*sys.argv[1:]))
