// Every operation of the rooms, on every store; the last test names one that nobody called.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createRequire } from 'node:module'
import { Readable } from 'node:stream'
import { test } from 'node:test'
import { Agents, Events, KurultaiError, Lease, NewTask, Tasks, council, newId, open } from 'kurultai'
import { cases, codeOf, failure, stores, until } from './fixture.mjs'

const { native } = createRequire(import.meta.url)('../dist/native.js')

const called = new Set()
for (const room of [Tasks, Agents, Events]) {
  for (const name of Object.getOwnPropertyNames(room.prototype).filter((name) => name !== 'constructor')) {
    const method = room.prototype[name]
    room.prototype[name] = function (...args) {
      called.add(`${room.name}.${name}`)
      return method.apply(this, args)
    }
  }
}

const claimOne = async (k, agent = 'temujin', options = {}) => (await k.tasks.claim(agent, options))[0]

async function team(k) {
  await k.agents.register('temujin', { capabilities: ['development', 'rust'] })
}

cases('a task from enqueue to its results', async (k) => {
  await team(k)
  const start = new Date()
  const first = await k.tasks.enqueue('code', { pr: 42 }, {
    title: 'Build', description: 'all of it', priority: 'high', priorityWeight: 0.9, requires: ['rust'],
    prefers: ['development'], assignedTo: 'temujin', delegatedBy: 'kublai', uniqueKey: 'build-42', maxAttempts: 5,
    retry: { baseMs: 1000, capMs: 2000, jitter: false }, expiresInMs: 60_000,
  })
  assert.equal(first.deduplicated, false)
  const again = await k.tasks.enqueue('code', { pr: 42 }, { uniqueKey: 'build-42' })
  assert.deepEqual(again, { id: first.id, deduplicated: true })
  assert.equal(await codeOf(k.tasks.enqueue('code', { pr: 43 }, { uniqueKey: 'build-42' })), 'task.conflict')

  const task = await claimOne(k, 'temujin', { types: ['code'], leaseMs: 20_000, waitMs: 1000, max: 3 })
  assert.deepEqual(
    [task.id, task.type, task.title, task.description, task.payload, task.priority, task.attempt, task.maxAttempts, task.delegatedBy],
    [first.id, 'code', 'Build', 'all of it', { pr: 42 }, 'P1', 1, 5, 'kublai'],
  )
  assert.ok(task.lease instanceof Lease && Object.isFrozen(task) && Object.isFrozen(task.lease))
  assert.ok(task.lease.expiresAt > start)
  assert.equal(task.lease.taskId, first.id)

  assert.equal((await k.tasks.progress(task, 0.5)).signal, 'continue')
  assert.equal(await codeOf(k.tasks.waitFor(task.id, { timeoutMs: 1 })), 'task.timeout')
  const late = await failure(k.tasks.call('nobody does this', null, { timeoutMs: 1 }))
  assert.deepEqual([late.code, (await k.tasks.get(late.taskId)).type], ['task.timeout', 'nobody does this'])
  await k.tasks.cancel(late.taskId)
  assert.deepEqual((await failure(k.tasks.waitFor(late.taskId))).taskId, late.taskId)
  assert.equal((await failure(k.tasks.get('nothing'))).taskId, null)
  for (const copy of [structuredClone(task), JSON.parse(JSON.stringify(task)), JSON.parse(JSON.stringify(task.lease))]) {
    assert.equal((await k.tasks.progress(copy, 0.1)).lease.taskId, first.id, 'a copy names the lease')
  }
  await k.tasks.checkpoint(task.lease, { page: 7 })
  const extended = await k.tasks.extend(String(task.lease), 60_000)
  assert.ok(extended.lease.expiresAt > task.lease.expiresAt)
  await k.tasks.renew(task, { leaseMs: 60_000, progress: 0.75, checkpoint: [8] })

  const done = await k.tasks.complete(task, { ok: true }, { usage: { tokens: 12, cost: 0.5 } })
  assert.deepEqual(done, { id: first.id, status: 'completed', repeated: false, runAt: null, failed: false })
  assert.equal((await k.tasks.complete(task, { ok: true }, { usage: { tokens: 12, cost: 0.5 } })).repeated, true)

  const whole = await k.tasks.get(task)
  assert.deepEqual(whole.results, { ok: true })
  assert.deepEqual(whole.usage, { tokens: 12, cost: 0.5, seconds: 0 })
  assert.deepEqual([whole.progress, whole.checkpoint], [0.75, [8]])
  assert.deepEqual([...whole.requiredCapabilities, ...whole.preferredCapabilities], ['rust', 'development'])
  assert.ok(whole.completedAt instanceof Date && whole.completedAt >= whole.createdAt)
  assert.throws(() => { whole.status = 'pending' }, TypeError)
})

cases('a plan is one transaction, and results are handed on', async (k) => {
  await team(k)
  const build = new NewTask('code', { pr: 1 })
  const test = new NewTask('test', null, { dependsOn: [build] })
  const report = { type: 'report', dependsOn: [{ prerequisite: test, type: 'feeds_into', weight: 0.5 }], onPrerequisiteFailure: 'continue' }
  const [one, two] = await k.tasks.enqueueMany([build, test, report])
  assert.deepEqual([one.id, two.id], [build.id, test.id])
  assert.equal((await k.tasks.get(test.id)).status, 'blocked')
  assert.deepEqual((await k.tasks.get(test.id)).dependsOn, [build.id])
  const why = await k.tasks.explain(test)
  assert.deepEqual(why.reasons[0].reason, 'blocked_by')
  assert.deepEqual(why.reasons[0].tasks, [{ id: build.id, status: 'pending' }])
  assert.match(why.reasons[0].text, /waits for/)

  const task = await claimOne(k, 'temujin', { types: ['code'] })
  await k.tasks.complete(task, { binary: 'a.out' })
  const next = await claimOne(k, 'temujin', { types: ['test'] })
  assert.deepEqual(next.prerequisites, [{ id: build.id, dependencyType: 'blocks', status: 'completed', results: { binary: 'a.out' }, omitted: false }])
})

