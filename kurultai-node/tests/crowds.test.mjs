// Many calls at once, and calls that are aborted: nothing is lost, nothing is stranded.

import assert from 'node:assert/strict'
import { cases, until } from './fixture.mjs'

cases('1,000 calls at once are all answered', async (k) => {
  await k.agents.register('temujin')
  const enqueued = await Promise.all(Array.from({ length: 1000 }, (_, n) => k.tasks.enqueue('x', n)))
  assert.equal(new Set(enqueued.map(({ id }) => id)).size, 1000)
  const found = await Promise.all(enqueued.map(({ id }) => k.tasks.get(id)))
  assert.deepEqual(found.map((task) => task.payload), Array.from({ length: 1000 }, (_, n) => n))
  const claimed = (await Promise.all(Array.from({ length: 1000 }, () => k.tasks.claim('temujin')))).flat()
  assert.equal(new Set(claimed.map(({ id }) => id)).size, 1000)
  const finished = await Promise.all(claimed.map((task) => k.tasks.complete(task, task.payload)))
  assert.ok(finished.every(({ status }) => status === 'completed'))
})

const STORM = 10_000

/** Claims that are aborted before, while and after they are given something. */
async function storm(k, claims) {
  await k.agents.register('temujin')
  const tasks = Array.from({ length: 500 }, (_, n) => ({ type: 'x', payload: n, maxAttempts: 1000 }))
  await k.tasks.enqueueMany(tasks)
  const held = []
  let aborted = 0
  const one = async () => {
    const stop = new AbortController()
    const chance = Math.random()
    if (chance < 0.2) queueMicrotask(() => stop.abort())
    else if (chance < 0.5) setImmediate(() => stop.abort())
    else if (chance < 0.9) setTimeout(() => stop.abort(), Math.random() * 10)
    try {
      for (const task of await k.tasks.claim('temujin', { max: 3, waitMs: 20, signal: stop.signal })) held.push(task)
    } catch (error) {
      assert.equal(error.name, 'AbortError', error.stack)
      aborted += 1
    }
  }
  for (let begun = 0; begun < claims; begun += 100) {
    await Promise.all(Array.from({ length: 100 }, one))
    for (const answer of await k.tasks.finishMany(held.splice(0).map((task) => ({ task, outcome: 'release' })))) {
      assert.equal(answer.status, 'pending', `${answer}`)
    }
  }
  assert.ok(aborted > claims / 10, `only ${aborted} of ${claims} were aborted`)
  // Releases of what aborted claims were given may still be on their way, but take no lease's end.
  await until('every task is pending again', async () => (await k.tasks.stats()).byStatus.pending === 500)
}

cases(`${STORM} claims aborted at random strand nothing`, async (k, { store }) => {
  await storm(k, store === 'neo4j' ? STORM / 10 : STORM)
})

cases('an answer that arrives after the abort is given back', async (k) => {
  await k.agents.register('temujin')
  await k.tasks.enqueue('x')
  const stop = new AbortController()
  const claim = k.tasks.claim('temujin', { signal: stop.signal })
  // The loop is blocked while the answer comes, so the abort finds it in the queue.
  const until_ = performance.now() + 200
  while (performance.now() < until_);
  stop.abort()
  await assert.rejects(claim, { name: 'AbortError' })
  await until('it is pending again', async () => (await k.tasks.stats()).byStatus.pending === 1)
})

cases('one signal for many calls warns of no leak and leaves no listener', async (k) => {
  await k.agents.register('temujin')
  const warnings = []
  const note = (warning) => warnings.push(warning)
  process.on('warning', note)
  const { signal } = new AbortController()
  await Promise.all(Array.from({ length: 50 }, () => k.tasks.enqueue('x', null, { signal })))
  await new Promise((resolve) => setImmediate(resolve))
  process.off('warning', note)
  assert.deepEqual(warnings, [])
  const { getEventListeners } = await import('node:events')
  assert.equal(getEventListeners(signal, 'abort').length, 0)
})
