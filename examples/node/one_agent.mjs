// An agent with one handler: `one_agent.mjs [URL]`.

import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, open } from 'kurultai'

const k = await open(process.argv[2] ?? 'memory:')
const added = []
for (const name of ['Kublai', 'Temüjin', 'Jochi']) added.push(await k.tasks.enqueue('greet', { name }))

const agent = new Agent('temujin', { kurultai: k })
agent.task('greet', async ({ name }, ctx) => {
  // A handler may say how far it is, and leave where its next attempt can go on.
  await ctx.progress(0.5)
  return { greeting: `hello, ${name}` }
})

// An agent usually works until SIGTERM: `agent.run()`. This one stops when its tasks are done.
const done = new AbortController()
const run = agent.run({ signal: done.signal })
while ((await k.tasks.stats()).byStatus.completed !== 3) await sleep(10)
done.abort()
await run

for (const task of added) console.log(JSON.stringify((await k.tasks.get(task)).results))
await k.close()
