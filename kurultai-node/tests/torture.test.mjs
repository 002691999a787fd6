// Every way in which a handler may end, by the table that Rust and Python are tortured with too.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { constants } from 'node:os'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { anAgent, handlers, ofNode, ways } from './torture.mjs'
import { cases, until } from './fixture.mjs'

const add = (k, way) => k.tasks.enqueue(way, null, { maxAttempts: 3, retry: { baseMs: 60_000, jitter: false } })

/** The task once so many attempts are over. */
async function over(k, way, { id }, attempts = 1) {
  let task
  await until(`${attempts} attempts of ${way} are over`, async () => {
    task = await k.tasks.get(id)
    const snoozed = attempts === 0 && task.snoozes > 0
    return task.status === 'completed' || task.errors.length >= Math.max(attempts, 1) || snoozed
  })
  return task
}

function check(way, task) {
  const about = `${way.way}: ${JSON.stringify(task.errors).slice(0, 2000)}`
  const [status, attempts] = [ofNode(way.status), ofNode(way.attempts) ?? 1]
  assert.deepEqual([task.status, task.attempts], [status, attempts], about)
  assert.equal(task.snoozes, way.snoozes ?? 0, about)
  if (way.until !== undefined) assert.equal(Math.round((task.runAt - task.updatedAt) / 1000), way.until, about)
  assert.equal(task.errors.length, attempts === 0 || (status === 'completed' && attempts === 1) ? 0 : 1, about)
  for (const error of task.errors) {
    assert.equal(error.kind, ofNode(way.kind) ?? 'failed', about)
    for (const text of ofNode(way.contains)) assert.ok(error.error.includes(text), about)
    const pause = ofNode(way.pause)
    if (pause !== undefined) assert.equal(Math.trunc((task.runAt - error.at) / 1000), pause, about)
  }
}

async function doesAnother(k) {
  assert.equal((await over(k, 'alive', await add(k, 'alive'))).status, 'completed')
}

cases('whatever a handler does, its attempt ends', async (k) => {
  const here = ways.filter(({ child }) => !child)
  const stop = new AbortController()
  const running = anAgent(k, here.map(({ way }) => way)).run({ signal: stop.signal })
  for (const way of here) {
    const task = await add(k, way.way)
    check(way, await over(k, way.way, task, ofNode(way.attempts)))
    await doesAnother(k)
    // What a handler does after its time counts for nothing.
    const after = await k.tasks.get(task)
    check(way, after)
    // Another attempt would count too, where the rest takes long.
    if (after.status === 'pending') await k.tasks.cancel(task)
  }
  stop.abort()
  const attempts = here.reduce((sum, way) => sum + (ofNode(way.attempts) ?? 1) + (way.snoozes ?? 0), 0)
  assert.deepEqual(await running, { handled: attempts + here.length, stopped: 0 })
})

cases('a handler that blocks or ends its process', async (k, { t, url, namespace }) => {
  const program = fileURLToPath(new URL('torture.mjs', import.meta.url))
  const serve = (way) => {
    const child = spawn(process.execPath, [program, url, namespace, way], { stdio: 'ignore' })
    t.after(() => child.kill('SIGKILL'))
    return Object.assign(child, { closed: once(child, 'close') })
  }
  for (const way of ways.filter(({ child }) => child)) {
    const task = await add(k, way.way)
    let child = serve(way.way)
    if (way.ends !== undefined) {
      const [code, signal] = await child.closed
      assert.equal(code ?? -constants.signals[signal], way.ends, way.way)
      child = serve(way.way)
    }
    check(way, await over(k, way.way, task, ofNode(way.attempts)))
    assert.equal(child.exitCode, null, 'it blocks, or is there to go on')
    await doesAnother(k)
    check(way, await k.tasks.get(task))
    child.kill('SIGTERM')
    await child.closed
  }
})

test('each way is there once', () => {
  assert.deepEqual(Object.keys(handlers()).sort(), [...ways.map(({ way }) => way), 'alive'].sort())
})
