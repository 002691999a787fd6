// Other libraries at the work of bench.mjs. `cargo xtask bench --peers` runs it, right after ours; by hand:
//
//     node peers.mjs cycle PEER CALLERS BATCH TASKS PLACE    a line of JSON for `enqueue` and one for `cycle`
//     node peers.mjs latency PEER PLACE                      enqueue -> handler starts, idle worker: one line of JSON
//
// PLACE is a fresh folder, or for bullmq redis://HOST:PORT/DB, which is emptied first.

import { createRequire } from 'node:module'

const require = createRequire(import.meta.url)

const payload = (i) => ({ i, caller: 0, text: 'x'.repeat(70) })

/** How often each task was handled, and when the first was. */
class Ledger {
  constructor(tasks) {
    this.counts = new Uint8Array(tasks)
  }

  handled(number) {
    this.first ??= performance.now()
    this.counts[number]++
  }

  check() {
    const once = this.counts.filter((count) => count === 1).length
    if (once !== this.counts.length) throw new Error(`${once} of ${this.counts.length} tasks were handled exactly once`)
  }
}

/** Resolves when `times` were counted: with the time of the last. */
function countdown(times) {
  let left = times
  const { promise, resolve, reject } = withResolvers()
  const patience = setTimeout(() => reject(new Error(`${left} of ${times} tasks did not end in time`)), 300_000)
  const count = () => {
    if (--left > 0) return
    clearTimeout(patience)
    resolve(performance.now())
  }
  return { count, ended: promise }
}

function withResolvers() {
  const deferred = {}
  deferred.promise = new Promise((resolve, reject) => Object.assign(deferred, { resolve, reject }))
  return deferred
}

function same(what, actual, wanted) {
  if (actual !== wanted) throw new Error(`${what}: ${actual} instead of ${wanted}`)
}

const peers = {
  /** Sets synchronous=NORMAL itself. Its calls block, so one caller is all there is; batches only go in. */
  async plainjob({ batch, tasks, place, ledger, say }) {
    const { default: Database } = await import('better-sqlite3')
    const { JobStatus, better, defineQueue, defineWorker } = await import('plainjob')
    const logger = { debug() {}, info() {}, warn() {}, error: console.error }
    const queue = defineQueue({ connection: better(new Database(`${place}/plainjob.db`)), logger })
    const start = performance.now()
    for (let from = 0; from < tasks; from += batch) {
      if (batch === 1) queue.add('handle', payload(from))
      else queue.addMany('handle', Array.from({ length: batch }, (_, i) => payload(from + i)))
    }
    say('enqueue', 1, batch, performance.now() - start)
    const { count, ended } = countdown(tasks)
    const handle = async (job) => ledger.handled(JSON.parse(job.data).i)
    const worker = defineWorker('handle', handle, { queue, logger, onCompleted: count })
    const working = worker.start()
    const end = await ended
    await worker.stop()
    await working
    if (batch === 1) say('cycle', 1, 1, end - ledger.first)
    same('done', queue.countJobs({ status: JobStatus.Done }), tasks)
    queue.close()
  },

  async bullmq({ callers, batch, tasks, place, ledger, say }) {
    const { Queue, Worker } = await import('bullmq')
    const { Redis } = await import('ioredis')
    const redis = new Redis(place)
    await redis.flushdb()
    redis.disconnect()
    const concurrency = 1000
    const connection = { url: place, maxRetriesPerRequest: null }
    const queue = new Queue('bench', { connection })
    await queue.waitUntilReady()
    const share = tasks / callers
    const enqueue = async (_, caller) => {
      for (let from = caller * share; from < (caller + 1) * share; from += batch) {
        if (batch === 1) await queue.add('handle', payload(from))
        else await queue.addBulk(Array.from({ length: batch }, (_, i) => ({ name: 'handle', data: payload(from + i) })))
      }
    }
    const start = performance.now()
    await Promise.all(Array.from({ length: callers }, enqueue))
    say('enqueue', callers, batch, performance.now() - start)
    const { count, ended } = countdown(tasks)
    const worker = new Worker('bench', async (job) => ledger.handled(job.data.i), { connection, concurrency })
    worker.on('completed', count)
    const end = await ended
    if (batch === 1) say('cycle', concurrency, 1, end - ledger.first)
    same('completed', await queue.getCompletedCount(), tasks)
    await worker.close()
    await queue.close()
  },
}

async function cycle(peer, callers, batch, tasks, place) {
  const ledger = new Ledger(tasks)
  const { version } = require(`${peer}/package.json`)
  const say = (what, callers, batch, ms) => {
    const per_second = Math.round((tasks * 1e3) / ms)
    console.log(JSON.stringify({ peer, version, what, callers, batch, durability: 'process', per_second }))
  }
  await peers[peer]({ callers, batch, tasks, place, ledger, say })
  ledger.check()
}

const samples = 500

/** Times from before `enqueue` until its handler starts, with pauses that no poll is in step with. */
class Clock {
  handler = () => this.started(performance.now())

  async sample(peer, enqueue) {
    const times = []
    for (let n = 0; n < samples; n++) {
      await new Promise((resolve) => setTimeout(resolve, 5 + 5 * Math.random()))
      const { promise, resolve } = withResolvers()
      this.started = resolve
      const before = performance.now()
      await enqueue()
      times.push((await promise) - before)
    }
    times.sort((a, b) => a - b)
    const at = (share) => Number(times[Math.floor((samples - 1) * share)].toFixed(3))
    console.log(JSON.stringify({ peer, p50_ms: at(0.5), p99_ms: at(0.99) }))
  }
}

const latencies = {
  async bullmq(place) {
    const { Queue, Worker } = await import('bullmq')
    const connection = { url: place, maxRetriesPerRequest: null }
    const clock = new Clock()
    const queue = new Queue('latency', { connection })
    const worker = new Worker('latency', async () => clock.handler(), { connection })
    await Promise.all([queue.waitUntilReady(), worker.waitUntilReady()])
    await clock.sample('bullmq', () => queue.add('handle', payload(0)))
    await worker.close()
    await queue.close()
  },

  /** KURULTAI_NODE names the package's folder. */
  async kurultai(place) {
    const { Agent, open } = await import(`${process.env.KURULTAI_NODE}/dist/index.mjs`)
    const kurultai = await open(`sqlite:${place}/kurultai.db?durability=process`)
    const clock = new Clock()
    const stop = new AbortController()
    const agent = new Agent('temujin', { kurultai }).task('handle', () => clock.handler())
    const running = agent.run({ signal: stop.signal })
    await clock.sample('kurultai', () => kurultai.tasks.enqueue('handle', payload(0)))
    stop.abort()
    await running
    await kurultai.close()
  },
}

const [what, peer, ...rest] = process.argv.slice(2)
if (what === 'cycle' && peer in peers) await cycle(peer, ...rest.slice(0, 3).map(Number), rest[3])
else if (what === 'latency' && peer in latencies) await latencies[peer](rest[0])
else throw new Error('node peers.mjs cycle PEER CALLERS BATCH TASKS PLACE | latency PEER PLACE')
