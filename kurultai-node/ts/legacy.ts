// The signed messages of teams that are older than this library: HMAC-SHA256 over a message's canonical JSON. All of it is
// pure: a verifier does not know whether a message was presented before. That is for `k.messages.accept` to know.

import { randomBytes } from 'node:crypto'
import * as check from './check'
import { KurultaiError, refused, toError } from './errors'
import { native } from './native'

const LIFETIME_MS = 90 * 86_400_000
const KEY: check.Fields = {
  agentId: check.text, keyId: check.text, secretKey: check.text, createdAt: check.date, expiresAt: check.date, revoked: check.flag,
}

/** What a key is made of. */
export interface AgentKeyFields {
  /** The agent's name as it is sent: `Temüjin`. */
  agentId: string
  keyId: string
  /** At least 32 characters, whose UTF-8 bytes are the HMAC key; a generated one is 64 hexadecimal digits. */
  secretKey: string
  createdAt?: Date | null
  /** Null for a key without an end. */
  expiresAt?: Date | null
  revoked?: boolean
}

/** A key of an agent. Whoever can verify with it can also sign with it. Nothing that prints a key shows its secret. */
export class AgentKey {
  readonly agentId: string
  readonly keyId: string
  readonly createdAt: Date | null
  readonly expiresAt: Date | null
  readonly revoked: boolean
  readonly #secretKey: string

  constructor(fields: AgentKeyFields) {
    // Not the values: one of them is a secret.
    if (typeof fields !== 'object' || fields === null || typeof fields.secretKey !== 'string') {
      throw Object.assign(new TypeError('the key is none; allowed: { agentId, keyId, secretKey }'), { code: 'input.invalid' })
    }
    const { secretKey, ...rest } = fields
    check.checkFields(rest, KEY)
    check.checkOne('agentId', rest.agentId, check.text)
    check.checkOne('keyId', rest.keyId, check.text)
    this.agentId = rest.agentId
    this.keyId = rest.keyId
    this.#secretKey = secretKey
    this.createdAt = rest.createdAt ?? null
    this.expiresAt = rest.expiresAt ?? null
    this.revoked = rest.revoked ?? false
    Object.freeze(this)
  }

  /** A new key: `{agent in lower case}-{8 hexadecimal digits}`, which expires after 90 days. */
  static generate(agentId: string): AgentKey {
    check.checkOne('agentId', agentId, check.text)
    const now = Date.now()
    return new AgentKey({
      agentId, keyId: `${agentId.toLowerCase()}-${randomBytes(4).toString('hex')}`, secretKey: randomBytes(32).toString('hex'),
      createdAt: new Date(now), expiresAt: new Date(now + LIFETIME_MS),
    })
  }

  get secretKey(): string {
    return this.#secretKey
  }

  /** Whether it signs and verifies now: neither revoked nor expired. */
  get isActive(): boolean {
    return !this.revoked && (this.expiresAt === null || this.expiresAt.getTime() > Date.now())
  }
}

/** Where a verifier finds keys. */
export interface Keys {
  getKey(agentId: string, keyId: string): AgentKey | null | undefined
}

/** Keys in memory, found by their agent's folded name (`Temüjin` = `temujin`) and their id. */
export class KeyStore implements Keys {
  readonly #keys = new Map<string, AgentKey>()

  constructor(keys: Iterable<AgentKey> = []) {
    for (const key of keys) this.addKey(key)
  }

  /**
   * The keys of these agents from AGENT_KEY_<ID>, each with the id `{agent in lower case}-001`. <ID> is the folded name in
   * upper case with `_` for `-`; the upper-cased name itself is read too (AGENT_KEY_TEMUJIN, AGENT_KEY_TEMÜJIN). An agent
   * without a variable has no key.
   *
   * Errors: `config.env` where the two have different values.
   */
  static fromEnv(agents: Iterable<string>, environ: Readonly<Record<string, string | undefined>> = process.env): KeyStore {
    const store = new KeyStore()
    for (const agent of agents) {
      const forms = [native.fold(agent).replaceAll('-', '_'), agent]
      const names = [...new Set(forms.map((form) => `AGENT_KEY_${form.toUpperCase()}`))]
      const found = new Set(names.map((name) => environ[name]).filter((value) => value))
      if (found.size > 1) throw toError({ kind: 'config', code: 'config.env', message: `${names.join(' and ')} differ`, retryable: false })
      for (const secretKey of found) store.addKey(new AgentKey({ agentId: agent, keyId: `${agent.toLowerCase()}-001`, secretKey: secretKey! }))
    }
    return store
  }

  /** Adds a key, or puts it in the place of the one with the same agent and id. */
  addKey(key: AgentKey): void {
    this.#keys.set(nameOf(key.agentId, key.keyId), key)
  }

  /** Adds a new key of the agent, which expires after 90 days. Its older keys still verify. */
  generateKey(agentId: string): AgentKey {
    const key = AgentKey.generate(agentId)
    this.addKey(key)
    return key
  }

  /** The agent's key with this id, in whatever state. */
  getKey(agentId: string, keyId: string): AgentKey | null {
    return this.#keys.get(nameOf(agentId, keyId)) ?? null
  }

