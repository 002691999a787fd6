// By which keys the team knows its agents: `k.keys`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { Identity } from './identity'
import { encode, encodeFields } from './json'
import type { NativeKeys, Outcome } from './native'
import * as results from './results'
import type { AgentKey, Waits } from './types'

function textOf(name: string, value: string): string {
  check.checkOne(name, value, check.text)
  return value
}

/** The keys by which a team knows its agents. Secrets are never in it: each agent keeps its own. */
export class Keys {
  readonly #native: NativeKeys

  /** @internal */
  constructor(native: NativeKeys) {
    this.#native = native
  }

  #call(operation: 'list' | 'rotate' | 'add' | 'revoke', args: string, options: Waits): Outcome | Promise<Outcome> {
    return call((id) => this.#native[operation](id, args), options.signal)
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
