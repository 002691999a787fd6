// A program that must pass `tsc --strict` on the package's declarations; a line marked @ts-expect-error must not.

import {
  Agent, type AgentKey, type AgentMessage, type Claimed, type Context, Identity, KurultaiError, LeaseLostError, type MessageContext, NewTask, type Page, Reject,
  Retry, type VerifiedMessage, open, sign, verify,
} from 'kurultai'

interface Review { pr: number }

export async function main(signal: AbortSignal): Promise<void> {
  await using k = await open('sqlite:council.db', { namespace: 'team', taskDefaults: { expiresInMs: null, maxSnoozes: 5 }, signal })
  await k.agents.register('temujin', { capabilities: ['development'], maxConcurrent: 4 })
  const build = new NewTask('code', { pr: 42 }, { priority: 'critical', delayMs: 10 })
  const [first] = await k.tasks.enqueueMany([build, { type: 'review', dependsOn: [build, { prerequisite: 'x', type: 'feeds_into' }] }])
  const id: string | undefined = first?.id
  await k.tasks.enqueue('later', [1, 'two', null, 3n, new Date()], { runAt: new Date(), expiresInMs: Infinity, waitFor: { quorum: 2 } })

  for (const task of await k.tasks.claim('temujin', { max: 10, waitMs: 5000, signal })) {
    await k.tasks.complete(task, { ok: true }, { usage: { tokens: 5 } })
    await k.tasks.fail(task.lease, new Error('why'), { retryAfterMs: 5000 })
    await k.tasks.release(String(task.lease))
    const { signal: what } = await k.tasks.extend(task, 30_000)
    if (what === 'cancel') return
    // @ts-expect-error results are frozen
    task.attempt = 2
  }
  for await (const task of k.tasks.stream('temujin', { types: ['review'], signal })) {
    const payload: Review = (task as Claimed<Review>).payload
    await k.tasks.progress(task, payload.pr / 100)
  }
  for await (const event of k.events.follow({ topic: 'task.*', signal })) {
    const at: Date = event.createdAt
    console.log(event.seq, at, event.taskId?.length)
  }
  const each = await k.tasks.finishMany([{ task: 'lease', outcome: 'release' }])
  for (const one of each) console.log(one instanceof KurultaiError ? one.code : one.status)
  const page: Page = await k.tasks.list({ status: 'dead_letter', cursor: null })
  for (const reason of (await k.tasks.explain(page.tasks[0]!)).reasons) {
    if (reason.reason === 'held') console.log(reason.by, reason.until.getTime(), reason.text)
    // @ts-expect-error only a held task has a holder
    else console.log(reason.by)
  }

  try {
    await k.tasks.get(id!)
  } catch (error) {
    if (error instanceof LeaseLostError && error.retryable) console.log(error.code, error.kind === 'lease_lost', error.retryAfterMs, error.taskId?.length)
  }
  // @ts-expect-error a typing mistake is found
  await k.tasks.enqueue('x', {}, { prority: 'P1' })
  // @ts-expect-error a priority that does not exist
  await k.tasks.enqueue('x', {}, { priority: 'P9' })
  // @ts-expect-error a word that does not exist
  await k.tasks.list({ status: 'done' })
  // @ts-expect-error a failure has an error
  await k.tasks.finish({ task: 'lease', outcome: 'fail' })

  for (const { agent, state, reason, infraAgeMs } of await k.agents.health({ agent: 'temujin', stuckAfterMs: 60_000 })) {
    if (state === 'stuck') console.log(agent, reason, infraAgeMs?.toFixed())
    // @ts-expect-error a state that does not exist
    if (state === 'zombie') console.log(agent)
  }
  await k.agents.update('temujin', { add: ['rust'], remove: ['go'], metadata: null })
  await k.agents.deregister('temujin', { force: true })
  const unknown: readonly string[] = await k.agents.beatMany(['Temüjin'], { create: true })
  const failing = (await k.verify({ strict: true, deadAfterMs: 60_000, signal })).filter(({ ok }) => !ok)
  console.log(unknown, failing.map(({ check, text }) => `${check}: ${text}`))
  await k.agents.watch({ everyMs: 5000, signal, onAlert: async ({ severity, text }) => console.log(severity === 'critical', text) })
  const burning: readonly string[] = (await k.events.alerts()).map((alert) => alert.key)
  await k.tasks.stopAll(burning.join())
  const why: string | undefined = (await k.tasks.stats()).stopped?.reason
  console.log(why)
  await k.tasks.startAll()

  const agent = new Agent('temujin', { kurultai: k, capabilities: ['development'], concurrency: 4, stallAfterMs: 60_000, onStall: 'release' })
  agent.on('stalled', ({ taskId, silentMs }) => console.log(taskId, silentMs.toFixed()))
  // @ts-expect-error neither reported nor let go
  agent.task('odd', { onStall: 'ignore' }, async () => {})
  agent.onMessage<Review>('question', { timeoutMs: 5000, retry: { baseMs: 1000 } }, async (body, ctx: MessageContext<Review>) => {
    const { id, deduplicated } = await ctx.reply({ of: body.pr.toFixed() }, { type: 'answer' })
    await ctx.enqueue('review', ctx.message.body, { uniqueKey: `${id}${ctx.message.sender}${deduplicated}` })
    // @ts-expect-error no such field
    body.typo
  })
  agent.on('messageFailed', ({ messageId, againMs, status }) => console.log(messageId, againMs?.toFixed(), status))
  agent.task('read', async (_, ctx) => {
    for await (const { sender } of ctx.messages({ types: ['note'], waitMs: 1000 })) console.log(sender)
    return ctx.unread.count + (await ctx.progress(1)).unread.urgent
  })
  agent.task<Review>('review', { timeoutMs: 60_000, retries: 2, stallAfterMs: Infinity, onStall: 'report' }, async (payload, ctx: Context<Review>) => {
    ctx.alive()
    if (ctx.signal.aborted) throw new Retry({ afterMs: 5000 })
    if (payload.pr < 0) throw new Reject('no such pull request', { cause: ctx.attempt })
    await fetch(`https://example.org/${payload.pr}`, { signal: ctx.signal, headers: { 'idempotency-key': ctx.idempotencyKey } })
    await k.tasks.extend(ctx)
    return { fence: ctx.fencingToken, before: ctx.prerequisites.map(({ results }) => results) }
  })
  const { handled, stopped } = await agent.run({ signal })
  console.log(handled + stopped)
}

