// Messages reach an agent at work: handlers, and the inbox in the middle of a task.

import assert from 'node:assert/strict'
import { once } from 'node:events'
import { test } from 'node:test'
import { Agent, MessageContext, Reject, Retry, open } from 'kurultai'
import { cases, codeOf, until } from './fixture.mjs'

const prompt = { retry: { baseMs: 0, capMs: 0, jitter: false } }

/** kublai, who asks, and jochi, whose agent works. */
async function two(k, { t, url, namespace }) {
  const opened = []
  for (const agent of ['kublai', 'jochi']) {
    await k.agents.register(agent)
    opened.push(await open(url, { namespace, identity: await k.keys.rotate(agent) }))
  }
  t.after(() => Promise.all(opened.map((one) => one.close())))
  return opened
}

const read = (k, left = 0) => until(`${left} are left`, async () => (await k.messages.unread('jochi')).count === left)

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

cases('a message is answered while a task of its agent runs', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const work = new EventTarget()
  const begun = once(work, 'begun')
  const seen = []
  const agent = new Agent('jochi', { kurultai: jochi })
    .task('long', async () => {
      work.dispatchEvent(new Event('begun'))
      await once(work, 'done')
      return 'done'
    })
    .onMessage('question', async (body, ctx) => {
      seen.push(ctx instanceof MessageContext, ctx.message.sender, ctx.message.delivery, ctx.signal.aborted, ctx.team === jochi)
      await ctx.reply({ of: body })
      await ctx.reply('more', { type: 'note' })
    })
  const { id } = await k.tasks.enqueue('long')
  const run = await during(agent, async () => {
    await begun
    const answer = await kublai.messages.ask('jochi', 'question', 'which?', { task: id, timeoutMs: 20_000 })
    assert.deepEqual([answer.body, answer.sender, answer.type, answer.taskId], [{ of: 'which?' }, 'jochi', 'reply', id])
    assert.equal((await k.tasks.get(id)).status, 'in_progress')
    work.dispatchEvent(new Event('done'))
    assert.deepEqual((await k.tasks.waitFor(id)).results, 'done')
  })
  assert.deepEqual([run, seen], [{ handled: 2, stopped: 0 }, [true, 'kublai', 1, false, true]])
  assert.deepEqual((await kublai.messages.inbox()).map(({ type, body }) => [type, body]), [['note', 'more']])
  assert.equal((await jochi.messages.unread()).count, 0)
})

cases('an error has it delivered again five times, and each is told', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const told = []
  const deliveries = []
  const agent = new Agent('jochi', { kurultai: jochi })
    .onMessage('greeting', prompt, (_, ctx) => {
      deliveries.push(ctx.message.delivery)
      throw new Error('no such file')
    })
    .on('messageFailed', (failed) => told.push(failed))
  const { id } = await kublai.messages.send('jochi', 'greeting')
  await during(agent, () => read(k))
  assert.deepEqual(deliveries, [1, 2, 3, 4, 5])
  const { error, text, ...first } = told[0]
  assert.deepEqual(first, {
    messageId: id, type: 'greeting', sender: 'kublai', delivery: 1, status: 'pending', againMs: 0,
  })
  assert.ok(error.startsWith('Error: no such file\n') && text.includes('Error: no such file; again after'), text)
  assert.deepEqual([told.length, told[4].status, told[4].againMs], [5, 'failed', null])
  const { events: [failed] } = await k.events.read({ topic: 'message.failed' })
  assert.deepEqual([failed.payload.code, failed.payload.reason], ['message.undeliverable', 'Error: no such file'])
})

cases('what a handler rejects has failed, and Retry says when it comes again', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const agent = new Agent('jochi', { kurultai: jochi })
    .onMessage('bad', () => { throw new Reject('not for me') })
    .onMessage('wrapped', () => { throw new Error('password 1', { cause: new Error('2', { cause: new Reject('nor this', { cause: 3 }) }) }) })
    .onMessage('one of', () => { throw new AggregateError([new Error('4'), new Reject('nor that')], 'many') })
    .onMessage('again', (_, ctx) => {
      if (ctx.message.delivery === 1) throw new Retry({ afterMs: 0 })
    })
    .on('messageFailed', () => {})
  for (const type of ['bad', 'wrapped', 'one of', 'again']) await kublai.messages.send('jochi', type)
  const run = await during(agent, () => read(k))
  assert.equal(run.handled, 5)
  const { events } = await k.events.read({ topic: 'message.failed' })
  // Only what a Reject says itself is told: no stack, and nothing of what it is a cause of.
  const told = events.map(({ payload }) => [payload.code, payload.reason]).sort()
  assert.deepEqual(told, ['nor that', 'nor this', 'not for me'].map((reason) => ['message.rejected', reason]))
})

cases('a handler beyond its time is told, and its message comes again', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const reasons = []
  const agent = new Agent('jochi', { kurultai: jochi })
    .onMessage('greeting', { timeoutMs: 100, ...prompt }, async (_, ctx) => {
      if (ctx.message.delivery > 1) return
      await once(ctx.signal, 'abort')
      reasons.push(ctx.signal.reason.name)
      await assert.rejects(ctx.reply(null, { kind: 1 }))
    })
    .on('messageFailed', () => {})
  await kublai.messages.send('jochi', 'greeting')
  await during(agent, () => read(k))
  assert.deepEqual(reasons, ['TimeoutError'])
})

