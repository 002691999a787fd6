// Agents as programs: handlers, retries, stops and drains.

import assert from 'node:assert/strict'
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { Agent, InputError, Reject, Retry, Stopped, open } from 'kurultai'
import { cases, codeOf, folder, until } from './fixture.mjs'

/** Runs an agent while `body` does something, then drains it; the answer is how the run went. */
async function during(agent, body) {
  const stop = new AbortController()
  const run = agent.run({ signal: stop.signal })
  run.catch(() => {})
  try {
    await body()
  } finally {
    stop.abort()
  }
  return run
}

const ended = (k, id, status) => until(`${id} is ${status}`, async () => (await k.tasks.get(id)).status === status)

cases('a handler gets its task and its context, and its results are stored', async (k, { namespace }) => {
  const [first] = await k.tasks.enqueueMany([{ type: 'fetch', payload: { url: 'x' } }])
  const { id } = await k.tasks.enqueue('review', { pr: 42 }, { requires: ['development'], dependsOn: [first] })
  const seen = {}
  const agent = new Agent('temujin', { kurultai: k, capabilities: ['development'], concurrency: 4, displayName: 'Temüjin' })
    .task('fetch', async () => ({ bytes: 3 }))
    .task('review', async (payload, ctx) => {
      await ctx.progress(0.5)
      await ctx.checkpoint({ file: 1 })
      await ctx.usage({ tokens: 5 })
      Object.assign(seen, {
        payload, attempt: ctx.attempt, token: ctx.fencingToken, key: ctx.idempotencyKey,
        prerequisites: ctx.prerequisites.map(({ results }) => results), aborted: ctx.signal.aborted, lease: ctx.lease,
        extended: (await k.tasks.extend(ctx, 60_000)).lease,
      })
    })
  const run = await during(agent, () => ended(k, id, 'completed'))
  assert.deepEqual(run, { handled: 2, stopped: 0 })
  const { lease, extended, ...rest } = seen
  assert.deepEqual(rest, {
    payload: { pr: 42 }, attempt: 1, token: 1, key: `${namespace}/${id}`, prerequisites: [{ bytes: 3 }], aborted: false,
  })
  assert.ok(extended.expiresAt > lease.expiresAt)
  const task = await k.tasks.get(id)
  assert.deepEqual([task.results, task.progress, task.checkpoint, task.usage.tokens], [null, 0.5, { file: 1 }, 5])
  assert.equal((await k.agents.get('temujin')).displayName, 'Temüjin')
})

cases('failures carry the stack; Retry, Reject and retries are understood', async (k) => {
  const retry = { baseMs: 0, capMs: 0, jitter: false }
  const [thrown, again, rejected, limited, unstorable, odd, wraps] = await k.tasks.enqueueMany([
    { type: 'throws', maxAttempts: 1 }, { type: 'again' }, { type: 'rejects' }, { type: 'limited', maxAttempts: 10, retry },
    { type: 'unstorable', maxAttempts: 1 }, { type: 'odd', maxAttempts: 1 }, { type: 'wraps' },
  ])
  let attempts = 0
  const agent = new Agent('temujin', { kurultai: k, concurrency: 2 })
    .task('throws', async function failing() { throw new RangeError('out of it') })
    .task('again', (_, ctx) => {
      if (ctx.attempt < 3) throw new Retry({ afterMs: 10, message: 'rate limited' })
      return ctx.attempt
    })
    .task('rejects', () => { throw new Reject('no such repository') })
    .task('limited', { retries: 1 }, () => { attempts += 1; throw new Error('never') })
    .task('unstorable', () => ({ handle: new Map() }))
    .task('wraps', () => { throw new Error('outer', { cause: new Reject('inner') }) })
    .task('odd', () => { throw 'a string' })
  await during(agent, async () => {
    await ended(k, again.id, 'completed')
    for (const { id } of [thrown, rejected, limited, unstorable, odd, wraps]) await ended(k, id, 'dead_letter')
  })
  const error = async ({ id }) => (await k.tasks.get(id)).errorMessage
  assert.match(await error(thrown), /^RangeError: out of it\n\s+at .*failing.*agent\.test\.mjs/)
  assert.match(await error(rejected), /^Reject: no such repository/)
  assert.match(await error(unstorable), /results at \$\.handle: Map/)
  assert.equal(await error(odd), 'a string')
  assert.deepEqual([attempts, (await k.tasks.get(again)).results], [2, 3])
})

