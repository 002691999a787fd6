// The benchmark: lines of JSON. `node bench.mjs [URL] [--quick]` after `cargo xtask node pack`.
//
// Crossing rows need no store. The cycle rows do what `cargo xtask bench` does in Rust: a task of 100 bytes, three
// types, one agent; figures count only if the store then holds as many completions as there were tasks.

import { createRequire } from 'node:module'
import { mkdtempSync, rmSync } from 'node:fs'
import { cpus, tmpdir } from 'node:os'
import { join } from 'node:path'
import { Worker } from 'node:worker_threads'
import { newId, open } from 'kurultai'

const require = createRequire(import.meta.url)
const { bridge, call } = require('./dist/bridge.js')
const { encodeTasks } = require('./dist/new_task.js')
const results = require('./dist/results.js')

const args = process.argv.slice(2)
const quick = args.includes('--quick')
const folder = mkdtempSync(join(tmpdir(), 'kurultai-bench-'))
const url = args.find((arg) => !arg.startsWith('--')) ?? `sqlite:${join(folder, 'bench.db')}`
const scale = quick ? 1 : 5

const say = (what, figures) => console.log(JSON.stringify({ language: 'node', what, ...figures }))
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
  const body = (worker) => `
    const turn = new Int32Array(${worker ? "require('node:worker_threads').workerData" : 'shared'})`
  const other = new Worker(`${body(true)}
    for (let n = 0; ; n++) { Atomics.wait(turn, 0, 0); if (turn[1]) break; Atomics.store(turn, 0, 0); Atomics.notify(turn, 0) }`,
  { eval: true, workerData: shared })
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

async function crossings() {
  say('two-thread ping-pong', await pingPong())
  const echo = (later) => () => call((id) => bridge.echo(id, 'null', later))
  const one = (body) => async (times) => { for (let n = 0; n < times; n++) await body() }
  say('awaited call, already ready', await micros(20_000 * scale, one(echo(false))))
  say('awaited call, alone', await micros(2_000 * scale, one(echo(true))))
  const crowd = echo(true)
  const crowds = async (times) => {
    for (let n = 0; n < times; n += 1000) await Promise.all(Array.from({ length: 1000 }, crowd))
  }
  say('awaited call, 1000 at once', await micros(10_000 * scale, crowds))

  // The last of the batch is refused, so that nothing reaches a store.
  const k = await open('memory:', { background: false })
  const batch = [...Array.from({ length: 100 }, (_, i) => task(i, 0)), { type: '' }]
  say('batch of 100 tasks in', await micros(50 * scale, one(() => k.tasks.enqueueMany(batch).catch(() => {}))))
  say('batch of 100 tasks in, JavaScript alone', await micros(50 * scale, one(() => encodeTasks(batch))))
  await k.agents.register('temujin', { capabilities: ['development'] })
  await k.tasks.enqueueMany(batch.slice(0, 100))
  const claimed = await k.tasks.claim('temujin', { max: 100 })
  const raw = claimed.map((task) => ({ ...task, lease: `${task.lease}` }))
  const text = JSON.stringify(raw)
  const out = async () => results.claimedList(await call((id) => bridge.echo(id, text, false)))
  say('batch of 100 tasks out, and as text in', await micros(50 * scale, one(out)))
  say('batch of 100 tasks out, JavaScript alone', await micros(50 * scale, one(() => results.claimedList(text))))
  await k.close()
}

/** Enqueues and then works it all off. */
async function cycles(callers, batch, tasks) {
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
  const cycle = async () => {
    for (;;) {
      const claimed = await k.tasks.claim('temujin', { max: batch })
      if (claimed.length === 0) return
      if (batch === 1) await k.tasks.complete(claimed[0], { ok: true })
      else await k.tasks.completeMany(claimed.map((task) => [task, { ok: true }]))
    }
  }
  const together = async (what, body) => {
    const start = performance.now()
    await Promise.all(Array.from({ length: callers }, body))
    const seconds = (performance.now() - start) / 1e3
    say(what, { store: k.storeName, callers, batch, per_second: Math.round(tasks / seconds) })
  }
  await together('enqueue', enqueue)
  await together('cycle', cycle)
  const { completed } = (await k.tasks.stats()).byStatus
  if (completed !== tasks) throw new Error(`${completed} of ${tasks} were completed`)
  await k.close()
}

try {
  say('machine', { cores: cpus().length, processor: cpus()[0].model.trim(), node: process.version, quick })
  await crossings()
  await cycles(1000, 1, 10_000 * scale)
  await cycles(4, 100, 10_000 * scale)
} finally {
  rmSync(folder, { recursive: true, force: true })
}
