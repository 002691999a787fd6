// What is due when, on every store; what a schedule does is proved by the core's cases and the scenarios.

import assert from 'node:assert/strict'
import { Schedules, open } from 'kurultai'
import { cases, codeOf, failure } from './fixture.mjs'

const start = new Date('2026-03-01T09:07:05.123Z')
const manual = { clock: start, background: false }
const minutes = (count) => new Date(start.getTime() + count * 60_000)

cases('a schedule is put and its tasks come', async (k) => {
  const put = await k.schedules.put('report', 'report', { n: 2n ** 64n }, {
    everyMs: 3_600_000, start: minutes(5), title: 'Weekly', priority: 'P0', requires: ['writing'], expiresInMs: Infinity,
    maxRuntimeMs: 90_000, retry: { baseMs: 1_000, jitter: false },
  })
  const { createdAt, updatedAt, ...said } = put
  assert.deepEqual(said, {
    name: 'report', type: 'report', payload: { n: 2n ** 64n }, everyMs: 3_600_000, cron: null, timezone: 'UTC', start: minutes(5),
    taskFields: {
      title: 'Weekly', priority: 'P0', requires: ['writing'], expires_in: null, max_runtime: 90,
      retry: { base: 1, cap: 3600, jitter: false },
    },
    catchUp: 'one', overlap: 'skip', jitterMs: 0, paused: false, nextDue: minutes(5), upcoming: [minutes(5), minutes(65), minutes(125)],
    lastDue: null, lastTask: null, lastSkipped: null,
  })
  assert.deepEqual([createdAt, updatedAt], [start, start])
  assert.ok(Object.isFrozen(put) && Object.isFrozen(put.upcoming))
  k.advance(5 * 60_000)
  await k.maintain()
  const schedule = await k.schedules.get('report')
  assert.deepEqual([schedule.lastDue, schedule.nextDue], [minutes(5), minutes(65)])
  const task = await k.tasks.get(schedule.lastTask)
  assert.deepEqual([task.type, task.title, task.expiresAt, task.maxRuntimeMs], ['report', 'Weekly', null, 90_000])
  assert.equal(task.uniqueKey, 'schedule:report:2026-03-01T09:12:05.123Z')
  assert.deepEqual(await k.schedules.list(), [schedule])
  assert.deepEqual(await k.schedules.runNow('report'), { id: task.id, deduplicated: true })
  assert.deepEqual((await k.schedules.pause('report')).upcoming, [])
  assert.deepEqual((await k.schedules.unpause('report')).nextDue, minutes(65))
  assert.equal(await k.schedules.remove('report'), undefined)
  assert.deepEqual(await k.schedules.list(), [])
}, manual)

cases('what is wrong is named as JavaScript calls it', async (k) => {
  const put = (options, type = 'x', name = 'x') => k.schedules.put(name, type, null, options)
  for (const [call, words] of [
    [() => put({ cron: '0 25 * * MON' }), 'cron is "0 25 * * MON"; allowed: as its hour'],
    [() => put({ cron: '0 9 * * *', timezone: 'Asia/Ulaanbatar' }), 'did you mean "Asia/Ulaanbaatar"?'],
    [() => put({}), 'everyMs is'],
    [() => put({ everyMs: 999 }), 'everyMs is'],
    [() => put({ everyMs: -1 }), 'everyMs is -1; allowed: 0 or more milliseconds'],
    [() => put({ everyMs: 60_000, jitterMs: 60_000 }), 'jitterMs is'],
    [() => put({ everyMs: 60_000, catchUp: 'some' }), 'catchUp is "some"; allowed: one skip all'],
    [() => put({ everyMs: 60_000, catchUp: 'all', overlap: 'skip' }), 'overlap is'],
    [() => put({ everyMs: 60_000, start: 5 }), 'start is 5; allowed: a Date'],
    [() => put({ everyMs: 60_000, uniqueKey: 'k' }), 'uniqueKey is "k"; allowed: nothing'],
    [() => put({ everyMs: 60_000, typo: 1 }), 'typo is no field'],
    [() => put(undefined), 'options is undefined'],
    [() => put({ everyMs: 60_000 }, 5), 'type is 5; allowed: a string'],
    [() => put({ everyMs: 60_000 }, 'x', 5), 'name is 5; allowed: a string'],
    [() => k.schedules.get(), 'name is undefined; allowed: a string'],
  ]) {
    const error = await failure(call())
    assert.ok(error.code === 'input.invalid' && error.message.includes(words), `${error.code} ${error.message}`)
  }
  assert.equal(await codeOf(k.schedules.put('x', 'x', () => 1, { everyMs: 60_000 })), 'input.payload')
  assert.deepEqual(await k.schedules.list(), [])
})

cases('every operation throws its failure', async (k, { url, namespace }) => {
  const gone = await open(url, { namespace })
  await gone.close()
  for (const operation of Object.getOwnPropertyNames(Schedules.prototype).slice(1)) {
    const args = operation === 'list' ? [] : operation === 'put' ? ['x', 'x', null, { everyMs: 60_000 }] : ['x']
    assert.equal(await codeOf(gone.schedules[operation](...args)), 'store.closed', operation)
  }
})
