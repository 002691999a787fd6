// Errors arrive with their class, their code and the caller's stack.

import assert from 'node:assert/strict'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import * as kurultai from 'kurultai'
import { KurultaiError, Lease, open } from 'kurultai'
import { cases, codeOf, failure, folder } from './fixture.mjs'

const require = createRequire(import.meta.url)

test('every kind of the core has its class', () => {
  const { native } = require('../dist/native.js')
  const { toError } = require('../dist/errors.js')
  const failures = native.oneFailureOfEachKind()
  assert.equal(failures.length, 10)
  for (const failure of failures) {
    const error = toError(failure)
    const name = `${failure.kind.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('')}Error`
    assert.ok(error instanceof kurultai[name], `${failure.kind} is no ${name}`)
    assert.ok(error instanceof KurultaiError && error instanceof Error)
    assert.deepEqual([error.name, error.kind, error.code, error.message], [name, failure.kind, 'test.kind', failure.kind])
    assert.equal(error.retryable, ['unavailable', 'outcome_unknown'].includes(failure.kind))
  }
  assert.ok(toError({ kind: 'from the future', code: 'x', message: 'y', retryable: false }) instanceof KurultaiError)
})

test('a panic of the native half ends its call', async () => {
  const { bridge, call } = require('../dist/bridge.js')
  const { value } = require('../dist/results.js')
  const echo = async (later) => value(await call((id) => bridge.echo(id, '', later)))
  for (const later of [false, true]) {
    const { name, message } = await failure(echo(later))
    assert.deepEqual([name, message], ['InternalError', 'a defect of kurultai: nothing to echo'])
  }
})

cases('calls that are wrong, missing or late', async (k) => {
  await k.agents.register('temujin')
  const bad = (promise, code, part) => failure(promise).then((error) => {
    assert.equal(error.code, code, `${error}`)
    assert.ok(error.message.includes(part), `${error.message} lacks ${part}`)
  })
  await bad(k.tasks.enqueue(''), 'input.invalid', 'type')
  await bad(k.tasks.enqueue('x', null, { priority: 'P9' }), 'input.invalid', 'priority')
  await bad(k.tasks.enqueue('x', null, { delayMs: -1 }), 'input.invalid', 'delayMs')
  await bad(k.tasks.enqueue('x', null, { delayMs: NaN }), 'input.invalid', 'delayMs')
  await bad(k.tasks.enqueue('x', null, { delayMs: 1, runAt: new Date() }), 'input.invalid', 'runAt')
  await bad(k.tasks.enqueue('x', null, { delayMs: Infinity }), 'input.invalid', 'delayMs')
  await bad(k.tasks.enqueue('x', null, { expiresInMs: 1, expiresAt: new Date() }), 'input.invalid', 'expiresAt')
  await bad(k.tasks.enqueue('x', null, { runAt: new Date(NaN) }), 'input.invalid', 'runAt')
  await bad(k.tasks.enqueue('x', null, { maxAttempts: 1.5 }), 'input.invalid', 'maxAttempts')
  await bad(k.tasks.enqueue('x', null, { waitFor: 'some' }), 'input.invalid', 'waitFor')
  await bad(k.tasks.enqueue('x', null, { prority: 'P1' }), 'input.invalid', 'prority')
  await bad(k.tasks.enqueue('x', null, { title: 'half \ud800' }), 'input.invalid', 'title')
  await bad(k.tasks.enqueueMany([{ type: 'x' }, { type: 'y', payload: { a: undefined } }]), 'input.payload', 'payload of task 1 at $.a')
  await bad(k.tasks.enqueueMany([{ type: 'x', signal: AbortSignal.timeout(1) }]), 'input.invalid', 'signal')
  await bad(k.tasks.enqueueMany([{ type: 'x', signal: null }]), 'input.invalid', 'signal')
  await bad(k.tasks.enqueue('x', null, { dependsOn: ['nobody'] }), 'task.dependency_unknown', 'nobody')
  await bad(k.tasks.claim('temujn'), 'agent.not_found', 'temujin')
  await bad(k.tasks.claim('temujin', { max: 0 }), 'input.invalid', 'max')
  await bad(k.tasks.get('nobody'), 'task.not_found', 'nobody')
  await bad(k.tasks.complete('no lease'), 'input.invalid', 'lease')
  await bad(k.tasks.complete({ id: 'no lease' }), 'input.invalid', 'lease')
  await bad(k.tasks.finish({ task: 'x', outcome: 'won' }), 'input.invalid', 'won')
  await bad(k.events.read({ limit: 100_000 }), 'input.invalid', 'limit')
  const { id } = await k.tasks.enqueue('x')
  await bad(k.tasks.depend(id, id), 'task.dependency_cycle', id)
  await bad(k.tasks.requeue(id), 'task.state', id)
  const [task] = await k.tasks.claim('temujin')
  await bad(k.tasks.progress(task, 2), 'input.invalid', 'progress')
  await bad(k.tasks.complete(task, 1, { usage: { tokens: -1 } }), 'input.invalid', 'tokens')
  await k.tasks.complete(task)
  await bad(k.tasks.extend(task), 'lease.lost', id)
  assert.equal((await failure(k.tasks.extend(task))).constructor, kurultai.LeaseLostError)
})

