// A secret that can be recognised, used in every way there is, and then looked for in whatever Node shows.

import assert from 'node:assert/strict'
import { chmodSync, readFileSync, readdirSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { inspect } from 'node:util'
import { serialize } from 'node:v8'
import { Identity, newId, open, sign, verify } from 'kurultai'
import { cases, failure, folder } from './fixture.mjs'

const seed = Buffer.from('CANARY<node>key**0123456789?~ABC')
const text = seed.toString('base64url')
const here = folder()

/** Every form of its first part. */
const forms = [seed.subarray(0, 18), seed.subarray(3, 21)].flatMap((part) => [
  part.toString('hex'), part.toString('hex').toUpperCase(), part.toString('base64'), part.toString('base64url'), part.toString(),
  [...part].join(','), [...part].join(', '), part.toString('hex').replace(/..\B/g, '$& '),
])

function keyFile(changed = {}, mode = 0o600) {
  const path = join(here, newId())
  const content = typeof changed === 'string' ? changed : JSON.stringify({ agent: 'kublai', key_id: 'k', algorithm: 'EdDSA', secret: text, ...changed })
  writeFileSync(path, content)
  chmodSync(path, mode)
  return path
}

cases('no secret leaks', async (k, { url, namespace }) => {
  const shown = []
  const show = (...things) => {
    for (const thing of things) {
      shown.push(inspect(thing, { depth: 12, showHidden: true, getters: true }), `${JSON.stringify(thing)}`)
      try {
        shown.push(serialize(thing).toString('latin1'), inspect(structuredClone(thing)))
      } catch (error) {
        shown.push(inspect(error))
      }
    }
  }
  const showError = (error) => {
    for (let one = error; one instanceof Error; one = one.cause) show(one, one.stack, one.message, { ...one })
  }
  const refused = async (code, call) => {
    const error = await failure((async () => call())())
    assert.equal(error.code, code, error.message)
    showError(error)
  }

  await refused('key.permissions', () => Identity.read(keyFile({}, 0o644)))
  for (const wrong of [
    { secret: `${text}=` }, { algorithm: text }, { agent: `kublai ${text}` }, { key_id: text.repeat(4) }, { [text]: text },
    { secret: seed.toString('hex') }, { secret: seed.toString() }, `{"${text}":1,"${text}":2}`, `["${text}"]`, `"${text}"`, text + text,
  ]) await refused('config.key', () => Identity.read(keyFile(wrong)))
  for (const wrong of [seed, [seed], { secret: text }, [5], 5]) {
    await refused('input.invalid', () => sign(1, wrong, { audience: 'jochi', type: 'x' }))
    await refused('input.invalid', () => open('memory:', { identity: wrong }))
  }

  const unknown = Identity.read(keyFile())
  const key = await k.keys.add('kublai', unknown.publicKey)
  const me = Identity.read(keyFile({ key_id: key.keyId }))
  show(me, [me], { me }, Object.getOwnPropertyDescriptors(me), key)
  const kublai = await open(url, { namespace, identity: me })
  show(kublai, kublai.messages, kublai.keys)
  await refused('key.conflict', () => k.keys.add('kublai', me.publicKey))
  for (const wrong of [`${text}=`, seed.toString('base64'), seed.toString('hex'), `${text.slice(0, -1)}+`]) {
    await refused('input.invalid', () => k.keys.add('kublai', wrong))
  }
  const token = sign({ n: 2 }, me, { audience: 'jochi', type: 'note', namespace })
  show(token, verify(token, [me], { audience: 'jochi', namespace }))
  show(await kublai.messages.send('jochi', 'note', { n: 1 }), await k.messages.accept(token))
  await refused('sig.replayed', () => k.messages.accept(token))
  await refused('sig.malformed', () => k.messages.accept(text))
  await refused('config.identity', () => kublai.messages.send('jochi', 'note', null, { sender: 'jochi' }))
  const [got] = await k.messages.inbox({ agent: 'jochi', max: 1 })
  show(got, await k.messages.ack(got), await k.keys.rotate('kublai'), await k.keys.list())
  show(await k.keys.revoke('kublai', key.keyId, 'lost'))
  await refused('key.revoked', () => kublai.messages.send('jochi', 'note'))
  show(await k.messages.inbox({ agent: 'jochi' }), await k.messages.list())
  await kublai.close()
  await refused('store.closed', () => kublai.messages.send('jochi', 'note'))

  const all = [shown.join('\n')]
  assert.ok(all[0].includes(me.publicKey) && all[0].includes('key.revoked'))
  if (url.startsWith('sqlite:')) {
    const files = dirname(url.slice('sqlite:'.length).split('?')[0])
    const stored = readdirSync(files).map((file) => readFileSync(join(files, file)).toString('latin1')).join('\n')
    assert.ok(stored.includes(me.publicKey), 'what is public is there')
    all.push(stored)
  }
  for (const said of all) for (const form of forms) assert.ok(!said.includes(form), `the secret is there as ${form}`)
  // What is looked for would be found.
  for (const said of [inspect(seed), inspect([...seed]), text, seed.toString('hex'), JSON.stringify([...seed]), String(seed)]) {
    assert.ok(forms.some((form) => said.replace(/\s+/g, ' ').includes(form)), said)
  }
})
