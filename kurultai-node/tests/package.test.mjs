// What the package promises about itself.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { test } from 'node:test'
import { Agents, Context, Events, Keys, Kurultai, Messages, Schedules, Tasks } from 'kurultai'

const require = createRequire(import.meta.url)
const read = (path) => readFileSync(new URL(path, import.meta.url), 'utf8')
const manifest = JSON.parse(read('../package.json'))

test('one version: the workspace\'s, the package\'s and the binary\'s', () => {
  const [, workspace] = read('../../Cargo.toml').match(/\[workspace\.package\]\nversion = "(.+)"/)
  assert.deepEqual([manifest.version, require('../dist/native.js').native.version()], [workspace, workspace])
  assert.equal(JSON.parse(read('../package-lock.json')).packages[''].version, workspace)
})

test('the lock files name no registry', () => {
  for (const path of ['../package-lock.json', '../../kurultai-py/tests/typing/package-lock.json']) {
    const { packages } = JSON.parse(read(path))
    // Who makes a package may say where to send money.
    const rest = Object.values(packages).map(({ funding: _, ...rest }) => rest)
    assert.ok(rest.length > 1)
    assert.doesNotMatch(JSON.stringify(rest), /"resolved"|https?:/)
  }
})

/** The public async operations of a file of the core, in Node's names. */
function operations(path) {
  const names = [...read(`../../kurultai-core/src/${path}`).matchAll(/^ {4}pub async fn (\w+)/gm)].map(([, name]) => name)
  assert.ok(names.length > 0, path)
  return names.map((name) => name.replace(/_([a-z])/g, (_, letter) => letter.toUpperCase()))
}

const has = (prototype, names) => assert.deepEqual(names.filter((name) => !(name in prototype)), [])

test('an operation that the core has is here too', () => {
  has(Tasks.prototype, operations('tasks/handle.rs'))
  has(Agents.prototype, operations('agents/handle.rs'))
  has(Schedules.prototype, operations('schedules/handle.rs'))
  has(Messages.prototype, [...operations('messages/handle.rs'), ...operations('messages/accept.rs')])
  has(Keys.prototype, [...operations('messages/key_handle.rs'), ...operations('messages/import.rs')])
  has(Events.prototype, operations('events/handle.rs'))
  // Three are `open`, and a call is ended by its signal.
  const otherwise = ['open', 'openWith', 'fromEnv', 'verifyUntil']
  has(Kurultai.prototype, [...operations('kurultai.rs'), ...operations('verify.rs')].filter((name) => !otherwise.includes(name)))
  // `stopped` is ctx.signal; the ends are what a handler returns or throws.
  const ends = ['stopped', 'end', 'complete', 'fail', 'release']
  has(Context.prototype, operations('worker/job.rs').filter((name) => !ends.includes(name)))
})

test('what the core calls a word is a word here', () => {
  const { default: words } = { default: {
    'tasks/types.rs': ['Status', 'Signal', 'DependencyType', 'FailureKind'], 'tasks/new_task.rs': ['OnPrerequisiteFailure'],
    'agents/types.rs': ['AgentStatus'], 'agents/health.rs': ['Health'], 'worker/settings.rs': ['OnStall'], 'worker/attempt.rs': ['Stop'],
    'schedules/types.rs': ['CatchUp', 'Overlap'],
    'messages/types.rs': ['MessageStatus', 'Recipient'], 'messages/keys.rs': ['KeyState'], 'messages/signer.rs': ['Algorithm'],
  } }
  const types = read('../ts/types.ts') + read('../ts/context.ts').replace('StopReason =', 'Stop =')
  for (const [path, names] of Object.entries(words)) {
    for (const name of names) {
      const [, body] = read(`../../kurultai-core/src/${path}`).match(new RegExp(`\\b${name}, "[^"]+" \\{([^}]*)\\}`))
      const rust = [...body.matchAll(/= "([\w-]+)"/g)].map(([, word]) => word)
      const [, union] = types.match(new RegExp(`export type ${name} =([^;/]*?)\\n(?:export|/\\*\\*|\\n)`))
      assert.deepEqual([...union.matchAll(/'([\w-]+)'/g)].map(([, word]) => word).sort(), rust.sort(), name)
    }
  }
})