cases('what claimed tasks share crosses once, and each has all of its own', async (k) => {
  await team(k)
  const same = { payload: { list: [] }, title: 'one', priority: 'P1', delegatedBy: 'kublai' }
  const parent = await k.tasks.enqueue('parent', null)
  const tasks = [
    { type: 'code', ...same, id: `a:b:${newId()}` },
    { type: 'code', ...same },
    { type: 'test', ...same, description: 'not as the others', maxAttempts: 7, parent },
  ]
  await k.tasks.enqueueMany(tasks)
  for (const types of [['code'], ['code', 'test']]) {
    const claimed = await k.tasks.claim('temujin', { max: 3, types })
    assert.equal(claimed.length, types.length + 1)
    for (const task of claimed) {
      const whole = await k.tasks.get(task)
      for (const field of ['type', 'title', 'description', 'payload', 'priority', 'maxAttempts', 'snoozes', 'delegatedBy', 'parentId', 'checkpoint']) {
        assert.deepEqual(task[field], whole[field], field)
      }
      const { taskId, claimId, version, attempt, expiresAt } = task.lease
      assert.deepEqual([taskId, version, attempt, expiresAt], [task.id, whole.leaseVersion, whole.attempts, whole.leaseExpiresAt])
      const renewed = (await k.tasks.extend(task, 30_000)).lease
      assert.deepEqual([renewed.taskId, renewed.claimId, renewed.version, renewed.attempt], [taskId, claimId, version, attempt])
      await k.tasks.checkpoint(`${renewed}`, { of: task.id })
    }
    // What a handler does with its payload is nobody else's affair.
    claimed[0].payload.list.push('mine')
    assert.deepEqual(claimed[1].payload, { list: [] })
    for (const answer of await k.tasks.finishMany(claimed.map((task) => ({ task, outcome: 'release' })))) {
      assert.equal(answer.status, 'pending')
    }
  }
})

cases('attempts end badly, and dead letters come back', async (k) => {
  await team(k)
  const { id } = await k.tasks.enqueue('code', null, { maxAttempts: 2 })
  let task = await claimOne(k)
  assert.equal((await k.tasks.release(task)).status, 'pending')
  task = await claimOne(k)
  assert.equal((await k.tasks.snooze(task, 0)).status, 'pending')
  task = await claimOne(k)
  assert.equal((await k.tasks.fail(task, 'not yet', { retryAfterMs: 0, results: { half: true }, usage: { seconds: 1.5 } })).status, 'pending')
  task = await claimOne(k, 'temujin', { waitMs: 5000 })
  assert.equal((await k.tasks.fail(task, new Error('broken'), { retryable: false })).status, 'dead_letter')
  const dead = await k.tasks.get(id)
  assert.equal(dead.errors.length, 2)
  assert.match(dead.errors[1].error, /^Error: broken\n\s+at .*operations\.test\.mjs/)
  assert.deepEqual([dead.errors[0].agent, dead.errors[0].at instanceof Date], ['temujin', true])
  assert.deepEqual((await k.tasks.deadLetters()).tasks.map((task) => task.id), [id])
  assert.equal(await k.tasks.requeue(id), 'pending')
  task = await claimOne(k)
  await k.tasks.finish({ task, outcome: 'fail', error: 'no', retryable: false })
  assert.equal(await k.tasks.discard(dead), 'cancelled')
})

cases('many end at once, each with its own answer', async (k) => {
  await team(k)
  await k.tasks.enqueueMany(Array.from({ length: 4 }, (_, n) => ({ type: 'code', payload: n })))
  const [a, b, c, d] = await k.tasks.claim('temujin', { max: 10 })
  await k.tasks.release(d)
  const each = await k.tasks.finishMany([
    { task: a, outcome: 'complete', results: 1, usage: { tokens: 3 } },
    { task: b, outcome: 'fail', error: 'x' },
    { task: c, outcome: 'release' },
    { task: d, outcome: 'complete', results: 4 },
  ])
  assert.deepEqual(each.slice(0, 3).map((one) => one.status), ['completed', 'pending', 'pending'])
  assert.ok(each[3] instanceof KurultaiError && each[3].code === 'lease.lost')
  const rest = await k.tasks.claim('temujin', { max: 10 })
  const answers = await k.tasks.completeMany(rest.map((task) => [task, { n: task.payload }]))
  assert.ok(answers.length > 0 && answers.every((one) => one.status === 'completed'))
})

