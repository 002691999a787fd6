// How the package behaves as part of a process: its end, its threads, its two doors.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import * as imported from 'kurultai'
import { open } from 'kurultai'
import { cases, folder, stores, until } from './fixture.mjs'

const require = createRequire(import.meta.url)
const here = fileURLToPath(new URL('.', import.meta.url))

/** Runs a program; it must end by itself within ten seconds. */
async function program(source, env = {}) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', source], {
    cwd: here, env: { ...process.env, ...env }, timeout: 10_000,
  })
  let out = ''
  child.stdout.on('data', (text) => { out += text })
  child.stderr.on('data', (text) => { out += text })
  const [code, signal] = await once(child, 'close')
  return { code, signal, out: out.trim() }
}

test('import and require give the same things', () => {
  const required = require('kurultai')
  const names = (module) => Object.keys(module).filter((name) => !['default', 'module.exports', '__esModule'].includes(name)).sort()
  assert.deepEqual(names(required), names(imported))
  for (const name of Object.keys(required)) assert.equal(required[name], imported[name], name)
})

for (const [store, url] of stores) {
  const env = { KURULTAI_URL: url() }

  test(`${store}: a bot that enqueues once exits by itself`, async () => {
    const ended = await program(`
      import { open } from 'kurultai'
      const k = await open(undefined, { namespace: 'node-bot' })
      console.log((await k.tasks.enqueue('x', null, { uniqueKey: 'once' })).id.length)`, env)
    assert.deepEqual(ended, { code: 0, signal: null, out: '36' })
  })

  test(`${store}: a call that is not awaited keeps the process alive until it is done`, async () => {
    const ended = await program(`
      import { open } from 'kurultai'
      open(undefined, { namespace: 'node-late' }).then(async (k) => {
        k.agents.register('temujin')
        k.tasks.claim('temujin', { waitMs: 300 }).then((claimed) => console.log('late', claimed.length))
      })`, env)
    assert.deepEqual(ended, { code: 0, signal: null, out: 'late 0' })
  })

  test(`${store}: an exit during work is no crash`, async () => {
    const source = `
      import { open } from 'kurultai'
      const k = await open(undefined, { namespace: 'node-exit' })
      await k.agents.register('temujin')
      for (let n = 0; n < 500; n++) k.tasks.enqueue('x', n).then(() => k.tasks.claim('temujin', { waitMs: 5000 }))
      setTimeout(() => process.exit(7), 5 + Math.random() * 60)`
    for (let round = 0; round < 5; round++) {
      assert.deepEqual(await program(source, env), { code: 7, signal: null, out: '' })
    }
  })
}

test('an error that nobody catches ends the process with its code in sight', async () => {
  const { code, out } = await program(`
    import { open } from 'kurultai'
    const k = await open('memory:')
    await k.tasks.get('nobody')`)
  assert.equal(code, 1)
  assert.match(out, /NotFoundError.*nobody[^]*code: 'task.not_found'/)
})

const thread = `
  const { parentPort, workerData } = require('node:worker_threads')
  const { open } = require('kurultai')
  ;(async () => {
    const k = await open(workerData.url, { namespace: workerData.namespace })
    await k.agents.register(workerData.agent)
    let done = 0
    for (;;) {
      const claimed = await k.tasks.claim(workerData.agent, { max: 10, waitMs: workerData.waitMs })
      if (claimed.length === 0) break
      await k.tasks.completeMany(claimed.map((task) => [task, workerData.agent]))
      done += claimed.length
    }
    await k.close()
    parentPort.postMessage(done)
  })()`

function worker(workerData) {
  return new Worker(thread, { eval: true, workerData })
}

cases('worker threads share the work, each with its own bridge', async (k, { url, namespace }) => {
  await k.tasks.enqueueMany(Array.from({ length: 200 }, (_, n) => ({ type: 'x', payload: n })))
  const workers = ['a', 'b', 'c', 'd'].map((agent) => worker({ url, namespace, agent, waitMs: 100 }))
  const counts = await Promise.all(workers.map(async (worker) => (await once(worker, 'message'))[0]))
  await Promise.all(workers.map((worker) => worker.terminate()))
  assert.equal(counts.reduce((a, b) => a + b), 200)
  assert.equal((await k.tasks.stats()).byStatus.completed, 200)
})

cases('a worker thread that is terminated while it waits strands nothing', async (k, { url, namespace }) => {
  for (let round = 0; round < 3; round++) {
    const waiting = worker({ url, namespace, agent: 'ghost', waitMs: 60_000 })
    await until('it is registered', async () => (await k.agents.list()).some((agent) => agent.id === 'ghost'))
    await new Promise((resolve) => setTimeout(resolve, 50))
    await waiting.terminate()
  }
  await k.tasks.enqueue('x')
  await k.agents.register('temujin')
  await until('another gets the task', async () => (await k.tasks.claim('temujin', { waitMs: 200 })).length === 1)
})

test('two teams on two files do not meet', async () => {
  const path = folder()
  const one = await open(`sqlite:${join(path, 'one.db')}`)
  const two = await open(`sqlite:${join(path, 'two.db')}`)
  const { id } = await one.tasks.enqueue('x')
  assert.deepEqual(await two.tasks.getMany([id]), [null])
  await Promise.all([one.close(), two.close()])
})