cases('a drain waits for handlers and gives back the rest', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const begun = new EventTarget()
  const agent = new Agent('jochi', { kurultai: jochi, concurrency: 2, graceMs: 200 })
    .onMessage('short', async (_, ctx) => {
      if (!ctx.draining.aborted) await once(ctx.draining, 'abort')
    })
    .onMessage('long', async (_, ctx) => {
      begun.dispatchEvent(new Event('long'))
      await once(ctx.signal, 'abort')
    })
  const long = once(begun, 'long')
  for (const type of ['short', 'long']) await kublai.messages.send('jochi', type)
  const run = await during(agent, () => long)
  assert.deepEqual(run, { handled: 1, stopped: 1 })
  assert.deepEqual((await jochi.messages.inbox()).map(({ type, delivery }) => [type, delivery]), [['long', 2]])
})

cases('two agents of one name never have the same message', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  const seen = []
  const agent = (team) => new Agent('jochi', { kurultai: team, concurrency: 4 }).onMessage('count', (n) => void seen.push(n))
  await kublai.messages.sendMany(Array.from({ length: 40 }, (_, body) => ({ to: 'jochi', type: 'count', body })))
  const runs = await Promise.all([jochi, k].map((team) => during(agent(team), () => read(k))))
  assert.equal(runs.reduce((sum, { handled }) => sum + handled, 0), 40)
  assert.deepEqual(seen.sort((a, b) => a - b), Array.from({ length: 40 }, (_, n) => n))
})

cases('long work is handed on as a task, and who has no identity answers nothing', async (k, how) => {
  const [kublai] = await two(k, how)
  const codes = []
  const agent = new Agent('jochi', { kurultai: k }).onMessage('review', async (body, ctx) => {
    codes.push(await codeOf(ctx.reply('?')))
    await ctx.enqueue('review', body, { uniqueKey: 'one' })
  })
  await kublai.messages.send('jochi', 'review', { pr: 42 })
  await during(agent, () => read(k))
  const task = await k.tasks.find('one')
  assert.deepEqual([task.delegatedBy, task.payload, codes], ['jochi', { pr: 42 }, ['config.identity']])
})

cases('a task reads what waits in the middle of its work', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  await kublai.messages.sendMany(['a', 'b', 'c', 'd'].map((type) => ({ to: 'jochi', type, urgent: type === 'c' })))
  const agent = new Agent('jochi', { kurultai: jochi }).task('work', async (_, ctx) => {
    const before = ctx.unread.count
    const { unread } = await ctx.progress(0.5)
    // Before the next renewal, which may come at any moment.
    const same = ctx.unread.count === unread.count
    const types = []
    for await (const message of ctx.messages({ types: ['a', 'b', 'c'] })) {
      types.push(message.type)
      if (message.type === 'b') break
    }
    for await (const message of ctx.messages({ types: ['late'], waitMs: 20_000 })) {
      types.push(message.body)
      break
    }
    return { before, unread, same, types, code: await codeOf(ctx.messages({ waitMs: -1 }).next()) }
  })
  const { id } = await k.tasks.enqueue('work')
  const run = await during(agent, async () => {
    await until('it waits', async () => (await k.messages.thread((await k.messages.list()).messages[0])).at(0).status === 'acknowledged')
    await kublai.messages.send('jochi', 'late', 'at last')
    const { results } = await k.tasks.waitFor(id, { timeoutMs: 20_000 })
    assert.deepEqual(results, {
      before: 0, unread: { count: 4, urgent: 1 }, same: true, types: ['c', 'a', 'b', 'at last'], code: 'input.invalid',
    })
  })
  assert.equal(run.handled, 1)
  // The one that was not asked for, and those at which the loops were left.
  assert.equal((await jochi.messages.unread()).count, 3)
  assert.deepEqual((await jochi.messages.inbox()).map(({ type }) => type), ['d'])
})

cases('what an aborted inbox was given goes back uncounted', async (k, how) => {
  const [kublai, jochi] = await two(k, how)
  await kublai.messages.send('jochi', 'greeting')
  let reached = 0
  for (let i = 0; i < 8 && reached < 4; i++) {
    const abort = new AbortController()
    const asking = jochi.messages.inbox({ waitMs: 20_000, signal: abort.signal })
    abort.abort()
    const got = await asking.catch((error) => assert.equal(error.name, 'AbortError'))
    if (got === undefined) continue
    // It was quicker, and this delivery counts.
    await jochi.messages.retry(got[0])
    reached += 1
  }
  const [{ delivery }] = await jochi.messages.inbox({ waitMs: 20_000 })
  assert.equal(delivery, reached + 1)
})

test('what cannot be a handler is refused', () => {
  const agent = new Agent('jochi').onMessage('x', () => {})
  for (const timeoutMs of [0, -1, Infinity, 13 * 3_600_000]) {
    assert.throws(() => agent.onMessage('y', { timeoutMs }, () => {}), { code: 'input.invalid', message: /timeoutMs/ })
  }
  assert.throws(() => agent.onMessage('x', () => {}), { code: 'input.invalid', message: /already/ })
  assert.throws(() => agent.onMessage('y', {}, 'no function'), TypeError)
  assert.throws(() => agent.onMessage('y', { timeout: 1 }, () => {}), { message: /timeout/ })
})
