// Odd payloads: each is stored and read back equal, or refused with the path of what cannot be stored.

import assert from 'node:assert/strict'
import { test } from 'node:test'
import vm from 'node:vm'
import { KurultaiError } from 'kurultai'
import { cases, failure } from './fixture.mjs'

const nested = (depth) => Array.from({ length: depth }).reduce((inner) => [inner], 1)
const cyclic = { list: [] }
cyclic.list.push({ back: cyclic })
class Point { x = 1 }

/** What comes back as it went in. */
const stored = {
  null: null,
  'a string': 'Temüjin "the iron"\n\0 \u2028 \u{1F3F9}',
  'a string that spells a surrogate': '\\ud800 and \\\\ud800',
  'an empty key and __proto__': JSON.parse('{"":1,"__proto__":{"x":1},"constructor":2}'),
  'the largest safe integer': [Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER],
  'large doubles': [2 ** 53, 2 ** 60, 1e20, 1e21, 1e300, -(2 ** 70), 5e-324, 0.1],
  'integers above 2^53': [2n ** 53n, 2n ** 63n, -(2n ** 64n), 123456789012345678901234567890n],
  'a BigInt of 4300 digits': [10n ** 4299n, -(10n ** 4299n) - 1n],
  'digits in strings': ['12345678901234567890', '#12345678901234567890', 'x:12345678901234567890,', '##'],
  'digits in strings beside large integers': ['12345678901234567890', '"12345678901234567890"', 12345678901234567890n, '#1'],
  '64 levels': nested(64),
  '1 MiB': 'x'.repeat((1 << 20) - 2),
  'many keys': Object.fromEntries(Array.from({ length: 5000 }, (_, n) => [`key ${n}`, n])),
}

/** What comes back in another form, which says the same. */
const converted = {
  'a Date': [{ at: new Date('2026-01-01T12:00:00.123Z') }, { at: '2026-01-01T12:00:00.123Z' }],
  'a Date of another realm': [vm.runInNewContext('new Date(0)'), '1970-01-01T00:00:00.000Z'],
  'another realm': [vm.runInNewContext('({ a: [1, { b: null }] })'), { a: [1, { b: null }] }],
  'no prototype': [Object.assign(Object.create(null), { a: 1 }), { a: 1 }],
  'a small BigInt': [42n, 42],
  'an undefined field': [{ a: 1, b: undefined, c: [{ d: undefined }] }, { a: 1, c: [{}] }],
  'an undefined field beside a BigInt': [{ a: 2n ** 64n, b: undefined }, { a: 2n ** 64n }],
  'minus zero': [-0, 0],
}

/** What is refused, and where. */
const refused = {
  'a cycle': [cyclic, '$.list[0].back', 'cycle'],
  'a Buffer': [{ file: Buffer.from('x') }, '$.file', 'Buffer'],
  'a Uint8Array': [[new Uint8Array(2)], '$[0]', 'Uint8Array'],
  'an ArrayBuffer': [new ArrayBuffer(2), '$', 'ArrayBuffer'],
  NaN: [{ a: [1, NaN] }, '$.a[1]', 'NaN'],
  Infinity: [{ a: -Infinity }, '$.a', 'Infinity'],
  'an undefined item': [[undefined], '$[0]', 'undefined'],
  'a hole': [[1, , 3], '$[1]', 'undefined'],
  'a function': [{ 'do it': () => 1 }, '$["do it"]', 'function'],
  'a symbol': [[Symbol('x')], '$[0]', 'symbol'],
  'an invalid Date': [{ at: new Date(NaN) }, '$.at', 'invalid Date'],
  'a Map': [{ m: new Map() }, '$.m', 'Map'],
  'a Set': [new Set(), '$', 'Set'],
  'a class': [{ p: new Point() }, '$.p', 'Point'],
  'an Error': [new Error('x'), '$', 'Error'],
  'a boxed number': [[new Number(1)], '$[0]', 'Number'],
  'a lone surrogate': [{ a: ['ok', 'x\ud800'] }, '$.a[1]', 'surrogate'],
  'a lone surrogate as key': [{ a: { '\udfff': 1 } }, '$.a', 'surrogate'],
  '65 levels': [nested(65), `$${'[0]'.repeat(64)}`, 'deeper'],
  '65 levels of objects': [Array.from({ length: 65 }).reduce((inner) => ({ a: inner }), 1), `$${'.a'.repeat(64)}`, 'deeper'],
  '100,000 levels': [nested(100_000), '$', 'deeper'],
  'a BigInt that Python cannot read': [{ n: ['7'.repeat(5000), 10n ** 5000n] }, '$.n[1]', '4300 digits'],
  '1 MiB + 1': ['x'.repeat((1 << 20) - 1), '$', '1048577 bytes'],
}

