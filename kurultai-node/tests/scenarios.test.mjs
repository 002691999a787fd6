// Replays tests/scenarios/*.json of the tree as Rust and Python do; the folder's README has the format.

import assert from 'node:assert/strict'
import { chmodSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { Identity, KurultaiError, Lease, WrappingKey, newId, sign, verify } from 'kurultai'
import { cases, folder as temporary } from './fixture.mjs'

const folder = new URL('../../tests/scenarios/', import.meta.url)
const start = new Date('2026-03-01T09:07:05.123Z')
const keyFiles = temporary()
const files = readdirSync(folder).filter((file) => file.endsWith('.json'))
assert.ok(files.length > 0)

for (const file of files) {
  const { identities = [], wrapping_key: wraps = false, steps } = JSON.parse(readFileSync(new URL(file, folder)))
  const made = identities.map((agent) => Identity.generate(agent))
  const body = (k, { namespace }) => replay(k, file, steps, namespace, new Map(made.map((one) => [one.agent, one])))
  cases(`scenario ${file.replace('.json', '')}`, body, { clock: start, background: false, identity: made, wrappingKey: wraps ? WrappingKey.generate() : null })
}

async function replay(k, file, steps, run, known) {
  for (const [at, { advance, do: operation, with: given = {}, as, error, kind, ...step }] of steps.entries()) {
    const here = `${file}, step ${at + 1} (${operation})`
    if (advance !== undefined) {
      k.advance(advance * 1000)
      continue
    }
    const answer = await perform(k, run, operation, resolve(given, known, run)).catch((error) => error)
    if (error !== undefined) {
      assert.ok(answer instanceof KurultaiError, `${here}: should have failed with ${error}, but gave ${answer?.stack ?? JSON.stringify(answer)}`)
      assert.equal(answer.code, error, `${here}: ${answer.message}`)
      assert.equal(answer.kind, kind ?? answer.kind, here)
      continue
    }
    if (answer instanceof Error) throw new Error(`${here}: ${answer.message}`, { cause: answer })
    if ('expect' in step) fits(resolve(step.expect, known, run), answer, `${here}: $`)
    if (as !== undefined) known.set(as, answer)
  }
}

/** Objects that a call gave are handed on as they are. */
function resolve(value, known, run) {
  if (typeof value === 'string' && value !== '$any' && value.startsWith('$')) {
    const [name, ...path] = value.slice(1).split('.')
    assert.ok(known.has(name), `${value} stands for nothing`)
    return path.reduce((found, key) => field(found, key), known.get(name))
  }
  if (typeof value === 'string' && value.startsWith('#')) return `${run}-${value.slice(1)}`
  if (Array.isArray(value)) return value.map((item) => resolve(item, known, run))
  if (value === null || typeof value !== 'object') return value
  return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, resolve(item, known, run)]))
}

const camel = (word) => word.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase())
/** Spans are milliseconds here, with the unit in the name. */
function field(object, key) {
  if (object === null || object === undefined) return undefined
  const span = object[`${camel(key)}Ms`]
  if (span !== undefined) return span === null ? null : span / 1000
  return key in object ? object[key] : object[camel(key)]
}

function fits(expected, answer, path) {
  answer ??= null
  if (expected === '$any') return assert.notEqual(answer, null, path)
  if (Array.isArray(expected)) {
    // A pair is an object with two names here.
    const list = Array.isArray(answer) ? answer : Object.values(answer ?? {})
    assert.equal(list.length, expected.length, `${path}: ${JSON.stringify(answer)}`)
    return expected.forEach((item, index) => fits(item, list[index], `${path}.${index}`))
  }
  if (expected !== null && typeof expected === 'object') {
    assert.ok(answer !== null && typeof answer === 'object', `${path}: ${JSON.stringify(answer)}`)
    return Object.entries(expected).forEach(([key, item]) => fits(item, field(answer, key), `${path}.${key}`))
  }
  if (typeof expected === 'number') {
    const found = answer instanceof Date ? (answer - start) / 1000 : answer
    return assert.ok(Math.abs(found - expected) < 0.001, `${path}: ${expected} expected, ${answer} found`)
  }
  assert.deepEqual(answer, expected, path)
}

