"""Three tasks and one that waits for their results: fan_in.py [URL]."""

import asyncio
import json
import sys

import kurultai

agent = kurultai.Agent("jochi", concurrency=3)


@agent.task("count")
async def count(ctx, payload):
    return {"words": len(payload["text"].split())}


@agent.task("sum")
async def add_up(ctx, payload):
    parts = sorted(prerequisite.results["words"] for prerequisite in ctx.prerequisites)
    return {"parts": parts, "total": sum(parts)}


async def main(url="memory:"):
    async with kurultai.open(url) as team:
        texts = ("who is alive", "what must be done", "who said what and what was learned")
        counts = [kurultai.NewTask("count", {"text": text}) for text in texts]
        # A task's id is known before it is added, so a whole plan goes in as one call.
        last = kurultai.NewTask("sum", depends_on=counts)
        await team.tasks.enqueue_many([*counts, last])

        async def done():
            while (await team.tasks.get(last)).status != "completed":
                await asyncio.sleep(0.01)

        await agent.serve(team, stop=done())
        print(json.dumps((await team.tasks.get(last)).results, separators=(",", ":")))


asyncio.run(main(*sys.argv[1:]))