/** Signed messages and keys. */
export async function talk(signal: AbortSignal): Promise<void> {
  const me: Identity = Identity.read('temujin.key')
  await using k = await open('sqlite:council.db', { identity: [me, 'jochi.key', Identity.env('ogedei')] })
  const { agent, keyId, publicKey }: { agent: string; keyId: string; publicKey: string } = me
  const sent = await k.messages.send('jochi', 'review', { pr: 42, at: new Date(), n: 3n }, { sender: agent, task: { id: 't' }, ttlMs: 60_000, urgent: true, signal })
  if (sent.recipient === 'asleep') console.log(sent.id, sent.deduplicated, keyId)
  const review: Review = { pr: 42 }
  await k.messages.send('jochi', 'review', review)
  // @ts-expect-error a typing mistake is found
  await k.messages.send('jochi', 'review', review, { urgnt: true })
  await k.messages.sendMany([{ to: 'role:router', type: 'note' }, { to: 'jochi', type: 'note', body: null, replyTo: sent, dedupeKey: 'once' }])
  for (const message of await k.messages.inbox({ agent: 'jochi', max: 10, types: ['review'], waitMs: 5000, visibleMs: 60_000, signal })) {
    const { pr } = (message as AgentMessage<Review>).body
    const { agent: by, version } = message.verified
    console.log(pr + version + message.delivery, by, message.expiresAt.getTime(), message.status === 'delivered')
    const { repeated }: { readonly repeated: boolean } = await k.messages.ack(message)
    const each = await k.messages.ack([message, message.receipt])
    for (const one of each) console.log(one instanceof KurultaiError ? one.code : one.status, repeated)
    await k.messages.reject(message, 'not for me')
    await k.messages.retry(message.receipt, { afterMs: 5000 })
    // @ts-expect-error results are frozen
    message.verified.agent = 'kublai'
    // @ts-expect-error of one message there is one answer
    each.status
  }
  const { body, replyTo } = await k.messages.ask('jochi', 'question', null, { timeoutMs: 5000 })
  const { messages, next } = await k.messages.list({ from: 'jochi', cursor: null })
  console.log(body, replyTo, (await k.messages.thread(messages[0]!)).length, next, (await k.messages.unread()).urgent)

  const next_: Identity = await k.keys.rotate('temujin')
  next_.write('next.key')
  const added: AgentKey = await k.keys.add('temujin', publicKey)
  await k.keys.revoke('temujin', added.keyId, 'lost')
  const token: string = sign({ pr: 42 }, me, { audience: 'jochi', type: 'review', namespace: 'team', ttlMs: 60_000 })
  const said: VerifiedMessage<Review> = verify(token, await k.keys.list(), { audience: ['jochi', 'role:router'], namespace: 'team' })
  verify(token, [me, ['jochi', publicKey], { agentId: 'x', keyId: 'y', publicKey: 'z' }], { audience: null, at: new Date() })
  console.log(said.body.pr, (await k.messages.accept(token)).id)
  // @ts-expect-error for whom, must be said
  verify(token, [me], {})
  // @ts-expect-error a message has a type
  sign({}, me, { audience: 'jochi' })
  // @ts-expect-error an identity is read, generated or rotated
  new Identity()
  // @ts-expect-error a key is told as text
  await k.keys.add('temujin', me)
}

interface Team {
  review: { payload: Review; results: string }
  count: { payload: null; results: number }
}

/** With a map of its task types. */
export async function typed(): Promise<void> {
  const k = await open<Team>('memory:')
  const text: string = await k.tasks.call('review', { pr: 42 }, { timeoutMs: 5000 })
  const sum: number = await k.tasks.call('count')
  await k.tasks.enqueue('review', { pr: text.length + sum }, { priority: 'P1' })
  // @ts-expect-error there is no such type
  await k.tasks.enqueue('reveiw', { pr: 1 })
  // @ts-expect-error a payload of another type
  await k.tasks.enqueue('review', { pr: 'one' })
  // @ts-expect-error results of another type
  const wrong: string = await k.tasks.call('count')
  const agent = new Agent<Team>('jochi', { kurultai: k })
  agent.task('review', async ({ pr }) => `number ${pr}`)
  // @ts-expect-error results of another type
  agent.task('count', async () => 'one')
  // @ts-expect-error there is no such type
  agent.task('reveiw', async () => 'one')
  await k.close()
  console.log(wrong)
}