/** Spans are milliseconds here, and points in time Dates. */
const units = {
  delay: ['delayMs', 1000], expires_in: ['expiresInMs', 1000], lease: ['leaseMs', 1000], ttl: ['leaseMs', 1000],
  retry_after: ['retryAfterMs', 1000], after: ['afterMs', 1000], timeout: ['timeoutMs', 1000], base: ['baseMs', 1000], cap: ['capMs', 1000],
  visible: ['visibleMs', 1000], max_runtime: ['maxRuntimeMs', 1000], dead_after: ['deadAfterMs', 1000], every: ['everyMs', 1000], batch: ['batchMs', 1000], quiet: ['quietMs', 1000], jitter: ['jitterMs', 1000], stuck_after: ['stuckAfterMs', 1000],
}
const dates = ['run_at', 'expires_at', 'since', 'start']
/** What is stored is not translated. */
const payloads = ['where', 'payload', 'results', 'checkpoint', 'metadata', 'body', 'rows']

function translate(fields) {
  if (Array.isArray(fields)) return fields.map(translate)
  if (fields === null || typeof fields !== 'object' || fields instanceof Lease) return fields
  if (Object.getPrototypeOf(fields) !== Object.prototype || Object.isFrozen(fields)) return fields
  return Object.fromEntries(Object.entries(fields).map(([key, value]) => {
    if (payloads.includes(key)) return [key, value]
    if (key in units && typeof value === 'number') return [units[key][0], value * units[key][1]]
    if (dates.includes(key)) return value === null ? [camel(key), null] : [camel(key), new Date(start.getTime() + value * 1000)]
    return [camel(key), translate(value)]
  }))
}

/** `{"complete": {...}}` as Node says it. */
function finish(tagged) {
  const [[outcome, fields]] = Object.entries(tagged)
  return { outcome, ...translate(fields) }
}

/** A `ttl` is a lease's but of a message. */
function said(message) {
  if (!('leaseMs' in message)) return
  message.ttlMs = message.leaseMs
  delete message.leaseMs
}

/** What needs no store. */
function withoutStore(run, operation, { at = 0, ...given }) {
  const moment = new Date(start.getTime() + at * 1000)
  const { token, keys, key, body, text, mode, ...options } = given
  switch (operation) {
    case 'identities.read': return keyFile(text, mode)
    case 'tokens.sign': return sign(body, keyFile(key), { namespace: run, issuedAt: moment, ...options })
    case 'tokens.verify': return verify(token, keys, { at: moment, ...options })
    default: throw new Error(`${operation} is not translated`)
  }
}

function keyFile(text, mode = '600') {
  const path = join(keyFiles, newId())
  writeFileSync(path, text)
  chmodSync(path, parseInt(mode, 8))
  return Identity.read(path)
}

