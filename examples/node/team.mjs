// One of several processes, in any language, that share a queue: `team.mjs URL AGENT TASKS AGENTS`.

import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, NewTask, open } from 'kurultai'

const [url, name, tasks, agents] = process.argv.slice(2)
if (agents === undefined) {
  console.error('team.mjs URL AGENT TASKS AGENTS')
  process.exit(2)
}
const k = await open(url)

// Every process adds all tasks; their keys see to it that each is there once.
const square = (_, i) => new NewTask('square', { n: i + 1 }, { uniqueKey: `square-${i + 1}` })
await k.tasks.enqueueMany(Array.from({ length: Number(tasks) }, square))
await k.agents.register(name)
while ((await k.agents.list()).length < Number(agents)) await sleep(20)

const did = []
const agent = new Agent(name, { kurultai: k, concurrency: 2 })
agent.task('square', async ({ n }) => {
  await sleep(20)
  did.push(n)
  return { n, square: n * n, by: name }
})

const done = new AbortController()
const run = agent.run({ signal: done.signal })
while ((await k.tasks.stats()).byStatus.completed !== Number(tasks)) await sleep(20)
done.abort()
await run

console.log(JSON.stringify({ agent: name, did: did.sort((a, b) => a - b) }))
await k.close()
