// The ways in which a handler may end, by their names in tests/torture.json. As a program, `node torture.mjs URL NAMESPACE
// WAY` serves one of them.

import { readFileSync } from 'node:fs'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Agent, Reject, Retry, Snooze, open } from 'kurultai'

/** The ways that Node has. */
export const ways = JSON.parse(readFileSync(new URL('../../tests/torture.json', import.meta.url), 'utf8'))
  .ways.filter(({ not = {} }) => !('node' in not))

/** What a field says of Node. */
export const ofNode = (field) => (field?.constructor === Object ? field.node : field)

const returning = (value) => async () => value()
const throwing = (error) => async (_, ctx) => {
  await ctx.progress(0.1)
  throw error()
}
const using = (usage) => async (_, ctx) => { await ctx.usage(usage) }
const caused = (error, cause) => Object.assign(error, { cause })
const nested = (depth) => (depth === 0 ? 1 : [nested(depth - 1)])
const overflow = () => overflow() + 1

const busy = async () => {
  for (const end = Date.now() + 3000; Date.now() < end; );
  return 'late'
}

class Handle {}

class Wordless extends Error {
  get stack() { throw new Error('no words') }
  get message() { throw new Error('no words') }
}

function circular() {
  const error = new Error('circular')
  return caused(error, caused(new Error('other'), error))
}

function itself() {
  const value = {}
  value.value = value
  return value
}

function* counts() { yield 1 }

/** Each way by its name. */
export const handlers = (k) => ({
  alive: returning(() => ({ a: [1, 'b', null] })),
  returns_json: returning(() => ({ a: [1, 'b', null, new Date(0)] })),
  returns_nothing: returning(() => undefined),
  returns_an_object_of_a_class: returning(() => ({ at: new Handle() })),
  returns_too_much: returning(() => 'x'.repeat(1 << 20)),
  returns_too_deep: returning(() => nested(65)),
  returns_nan: returning(() => ({ n: NaN })),
  returns_itself: returning(itself),
  returns_a_generator: returning(counts),
  returns_what_raises_when_written: returning(() => ({ get at() { throw new Error('not now') } })),
  returns_what_awaits: () => ({ then: (resolve) => resolve([1]) }),
  returns_what_raises_when_awaited: () => ({ get then() { throw new Error('not then') } }),
  raises: throwing(() => new Error('boom')),
  raises_at_once: () => { throw new Error('boom') },
  raises_no_error: throwing(() => ({ code: 7 })),
  raises_without_words: throwing(() => new Wordless()),
  raises_half_a_character: throwing(() => new Error('half \ud83d')),
  raises_its_own_cause: throwing(circular),
  raises_much: throwing(() => `${'x'.repeat(3 << 20)} the end`),
  raises_with_causes: throwing(() => new AggregateError([new Error('first', { cause: new Error('inner') })], 'outer')),
  overflows_the_stack: returning(overflow),
  cancels_itself: throwing(() => new DOMException('cancelled', 'AbortError')),
  tells_nonsense: async (_, ctx) => { await ctx.progress(NaN) },
  retries_after_5_s: throwing(() => new Retry({ afterMs: 5000, message: 'busy' })),
  retries_after_nothing: throwing(() => new Retry({ afterMs: 0, message: 'busy' })),
  retries_after_a_negative_time: throwing(() => new Retry({ afterMs: -1, message: 'busy' })),
  retries_after_nan: throwing(() => new Retry({ afterMs: NaN, message: 'busy' })),
  retries_after_infinity: throwing(() => new Retry({ afterMs: Infinity, message: 'busy' })),
  retries_after_eleven_years: throwing(() => new Retry({ afterMs: 11 * 365 * 86_400_000, message: 'busy' })),
  retries_after_a_text: throwing(() => new Retry({ afterMs: 'soon', message: 'busy' })),
  snoozes_for_5_s: throwing(() => new Snooze({ afterMs: 5000 })),
  snoozes_for_nothing: throwing(() => new Snooze({ afterMs: 0 })),
  wraps_a_snooze: throwing(() => new Error('outer', { cause: new Snooze({ afterMs: 5000 }) })),
  snoozes_for_nan: throwing(() => new Snooze({ afterMs: NaN })),
  rejects: throwing(() => new Reject('no such thing')),
  wraps_a_retry: throwing(() => new Error('outer', { cause: new Retry({ afterMs: 5000 }) })),
  wraps_a_reject: throwing(() => new Error('outer', { cause: new Reject('inner') })),
  retries_because_of_a_reject: throwing(() => new Retry({ afterMs: 5000, message: 'busy', cause: new Reject('inner') })),
  rejects_because_of_a_retry: throwing(() => new Reject('no such thing', { cause: new Retry({ afterMs: 5000 }) })),
  groups_a_reject: throwing(() => new AggregateError([new Error('one'), new AggregateError([new Reject('no such thing')])])),
  uses_nan: using({ cost: NaN }),
  uses_less_than_nothing: using({ tokens: -1 }),
  completes_its_task_itself: async (_, ctx) => {
    await k.tasks.complete(ctx, 'first')
    return 'second'
  },
  never_ends: () => new Promise(() => {}),
  does_not_take_its_time_out: async () => {
    await sleep(1000)
    return 'late'
  },
  blocks: busy,
  is_silent: () => new Promise(() => {}),
  hangs: busy,
  exits: () => process.exit(3),
  is_killed: async () => {
    process.kill(process.pid, 'SIGKILL')
    await sleep(10_000)
  },
})

/** Serves these ways and the other task. */
export function anAgent(k, names, options = {}) {
  const agent = new Agent('temujin', { kurultai: k, leaseMs: 2000, graceMs: 500, ...options })
  const every = handlers(k)
  for (const name of [...names, 'alive']) {
    const { timeout, stall } = ways.find(({ way }) => way === name) ?? {}
    const options = timeout === undefined ? {} : { timeoutMs: timeout * 1000 }
    if (stall !== undefined) Object.assign(options, { stallAfterMs: stall * 1000, onStall: 'release' })
    agent.task(name, options, (payload, ctx) => (ctx.fencingToken > 1 ? 'again' : every[name](payload, ctx)))
  }
  return agent
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const [url, namespace, way] = process.argv.slice(2)
  const k = await open(url, { namespace })
  await anAgent(k, [way]).run()
  await k.close()
}