cases('control: cancel, suspend, resume, pause, depend, later', async (k) => {
  await team(k)
  const held = await k.tasks.enqueue('code')
  const task = await claimOne(k)
  await k.tasks.cancel(held, { reason: 'no longer wanted' })
  assert.equal((await k.tasks.extend(task)).signal, 'cancel')
  assert.equal((await k.tasks.release(task)).status, 'cancelled')

  const { id } = await k.tasks.enqueue('code')
  assert.equal(await k.tasks.suspend(id), 'suspended')
  assert.deepEqual(await k.tasks.claim('temujin'), [])
  assert.equal(await k.tasks.resume(id), 'pending')
  await k.tasks.pause('code')
  assert.deepEqual((await k.tasks.stats()).paused, ['code'])
  assert.deepEqual((await k.tasks.explain(id)).reasons.map((reason) => [reason.reason, reason.taskType]), [['paused', 'code']])
  await k.tasks.unpause('code')
  assert.equal(await k.tasks.stopAll('a drill'), 0)
  assert.deepEqual([(await k.tasks.stats()).stopped.reason, (await k.tasks.stats()).stopped.at instanceof Date], ['a drill', true])
  await k.tasks.startAll()
  assert.equal((await k.tasks.stats()).stopped, null)
  await k.tasks.pause()
  assert.deepEqual(await k.tasks.claim('temujin'), [])
  await k.tasks.unpause()

  const first = await k.tasks.enqueue('first')
  await k.tasks.addDependency(id, { prerequisite: first })
  assert.equal((await k.tasks.get(id)).status, 'blocked')
  const runAt = new Date(Date.now() + 3_600_000)
  const later = await k.tasks.enqueue('code', null, { runAt, expiresAt: new Date(Date.now() + 7_200_000) })
  const scheduled = await k.tasks.explain(later)
  assert.deepEqual([scheduled.reasons[0].reason, scheduled.reasons[0].runAt], ['scheduled', runAt])
  const never = await k.tasks.get(await k.tasks.enqueue('code', null, { delayMs: 60_000, expiresInMs: Infinity }))
  assert.equal(never.expiresAt, null)
})

cases('what is given of a task changes, alone or of many', async (k) => {
  const made = await k.tasks.enqueue('x', { n: 1 }, { assignedTo: 'jochi', uniqueKey: 'nightly', delayMs: 60_000 })
  const runAt = new Date('2030-01-01T00:00:00Z')
  const moved = await k.tasks.update(made, { title: 'new', payload: { n: 2n }, runAt, expiresAt: null, assignedTo: null })
  assert.deepEqual([moved.title, moved.payload, moved.runAt, moved.expiresAt, moved.assignedTo], ['new', { n: 2 }, runAt, null, null])
  assert.deepEqual((await k.tasks.update(made, { title: undefined, payload: null })).payload, null)
  assert.equal((await k.tasks.update(made, { runAt: null })).runAt < runAt, true)
  assert.equal((await k.tasks.reprioritize(made, { weight: 0.9 })).priorityWeight, 0.9)
  assert.equal((await k.tasks.assign(made, 'temujin', { by: 'kublai' })).assignedTo, 'temujin')
  assert.equal((await k.tasks.find('nightly')).id, made.id)
  assert.equal(await k.tasks.find('weekly'), null)
  assert.equal(await codeOf(k.tasks.update(made, {})), 'input.invalid')
  assert.equal(await codeOf(k.tasks.update(made, { runAt: 5 })), 'input.invalid')
  assert.equal(await codeOf(k.tasks.update(made, { unknown: 5 })), 'input.invalid')
  assert.equal(await codeOf(k.tasks.cancelMany({})), 'input.invalid')
  assert.equal(await codeOf(k.tasks.cancelMany({ type: 'x', limit: 5 })), 'input.invalid')
  const [child] = await k.tasks.enqueueMany([{ type: 'y', parent: made }])
  assert.equal(await k.tasks.cancel(made, { children: true, reason: 'replaced' }), 'cancelled')
  assert.equal(await k.tasks.requeueMany({ parent: made }), 1)
  assert.equal(await k.tasks.cancelMany({ type: 'y' }, { reason: 'again' }), 1)
  assert.equal((await k.tasks.get(child)).status, 'cancelled')
})

cases('namespaces are listed and deleted', async (k, { url, namespace }) => {
  const other = await open(url, { namespace: `${namespace}-b` })
  await other.agents.register('temujin')
  await other.tasks.enqueue('x')
  // In memory every handle is alone.
  const alone = url === 'memory:'
  const listed = async () => (await k.namespaces()).filter(({ name }) => name.startsWith(namespace))
  const own = { name: namespace, tasks: 0, agents: 0 }
  assert.deepEqual(await listed(), alone ? [own] : [own, { name: `${namespace}-b`, tasks: 1, agents: 1 }])
  assert.equal(await k.deleteNamespace(`${namespace}-b`), !alone)
  assert.equal(await k.deleteNamespace(`${namespace}-b`), false)
  assert.equal(await codeOf(k.deleteNamespace(namespace)), 'input.invalid')
  assert.equal(await codeOf(k.deleteNamespace(5)), 'input.invalid')
  if (!alone) assert.equal(await codeOf(other.tasks.enqueue('x')), 'store.namespace_missing')
  await other.close()
})

cases('families, lists and pages', async (k) => {
  await team(k)
  const parent = await k.tasks.enqueue('epic', null, { waitFor: { quorum: 1 } })
  await k.tasks.enqueueMany([1, 2, 3].map((n) => ({ type: 'part', payload: n, parent })))
  const page = await k.tasks.list({ parent, limit: 2, type: 'part', status: 'pending' })
  assert.deepEqual(page.tasks.map((task) => task.payload), [1, 2])
  const rest = await k.tasks.list({ parent: parent.id, limit: 2, cursor: page.next })
  assert.deepEqual([rest.tasks.map((task) => task.payload), rest.next], [[3], null])
  const each = []
  for await (const task of k.tasks.each({ parent })) each.push(task.payload)
  assert.deepEqual(each, [1, 2, 3])
  const two = await k.tasks.getMany([page.tasks[0], 'nobody', rest.tasks[0].id])
  assert.deepEqual(two.map((task) => task?.payload ?? null), [1, null, 3])
  const part = await claimOne(k, 'temujin', { types: ['part'] })
  assert.deepEqual((await k.tasks.list({ claimedBy: 'temujin' })).tasks.map((task) => task.id), [part.id])
  await k.tasks.complete(part)
  assert.equal((await k.tasks.get(parent)).status, 'completed')
  const stats = await k.tasks.stats()
  assert.deepEqual([stats.byStatus.completed, stats.byStatus.pending], [2, 2])
  assert.equal(typeof stats.runSeconds.p99, 'number')
  assert.ok(stats.oldestPendingSeconds >= 0)
  await k.maintain()
  const plan = await k.adopt({ dryRun: true, ids: ['nobody'], types: ['none'] })
  assert.deepEqual([plan.dryRun, plan.tasks, plan.agents, plan.byStatus], [true, 0, 0, {}])
  await assert.rejects(k.adopt({ labels: [''] }), { code: 'input.invalid' })
})

