// Three tasks and one that waits for their results: `fan_in.mjs [URL]`.

import { setTimeout as sleep } from 'node:timers/promises'
import { Agent, NewTask, open } from 'kurultai'

const k = await open(process.argv[2] ?? 'memory:')
const texts = ['who is alive', 'what must be done', 'who said what and what was learned']
const counts = texts.map((text) => new NewTask('count', { text }))
// A task's id is known before it is added, so a whole plan goes in as one call.
const sum = new NewTask('sum', null, { dependsOn: counts })
await k.tasks.enqueueMany([...counts, sum])

const agent = new Agent('jochi', { kurultai: k, concurrency: 3 })
agent.task('count', ({ text }) => ({ words: text.split(/\s+/).length }))
agent.task('sum', (_, ctx) => {
  const parts = ctx.prerequisites.map(({ results }) => results.words).sort((a, b) => a - b)
  return { parts, total: parts.reduce((a, b) => a + b, 0) }
})

const done = new AbortController()
const run = agent.run({ signal: done.signal })
while ((await k.tasks.get(sum)).status !== 'completed') await sleep(10)
done.abort()
await run

console.log(JSON.stringify((await k.tasks.get(sum)).results))
await k.close()
