// What kurultai costs from Node. `cargo xtask bench` runs it, beside Rust and Python; by hand after
// `cargo xtask node pack`:
//
//     node bench.mjs calls                            a call's own cost, a line of JSON each
//     node bench.mjs cycle URL CALLERS BATCH TASKS    what benches/src/runner.rs does: one line of JSON

import { createRequire } from 'node:module'
import { Worker } from 'node:worker_threads'
import { Kurultai, newId, open } from 'kurultai'

const require = createRequire(import.meta.url)
const { bridge, call } = require('./dist/bridge.js')
const { native } = require('./dist/native.js')
const { encodeTasks } = require('./dist/new_task.js')
const results = require('./dist/results.js')

const scale = 2

const say = (what, figures) => console.log(JSON.stringify({ what, ...figures }))
const round = (number) => Number(number.toFixed(3))

/** The median of five, in microseconds each. */
async function micros(times, body) {
  await body(times)
  const runs = []
  for (let run = 0; run < 5; run++) {
    const start = performance.now()
    await body(times)
    runs.push(((performance.now() - start) * 1e3) / times)
  }
  return { us: round(runs.sort((a, b) => a - b)[2]) }
}

/** What a thread needs to wake another and to be woken by it: half of a round. */
async function pingPong() {
  const shared = new SharedArrayBuffer(8)
  const turn = new Int32Array(shared)
  const other = new Worker(`
    const turn = new Int32Array(require('node:worker_threads').workerData)
    for (;;) {
      Atomics.wait(turn, 0, 0)
      if (turn[1]) break
      Atomics.store(turn, 0, 0)
      Atomics.notify(turn, 0)
    }`, { eval: true, workerData: shared })
  await new Promise((resolve) => other.once('online', resolve))
  const result = await micros(2000 * scale, (times) => {
    for (let n = 0; n < times; n++) {
      Atomics.store(turn, 0, 1)
      Atomics.notify(turn, 0)
      Atomics.wait(turn, 0, 1)
    }
  })
  Atomics.store(turn, 1, 1)
  Atomics.store(turn, 0, 1)
  Atomics.notify(turn, 0)
  await other.terminate()
  return { us: round(result.us / 2) }
}

const types = ['review', 'build', 'test']
const task = (i, caller) => ({
  type: types[i % 3], requires: ['development'], payload: { i, caller, text: 'x'.repeat(70) },
})

async function calls() {
  say('two-thread ping-pong', await pingPong())
  const echo = (later) => async () => results.simple(await call((id) => bridge.echo(id, 'null', later)))
  const one = (body) => async (times) => { for (let n = 0; n < times; n++) await body() }
  say('awaited call, already ready', await micros(20_000 * scale, one(echo(false))))
  say('awaited call, alone', await micros(2_000 * scale, one(echo(true))))
  const crowd = echo(true)
  const crowds = async (times) => {
    for (let n = 0; n < times; n += 1000) await Promise.all(Array.from({ length: 1000 }, crowd))
  }
  say('awaited call, 1000 at once', await micros(10_000 * scale, crowds))

  // The last of the batch is refused, so that nothing reaches a store; no Error is made of that.
  const team = new native.Team(bridge)
  await call((id) => team.open(id, '{"url":"memory:","background":false}'))
  const k = new Kurultai(team)
  const batch = [...Array.from({ length: 100 }, (_, i) => task(i, 0)), { type: '' }]
  const enter = () => call((id) => team.tasks().enqueueMany(id, encodeTasks(batch)))
  say('batch of 100 tasks in', await micros(50 * scale, one(enter)))
  say('batch of 100 tasks in, JavaScript alone', await micros(50 * scale, one(() => encodeTasks(batch))))
  say('JSON.stringify of such a batch', await micros(50 * scale, one(() => JSON.stringify(batch))))
  await k.agents.register('temujin', { capabilities: ['development'] })
  await k.tasks.enqueueMany(batch.slice(0, 100))
  const text = await call((id) => team.tasks().claim(id, '{"agent":"temujin","max":100}'))
  const out = async () => results.claimedList(await call((id) => bridge.echo(id, text, false)))
  say('batch of 100 tasks out, and as text in', await micros(50 * scale, one(out)))
  say('batch of 100 tasks out, JavaScript alone', await micros(50 * scale, one(() => results.claimedList(text))))
  await k.close()
}

/** Through events, 256 at a time; and the same lists without the iteration, which is the store's own share. */
async function iteration() {
  const count = 10_000
  const k = await open('memory:', { background: false })
  for (let n = 0; n < count; n += 1000) await k.tasks.enqueueMany(Array.from({ length: 1000 }, () => ({ type: 'review' })))
  say('for await, an event', await micros(count, async () => {
    let seen = 0
    for await (const _ of k.events.each()) seen++
    if (seen !== count) throw new Error(`${seen} of ${count} events`)
  }))
  say('the same in lists of 256', await micros(count, async () => {
    for (let page, afterSeq = 0; (page = await k.events.read({ afterSeq, limit: 256 })).events.length > 0; ) afterSeq = page.next
  }))
  await k.close()
}

/** Enqueues and then works it all off; fails unless the store has as many completions as there were tasks. */
async function cycle(url, callers, batch, tasks) {
  const k = await open(url, { namespace: `bench-${newId()}` })
  await k.agents.register('temujin', { capabilities: ['development'] })
  const share = tasks / callers
  const enqueue = async (_, caller) => {
    for (let from = 0; from < share; from += batch) {
      if (batch === 1) {
        const { type, payload, ...options } = task(from, caller)
        await k.tasks.enqueue(type, payload, options)
      } else {
        await k.tasks.enqueueMany(Array.from({ length: batch }, (_, i) => task(from + i, caller)))
      }
    }
  }
  const work = async () => {
    for (;;) {
      const claimed = await k.tasks.claim('temujin', { max: batch })
      if (claimed.length === 0) return
      if (batch === 1) await k.tasks.complete(claimed[0], { ok: true })
      else await k.tasks.completeMany(claimed.map((task) => [task, { ok: true }]))
    }
  }
  const together = async (body) => {
    const start = performance.now()
    await Promise.all(Array.from({ length: callers }, body))
    return Math.round((tasks * 1e3) / (performance.now() - start))
  }
  const figures = { enqueue_per_s: await together(enqueue), cycle_per_s: await together(work) }
  const { completed } = (await k.tasks.stats()).byStatus
  if (completed !== tasks) throw new Error(`${completed} of ${tasks} were completed`)
  await k.close()
  console.log(JSON.stringify(figures))
}

const [what, url, ...numbers] = process.argv.slice(2)
if (what === 'calls') {
  await calls()
  await iteration()
} else if (what === 'cycle') await cycle(url, ...numbers.map(Number))
else throw new Error('node bench.mjs calls | cycle URL CALLERS BATCH TASKS')