cases('the registry', async (k) => {
  await k.agents.registerMany([
    { id: 'temujin', displayName: 'Temüjin', role: 'development', aliases: ['developer'], capabilities: ['rust'], maxConcurrent: 2 },
    { id: 'jochi', capabilities: ['testing'] },
  ])
  const agent = await k.agents.get('TEMUJIN')
  assert.deepEqual(
    [agent.id, agent.displayName, agent.role, agent.aliases, agent.capabilities, agent.status, agent.maxConcurrent, agent.currentLoad],
    ['temujin', 'Temüjin', 'development', ['developer'], ['rust'], 'active', 2, 0],
  )
  assert.ok(agent.infraHeartbeat instanceof Date && agent.createdAt instanceof Date && agent.lastHeartbeat === null)
  assert.equal((await k.agents.get('developer')).id, 'temujin')
  assert.deepEqual((await k.agents.list()).map((agent) => agent.id), ['jochi', 'temujin'])
  assert.deepEqual((await k.agents.withCapability('testing')).map((agent) => agent.id), ['jochi'])
  await k.agents.beat('jochi')
  assert.deepEqual(await k.agents.beatMany(['temujin', 'nobody']), ['nobody'])
  await k.agents.drain('jochi')
  assert.equal((await k.agents.get('jochi')).status, 'draining')
  await k.agents.deregister('jochi')
  assert.equal(await codeOf(k.agents.get('jochi')), 'agent.not_found')
})

cases('the council, by its names in either form', async (k) => {
  const names = ['Kublai', 'Möngke', 'Chagatai', 'Temüjin', 'Jochi', 'Ögedei']
  assert.deepEqual(await k.agents.beatMany(names), names)
  assert.deepEqual(await k.agents.beatMany(names.map((name) => name.normalize('NFD')), { create: true }), [])
  assert.deepEqual(await k.agents.beatMany(names), [])
  assert.deepEqual(council().map(({ displayName }) => displayName), names)
  await k.agents.registerMany(council())
  const all = await k.agents.list()
  assert.deepEqual(all.map(({ id }) => id), ['chagatai', 'jochi', 'kublai', 'mongke', 'ogedei', 'temujin'])
  assert.equal(all[5].displayName, 'Temüjin')
})

cases('what an agent learns and loses', async (k) => {
  await k.agents.register('jochi', { capabilities: ['go', 'testing'], metadata: { model: 'small' } })
  await k.agents.update('jochi', { add: ['rust', 'testing'], remove: ['go', 'java'] })
  let jochi = await k.agents.get('jochi')
  assert.deepEqual([jochi.capabilities, jochi.metadata], [['testing', 'rust'], { model: 'small' }])
  await k.agents.update('jochi', { metadata: { model: 'large' } })
  assert.deepEqual((await k.agents.get('jochi')).metadata, { model: 'large' })
  await k.agents.update('jochi', { metadata: null })
  jochi = await k.agents.get('jochi')
  assert.deepEqual([jochi.capabilities, jochi.metadata], [['testing', 'rust'], null])
  assert.equal(await codeOf(k.agents.update('nobody', {})), 'agent.not_found')
})

cases('what is in order after a deployment', async (k, { store, namespace }) => {
  const words = ['store', 'schema', 'clocks', 'infra', 'functional', 'takeover']
  const failing = (checks) => checks.filter(({ ok }) => !ok).map(({ check }) => check)
  const checks = await k.verify()
  assert.deepEqual([checks.map(({ check }) => check), failing(checks)], [words, ['infra']])
  assert.ok(checks[0].text.startsWith(`${store} answers within `) && checks[0].text.includes(namespace), checks[0].text)
  assert.ok(Object.isFrozen(checks) && Object.isFrozen(checks[0]))
  await k.agents.register('temujin')
  assert.deepEqual(failing(await k.verify({ deadAfterMs: 60_000, stuckAfterMs: 60_000 })), [])
  assert.deepEqual(failing(await k.verify({ strict: true })), ['functional'])
  // An abort leaves the scratch namespace of its rehearsal behind, or none.
  await assert.rejects(k.verify({ signal: AbortSignal.timeout(20) }), { name: 'TimeoutError' })
})