async function perform(k, run, operation, given) {
  if (/^(identities|tokens)\./.test(operation)) return withoutStore(run, operation, given)
  const [name, room] = operation.split('.').reverse()
  const args = translate(given)
  if (/^(messages\.(send|ask)|agents\.lead$)/.test(operation)) for (const one of args.messages ?? [args]) said(one)
  const { task, ...rest } = args
  const method = camel(name)
  const handle = room ? k[room] : k
  assert.equal(typeof handle?.[method], 'function', `no operation ${operation}`)
  const call = (...values) => handle[method](...values)
  switch (operation) {
    case 'tasks.enqueue': {
      const { type, payload, ...options } = args
      return call(type, payload, options)
    }
    case 'tasks.call': {
      const { type, payload, ...options } = task
      return call(type, payload, { ...options, ...rest })
    }
    case 'tasks.wait_for': return call(task, rest)
    case 'tasks.enqueue_many': return call(args.tasks, { under: args.under })
    case 'tasks.claim': {
      const { agent, ...options } = args
      return call(agent, options)
    }
    case 'tasks.complete': return call(task, rest.results, { usage: rest.usage })
    case 'tasks.fail': {
      const { error, ...options } = rest
      return call(task, error, options)
    }
    case 'tasks.finish': return call(finish(given.finish))
    case 'tasks.finish_many': {
      const each = await call(given.finishes.map(finish))
      return each.map((one) => (one instanceof KurultaiError ? { error: one.code } : one))
    }
    case 'tasks.extend': return call(task, rest.leaseMs)
    case 'tasks.snooze': return call(task, rest.afterMs)
    case 'tasks.progress': return call(task, rest.progress)
    case 'tasks.checkpoint': return call(task, rest.checkpoint)
    case 'tasks.cancel_many': {
      const { reason, ...filter } = args
      return call(filter, { reason })
    }
    case 'tasks.requeue_many': return call(args)
    case 'tasks.assign': {
      const { agent, ...options } = rest
      return call(task, agent, options)
    }
    case 'tasks.find': return call(args.uniqueKey)
    case 'tasks.update': case 'tasks.reprioritize':
    case 'tasks.renew':
    case 'tasks.cancel': return call(task, rest)
    case 'tasks.add_dependency': return call(task, rest.on)
    case 'tasks.get_many': return call(args.tasks)
    case 'tasks.pause':
    case 'tasks.unpause': return call(args.type)
    case 'tasks.stop_all': return call(args.reason)
    case 'agents.register': {
      const { id, ...options } = args
      return call(id, options)
    }
    case 'agents.register_many': return call(args.agents)
    case 'agents.beat_many': {
      const { agents, ...options } = args
      return call(agents, options)
    }
    case 'agents.health': return call(args)
    case 'agents.lead': {
      const { role, agent, ttlMs, ...options } = args
      return (await call(role, agent, { ...options, ttlMs })).lease
    }
    case 'agents.failovers': return call(args)
    case 'agents.leader': return call(args.role)
    case 'agents.hand_back': {
      const { role, agent, ...options } = args
      return call(role, agent, options)
    }
    case 'agents.update': case 'agents.deregister': {
      const { agent, ...options } = args
      return call(agent, options)
    }
    case 'schedules.put': {
      const { name, type, payload, ...options } = args
      return call(name, type, payload, options)
    }
    case 'schedules.get': case 'schedules.pause': case 'schedules.unpause': case 'schedules.remove':
    case 'schedules.run_now': return call(args.name)
    case 'events.publish': {
      const { topic, payload, ...options } = args
      return call(topic, payload, options)
    }
    case 'events.publish_many': return call(args.events)
    case 'events.subscribe': {
      const { name, topic, afterSeq, start = afterSeq, ...options } = args
      return call(name, topic, { ...options, start })
    }
    case 'events.consume': {
      const { name, retry, ...options } = args
      for await (const batch of call(name, { ...options, waitMs: 0 })) {
        await (retry === undefined ? batch.ack() : batch.retry(retry))
        return { events: batch.events }
      }
      return { events: [] }
    }
    case 'events.rewind': return call(args.name, args.afterSeq ?? args.start ?? null)
    case 'events.subscriptions': return call(args)
    case 'events.pause': case 'events.unpause': case 'events.unsubscribe': case 'events.dead': return call(args.name)
    case 'events.read': {
      const { task, ...filter } = args
      return call({ ...filter, taskId: task?.id ?? task })
    }
    case 'messages.send': case 'messages.ask': {
      const { to, type, body, task, ...options } = args
      return call(to, type, body, { task, ...options })
    }
    case 'messages.send_many': return call(args.messages, { under: args.under })
    case 'messages.accept': return call(args.token, { to: args.to })
    case 'messages.ack': {
      const each = await call(args.messages)
      return each.map((one) => (one instanceof KurultaiError ? { error: one.code } : one))
    }
    case 'messages.reject': return call(args.message, args.reason)
    case 'messages.retry': {
      const { message, ...options } = args
      return call(message, options)
    }
    case 'messages.thread': return call(args.id)
    case 'messages.unread': case 'keys.list': case 'keys.rotate': case 'keys.rotate_in_store': return call(args.agent)
    case 'keys.rewrap': return call(WrappingKey.generate())
    case 'keys.import_rows': return call(args)
    case 'keys.add': return call(args.agent, args.publicKey)
    case 'keys.revoke': return call(args.agent, args.keyId, args.reason)
    case 'messages.inbox': case 'messages.list':
    case 'verify':
    case 'adopt':
    case 'tasks.list':
    case 'tasks.dead_letters': return call(args)
    case 'tasks.release': case 'tasks.suspend': case 'tasks.resume': case 'tasks.requeue': case 'tasks.discard':
    case 'tasks.get': case 'tasks.explain': return call(task)
    case 'maintain': case 'tasks.start_all': case 'tasks.stats': case 'agents.list': case 'schedules.list':
    case 'events.alerts': case 'events.last_seq': return call()
    case 'cycle': return call(args.agent)
    case 'agents.get': return call(args.name)
    case 'agents.with_capability': return call(args.capability)
    case 'agents.beat': case 'agents.drain': return call(args.agent)
    default: throw new Error(`${operation} is not translated`)
  }
}
