// What people meet every day: failures that are told, stops that come at once, and what a handler reaches.

import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { Agent, Snooze, Stopped } from 'kurultai'
import { cases, codeOf, until } from './fixture.mjs'

/** Runs an agent while `body` does something, then drains it. */
async function during(agent, body) {
  const stop = new AbortController()
  const run = agent.run({ signal: stop.signal })
  run.catch(() => {})
  try {
    await body(stop)
  } finally {
    stop.abort()
  }
  return run
}

const becomes = (k, { id }, status) => until(`${id} is ${status}`, async () => (await k.tasks.get(id)).status === status)

cases('each attempt is told once, and explained', async (k) => {
  const told = []
  const agent = new Agent('temujin', { kurultai: k })
    .task('review', (payload) => payload.pr.number)
    .task('fetch', () => 1)
    .task('hangs', { timeoutMs: 50, retries: 0 }, () => new Promise(() => {}))
    .on('failed', (failed) => told.push(['failed', failed]))
    .task('busy', () => { throw new Snooze({ afterMs: 60_000 }) })
    .on('completed', (attempt) => told.push(['completed', attempt]))
    .on('snoozed', (snoozed) => told.push(['snoozed', snoozed]))
    .on('error', (error) => told.push(['error', error]))
  const task = await k.tasks.enqueue('review', {}, { maxAttempts: 3, retry: { baseMs: 60_000, jitter: false } })
  await during(agent, async () => {
    await until('it is told', () => told.length === 1)
    await becomes(k, await k.tasks.enqueue('fetch'), 'completed')
    await becomes(k, await k.tasks.enqueue('hangs'), 'dead_letter')
    await k.tasks.enqueue('busy')
    await until('it is put off', () => told.length === 4)
  })
  const [[kind, failed], [second, completed], [third, late], [fourth, snoozed]] = told
  assert.deepEqual([kind, second, third, fourth], ['failed', 'completed', 'failed', 'snoozed'])
  assert.ok(snoozed.type === 'busy' && snoozed.runAt instanceof Date)
  const { runAt } = await k.tasks.get(task)
  assert.deepEqual([failed.taskId, failed.type, failed.attempt, failed.maxAttempts], [task.id, 'review', 1, 3])
  assert.deepEqual([failed.status, failed.runAt], ['pending', runAt])
  assert.match(failed.error, /^TypeError: .*\n +at .*daily\.test\.mjs/)
  assert.match(failed.text, /type "review", attempt 1 of 3 failed: TypeError: [^\n]+; again at \d{4}-/)
  assert.deepEqual([completed.type, late.error, late.status, late.runAt], ['fetch', 'timed out after 0.05 s', 'dead_letter', null])
  const [reason] = (await k.tasks.explain(task)).reasons
  assert.deepEqual([reason.reason, reason.attempt, reason.maxAttempts, reason.runAt], ['failed', 1, 3, runAt])
  assert.match(reason.text, /^attempt 1 of 3 failed: TypeError: .*; again at /)
})

cases('a team says how often a task may be put off', async (k) => {
  await k.agents.register('temujin')
  await k.tasks.enqueue('t')
  const [first] = await k.tasks.claim('temujin')
  assert.equal((await k.tasks.snooze(first, 0)).failed, false)
  const [again] = await k.tasks.claim('temujin')
  assert.equal(again.snoozes, 1)
  assert.equal((await k.tasks.snooze(again, 0)).failed, true)
}, { taskDefaults: { maxSnoozes: 1 } })

test('failures are a line on stderr where nobody listens, and a listener takes their place', () => {
  const program = (listen) => `
    import { Agent, open } from 'kurultai'
    const k = await open('memory:')
    const stop = new AbortController()
    const agent = new Agent('temujin', { kurultai: k }).task('t', () => { setTimeout(() => stop.abort(), 50); throw new Error('boom') })
    ${listen}
    await k.tasks.enqueue('t')
    await agent.run({ signal: stop.signal })
    await k.close()`
  const errorsOf = (listen) => {
    const { stderr, status } = spawnSync(process.execPath, ['--input-type=module', '-e', program(listen)], { encoding: 'utf8', cwd: import.meta.dirname })
    assert.equal(status, 0, stderr)
    return stderr
  }
  assert.match(errorsOf(''), /^kurultai: task \S+ of type "t", attempt 1 of 3 failed: Error: boom; again at .*\n$/)
  assert.equal(errorsOf(`agent.on('failed', () => {})`), '')
  assert.match(errorsOf(`agent.on('failed', () => { throw new Error('of the listener') })`), /of the listener/)
  assert.match(errorsOf(`const heard = () => {}; agent.on('failed', heard).off('failed', heard)`), /boom/)
})