cases('how agents fare', async (k) => {
  await k.agents.register('temujin')
  const [idle] = await k.agents.health({ agent: 'Temüjin' })
  const { infraAgeMs, ...rest } = idle
  assert.ok(infraAgeMs >= 0 && infraAgeMs < 30_000)
  assert.deepEqual(rest, {
    agent: 'temujin', state: 'idle', reason: 'holds no task; it has not worked yet', functionalAgeMs: null, holds: 0,
    oldestClaimAgeMs: null, leads: [], deadAt: null, watchedForMs: 0,
  })
  assert.ok(Object.isFrozen(idle))
  const { id } = await k.tasks.enqueue('code', null, { maxRuntimeMs: 60_000 })
  const task = await claimOne(k, 'temujin', { leaseMs: 600_000 })
  assert.deepEqual([task.maxRuntimeMs, (await k.tasks.get(id)).maxRuntimeMs], [60_000, 60_000])
  assert.ok(task.lease.expiresAt - Date.now() < 70_000, 'no lease lasts longer')
  const [alive] = await k.agents.health({ deadAfterMs: 180_000, stuckAfterMs: 60_000 })
  assert.deepEqual([alive.state, alive.holds], ['alive', 1])
  assert.deepEqual([structuredClone(alive), JSON.parse(JSON.stringify(alive))], [alive, alive])
  assert.equal(await codeOf(k.agents.health({ agent: 'nobody' })), 'agent.not_found')
  assert.equal((await k.tasks.get(await k.tasks.enqueue('x', null, { maxRuntimeMs: Infinity }))).maxRuntimeMs, null)
  assert.equal(await codeOf(k.agents.deregister('temujin')), 'agent.in_use')
  await k.agents.deregister('temujin', { force: true })
  assert.deepEqual(await k.agents.health(), [])
  assert.equal((await k.tasks.get(id)).status, 'pending')
  assert.equal(await codeOf(k.tasks.complete(task)), 'lease.lost')
})

cases('a watcher declares the dead, and ends with its signal', async (k) => {
  await k.agents.register('jochi')
  const { id } = await k.tasks.enqueue('x')
  await claimOne(k, 'jochi')
  const stop = new AbortController()
  const watching = k.agents.watch({ everyMs: 200, deadAfterMs: 1000, stuckAfterMs: 1000, signal: stop.signal })
  await until('its task is in the queue again', async () => (await k.tasks.get(id)).status === 'pending')
  const [dead] = await k.agents.health()
  assert.equal(dead.state, 'dead')
  assert.ok(dead.deadAt instanceof Date)
  await k.agents.beat('jochi')
  const topics = []
  for await (const { topic } of k.events.follow({ topic: 'agent.*', afterSeq: 0 })) {
    topics.push(topic)
    if (topic === 'agent.recovered') break
  }
  assert.deepEqual(topics, ['agent.registered', 'agent.dead', 'agent.recovered'])
  stop.abort(new Error('enough'))
  await assert.rejects(watching, /enough/)
})

cases('a watcher tells of alerts, whatever becomes of who is told', async (k) => {
  for (let n = 0; n < 2; n++) {
    const { id } = await k.tasks.enqueue('x', null, { priority: n === 1 ? 'P0' : 'P2' })
    await k.agents.register('jochi')
    await k.tasks.fail(await claimOne(k, 'jochi'), 'never', { retryable: false })
    assert.equal((await k.tasks.get(id)).status, 'dead_letter')
  }
  assert.deepEqual(await k.events.alerts(), [])
  const stop = new AbortController()
  const told = []
  const warned = new Promise((resolve) => process.once('warning', resolve))
  const onAlert = async (alert) => {
    told.push(alert)
    throw new Error(`no phone for ${alert.key}`)
  }
  const watching = k.agents.watch({ everyMs: 50, onAlert, signal: stop.signal })
  assert.match((await warned).message, /no phone for tasks.dead_letters/)
  const [alert] = told
  assert.deepEqual(
    [alert.severity, alert.state, alert.text, alert.clearedAt],
    ['critical', 'raised', '2 tasks are dead letters, 1 of P0', null],
  )
  assert.ok(alert.raisedAt instanceof Date && Object.isFrozen(alert))
  assert.deepEqual(await k.events.alerts(), [alert])
  for (const { id } of (await k.tasks.deadLetters()).tasks) await k.tasks.discard(id)
  await until('it is over', () => told.length === 2)
  assert.deepEqual([told[1].state, told[1].clearedAt instanceof Date], ['cleared', true])
  stop.abort(new Error('enough'))
  await assert.rejects(watching, /enough/)
})

cases('the log, read and followed', async (k, { namespace }) => {
  await team(k)
  const since = new Date(Date.now() - 60_000)
  const { id } = await k.tasks.enqueue('code')
  const before = await k.events.lastSeq()
  const seen = (async () => {
    const topics = []
    for await (const event of k.events.follow({ topic: 'task.*', afterSeq: before })) {
      topics.push([event.topic, event.source, event.taskId])
      if (topics.length === 2) return topics
    }
  })()
  const task = await claimOne(k)
  await k.tasks.complete(task)
  assert.deepEqual(await seen, [['task.claimed', 'temujin', id], ['task.completed', 'temujin', id]])
  const { events: all, next } = await k.events.read({ since, taskId: id, limit: 10 })
  assert.deepEqual(all.map((event) => event.topic), ['task.enqueued', 'task.claimed', 'task.completed'])
  assert.ok(all[0].createdAt instanceof Date && Object.isFrozen(all[0]))
  assert.deepEqual(all.map((event) => event.correlationId), [id, id, id])
  assert.equal(next, await k.events.lastSeq())
  assert.deepEqual(await k.events.read({ source: 'nobody', waitMs: 10 }), { events: [], next })
  const each = []
  for await (const event of k.events.each({ taskId: id })) each.push(event.seq)
  assert.deepEqual(each, all.map((event) => event.seq))
  assert.equal(k.namespace, namespace)
  assert.ok(k.statements > 0)
})

