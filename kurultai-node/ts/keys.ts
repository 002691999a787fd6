// By which keys the team knows its agents: `k.keys`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { Identity } from './identity'
import { encode, encodeFields } from './json'
import type { NativeKeys, Outcome } from './native'
import * as results from './results'
import type { AgentKey, ImportedKeys, ImportOptions, Waits, WrappingKeyLike } from './types'
import { wrappingKeyOf } from './wrapping_key'

/** By the names that the core reads: those of the databases that exist. */
function plainRow(row: object): object {
  const { agentId, keyId, secretKey, expiresAt, createdAt, ...rest } = row as Record<string, unknown>
  return { agent_id: agentId, key_id: keyId, secret_key: secretKey, expires_at: expiresAt, created_at: createdAt, ...rest }
}

function textOf(name: string, value: string): string {
  check.checkOne(name, value, check.text)
  return value
}

const IMPORT: check.Fields = { rows: check.anything, agents: check.texts, dryRun: check.flag, signal: check.anything }

/**
 * The keys by which a team knows its agents. An agent keeps its own secret, or the team keeps it in the store, wrapped under
 * a key that is not there.
 */
export class Keys {
  readonly #native: NativeKeys

  /** @internal */
  constructor(native: NativeKeys) {
    this.#native = native
  }

  #call(operation: Exclude<keyof NativeKeys, 'take' | 'rewrap'>, args: string, options: Waits): Outcome | Promise<Outcome> {
    return call((id) => this.#native[operation](id, args), check.signalOf(options))
  }

  /** The keys of an agent, or of all. Errors: `input.invalid`. */
  async list(agent?: string | null, options: Waits = {}): Promise<readonly AgentKey[]> {
    const of = agent === undefined || agent === null ? null : textOf('agent', agent)
    return results.keys(await this.#call('list', encode(of, 'agent'), options))
  }

  /**
   * Makes an agent's next key and tells the team its public half. The secret half is in the answer alone: `write` it to a file.
   * Where the agent had a key, the new one is `active` after 30 s, when every process knows of it, and what was signed with the
   * one before is verified for another 7 days.
   *
   * Errors: `input.invalid`; `key.conflict` where somebody else changes the agent's keys at the same time. An aborted call may
   * leave a key that nobody has.
   */
  async rotate(agent: string, options: Waits = {}): Promise<Identity> {
    const number: number = results.value(await this.#call('rotate', encode(textOf('agent', agent), 'agent'), options))
    return Identity.of(this.#native.take(number)!)
  }

  /**
   * Makes an agent's next key, as `rotate` does, and keeps its secret half in the store, wrapped: every process that has the
   * wrapping key sends as this agent, which it names as the `sender`. Where a key of the agent's own follows, they do no more.
   *
   * Errors: `input.invalid`, `key.conflict`; `config.wrapping_key` where the team was opened without a wrapping key. An aborted
   * call may leave a key.
   */
  async rotateInStore(agent: string, options: Waits = {}): Promise<AgentKey> {
    return results.key(await this.#call('rotateInStore', encode(textOf('agent', agent), 'agent'), options))
  }

  /**
   * Wraps every secret that the store keeps for this namespace under another key, a `WrappingKey` or its file, in one
   * transaction or not at all, and wraps with that one from now on. Answers how many those were. Other processes open them as
   * soon as they have the new key as well: give it to them first, beside the old one.
   *
   * Errors: `config.wrapping_key` where this team was opened without a key that has wrapped one; `key.unwrap` where one was
   * changed in the database; `key.conflict` where somebody else changes keys at the same time. Then nothing was changed. An
   * aborted call may still do it.
   */
  async rewrap(to: WrappingKeyLike, options: Waits = {}): Promise<number> {
    const key = wrappingKeyOf(to)
    return results.value(await call((id) => this.#native.rewrap(id, key), check.signalOf(options)))
  }

  /**
   * Imports the keys of an older program's legacy envelopes and keeps their secrets wrapped. On Neo4j it takes over the nodes
   * `AgentKey` that have a plain secret (`secret_key` or `key_hash`) and no namespace; the plain secret is gone when the
   * wrapped one is there, so the older program signs no more with it. A file of SQLite has none: give `rows`, which come from
   * elsewhere on both stores. A key that does not say when it ends is good for another 90 days. Repeating it imports nothing
   * twice. `agents` takes only theirs; `dryRun` only says what would be done.
   *
   * Errors: `config.wrapping_key` where the team was opened without a wrapping key; `input.invalid` where a row is none;
   * `key.conflict` where somebody else changes an agent's keys at the same time; `key.unwrap` where a key that is there does
   * not open. After an abort a repetition goes on where the call was.
   */
  async importRows(options: ImportOptions = {}): Promise<ImportedKeys> {
    check.checkFields(options, IMPORT)
    const { rows, agents, dryRun } = options
    // Neither by our own check nor our own encoder, which show what they refuse.
    if (rows != null && !(Array.isArray(rows) && rows.every((row) => typeof row === 'object' && row !== null))) {
      throw Object.assign(new TypeError('rows are none; allowed: an array of objects'), { code: 'input.invalid' })
    }
    const args = { rows: rows == null ? undefined : JSON.stringify(rows.map(plainRow)), agents, dryRun }
    return results.importedKeys(await this.#call('importRows', encodeFields(args), options))
  }

  /**
   * Tells the team the public half of a key that an agent has made elsewhere, as `rotate` does. Errors: as there, `key.weak`;
   * `key.conflict` also where the team knows it already. An aborted call may still tell it.
   */
  async add(agent: string, publicKey: string, options: Waits = {}): Promise<AgentKey> {
    const args = encodeFields({ agent: textOf('agent', agent), publicKey: textOf('publicKey', publicKey) })
    return results.key(await this.#call('add', args, options))
  }

  /**
   * Nothing that the key has signed counts any more, also what is in the inboxes. Where it is revoked already nothing changes.
   * Errors: `key.unknown`, `key.conflict`. An aborted call may still revoke.
   */
  async revoke(agent: string, keyId: string, reason: string, options: Waits = {}): Promise<AgentKey> {
    const args = { agent: textOf('agent', agent), keyId: textOf('keyId', keyId), reason: textOf('reason', reason) }
    return results.key(await this.#call('revoke', encodeFields(args), options))
  }
}