test('only what is told can be listened to', () => {
  const agent = new Agent('temujin')
  assert.throws(() => agent.on('faild', () => {}), { code: 'input.invalid', message: /event is "faild"; allowed: failed, completed, snoozed, stalled, messageFailed, error/ })
  assert.throws(() => agent.on('failed'), { message: /the listener of failed/ })
})

cases('a cancellation reaches a running handler at once, with its reason', async (k) => {
  const seen = {}
  const agent = new Agent('temujin', { kurultai: k, leaseMs: 60_000 }).task('t', async (_, ctx) => {
    seen.begun = performance.now()
    await once(ctx.signal, 'abort')
    Object.assign(seen, { why: ctx.signal.reason, reason: ctx.stopReason, at: performance.now() })
  })
  await during(agent, async () => {
    const task = await k.tasks.enqueue('t')
    await until('it runs', () => seen.begun !== undefined)
    await k.tasks.cancel(task, { reason: 'no need' })
    await becomes(k, task, 'cancelled')
  })
  assert.ok(seen.why instanceof Stopped)
  assert.deepEqual([seen.why.stop, seen.why.reason, seen.reason], ['cancelled', 'no need', 'no need'])
  assert.ok(seen.at - seen.begun < 5000)
})

cases('a drain is heard when it begins', async (k) => {
  const seen = []
  const agent = new Agent('temujin', { kurultai: k }).task('t', async (_, ctx) => {
    seen.push(ctx.draining.aborted)
    await once(ctx.draining, 'abort')
    seen.push(ctx.draining.aborted, ctx.signal.aborted, ctx.stopReason)
    return 'what could be done'
  })
  const task = await k.tasks.enqueue('t')
  const run = await during(agent, () => until('it runs', () => seen.length === 1))
  assert.deepEqual([run, seen], [{ handled: 1, stopped: 0 }, [false, true, false, null]])
  assert.equal((await k.tasks.get(task)).results, 'what could be done')
})

cases('a handler reaches its team and enqueues parts', async (k) => {
  const agent = new Agent('temujin', { kurultai: k }).task('plan', async (_, ctx) => {
    assert.equal(ctx.team, k)
    const part = await ctx.enqueue('part', { n: 1 }, { priority: 'P1' })
    await ctx.enqueue('part', { n: 2 }, { delegatedBy: 'somebody', parent: 'elsewhere' })
    return (await ctx.team.tasks.get(part)).status
  })
  const plan = await k.tasks.enqueue('plan')
  await during(agent, () => becomes(k, plan, 'blocked'))
  const { tasks } = await k.tasks.list({ parent: plan })
  assert.deepEqual(tasks.map(({ delegatedBy }) => delegatedBy).sort(), ['somebody', 'temujin'])
  assert.ok(tasks.every(({ correlationId }) => correlationId === plan.id))
  assert.equal((await k.tasks.get(plan)).results, 'pending')
})

cases('a snooze puts off, and says what it needs', async (k) => {
  for (const options of [undefined, {}, { afterMs: 'soon' }, { after: 1 }]) assert.throws(() => new Snooze(options), /Ms|object/)
  await k.agents.register('temujin')
  await k.tasks.enqueueMany([{ type: 't' }, { type: 't' }])
  const [task, other] = await k.tasks.claim('temujin', { max: 2 })
  const snoozed = await k.tasks.snooze(task, 60_000)
  assert.deepEqual([snoozed.status, snoozed.failed, snoozed.repeated], ['pending', false, false])
  const got = await k.tasks.get(task)
  assert.deepEqual([got.snoozes, got.attempts, got.runAt], [1, 0, snoozed.runAt])
  assert.equal(await codeOf(k.tasks.snooze(task, 60_000)), 'lease.lost')
  const [each] = await k.tasks.finishMany([{ task: other, outcome: 'snooze', afterMs: 1000 }])
  assert.ok(each.runAt instanceof Date)
  assert.equal(await codeOf(k.tasks.snooze(other, -1)), 'input.invalid')
})