cases('a stream of tasks; what was not reached is released', async (k) => {
  await team(k)
  await k.tasks.enqueueMany([1, 2, 3, 4].map((payload) => ({ type: 'code', payload })))
  const taken = []
  for await (const task of k.tasks.stream('temujin', { batch: 4, waitMs: 100 })) {
    taken.push(task.payload)
    await k.tasks.complete(task)
    if (taken.length === 2) break
  }
  const stats = await k.tasks.stats()
  assert.deepEqual([taken, stats.byStatus.completed, stats.byStatus.pending], [[1, 2], 2, 2])
  const stop = new AbortController()
  const streamed = (async () => {
    for await (const task of k.tasks.stream('temujin', { signal: stop.signal })) {
      await k.tasks.complete(task)
      if ((await k.tasks.stats()).byStatus.completed === 4) stop.abort(new Error('enough'))
    }
  })()
  await assert.rejects(streamed, /enough/)
})

cases('a cycle delegates, wakes who sleeps on work, and says so', async (k, { namespace, url }) => {
  await k.agents.register('kublai', { capabilities: ['routing'] })
  await k.agents.register('jochi', { capabilities: ['testing'] })
  const { id } = await k.tasks.enqueue('check', null, { requires: ['testing'] })
  const later = { clock: new Date('2026-01-01T00:05:00Z'), background: false }
  const kublai = await open(url, { namespace, identity: await k.keys.rotate('kublai'), ...later })
  await kublai.agents.beat('kublai')
  const woken = []
  const report = await kublai.cycle('kublai', { wake: (agent) => { woken.push(agent) } })
  assert.deepEqual([report.attention, report.asleep, report.woken, woken], ['work', ['jochi'], ['jochi'], ['jochi']])
  assert.equal(report.text, `delegated 1 task:\n- jochi: check ${id}\nasleep with work: jochi`)
  assert.ok(Object.isFrozen(report) && Object.isFrozen(report.delegated[0].task))
  const warned = new Promise((resolve) => process.once('warning', resolve))
  const failing = await kublai.cycle('kublai', { wake: async () => { throw new Error('no way to wake it') } })
  assert.deepEqual([failing.delegated, failing.asleep, failing.woken], [[], ['jochi'], []])
  assert.match((await warned).message, /no way to wake it/)
  const mine = await kublai.cycle('jochi')
  assert.deepEqual([mine.term, mine.inbox.count, mine.tasks.map((task) => task.id)], [null, 1, [id]])
  assert.equal(await codeOf(kublai.cycle('nobody')), 'agent.not_found')
  await kublai.close()
}, { clock: new Date('2026-01-01T00:00:00Z'), background: false })

cases('a clock that only moves when told', async (k) => {
  await team(k)
  await k.tasks.enqueue('code', null, { delayMs: 60_000 })
  assert.deepEqual(await k.tasks.claim('temujin'), [])
  k.advance(61_000)
  assert.equal((await k.tasks.claim('temujin')).length, 1)
}, { clock: new Date('2026-01-01T00:00:00Z'), background: false, retention: { tasksMs: 1e9 }, agingMs: null, taskDefaults: { maxAttempts: 4, expiresInMs: null, leaseMs: 5000 } })

for (const [store, url] of stores) {
  test(`${store}: open says what it opened, close closes, and await using works`, async () => {
    const k = await open(url(), { namespace: 'node-open', migrate: true })
    assert.equal(k.storeName, store)
    assert.equal(typeof k[Symbol.asyncDispose], 'function')
    await k[Symbol.asyncDispose]()
    assert.equal(await codeOf(k.tasks.enqueue('late')), 'store.closed')
  })
}

cases('a watch takes the role that nobody holds, and hands it back at its end', async (k) => {
  await k.agents.registerMany([{ id: 'kublai' }, { id: 'ogedei' }])
  await k.agents.beatMany(['kublai', 'ogedei'])
  const stop = new AbortController()
  const roles = { router: ['kublai', 'ogedei'] }
  const watching = k.agents.watch({ agent: 'ogedei', roles, everyMs: 200, deadAfterMs: 5000, signal: stop.signal })
  await until('the next one leads', async () => (await k.agents.leader('router'))?.holder === 'ogedei')
  stop.abort(new Error('enough'))
  await assert.rejects(watching, /enough/)
  await until('nobody leads', async () => (await k.agents.leader('router')) === null)
  assert.equal(await codeOf(k.agents.watch({ roles })), 'input.invalid')
})

cases('who leads', async (k) => {
  await k.agents.registerMany([{ id: 'kublai' }, { id: 'ogedei' }])
  assert.equal(await k.agents.leader('router'), null)
  const lead = await k.agents.lead('router', 'kublai', { ttlMs: 30_000, reason: 'first' })
  assert.deepEqual([lead.role, lead.holder, lead.isValid], ['router', 'kublai', true])
  assert.deepEqual(await k.agents.leader('router'), lead.lease)
  assert.ok(lead.lease.expiresAt > new Date() && Object.isFrozen(lead.lease) && Number.isSafeInteger(lead.term))
  const held = await failure(k.agents.lead('router', 'ogedei'))
  assert.deepEqual([held.code, held.message.includes('kublai')], ['role.held', true])
  assert.equal(await codeOf(k.agents.lead('router', 'nobody')), 'agent.not_found')
  await assert.rejects(k.agents.lead('router', 'kublai', { ttl: 1 }), TypeError)

  const { id } = await k.tasks.enqueue('code', null, { under: lead })
  await k.tasks.enqueueMany([{ type: 'code' }], { under: lead.lease })
  assert.equal((await k.tasks.assign(id, 'ogedei', { by: 'kublai', under: lead })).assignedTo, 'ogedei')
  await assert.rejects(k.tasks.enqueue('code', null, { under: 'router' }), TypeError)

  const lost = lead.lost()
  const ended = await lead.handBack({ to: 'ogedei', reason: 'maintenance' })
  await lost
  assert.deepEqual([ended.term, lead.isValid, await k.agents.leader('router')], [lead.term, false, null])
  for (const late of [
    () => k.tasks.enqueue('code', null, { under: lead }), () => k.tasks.enqueueMany([{ type: 'code' }], { under: lead }),
    () => k.tasks.assign(id, null, { under: lead }),
  ]) {
    const stale = await failure(late())
    assert.deepEqual([stale.code, stale.kind], ['role.stale_term', 'lease_lost'])
  }
  assert.equal(await codeOf(k.agents.lead('router', 'kublai')), 'role.held')
  const other = await k.agents.lead('router', 'ogedei')
  assert.ok(other.term > lead.term)
  await other[Symbol.asyncDispose]()
  assert.equal(await k.agents.leader('router'), null)
  const again = await k.agents.lead('router', 'ogedei')
  assert.equal((await k.agents.handBack('router', 'ogedei', { reason: 'enough' })).term, again.term)
  const [away] = await k.agents.failovers({ active: true, since: new Date(0) })
  assert.deepEqual([away.fromAgent, away.toAgent, away.triggeredBy, away.deactivatedAt], ['kublai', 'ogedei', 'manual', null])
  assert.ok(away.activatedAt instanceof Date)
})