cases('an error is stored with its causes, and without what hangs on it', async (k) => {
  const inner = new Error('inner', { cause: 'a text' })
  const outer = Object.assign(new Error('outer', { cause: inner }), { request: { headers: { authorization: 'secret' } } })
  const [caused, grouped] = await k.tasks.enqueueMany([{ type: 'caused' }, { type: 'grouped' }])
  const agent = new Agent('temujin', { kurultai: k, concurrency: 2 })
    .task('caused', { retries: 0 }, () => { throw outer })
    .task('grouped', { retries: 0 }, () => Promise.any([Promise.reject(new Error('first')), Promise.reject(new Error('second'))]))
  await during(agent, async () => { for (const { id } of [caused, grouped]) await ended(k, id, 'dead_letter') })
  const [one, two] = (await k.tasks.getMany([caused, grouped])).map(({ errorMessage }) => errorMessage)
  assert.match(one, /^Error: outer\n +at [^]* {\n  \[cause\]: Error: inner\n +at [^]*\[cause\]: a text\n/)
  assert.doesNotMatch(one, /secret/)
  assert.match(two, /^AggregateError[^]*\[errors 0\]: Error: first[^]*\[errors 1\]: Error: second/)
  const { id } = await k.tasks.enqueue('by hand')
  const [claimed] = await k.tasks.claim('temujin', { types: ['by hand'] })
  await k.tasks.fail(claimed, outer, { retryable: false })
  assert.match((await k.tasks.get(id)).errorMessage, /outer[^]*\[cause\]: Error: inner/)
})

cases('a time-out may be none, and longer than a timer of JavaScript', async (k) => {
  const agent = new Agent('temujin', { kurultai: k }).task('ever', { timeoutMs: Infinity }, () => 1)
    .task('long', { timeoutMs: 2 ** 31 }, async () => { await new Promise((resolve) => setTimeout(resolve, 50)); return 2 })
  const tasks = await k.tasks.enqueueMany([{ type: 'ever' }, { type: 'long' }])
  await during(agent, async () => { for (const { id } of tasks) await ended(k, id, 'completed') })
  assert.deepEqual((await k.tasks.getMany(tasks)).map(({ attempts, results }) => [attempts, results]), [[1, 1], [1, 2]])
})

test('a store that is closed ends its agent', async () => {
  const k = await open('memory:')
  const running = new Agent('temujin', { kurultai: k }).task('x', () => 1).run()
  const { id } = await k.tasks.enqueue('x')
  await ended(k, id, 'completed')
  await k.close()
  assert.deepEqual(await running, { handled: 1, stopped: 0 })
})

cases('a store that is closed gets back what its agents hold', async (k, { url, namespace }) => {
  const own = await open(url, { namespace })
  const tasks = await k.tasks.enqueueMany([{ type: 'x' }, { type: 'x' }])
  const why = []
  const agent = new Agent('temujin', { kurultai: own, concurrency: 2, graceMs: 600_000 }).task('x', (_, ctx) => {
    return new Promise((resolve) => ctx.signal.addEventListener('abort', () => resolve(why.push(ctx.signal.reason.stop))))
  })
  const run = agent.run()
  await until('both run', async () => (await k.tasks.stats()).byStatus.in_progress === 2)
  await own.close()
  const got = await k.tasks.getMany(tasks)
  assert.deepEqual(got.map(({ status, attempts }) => [status, attempts]), [['pending', 0], ['pending', 0]])
  assert.equal((await run).handled, 0)
  assert.deepEqual(new Set(why), new Set(['drained']))
})

cases('an agent that starts while its store is closed ends at once', async (k, { url, namespace }) => {
  const own = await open(url, { namespace })
  const agent = new Agent('temujin', { kurultai: own }).task('x', () => null)
  const run = agent.run()
  await own.close()
  assert.deepEqual(await run, { handled: 0, stopped: 0 })
  assert.equal(await codeOf(agent.run()), 'store.closed')
})

cases('a cancel, a suspend, a lost lease and a time-out abort the signal', async (k) => {
  const reasons = {}
  const agent = new Agent('temujin', { kurultai: k, concurrency: 4, leaseMs: 3000 })
  const waits = async (_, ctx) => {
    await once(ctx.signal, 'abort')
    reasons[ctx.task.payload] = ctx.signal.reason
    throw ctx.signal.reason
  }
  agent.task('waits', waits).task('slow', { timeoutMs: 50 }, waits)
  const [cancelled, suspended] = await k.tasks.enqueueMany(['cancelled', 'suspended'].map((payload) => ({ type: 'waits', payload })))
  const slow = await k.tasks.enqueue('slow', 'late', { maxAttempts: 1 })
  await during(agent, async () => {
    await until('both are held', async () => (await k.tasks.list({ type: 'waits', status: 'in_progress' })).tasks.length === 2)
    await k.tasks.cancel(cancelled)
    await k.tasks.suspend(suspended)
    await ended(k, cancelled.id, 'cancelled')
    await ended(k, suspended.id, 'suspended')
    await ended(k, slow.id, 'dead_letter')
  })
  assert.ok(reasons.cancelled instanceof Stopped)
  assert.deepEqual([reasons.cancelled.stop, reasons.suspended.stop], ['cancelled', 'suspended'])
  assert.equal(reasons.late.name, 'TimeoutError')
  const [error] = (await k.tasks.get(slow)).errors
  assert.deepEqual([error.error, error.kind], ['timed out after 0.05 s', 'timeout'])
})

/** The health of the one agent, once it is so. */
async function fares(k, state) {
  let health
  await until(`it is ${state}`, async () => ([health] = await k.agents.health())[0]?.state === state)
  return health
}

cases('a silent handler is reported, and may still end', async (k, { url, namespace }) => {
  const other = await open(url, { namespace })
  let goOn
  const told = []
  const agent = new Agent('temujin', { kurultai: k, stallAfterMs: 500 })
    .task('silent', () => new Promise((resolve) => { goOn = resolve }))
    .on('stalled', (stalled) => told.push(stalled))
  const { id } = await k.tasks.enqueue('silent')
  await during(agent, async () => {
    const stuck = await fares(other, 'stuck')
    assert.match(stuck.reason, new RegExp(`^the handler of task ${id} \\(silent\\) has been silent for `))
    const [event] = (await other.events.read({ topic: 'agent.stuck' })).events
    assert.deepEqual([event.source, event.taskId], ['temujin', id])
    await until('it is told', () => told.length === 1)
    const { text, silentMs, ...rest } = told[0]
    assert.match(text, /no sign of life/)
    assert.ok(silentMs >= 500 && silentMs < 30_000)
    assert.deepEqual([rest.taskId, rest.type, rest.attempt], [id, 'silent', 1])
    assert.equal((await k.tasks.get(id)).status, 'in_progress')
    goOn('in the end')
    await ended(k, id, 'completed')
    await fares(other, 'idle')
  })
  const task = await k.tasks.get(id)
  assert.deepEqual([task.results, task.attempts, task.errors], ['in the end', 1, []])
  await other.close()
})

cases('a silent handler is let go, and what it does then counts for nothing', async (k) => {
  let reason
  let late
  const agent = new Agent('temujin', { kurultai: k })
    .task('silent', { stallAfterMs: 300, onStall: 'release', retries: 0 }, async (_, ctx) => {
      const { signal } = ctx
      await once(signal, 'abort')
      reason = signal.reason
      // It is told before the end is stored.
      await ended(k, ctx.task.id, 'dead_letter')
      late = [await codeOf(ctx.progress(0.9)), await codeOf(k.tasks.complete(ctx, 'late'))]
      return 'late'
    })
    .on('failed', () => {})
  const { id } = await k.tasks.enqueue('silent')
  const run = await during(agent, async () => {
    await ended(k, id, 'dead_letter')
    await until('the handler has ended', () => late)
  })
  assert.ok(reason instanceof Stopped)
  const task = await k.tasks.get(id)
  assert.deepEqual([reason.stop, late, task.results, task.errors[0].kind, run.handled], ['stalled', ['lease.lost', 'lease.lost'], null, 'stalled', 1])
})

cases('what is a sign of life', async (k) => {
  const signs = {
    alive: (ctx) => ctx.alive(), signal: (ctx) => ctx.signal.aborted, draining: (ctx) => ctx.draining.aborted,
    stopReason: (ctx) => ctx.stopReason, lease: (ctx) => ctx.lease, team: (ctx) => ctx.team.namespace,
    fencingToken: (ctx) => ctx.fencingToken, idempotencyKey: (ctx) => ctx.idempotencyKey,
    usage: (ctx) => ctx.usage({ tokens: 1 }), progress: (ctx) => ctx.progress(0.5),
  }
  const agent = new Agent('temujin', { kurultai: k, concurrency: 20, stallAfterMs: 2500, onStall: 'release' }).on('failed', () => {})
  const working = (sign) => async (_, ctx) => {
    for (let turn = 0; turn < 45; turn++) {
      await new Promise((resolve) => setTimeout(resolve, 100))
      await sign(ctx)
    }
  }
  for (const [name, sign] of Object.entries(signs)) agent.task(name, { retries: 0 }, working(sign))
  agent.task('nothing', { retries: 0 }, working((ctx) => assert.ok(ctx.attempt && ctx.task.payload === null)))
  const tasks = await k.tasks.enqueueMany(Object.keys(signs).map((type) => ({ type })))
  const silent = await k.tasks.enqueue('nothing')
  await during(agent, async () => {
    for (const { id } of tasks) await until('it is over', async () => !['pending', 'in_progress'].includes((await k.tasks.get(id)).status))
    await ended(k, silent.id, 'dead_letter')
  })
  const got = await k.tasks.getMany(tasks)
  assert.deepEqual(got.map(({ type, status, errors }) => [type, status, errors]), Object.keys(signs).map((type) => [type, 'completed', []]))
  assert.equal((await k.tasks.get(silent)).errors[0].kind, 'stalled')
})

cases('the longest run is kept by the store', async (k) => {
  let reason
  const agent = new Agent('temujin', { kurultai: k }).on('failed', () => {})
    .task('long', { retries: 0 }, async (_, ctx) => { await once(ctx.signal, 'abort'); reason = ctx.signal.reason })
  const { id } = await k.tasks.enqueue('long', null, { maxRuntimeMs: 1000 })
  await during(agent, () => ended(k, id, 'dead_letter'))
  const [error] = (await k.tasks.get(id)).errors
  assert.deepEqual([reason.name, error.kind], ['TimeoutError', 'max_runtime'])
  assert.match(error.error, /max_runtime of 1 s/)
})

/** A process whose handler blocks its thread for as long as the payload says, at most a minute. */
function hanging({ t, url, namespace }) {
  const child = spawn(process.execPath, ['--input-type=module', '-e', `
    import { Agent } from 'kurultai'
    const agent = new Agent('temujin', { url: ${JSON.stringify(url)}, open: { namespace: ${JSON.stringify(namespace)} }, stallAfterMs: 500, leaseMs: 2000 })
    agent.task('hangs', (ms) => {
      for (const begun = Date.now(); Date.now() < begun + ms; ) if (Date.now() > begun + 60_000) process.exit(1)
    })
    await agent.run()`,
  ], { cwd: fileURLToPath(new URL('.', import.meta.url)), stdio: ['ignore', 'inherit', 'pipe'] })
  t.after(() => child.kill('SIGKILL'))
  return child
}

async function isFound(k, id) {
  const stuck = await fares(k, 'stuck')
  assert.match(stuck.reason, new RegExp(`^the handler of task ${id} \\(hangs\\) has been silent for `))
  assert.ok(stuck.infraAgeMs < 30_000)
}

cases('a handler in a busy loop without an end is found by others', async (k, context) => {
  const { id } = await k.tasks.enqueue('hangs', 1e9, { retry: { baseMs: 0, jitter: false } })
  const child = hanging(context)
  await isFound(k, id)
  // Longer than its lease, which the process goes on renewing.
  for (const begun = Date.now(); Date.now() < begun + 3000; ) {
    assert.equal((await fares(k, 'stuck')).holds, 1)
    await new Promise((resolve) => setTimeout(resolve, 200))
  }
  assert.deepEqual([(await k.tasks.get(id)).status, child.exitCode], ['in_progress', null])
  child.kill('SIGKILL')
  await ended(k, id, 'pending')
  assert.deepEqual((await k.tasks.get(id)).errors.map(({ kind }) => kind), ['lapsed'])
})

cases('a handler that blocks its thread is found by others', async (k, context) => {
  const { id } = await k.tasks.enqueue('hangs', 4000)
  const child = hanging(context)
  let said = ''
  child.stderr.on('data', (text) => { said += text })
  await isFound(k, id)
  await ended(k, id, 'completed')
  assert.deepEqual((await k.tasks.get(id)).errors, [])
  child.kill('SIGTERM')
  await once(child, 'close')
  assert.match(said, new RegExp(`^kurultai: .*${id}.*no sign of life`, 'm'))
})

cases('a lost lease aborts the signal, and what the handler does then counts for nothing', async (k) => {
  let reason
  let late
  const agent = new Agent('temujin', { kurultai: k, leaseMs: 600 }).task('x', async (_, ctx) => {
    if (ctx.attempt > 1) return 'second'
    k.advance(10_000)
    await once(ctx.signal, 'abort')
    reason = ctx.signal.reason
    late = await codeOf(ctx.progress(0.9))
    return 'first'
  })
  const { id } = await k.tasks.enqueue('x', null, { retry: { baseMs: 0, jitter: false } })
  await during(agent, () => ended(k, id, 'completed'))
  const task = await k.tasks.get(id)
  assert.deepEqual([reason.stop, late, task.results, task.attempts], ['lost', 'lease.lost', 'second', 2])
}, { clock: new Date('2026-01-01T00:00:00Z'), background: false })

cases('a drain lets handlers end, stops those that do not, and strands nothing', async (k) => {
  await k.tasks.enqueueMany([{ type: 'short' }, { type: 'long' }, ...Array.from({ length: 20 }, () => ({ type: 'short' }))])
  let reason
  const begun = []
  const agent = new Agent('temujin', { kurultai: k, concurrency: 2, graceMs: 200 })
    .task('short', async () => { begun.push(1); await new Promise((resolve) => setTimeout(resolve, 30)) })
    .task('long', async (_, ctx) => { begun.push(2); await once(ctx.signal, 'abort'); reason = ctx.signal.reason })
  const run = await during(agent, () => until('both run', () => begun.length >= 2))
  assert.equal(run.stopped, 1)
  assert.equal(reason.stop, 'drained')
  const { byStatus } = await k.tasks.stats()
  assert.equal(byStatus.in_progress ?? 0, 0)
  assert.equal(byStatus.completed + byStatus.pending, 22)
  assert.equal(byStatus.completed, run.handled)
})

cases('no more handlers at once than its concurrency', async (k) => {
  await k.tasks.enqueueMany(Array.from({ length: 40 }, () => ({ type: 'x' })))
  let now = 0
  let most = 0
  const agent = new Agent('temujin', { kurultai: k, concurrency: 5 }).task('x', async () => {
    most = Math.max(most, ++now)
    await new Promise((resolve) => setTimeout(resolve, 2))
    now -= 1
  })
  await during(agent, () => until('all are done', async () => (await k.tasks.stats()).byStatus.completed === 40))
  assert.equal(most, 5)
})

cases('what cannot work is said at once', async (k) => {
  const agent = new Agent('temujin', { kurultai: k })
  assert.equal(await codeOf(agent.run()), 'input.invalid')
  agent.task('x', () => {})
  assert.throws(() => agent.task('x', () => {}), { code: 'input.invalid' })
  assert.throws(() => agent.task('y', 'no function'), { code: 'input.invalid' })
  assert.equal(await codeOf(new Agent('Not An Id', { kurultai: k }).task('x', () => {}).run()), 'input.invalid')
  const refuses = (kind, make, ...texts) => assert.throws(make, (error) => {
    assert.deepEqual([error.constructor, error.code], [kind, 'input.invalid'], String(error))
    for (const text of texts) assert.ok(error.message.includes(text), error.message)
    return true
  })
  refuses(TypeError, () => new Agent('temujin', { kurultai: k, concurency: 2 }), 'concurency is no field', 'concurrency')
  for (const [field, value] of Object.entries({
    capabilities: 'development', aliases: 'x', stallAfterMs: '1', onStall: 1, concurrency: '4', heartbeatMs: '1', url: 7, displayName: 7, role: 7, signals: 1,
    kurultai: 7,
  })) refuses(TypeError, () => new Agent('temujin', { [field]: value }), `${field} is`, 'allowed: ')
  for (const [field, value] of Object.entries({ maxConcurrent: NaN, leaseMs: -1, graceMs: NaN, waitMs: Infinity })) {
    refuses(InputError, () => new Agent('temujin', { [field]: value }), `${field} is`, 'allowed: ')
  }
  refuses(TypeError, () => new Agent(7), 'id is 7')
  refuses(TypeError, () => new Agent('temujin', 'sqlite:team.db'), 'sqlite:team.db')
  for (const [kind, values] of [[InputError, [NaN, -5, 0]], [TypeError, ['60', true, 10n]]]) {
    for (const timeoutMs of values) refuses(kind, () => agent.task('z', { timeoutMs }, () => {}), 'timeoutMs is', 'allowed: ')
  }
  for (const [kind, values] of [[InputError, [NaN, -1, 1.5, Infinity]], [TypeError, ['1', true]]]) {
    for (const retries of values) refuses(kind, () => agent.task('z', { retries }, () => {}), 'retries is', 'allowed: ')
  }
  refuses(TypeError, () => agent.task('z', { timeout: 60 }, () => {}), 'timeout is no field', 'timeoutMs, retries')
  refuses(TypeError, () => agent.task('z', 60, () => {}), '60')
  refuses(TypeError, () => agent.task(7, () => {}), 'type is 7')
  refuses(TypeError, () => new Retry(5000), '5000')
  refuses(TypeError, () => new Retry({ after: 5 }), 'after is no field', 'afterMs')
  refuses(TypeError, () => new Retry({ afterMs: '5' }), 'afterMs', 'a number')
  await assert.rejects(agent.run({ signal: AbortSignal.abort(new Error('never')) }), /never/)
})

for (const [first, second] of [['SIGINT', 'SIGTERM'], ['SIGTERM', 'SIGINT']]) {
  test(`${second} after ${first} ends at once`, async () => {
    const child = spawn(process.execPath, ['--input-type=module', '-e', `
      import { Agent, open } from 'kurultai'
      const k = await open('memory:')
      await k.tasks.enqueue('x')
      const agent = new Agent('temujin', { kurultai: k, graceMs: 60_000 })
      process.on(${JSON.stringify(first)}, () => setTimeout(() => console.log('asked'), 50))
      agent.task('x', () => { console.log('begun'); return new Promise(() => {}) })
      await agent.run()`,
    ], { cwd: fileURLToPath(new URL('.', import.meta.url)), timeout: 20_000, killSignal: 'SIGKILL', stdio: ['ignore', 'pipe', 'inherit'] })
    await once(child.stdout, 'data')
    child.kill(first)
    await once(child.stdout, 'data')
    child.kill(second)
    assert.deepEqual(await once(child, 'close'), [null, second])
  })
}

for (const signal of ['SIGTERM', 'SIGINT']) {
  test(`${signal} drains a program, which then exits by itself`, async () => {
    const url = `sqlite:${folder()}/team.db`
    const child = spawn(process.execPath, ['--input-type=module', '-e', `
      import { Agent, open } from 'kurultai'
      const k = await open(${JSON.stringify(url)})
      await k.tasks.enqueueMany([{ type: 'x' }, { type: 'x' }])
      const agent = new Agent('temujin', { url: ${JSON.stringify(url)} })
      agent.task('x', async () => {
        console.log('begun')
        await new Promise((resolve) => setTimeout(resolve, 200))
      })
      const run = await agent.run()
      console.log(run.handled, run.stopped, JSON.stringify((await k.tasks.stats()).byStatus))`,
    ], { cwd: fileURLToPath(new URL('.', import.meta.url)), timeout: 10_000, stdio: ['ignore', 'pipe', 'inherit'] })
    let out = ''
    child.stdout.on('data', (text) => { out += text })
    await once(child.stdout, 'data')
    child.kill(signal)
    const [code] = await once(child, 'close')
    assert.deepEqual([code, out], [0, 'begun\n1 0 {"pending":1,"completed":1}\n'])
  })
}
