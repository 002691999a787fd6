// The old envelope: what an old program finds here.

import assert from 'node:assert/strict'
import { createHmac } from 'node:crypto'
import { test } from 'node:test'
import { inspect } from 'node:util'
import { KurultaiError, legacy } from 'kurultai'
import { failure } from './fixture.mjs'

const { AgentKey, KeyStore, MessageSigner, MessageVerifier } = legacy
const secretKey = '6b'.repeat(32)
const key = new AgentKey({ agentId: 'Temüjin', keyId: 'temüjin-001', secretKey })
const note = { type: 'note', to: 'Ögedei', n: 1.5, e: 1e-7, big: 2 ** 53, s: 'a/b\u2028', z: null }

/** As Python's isoformat writes it. */
const iso = (date) => date.toISOString().replace(/\.(\d{3})Z$/, (_, ms) => (ms === '000' ? '+00:00' : `.${ms}000+00:00`))

/** What Python's json.dumps writes of texts, whole numbers, lists and objects, sorted. */
function canonical(value) {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`
  if (value !== null && typeof value === 'object') {
    return `{${Object.keys(value).sort().map((name) => `${canonical(name)}:${canonical(value[name])}`).join(',')}}`
  }
  return JSON.stringify(value).replace(/[\u007f-\uffff]/g, (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, '0')}`)
}

/** Signed as the old program did it. */
function byHand(message, by = key, { at = new Date(), ...metadata } = {}) {
  const said = { agent_id: by.agentId, key_id: by.keyId, timestamp: iso(at), algorithm: 'HMAC-SHA256', ...metadata }
  const signed = { ...message, _sig_ts: said.timestamp, _sig_agent: said.agent_id, _sig_key_id: said.key_id }
  const signature = createHmac('sha256', by.secretKey).update(canonical(signed)).digest('hex')
  return { ...message, signature, sig_metadata: said }
}

function code(message, keys = new KeyStore([key]), receiver = undefined) {
  const verdict = new MessageVerifier(keys, { receiver }).verifyMessage(message)
  return verdict.ok ? null : verdict.code
}

test('the vectors of the contract', () => {
  const signed = '{"_sig_agent":"Kublai","_sig_key_id":"kublai-001","_sig_ts":"2026-02-09T12:00:00.123456+00:00","big":9007199254740993,"e":1e-07,"n":1.0,"s":"a/b\\u2028","task_id":"123","to":"\\u00d6gedei","type":"task_delegation","z":null}'
  const text = (signature) => `{"to":"Ögedei","type":"task_delegation","task_id":"123","n":1.0,"e":1e-7,"big":9007199254740993,"s":"a/b\u2028","z":null,
    "signature":"${signature}","sig_metadata":{"agent_id":"Kublai","key_id":"kublai-001","timestamp":"2026-02-09T12:00:00.123456+00:00","algorithm":"HMAC-SHA256"}}`
  for (const [secret, signature] of [
    ['k'.repeat(32), '924149d3d66261b6038c0e1a3c0f49aa786a815a1b5681448828e0ee849d17f0'],
    [secretKey, 'd383f6c9c8783d0b55f8790b0dc22df8f1db9aa295c390379d7c3b2cac6bd791'],
  ]) {
    assert.equal(createHmac('sha256', secret).update(signed).digest('hex'), signature)
    const keys = new KeyStore([new AgentKey({ agentId: 'Kublai', keyId: 'kublai-001', secretKey: secret })])
    // Its signature holds, and its time is over, which is looked at after it.
    assert.equal(code(text(signature), keys), 'sig.expired')
    assert.equal(code(text(signature.replace(/^./, '0')), keys), 'sig.mismatch')
  }
})

test('what was signed verifies', () => {
  const signed = new MessageSigner(key).signMessage(note)
  assert.deepEqual(Object.keys(signed), [...Object.keys(note), 'signature', 'sig_metadata'])
  for (const form of [signed, JSON.stringify(signed), Buffer.from(JSON.stringify(signed, null, 2))]) {
    assert.equal(code(form), null)
    assert.equal(code(form, undefined, 'ogedei'), null)
  }
  const whole = { ...note, n: 1, e: 2 }
  const again = new MessageSigner(key).signMessage(whole)
  assert.deepEqual(byHand(whole, key, { timestamp: again.sig_metadata.timestamp }), again)
  assert.equal(code(byHand(whole)), null)
  const other = new AgentKey({ agentId: 'Jochi', keyId: 'jochi-001', secretKey: 'j'.repeat(32) })
  assert.equal(code(new MessageSigner(other).signMessage(signed), new KeyStore([other])), null, 'a seal is replaced')
})

test('a delegation is for its receiver', () => {
  const message = new MessageSigner(key).signDelegation('t-1', 'Jochi', { topic: 'audit' })
  assert.deepEqual([message.type, message.task_id, message.from, message.to, message.payload], ['task_delegation', 't-1', 'Temüjin', 'Jochi', { topic: 'audit' }])
  for (const [receiver, answer] of [['Jochi', null], [['kublai', 'jochi'], null], ['kublai', 'sig.wrong_audience']]) {
    assert.equal(code(message, undefined, receiver), answer)
  }
})