test('a role that was handed back or lost is known by number no longer', async (t) => {
  const k = await open('sqlite::memory:')
  t.after(() => k.close())
  await k.agents.register('kublai')
  const { lead } = native.Agents.prototype
  t.after(() => { native.Agents.prototype.lead = lead })
  let table
  native.Agents.prototype.lead = function (...args) {
    table = this
    return lead.apply(this, args)
  }
  const known = () => [...Array(40).keys()].filter((number) => table.lease(number) !== null)
  for (let i = 0; i < 10; i++) {
    const held = await k.agents.lead('router', 'kublai')
    assert.equal(known().length, 1)
    const ended = await held.handBack()
    assert.equal(known().length, 0)
    // It answers as it did.
    assert.deepEqual([await held.handBack(), held.isValid, held.lease.term], [ended, false, held.term])
    await held.lost()
  }
  const taken = []
  for (let i = 0; i < 2; i++) {
    taken.push(await k.agents.lead('router', 'kublai', { ttlMs: 5_000 }))
    await k.agents.handBack('router', 'kublai')
    await taken[i].lost()
    assert.equal(known().length, 1, 'until another is taken')
  }
  assert.equal(await codeOf(taken[0].handBack()), 'role.stale_term')
  assert.deepEqual([taken[0].isValid, taken[0].lease.term], [false, taken[0].term])
  await taken[0].lost()
})

cases('options that are no object, and a signal that is none, are named', async (k) => {
  await team(k)
  const { id } = await k.tasks.enqueue('code')
  const task = await claimOne(k)
  const calls = [
    (o) => k.tasks.enqueue('x', null, o), (o) => k.tasks.enqueueMany([], o), (o) => k.tasks.claim('temujin', o),
    (o) => k.tasks.complete(task, null, o), (o) => k.tasks.fail(task, 'no', o), (o) => k.tasks.release(task, o),
    (o) => k.tasks.snooze(task, 1, o), (o) => k.tasks.finishMany([], o), (o) => k.tasks.extend(task, 1000, o),
    (o) => k.tasks.cancel(id, o), (o) => k.tasks.cancelMany({ type: 'x' }, o), (o) => k.tasks.update(id, {}, o),
    (o) => k.tasks.reprioritize(id, { priority: 'P1' }, o), (o) => k.tasks.assign(id, null, o), (o) => k.tasks.suspend(id, o),
    (o) => k.tasks.pause('x', o), (o) => k.tasks.stopAll('x', o), (o) => k.tasks.waitFor(id, o), (o) => k.tasks.call('x', null, o),
    (o) => k.tasks.get(id, o), (o) => k.tasks.getMany([], o), (o) => k.tasks.find('x', o), (o) => k.tasks.list(o),
    (o) => k.tasks.each(o).next(), async (o) => k.tasks.stream('temujin', o).next(), (o) => k.tasks.deadLetters(o),
    (o) => k.tasks.requeueMany(o), (o) => k.tasks.stats(o), (o) => k.tasks.explain(id, o),
    (o) => k.agents.register('jochi', o), (o) => k.agents.beatMany(['temujin'], o), (o) => k.agents.list(o),
    (o) => k.agents.health(o), (o) => k.agents.lead('scribe', 'temujin', o), (o) => k.agents.failovers(o),
    (o) => k.agents.deregister('nobody', o), (o) => k.events.read(o), (o) => k.events.lastSeq(o), (o) => k.events.alerts(o),
    (o) => k.events.each(o).next(), async (o) => k.events.follow(o).next(),
    (o) => k.messages.send('jochi', 'x', null, o), (o) => k.messages.sendMany([], o), (o) => k.messages.accept('x', o),
    (o) => k.messages.inbox(o), (o) => k.messages.ack([], o), (o) => k.messages.reject('x/1', 'no', o),
    (o) => k.messages.retry('x/1', o), (o) => k.messages.unread('jochi', o), (o) => k.messages.thread('x', o),
    (o) => k.messages.list(o), (o) => k.messages.ask('jochi', 'x', null, o),
    (o) => k.keys.list(null, o), (o) => k.keys.rotate('temujin', o), (o) => k.keys.importRows(o),
    (o) => k.schedules.list(o), (o) => k.schedules.get('x', o), (o) => k.schedules.runNow('x', o),
    (o) => k.schedules.put('x', 'x', null, o && { everyMs: 60_000, ...o }),
    (o) => k.maintain(o), (o) => k.cycle('temujin', o), (o) => k.verify(o), (o) => k.namespaces(o), (o) => open('memory:', o),
  ]
  for (const call of calls) {
    for (const [options, field] of [[null, 'options'], [{ signal: {} }, 'signal'], [{ signal: 'now' }, 'signal']]) {
      const error = await call(options).then(() => assert.fail(`${call} took ${JSON.stringify(options)}`), (e) => e)
      assert.equal(error.code, 'input.invalid', `${call}: ${error}`)
      assert.match(error.message, new RegExp(`^${field} is`), `${call}`)
    }
  }
})

