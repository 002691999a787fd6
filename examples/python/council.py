"""Six agents, each a process of its own. Kublai routes; he is killed at work, Ögedei routes until he is back: council.py [URL]."""

import asyncio
import contextlib
import signal
import sys
import tempfile
from collections import Counter

import kurultai

TASKS = 60
CANDIDATES = ["kublai", "ogedei"]


async def member(url, name, keys):
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    agent = kurultai.Agent(name, heartbeat=1)

    @agent.task("work")
    async def work(ctx, payload):
        await asyncio.sleep(0.5)
        return {"by": name}

    async with kurultai.open(url, identity=kurultai.Identity.read(f"{keys}/{name}.key")) as team:
        duties = []
        if name in CANDIDATES:
            watch = team.agents.watch({"router": CANDIDATES}, agent=name, every=1, dead_after=6)
            duties = [asyncio.create_task(watch), asyncio.create_task(route(team, name))]
        await agent.serve(team, stop=stop)
        for duty in duties:
            duty.cancel()
        await asyncio.gather(*duties, return_exceptions=True)


async def route(team, name):
    while True:
        leader = await team.agents.leader("router")
        if leader is not None and leader.holder == name:
            # Whoever is replaced in the midst of a cycle has delegated nothing more.
            with contextlib.suppress(kurultai.errors.LeaseLostError, kurultai.errors.ConflictError):
                await team.cycle(name)
        await asyncio.sleep(1)


async def main(url, keys):
    def start(name):
        return asyncio.create_subprocess_exec(sys.executable, __file__, "member", url, name, keys)

    async with kurultai.open(url) as team:
        await team.agents.register_many(kurultai.council())
        council = await team.agents.list()
        for agent in council:
            (await team.keys.rotate(agent.id)).write(f"{keys}/{agent.id}.key")
        members = {agent.id: await start(agent.id) for agent in council}

        async def leads(name):
            while (leader := await team.agents.leader("router")) is None or leader.holder != name:
                await asyncio.sleep(0.1)
            print(f"{name} leads", flush=True)

        await leads("kublai")
        skills = [agent.capabilities[0] for agent in council if agent.id != "kublai"]
        tasks = await team.tasks.enqueue_many(
            kurultai.NewTask("work", {"n": n}, requires=[skills[n % len(skills)]]) for n in range(TASKS)
        )
        while not await team.tasks.list(status="in_progress", limit=1):
            await asyncio.sleep(0.1)
        members["kublai"].kill()
        await members["kublai"].wait()
        print("kublai is killed", flush=True)
        await leads("ogedei")
        members["kublai"] = await start("kublai")
        print("kublai is back", flush=True)
        await leads("kublai")

        results = [(await team.tasks.wait_for(task, timeout=120)).results for task in tasks]
        print(f"{len(results)} tasks are done, by {len(Counter(result['by'] for result in results))} agents")
        for process in members.values():
            process.terminate()
        await asyncio.gather(*(process.wait() for process in members.values()))


if sys.argv[1:2] == ["member"]:
    asyncio.run(member(*sys.argv[2:]))
else:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(main(sys.argv[1] if len(sys.argv) > 1 else f"sqlite:{folder}/team.db", folder))