test('what is refused', () => {
  const now = Date.now()
  const good = byHand({ type: 'note' })
  const { signature, ...unsigned } = good
  const at = (ms) => byHand({ type: 'note' }, key, { at: new Date(now + ms) })
  for (const [expected, message] of [
    [null, good],
    ['sig.missing', { type: 'note' }],
    ['sig.missing', unsigned],
    ['sig.malformed', { ...good, sig_metadata: undefined }],
    ['sig.malformed', { ...good, sig_metadata: null }],
    ['sig.malformed', { ...good, _sig_ts: 'x' }],
    ['sig.malformed', { ...good, signature: signature.toUpperCase() }],
    ['sig.malformed', byHand({ type: 'note' }, key, { timestamp: '2026-02-09T12:00:00' })],
    ['sig.malformed', byHand({ type: 'note' }, key, { more: 'x' })],
    ['sig.malformed', { ...good, n: NaN }],
    ['sig.malformed', { ...good, n: 1n }],
    ['sig.malformed', `{"type": "x", ${JSON.stringify(good).slice(1)}`],
    ['sig.malformed', '['.repeat(100_000)],
    ['sig.malformed', Buffer.from([0xff])],
    ['sig.malformed', 'null'],
    ['sig.algorithm', byHand({ type: 'note' }, key, { algorithm: 'none' })],
    ['sig.mismatch', { ...good, signature: '0'.repeat(64) }],
    ['sig.mismatch', { ...good, type: 'order' }],
    ['sig.expired', at(-302_000)],
    ['sig.from_future', at(310_000)],
    ['key.unknown', byHand({ type: 'note' }, key, { key_id: 'temüjin-002' })],
    ['key.unknown', byHand({ type: 'note' }, key, { agent_id: 'Jochi' })],
  ]) assert.equal(code(message), expected, `${expected}: ${inspect(message).slice(0, 200)}`)
})

test('keys that do not count', async () => {
  for (const [expected, fields] of [
    ['key.revoked', { revoked: true }], ['key.expired', { expiresAt: new Date(Date.now() - 1000) }], ['key.weak', { secretKey: 'k'.repeat(31) }],
  ]) {
    const bad = new AgentKey({ agentId: key.agentId, keyId: key.keyId, secretKey, ...fields })
    assert.equal(code(byHand({ type: 'note' }), new KeyStore([bad])), expected)
    const error = await failure((async () => new MessageSigner(bad).signMessage({ type: 'note' }))())
    assert.ok(error instanceof KurultaiError && error.code === expected)
  }
  const careless = { getKey: () => new AgentKey({ agentId: 'Jochi', keyId: 'jochi-001', secretKey: 'j'.repeat(32) }) }
  assert.equal(code(byHand({ type: 'note' }, new AgentKey({ ...key, secretKey: 'j'.repeat(32) })), careless), 'key.unknown')
  for (const message of [{ _sig_ts: 'x' }, { n: Infinity }, { n: undefined }]) {
    assert.equal((await failure((async () => new MessageSigner(key).signMessage(message))())).code, 'input.payload')
  }
})

test('a store of keys', async () => {
  const keys = new KeyStore()
  const [old, fresh] = [keys.generateKey('Temüjin'), keys.generateKey('Temüjin')]
  assert.match(fresh.keyId, /^temüjin-[0-9a-f]{8}$/)
  assert.match(fresh.secretKey, /^[0-9a-f]{64}$/)
  assert.equal(keys.getKey('TEMUJIN', old.keyId), old)
  assert.equal(keys.getActiveKey('temujin'), fresh)
  assert.ok(keys.revokeKey('Temüjin', fresh.keyId) && !keys.revokeKey('Temüjin', 'nothing'))
  assert.deepEqual([keys.getActiveKey('Temüjin'), keys.getKey('Temüjin', fresh.keyId).isActive], [old, false])
  const env = { AGENT_KEY_TEMUJIN: secretKey, AGENT_KEY_NIGHT_OPS: 'n'.repeat(32) }
  const read = KeyStore.fromEnv(['Temüjin', 'night-ops', 'nobody'], env)
  assert.deepEqual([read.getActiveKey('Temüjin').keyId, read.getActiveKey('night-ops').secretKey], ['temüjin-001', 'n'.repeat(32)])
  assert.equal(read.getActiveKey('nobody'), null)
  assert.equal((await failure((async () => KeyStore.fromEnv(['Temüjin'], { ...env, 'AGENT_KEY_TEMÜJIN': 'other' }))())).code, 'config.env')
})

test('nothing shows a secret', async () => {
  for (const shown of [inspect(key, { showHidden: true }), JSON.stringify(key), String(key)]) assert.ok(!shown.includes('6b6b'), shown)
  const error = await failure((async () => new AgentKey({ agentId: secretKey, keyId: 'x' }))())
  assert.ok(error instanceof TypeError && !error.message.includes('6b6b'), error.message)
})
