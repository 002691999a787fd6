// Errors arrive with their class, their code and the caller's stack.

import assert from 'node:assert/strict'
import { readdirSync, readlinkSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import * as kurultai from 'kurultai'
import { KurultaiError, Lease, NewTask, open } from 'kurultai'
import { cases, codeOf, failure, folder } from './fixture.mjs'

const require = createRequire(import.meta.url)

test('every kind of the core has its class', () => {
  const { native } = require('../dist/native.js')
  const { toError } = require('../dist/errors.js')
  const failures = native.oneFailureOfEachKind()
  assert.equal(failures.length, 13)
  for (const failure of failures) {
    const error = toError(failure)
    const name = `${failure.kind.split('_').map((word) => word[0].toUpperCase() + word.slice(1)).join('')}Error`
    assert.ok(error instanceof kurultai[name], `${failure.kind} is no ${name}`)
    assert.ok(error instanceof KurultaiError && error instanceof Error)
    assert.deepEqual([error.name, error.kind, error.code, error.message], [name, failure.kind, 'test.kind', failure.kind])
    assert.equal(error.retryable, ['unavailable', 'outcome_unknown', 'limited', 'timed_out'].includes(failure.kind))
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
  await bad(k.tasks.enqueueMany([{ type: 'x' }, { type: 'y', payload: { a: [undefined] } }]), 'input.payload', 'payload of task 1 at $.a[0]')
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
  await bad(k.events.read({ limit: 0 }), 'input.invalid', 'limit')
  await bad(k.tasks.list({ limit: 0 }), 'input.invalid', 'limit')
  const { id } = await k.tasks.enqueue('x')
  await bad(k.tasks.addDependency(id, id), 'task.dependency_cycle', id)
  await bad(k.tasks.requeue(id), 'task.state', id)
  const [task] = await k.tasks.claim('temujin')
  await bad(k.tasks.progress(task, 2), 'input.invalid', 'progress')
  await bad(k.tasks.complete(task, 1, { usage: { tokens: -1 } }), 'input.invalid', 'tokens')
  await k.tasks.complete(task)
  await bad(k.tasks.extend(task), 'lease.lost', id)
  assert.equal((await failure(k.tasks.extend(task))).constructor, kurultai.LeaseLostError)
})

cases('a wrong field is named with its value and what is allowed, in our own words', async (k) => {
  await k.agents.register('temujin')
  const { id } = await k.tasks.enqueue('x')
  const [task] = await k.tasks.claim('temujin')
  const one = (options) => k.tasks.enqueue('x', null, options)
  const type = [
    [one({ runAt: '2030-01-01' }), "runAt is '2030-01-01'; allowed: a Date"],
    [one({ priority: 1 }), 'priority is 1; allowed: a string'],
    [one({ dependsOn: 'id' }), "dependsOn is 'id'; allowed: an array of tasks, their ids or dependencies"],
    [one({ dependsOn: [5] }), 'dependsOn[0] is 5; allowed: a task or its id'],
    [one({ dependsOn: [{ prerequisite: id, type: 5 }] }), 'dependsOn[0].type is 5; allowed: a string'],
    [one({ requires: 'rust' }), "requires is 'rust'; allowed: an array of strings"],
    [one({ requires: ['rust', 5] }), 'requires[1] is 5; allowed: a string'],
    [one({ parent: {} }), 'parent is {}; allowed: a task or its id'],
    [one({ waitFor: 3 }), 'waitFor is 3; allowed: all, any or { quorum: n }'],
    [one({ retry: { baseMs: '1' } }), "retry.baseMs is '1'; allowed: 0 or more milliseconds"],
    [one({ retry: { base: 1 } }), 'retry.base is no field; allowed: baseMs, capMs, jitter'],
    [one({ priorityWeight: '1' }), "priorityWeight is '1'; allowed: a finite number"],
    [one({ timeout: 60 }), 'timeout is no field; allowed: id, title,'],
    [one('urgent'), "options is 'urgent'; allowed: an object"],
    [k.tasks.enqueue(5), 'type is 5; allowed: a string'],
    [k.tasks.enqueueMany([{ type: 'x' }, { type: 'x', runAt: 5 }]), 'task 1: runAt is 5; allowed: a Date'],
    [k.tasks.enqueueMany([{ type: 'x' }, {}]), 'task 1: type is undefined; allowed: a string'],
    [k.tasks.enqueueMany([{ type: 'x' }, new NewTask('x', 1, { title: 5 })]), 'task 1: title is 5; allowed: a string'],
    [k.tasks.enqueueMany(['x']), "tasks[0] is 'x'; allowed: an object of its fields"],
    [k.tasks.enqueueMany('x'), "tasks is 'x'; allowed: an array"],
    [k.tasks.claim('temujin', { types: 'x' }), "types is 'x'; allowed: an array of strings"],
    [k.tasks.claim('temujin', { wait: 5 }), 'wait is no field; allowed: max, types, leaseMs, waitMs, signal'],
    [k.tasks.claim(5), 'agent is 5; allowed: a string'],
    [k.tasks.get(5), 'task is 5; allowed: a task or its id'],
    [k.tasks.addDependency(id, 5), 'on is 5; allowed: a task or its id'],
    [k.tasks.list({ status: 5 }), 'status is 5; allowed: a string'],
    [k.tasks.progress(task, 'half'), "progress is 'half'; allowed: a finite number"],
    [k.tasks.fail(task, 'x', { retryAfterMs: '5' }), "retryAfterMs is '5'; allowed: 0 or more milliseconds"],
    [k.tasks.complete(task, 1, { usage: { tokens: '5' } }), "tokens is '5'; allowed: a whole number, 0 or more"],
    [k.tasks.pause(5), 'type is 5; allowed: a string'],
    [k.agents.register('x', { capabilities: 'rust' }), "capabilities is 'rust'; allowed: an array of strings"],
    [k.agents.registerMany([{ id: 'x' }, { id: 5 }]), 'agent 1: id is 5; allowed: a string'],
    [k.agents.beatMany('temujin'), "names is 'temujin'; allowed: an array of strings"],
    [k.agents.beatMany(['x'], { create: 1 }), 'create is 1; allowed: true or false'],
    [k.agents.health('temujin'), "options is 'temujin'; allowed: an object"],
    [k.agents.health({ agent: 5 }), 'agent is 5; allowed: a string'],
    [k.agents.watch({ onAlert: 'page' }), "onAlert is 'page'; allowed: a function"],
    [k.agents.watch({ every: 5 }), 'every is no field; allowed: deadAfterMs, stuckAfterMs, signal, everyMs, onAlert'],
    [k.verify({ strict: 1 }), 'strict is 1; allowed: true or false'],
    [k.verify({ deadAfter: 5 }), 'deadAfter is no field; allowed: strict, deadAfterMs, stuckAfterMs, signal'],
    [k.agents.update('x', { add: 'rust' }), "add is 'rust'; allowed: an array of strings"],
    [k.agents.update(5, {}), 'id is 5; allowed: a string'],
    [k.agents.deregister('x', { force: 1 }), 'force is 1; allowed: true or false'],
    [one({ maxRuntimeMs: '1' }), "maxRuntimeMs is '1'; allowed: 0 or more milliseconds, or Infinity"],
    [k.events.read({ since: 'yesterday' }), "since is 'yesterday'; allowed: a Date"],
    [open(5), 'url is 5; allowed: a string'],
    [open('memory:', { taskDefaults: { expiresInMs: '5' } }), "taskDefaults.expiresInMs is '5'; allowed: 0 or more milliseconds"],
  ]
  for (const [promise] of type) promise.catch(() => {}) // awaited one after another
  for (const [promise, message] of type) {
    const error = await failure(promise)
    assert.ok(error instanceof TypeError, `${error.stack}`)
    assert.ok(error.message.startsWith(message), `${error.message}, not ${message}`)
    assert.equal(error.code, 'input.invalid')
  }
  const value = [
    [one({ maxAttempts: -1 }), 'maxAttempts is -1; allowed: a whole number, 0 or more'],
    [one({ maxAttempts: 0 }), 'maxAttempts is "0"; allowed: 1 to 1000'],
    [one({ delayMs: -1 }), 'delayMs is -1; allowed: 0 or more milliseconds'],
    [one({ delayMs: NaN }), 'delayMs is NaN; allowed: 0 or more milliseconds'],
    [one({ delayMs: 1e15 }), 'delayMs is "1000000000000 s"; allowed: at most ten years'],
    [one({ expiresInMs: -1 }), 'expiresInMs is -1; allowed: 0 or more milliseconds, or Infinity'],
    [one({ expiresInMs: 1e15 }), 'expiresInMs is "1000000000000 s"; allowed: at most ten years'],
    [one({ retry: { capMs: -1 } }), 'retry.capMs is -1; allowed: 0 or more milliseconds'],
    [one({ priorityWeight: 2 }), 'priorityWeight is "2"; allowed: 0 to 1'],
    [one({ uniqueKey: '' }), 'uniqueKey is ""; allowed: 1 to 256 characters'],
    [one({ waitFor: { quorum: -1 } }), 'waitFor.quorum is -1; allowed: a whole number, 0 or more'],
    [one({ runAt: new Date(NaN) }), 'runAt is Invalid Date; allowed: a valid Date'],
    [one({ runAt: new Date(-1) }), 'runAt is "1969-12-31T23:59:59.999+00:00"; allowed: a time of the years 1970 to 9989'],
    [one({ runAt: new Date('+200000-01-01') }), 'runAt is "+200000-01-01T00:00:00+00:00"; allowed: a time of the years 1970 to 9989'],
    [one({ runAt: new Date(8.64e15) }), 'runAt is "8640000000000000"; allowed: a Date before the year 10,000'],
    [one({ expiresAt: new Date('+010000-01-01') }), 'expiresAt is "+10000-01-01T00:00:00+00:00"; allowed: a time of the years 1970 to 9999'],
    [k.events.read({ since: new Date('0000-01-01') }), 'since is "0000-01-01T00:00:00+00:00"; allowed: a time of the years 1970'],
    [k.tasks.enqueueMany([{ type: 'x' }, { type: 'x', maxAttempts: 0 }]), 'task 1: maxAttempts is "0"; allowed: 1 to 1000'],
    [k.tasks.claim('temujin', { leaseMs: 5 }), 'leaseMs is "0.005 s"; allowed: 0.1 to 86,400 seconds'],
    [k.tasks.claim('temujin', { max: -1 }), 'max is -1; allowed: a whole number, 0 or more'],
    [one({ maxRuntimeMs: 500 }), 'maxRuntimeMs is "0.5 s"; allowed: 1 s or more, or nothing'],
    [k.agents.health({ deadAfterMs: 5 }), 'deadAfterMs is "0.005 s"; allowed: 1 s or more'],
    [k.verify({ stuckAfterMs: 5 }), 'stuckAfterMs is "0.005 s"; allowed: 1 s or more'],
    [k.agents.watch({ everyMs: 0 }), 'everyMs is "0 s"; allowed: more than zero and at most half of'],
    [k.agents.update('x', { add: ['c'], remove: ['c'] }), 'remove is "c"; allowed: a capability that is not in `add`'],
    [open('memory:', { agingMs: -1 }), 'agingMs is -1; allowed: 0 or more milliseconds'],
  ]
  for (const [promise] of value) promise.catch(() => {})
  for (const [promise, message] of value) {
    const error = await failure(promise)
    assert.ok(error instanceof kurultai.InputError, `${error.stack}`)
    assert.ok(error.message.startsWith(message), `${error.message}, not ${message}`)
    assert.equal(error.code, 'input.invalid')
  }
  // What is null counts as left out.
  await k.tasks.enqueueMany([{ type: 'x', title: null, requires: null, runAt: null, retry: null, payload: null }])
  await one({ title: null, dependsOn: null, expiresInMs: null })
  await k.agents.register('x', { capabilities: null, role: null })
})

cases('times come back as they were', async (k) => {
  const [run, end] = [new Date('9989-12-31T23:59:59.999Z'), new Date('9999-12-31T23:59:59.999Z')]
  for (const [runAt, expiresAt] of [[run, end], [new Date(0), new Date(4e12)]]) {
    const task = await k.tasks.get(await k.tasks.enqueue('x', null, { runAt, expiresAt }))
    assert.deepEqual([task.runAt, task.expiresAt], [runAt, expiresAt])
  }
})

cases('what was sent before a close is committed, and calls after it are refused', async (k, { url, namespace }) => {
  const other = await open(url, { namespace })
  const sent = Array.from({ length: 100 }, (_, n) => other.tasks.enqueue('x', n))
  const closed = other.close()
  const late = codeOf(other.tasks.enqueue('late'))
  await Promise.all(sent)
  await closed
  assert.equal(await late, 'store.closed')
  assert.equal((await k.tasks.stats()).byStatus.pending, 100)
})

test('a closed store holds no file any more', { skip: process.platform !== 'linux' }, async () => {
  const path = join(folder(), 'closed.db')
  const opened = () => readdirSync('/proc/self/fd').filter((fd) => {
    try {
      return readlinkSync(`/proc/self/fd/${fd}`).startsWith(path)
    } catch {
      return false
    }
  })
  const k = await open(`sqlite:${path}`)
  await k.tasks.enqueue('x')
  await Promise.all(Array.from({ length: 20 }, () => k.tasks.stats()))
  assert.ok(opened().length > 0)
  await k.close()
  assert.deepEqual(opened(), [])
})

test('a store that cannot be opened', async () => {
  assert.equal(await codeOf(open('mysql://x')), 'config.url')
  const unreachable = await failure(open('neo4j://neo4j:canary-password@127.0.0.1:1/neo4j'))
  assert.deepEqual([unreachable.code, unreachable.retryable], ['store.unavailable', true])
  assert.match(unreachable.cause.message, /refused/)
  assert.ok(unreachable.retryAfterMs > 0)
  assert.ok(!String(unreachable.stack).includes('canary-password'))
  assert.equal(await codeOf(open(`sqlite:${join(folder(), 'no', 'such', 'folder.db')}`)), 'config.url')
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
    enqueue: ['x'], call: ['x'], enqueueMany: [[{ type: 'x' }]], claim: ['temujin'], stream: ['temujin'],
    fail: [task, 'why'], snooze: [task, 1000], finish: [{ task, outcome: 'release' }], finishMany: [[{ task, outcome: 'release' }]],
    completeMany: [[[task, null]]], progress: [task, 0.5], renew: [task, { progress: 0.5 }], addDependency: [task, other],
    cancelMany: [{ type: 'x' }], requeueMany: [{ type: 'x' }], update: [task, { title: 'x' }],
    reprioritize: [task, { priority: 'P0' }], assign: [task, null], find: ['x'],
    pause: ['x'], unpause: ['x'], stopAll: ['x'], startAll: [], getMany: [[task]], list: [], deadLetters: [], each: [], follow: [], read: [],
    registerMany: [[{ id: 'temujin' }]], beatMany: [['temujin']],
    publish: ['x'], publishMany: [[{ topic: 'x' }]], subscribe: ['s', 'x'], consume: ['s'], rewind: ['s', 0], unsubscribe: ['s'], dead: ['s'],
  }
  const ofAgents = {
    list: [], health: [], watch: [], update: ['temujin', {}], lead: ['router', 'temujin'], handBack: ['router', 'temujin'], failovers: [],
  }
  assert.deepEqual(await Promise.all([
    gone.maintain(), gone.adopt(), gone.namespaces(), gone.deleteNamespace('x'), gone.verify(),
  ].map(codeOf)), Array(5).fill('store.closed'))
  for (const [room, first] of [[gone.tasks, task], [gone.agents, 'temujin'], [gone.events, undefined]]) {
    for (const operation of Object.getOwnPropertyNames(Object.getPrototypeOf(room)).slice(1)) {
      const of = (room === gone.agents && ofAgents[operation]) || (given[operation] ?? (first ? [first] : []))
      const made = room[operation](...of)
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