cases('what is stored comes back equal: payload, results and checkpoint', async (k) => {
  await k.agents.register('temujin')
  const all = [...Object.entries(stored).map(([name, value]) => [name, value, value]),
    ...Object.entries(converted).map(([name, [value, back]]) => [name, value, back])]
  for (const [name, value, back] of all) {
    const same = (found, what) => assert.deepStrictEqual(found, back, `${name}: ${what}`)
    const { id } = await k.tasks.enqueue('odd', value)
    const [task] = await k.tasks.claim('temujin')
    same(task.payload, 'claimed payload')
    await k.tasks.checkpoint(task, value)
    await k.tasks.complete(task, value)
    const whole = await k.tasks.get(id)
    same(whole.payload, 'payload')
    same(whole.results, 'results')
    same(whole.checkpoint, 'checkpoint')
  }
})

cases('what is refused names its path and changes nothing', async (k) => {
  await k.agents.register('temujin')
  await k.tasks.enqueue('odd')
  const [task] = await k.tasks.claim('temujin')
  const seq = await k.events.lastSeq()
  for (const [name, [value, path, why]] of Object.entries(refused)) {
    const calls = [k.tasks.enqueue('odd', value), k.tasks.enqueueMany([{ type: 'odd', payload: value }]),
      k.tasks.checkpoint(task, value), k.tasks.complete(task, value), k.tasks.fail(task, 'x', { results: value })]
    for (const [at, call] of calls.entries()) {
      if (value === undefined) continue
      const error = await failure(call)
      assert.ok(error instanceof KurultaiError, `${name}, call ${at}: ${error.stack}`)
      assert.equal(error.code, 'input.payload', name)
      assert.ok(error.message.includes(`at ${path}:`) || path === '$' && error.message.includes(' at $'), `${name}: ${error.message}`)
      assert.ok(error.message.includes(why), `${name}: ${error.message}`)
    }
  }
  assert.equal(await k.events.lastSeq(), seq)
})

cases('payloads of one key are compared to the last digit', async (k) => {
  const once = (payload) => k.tasks.enqueue('once', payload, { uniqueKey: 'once' })
  const { id } = await once({ id: 2n ** 64n + 1n, a: 1 })
  assert.deepEqual(await once({ a: 1, id: 2n ** 64n + 1n }), { id, deduplicated: true })
  assert.equal((await failure(once({ id: 2n ** 64n + 2n, a: 1 }))).code, 'task.conflict')
})

cases('many large values cross page by page, and what is too long for a string is an error', async (k) => {
  await k.agents.register('temujin')
  const big = 'x'.repeat((1 << 20) - 2)
  const ids = []
  for (let i = 0; i < 20; i++) ids.push((await k.tasks.enqueue('big', big)).id)
  const seen = []
  for await (const task of k.tasks.each()) seen.push(task.id)
  assert.deepEqual(seen, ids)
  const first = await k.tasks.claim('temujin', { max: 20 })
  assert.equal(first.length, 16)
  const rest = await k.tasks.claim('temujin', { max: 20 })
  await k.tasks.completeMany([...first, ...rest].map((task) => [task, big]))
  await k.tasks.enqueue('sum', null, { dependsOn: ids })
  const [sum] = await k.tasks.claim('temujin')
  assert.equal(sum.prerequisites.filter(({ omitted, results }) => !omitted && results === big).length, 16)
  assert.equal(sum.prerequisites.filter(({ omitted, results }) => omitted && results === null).length, 4)
  const long = await failure(k.tasks.getMany(Array(300).fill(ids[0])))
  assert.equal(long.code, 'input.invalid')
  assert.match(long.message, /ask for fewer at once/)
})

test('a getter that throws is the caller\'s own error', async () => {
  const { encode } = (await import('node:module')).createRequire(import.meta.url)('../dist/json.js')
  assert.throws(() => encode({ get a() { throw new RangeError('mine') } }), RangeError)
})