  /** The key that the agent signs with: the last one added that is neither revoked nor expired. */
  getActiveKey(agentId: string): AgentKey | null {
    const folded = native.fold(agentId)
    const active = [...this.#keys.values()].filter((key) => native.fold(key.agentId) === folded && key.isActive)
    return active.at(-1) ?? null
  }

  /** From now on the key neither signs nor verifies. False where there is none. */
  revokeKey(agentId: string, keyId: string): boolean {
    const key = this.getKey(agentId, keyId)
    if (key !== null) {
      const { createdAt, expiresAt, secretKey } = key
      this.addKey(new AgentKey({ agentId: key.agentId, keyId, secretKey, createdAt, expiresAt, revoked: true }))
    }
    return key !== null
  }
}

const nameOf = (agentId: string, keyId: string) => JSON.stringify([native.fold(agentId), keyId])

/** A message with what signing adds. */
export type Signed<M extends object = Record<string, unknown>> = M & {
  signature: string
  sig_metadata: { agent_id: string; key_id: string; timestamp: string; algorithm: 'HMAC-SHA256' }
}

/**
 * Signs messages with a key.
 *
 * Errors: `key.revoked`, `key.expired`, `key.weak`; `input.payload` where the message is no JSON, or has a key that begins
 * with `_sig_`.
 */
export class MessageSigner {
  readonly key: AgentKey

  constructor(key: AgentKey) {
    this.key = key
  }

  /** The message with `signature` and `sig_metadata`; the message itself is left as it is. */
  signMessage<M extends object>(message: M): Signed<M> {
    const { signature: _, sig_metadata: __, ...body } = message as Record<string, unknown>
    const sealed = native.legacySeal(JSON.stringify({ text: textOf(body), key: encoded(this.key), at: Date.now() }))
    if (typeof sealed !== 'string') throw toError(sealed)
    const [signature, timestamp] = sealed.split(' ')
    const metadata = { agent_id: this.key.agentId, key_id: this.key.keyId, timestamp, algorithm: 'HMAC-SHA256' }
    return { ...body, signature, sig_metadata: metadata } as Signed<M>
  }

  /** A signed message of the type `task_delegation` from the key's agent. */
  signDelegation(taskId: string, to: string, payload: unknown = null): Signed {
    return this.signMessage({ type: 'task_delegation', task_id: taskId, from: this.key.agentId, to, payload })
  }
}

/** What a verifier says of a message. */
export type Verdict = { readonly ok: true } | { readonly ok: false; readonly code: string; readonly reason: string }

/**
 * Verifies messages with the keys that it finds. `receiver` is who reads them: a name, or several
 * (`['kublai', 'role:router']`). Without it a message is right whomever `to` and `delegate` name.
 */
export class MessageVerifier {
  readonly #keys: Keys
  readonly #audiences: readonly string[]

  constructor(keys: Keys, options: { receiver?: string | readonly string[] | null } = {}) {
    const { receiver } = options
    if (receiver != null) check.checkOne('receiver', receiver, check.textOrTexts)
    this.#keys = keys
    this.#audiences = receiver == null ? [] : typeof receiver === 'string' ? [receiver] : receiver
  }

  /**
   * Whether the message's signature holds, and if not, why not. Give the text as it was received: an object no longer shows
   * that a key was there twice, nor whether a number was written 1 or 1.0, which is another signature.
   *
   * The codes are `sig.missing`, `sig.malformed`, `sig.algorithm`, `sig.mismatch`, `sig.expired` and `sig.from_future` (300
   * seconds), `sig.wrong_audience`, `key.unknown`, `key.revoked`, `key.expired` and `key.weak`.
   */
  verifyMessage(message: string | Uint8Array | object): Verdict {
    let text: string, key: AgentKey | null
    try {
      text = typeof message === 'string' ? message : message instanceof Uint8Array ? decoded(message) : textOf(message)
      key = this.#key(JSON.parse(text))
    } catch (error) {
      if (error instanceof KurultaiError || error instanceof SyntaxError || error instanceof TypeError) {
        return Object.freeze({ ok: false, code: 'sig.malformed', reason: `the message is no JSON: ${error.message}` })
      }
      throw error
    }
    const args = { text: text.toWellFormed(), key: key && encoded(key), audiences: this.#audiences, at: Date.now() }
    const failure = native.legacyVerify(JSON.stringify(args))
    if (failure === null) return Object.freeze({ ok: true })
    return Object.freeze({ ok: false, code: failure.code, reason: failure.message })
  }

  #key(message: any): AgentKey | null {
    const agentId = message?.sig_metadata?.agent_id
    const keyId = message?.sig_metadata?.key_id
    if (typeof agentId !== 'string' || typeof keyId !== 'string') return null
    return this.#keys.getKey(agentId, keyId) ?? null
  }
}

const decoded = (bytes: Uint8Array) => new TextDecoder('utf-8', { fatal: true }).decode(bytes)

function encoded({ agentId, keyId, secretKey, expiresAt, revoked }: AgentKey): object {
  return { agentId, keyId, secretKey, expiresAt: expiresAt?.getTime(), revoked }
}

/** JSON, in which what JSON has no form for is refused and not left out. */
function textOf(message: object): string {
  return JSON.stringify(message, (key, value) => {
    const is = typeof value
    if (is === 'undefined' || is === 'function' || is === 'symbol' || is === 'bigint' || (is === 'number' && !Number.isFinite(value))) {
      throw refused('input.payload', `${key || 'the message'} is no JSON`)
    }
    return value
  })
}