cases('events are published, and consumed by who subscribes to them', async (k) => {
  const task = await k.tasks.enqueue('deploy')
  const first = await k.events.publish('deploy.begun', { version: 7 }, { source: 'temujin', task, key: 'begun-7' })
  assert.deepEqual(first, { seq: 2, deduplicated: false })
  assert.deepEqual(await k.events.publish('deploy.begun', { version: 7 }, { source: 'temujin', task, key: 'begun-7' }), { seq: 2, deduplicated: true })
  const wrong = await failure(k.events.publish('deploy.begun', 8, { key: 'begun-7' }))
  assert.deepEqual([wrong.code, wrong.kind], ['event.conflict', 'conflict'])
  assert.equal(await codeOf(k.events.publish('task.done')), 'input.invalid')
  assert.equal(await codeOf(k.events.publish('x', { n: NaN })), 'input.payload')
  assert.match((await failure(k.events.publishMany([{ topic: 'a' }, { topic: 'b', key: 7 }]))).message, /event 1/)

  const made = await k.events.subscribe('s', 'deploy.**', { agent: 'jochi', start: 0, where: { any: [['payload.version', 'exists']] } })
  assert.deepEqual([made.cursor, made.where, made.batchMs, made.createdAt instanceof Date, Object.isFrozen(made)], [0, { any: [['payload.version', 'exists']] }, null, true, true])
  await k.events.publishMany([{ topic: 'deploy.done', payload: { version: 7 }, cause: first.seq }, { topic: 'deploy.note' }, { topic: 'deploy.done', payload: { version: 8n } }])
  const seen = []
  for await (const batch of k.events.consume('s', { max: 2, waitMs: 0 })) {
    seen.push(batch.events.map((event) => event.seq))
    assert.ok(batch.events.every((event) => event.createdAt instanceof Date))
    // What is not acknowledged comes again.
    if (seen.length === 2) await batch.ack()
    if (seen.length === 3) {
      await batch.retry('not yet')
      await batch.ack() // it has ended
      const [{ tries, error }] = await k.events.subscriptions({ agent: 'jochi' })
      assert.deepEqual([tries, error], [1, 'not yet'])
    }
    if (seen.length === 4) break
  }
  assert.deepEqual(seen, [[2, 3], [2, 3], [5], [5]])
  // A loop that is left gives it back.
  assert.equal((await k.events.subscriptions())[0].heldUntil, null)
  assert.equal((await k.events.pause('s')).paused, true)
  assert.equal((await k.events.unpause('s')).paused, false)
  assert.equal((await k.events.rewind('s', new Date(0))).cursor, 0)
  assert.equal((await k.events.rewind('s', 4)).cursor, 4)
  assert.equal((await k.events.rewind('s', null)).lag, 0)
  assert.deepEqual(await k.events.dead('s'), [])

  const waiting = k.events.consume('s')
  const next = waiting.next()
  const seq = (await k.events.publish('deploy.done', { version: 9 })).seq
  assert.equal((await next).value.events[0].seq, seq)
  await waiting.return()
  const signal = AbortSignal.timeout(50)
  await assert.rejects(async () => {
    for await (const batch of k.events.consume('s', { signal })) await batch.ack()
  }, { name: 'TimeoutError' })
  await k.events.unsubscribe('s')
  assert.equal(await codeOf(k.events.dead('s')), 'subscription.not_found')
  assert.equal(await codeOf(k.events.subscribe('s', 'x', { quietMs: -1 })), 'input.invalid')
})

test('every operation was called', () => {
  const all = [Tasks, Agents, Events].flatMap((room) =>
    Object.getOwnPropertyNames(room.prototype).filter((name) => name !== 'constructor').map((name) => `${room.name}.${name}`))
  assert.ok(all.length > 30)
  assert.deepEqual(all.filter((name) => !called.has(name)), [])
})

cases('who follows or streams can stop at any moment, also while nothing comes', async (k) => {
  await k.agents.register('temujin')
  for (const pages of [k.events.follow(), k.tasks.stream('temujin')]) {
    const next = pages.next()
    await new Promise((resolve) => setTimeout(resolve, 50))
    assert.deepEqual(await pages.return(), { done: true, value: undefined })
    assert.deepEqual(await next, { done: true, value: undefined })
    assert.deepEqual(await pages.next(), { done: true, value: undefined })
  }
  const stream = Readable.from(k.events.follow())
  stream.resume()
  await new Promise((resolve) => setTimeout(resolve, 50))
  const closed = once(stream, 'close')
  stream.destroy()
  await closed
  const [task] = await k.tasks.enqueueMany([{ type: 'x' }, { type: 'x' }, { type: 'x' }])
  const pages = k.tasks.stream('temujin', { batch: 3 })
  assert.equal((await pages.next()).value.id, task.id)
  await pages.return()
  assert.equal((await k.tasks.stats()).byStatus.pending, 2, 'what nobody took is released')
})