test('a store that cannot be opened', async () => {
  assert.equal(await codeOf(open('mysql://x')), 'config.url')
  const unreachable = await failure(open('neo4j://neo4j:canary-password@127.0.0.1:1/neo4j'))
  assert.deepEqual([unreachable.code, unreachable.retryable], ['store.unavailable', true])
  assert.ok(unreachable.retryAfterMs > 0)
  assert.ok(!String(unreachable.stack).includes('canary-password'))
  assert.equal(await codeOf(open(`sqlite:${join(folder(), 'no', 'such', 'folder.db')}`).catch((error) => { throw error })).then((code) => code.startsWith('store.')), true)
  assert.equal(await codeOf(open('memory:', { nmespace: 'x' })), 'input.invalid')
  assert.equal(await codeOf(open('memory:', { namespace: 'Ümlaut' })), 'input.invalid')
})

cases('the stack names the caller, whether the answer was there at once or came later', async (k) => {
  await k.agents.register('temujin')
  async function atOnce() { await k.tasks.claim('temujin', { max: 0 }) }
  async function later() { await k.tasks.enqueue('x', null, { dependsOn: ['nobody'] }) }
  async function manyAtOnce() { await Promise.all([later(), k.tasks.stats()]) }
  assert.match((await failure(atOnce())).stack, /atOnce.*errors\.test\.mjs/)
  assert.match((await failure(later())).stack, /later.*errors\.test\.mjs/)
  assert.match((await failure(manyAtOnce())).stack, /later.*errors\.test\.mjs/)
})

cases('an abort rejects with its reason, before and during the call', async (k) => {
  await k.agents.register('temujin')
  const gone = AbortSignal.abort(new Error('gone'))
  await assert.rejects(k.tasks.stats({ signal: gone }), /gone/)
  await assert.rejects(open('memory:', { signal: gone }), /gone/)
  const stop = new AbortController()
  const waiting = k.tasks.claim('temujin', { waitMs: 60_000, signal: stop.signal })
  setImmediate(() => stop.abort())
  assert.equal((await failure(waiting)).name, 'AbortError')
  const following = k.events.follow({ signal: AbortSignal.timeout(30) }).next()
  assert.equal((await failure(following)).name, 'TimeoutError')
})

cases('every operation throws its failure, also where it answers nothing', async (k, { url, namespace }) => {
  await k.agents.register('temujin')
  await k.tasks.enqueueMany([{ type: 'x' }, { type: 'x' }])
  const [task, other] = await k.tasks.claim('temujin', { max: 2 })
  const gone = await open(url, { namespace })
  await gone.close()
  const given = {
    enqueue: ['x'], enqueueMany: [[{ type: 'x' }]], claim: ['temujin'], stream: ['temujin'],
    fail: [task, 'why'], finish: [{ task, outcome: 'release' }], finishMany: [[{ task, outcome: 'release' }]],
    completeMany: [[[task, null]]], progress: [task, 0.5], renew: [task, { progress: 0.5 }], depend: [task, other],
    pause: ['x'], unpause: ['x'], getMany: [[task]], list: [], deadLetters: [], each: [], follow: [], read: [],
    registerMany: [[{ id: 'temujin' }]], beatMany: [['temujin']],
  }
  for (const [room, first] of [[gone.tasks, task], [gone.agents, 'temujin'], [gone.events, undefined]]) {
    for (const operation of Object.getOwnPropertyNames(Object.getPrototypeOf(room)).slice(1)) {
      const made = room[operation](...(room === gone.agents && operation === 'list' ? [] : given[operation] ?? (first ? [first] : [])))
      assert.equal(await codeOf(made.next?.() ?? made), 'store.closed', operation)
    }
  }
})

test('a lease cannot be forged by a look-alike', async () => {
  const k = await open('memory:')
  assert.equal(await codeOf(k.tasks.release({ lease: { taskId: 'x' } })), 'input.invalid')
  assert.equal(typeof Lease, 'function')
  await k.close()
})
