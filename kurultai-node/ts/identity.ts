// Whom this process speaks for, and what needs no store: to sign and to verify.

import * as check from './check'
import { toError, type Failure } from './errors'
import { encode, encodeArgs, encodeFields } from './json'
import { idOf, time } from './new_task'
import { native, type Made, type NativeIdentity } from './native'
import * as results from './results'
import type { IdentityLike, KeyLike, SignOptions, VerifiedMessage, VerifyMessageOptions } from './types'

/** What stands behind each; an identity's own fields are all that there is to see. */
const behind = new WeakMap<Identity, NativeIdentity>()

/**
 * An agent and its key, Ed25519. The secret half stays in the native half of this process and in the file it came from:
 * nothing that prints, copies or serialises an identity shows it.
 */
export class Identity {
  /** Whose it is. */
  readonly agent: string
  /** The id under which the team knows the key: `temujin-3f2a9c1b`. */
  readonly keyId: string
  /** The half that everybody may know, 32 bytes in base64url: what `k.keys.add` takes. */
  readonly publicKey: string

  private constructor(native: NativeIdentity) {
    this.agent = native.agent()
    this.keyId = native.keyId()
    this.publicKey = native.publicKey()
    behind.set(this, native)
    Object.freeze(this)
  }

  /** @internal */
  static of(made: Made): Identity {
    if (isFailure(made)) throw toError(made)
    return new Identity(made)
  }

  /**
   * From a key file that only its owner can read, as `write` makes it.
   *
   * Errors: `key.permissions` where group or others may use it; `config.key` where it cannot be read or is no key; `key.weak`
   * where the secret is nothing but zeros.
   */
  static read(path: string): Identity {
    check.checkOne('path', path, check.text)
    return Identity.of(native.identityRead(path))
  }

  /**
   * From the environment of the process: AGENT_KEY_ and the id in upper case, `-` as `_` (AGENT_KEY_TEMUJIN), or with the
   * display name (AGENT_KEY_TEMÜJIN). The value is the text of a key file, or a bare secret of 32 bytes in base64url.
   *
   * Errors: `config.env` where none is set, or two that differ; `config.key` where it is no key, or another agent's;
   * `key.weak`.
   */
  static env(agent: string): Identity {
    check.checkOne('agent', agent, check.text)
    return Identity.of(native.identityEnv(agent))
  }

  /**
   * A new key from the system's random numbers. No team knows it yet: `k.keys.add(agent, identity.publicKey)` tells one;
   * `k.keys.rotate(agent)` does both. Errors: `input.invalid`.
   */
  static generate(agent: string): Identity {
    check.checkOne('agent', agent, check.text)
    return Identity.of(native.identityGenerate(agent))
  }

  /** Writes the key file, with mode 0600, and never over another. Errors: `config.key`. */
  write(path: string): void {
    check.checkOne('path', path, check.text)
    const failure = nativeOf(this).write(path)
    if (failure !== null) throw toError(failure)
  }
}

const isFailure = (made: Made): made is Failure => 'code' in made

/** What is given instead may be a secret, and is not shown. */
function wrong(field: string, allowed: string): TypeError {
  return Object.assign(new TypeError(`${field} is none; allowed: ${allowed}`), { code: 'input.invalid' })
}

function nativeOf(identity: Identity): NativeIdentity {
  const native = behind.get(identity)
  if (native === undefined) throw wrong('identity', 'an Identity, as Identity.read, Identity.env and k.keys.rotate give it')
  return native
}

/**
 * Those that `open` is given.
 * @internal
 */
export function identitiesOf(given: IdentityLike | readonly IdentityLike[] | null | undefined): NativeIdentity[] {
  if (given === null || given === undefined) return []
  const list: readonly IdentityLike[] = Array.isArray(given) ? given : [given as IdentityLike]
  return list.map((one) => {
    if (typeof one === 'string') return nativeOf(Identity.read(one))
    if (!(one instanceof Identity)) throw wrong('identity', 'the path of a key file, an Identity, or an array of these')
    return nativeOf(one)
  })
}

const SIGN: check.Fields = {
  audience: check.text, type: check.text, namespace: check.text, id: check.text, task: check.taskLike, replyTo: check.messageLike,
  ttlMs: check.ms, issuedAt: check.date,
}
const KEY: check.Fields = {
  agentId: check.text, keyId: check.text, algorithm: check.text, state: check.text, publicKey: check.text, createdAt: check.date,
  activatedAt: check.date, expiresAt: check.date, reason: check.text,
}
const VERIFY: check.Fields = { audience: check.textOrTexts, namespace: check.text, at: check.date }

/**
 * Signs a message without any store: a token, which `k.messages.accept` admits and `verify` verifies. It is a JWS in compact
 * form, signed with Ed25519, of at most 256 KiB. Pure but for the clock and the message's id, where they are not given.
 *
 * Errors: `input.invalid` names the field; `input.payload` where the body is no JSON that every language reads alike, or too
 * large.
 */
export function sign(body: unknown, identity: Identity, options: SignOptions): string {
  check.checkFields(options, SIGN)
  check.checkOne('audience', options.audience, check.text)
  check.checkOne('type', options.type, check.text)
  const { task, replyTo, issuedAt, ...rest } = options
  const args = encodeArgs(rest, {
    task: task == null ? undefined : idOf(task), replyTo: replyTo == null ? undefined : messageId(replyTo),
    issuedAt: time(issuedAt ?? new Date()),
  })
  // The body by itself, so that a refusal names the path in it.
  return results.text(native.sign(nativeOf(identity), `${args.slice(0, -1)},"body":${encode(body, 'body')}}`))
}

/**
 * Whether a token is what it says it is: in its form, by its signature over the bytes as they came, for this team and this
 * audience, and now. `keys`: what `k.keys.list` answers, identities, or pairs of an agent and its public key. That it was not
 * presented before is for the store to say: `k.messages.accept` does.
 *
 * Errors, in the order in which they are looked for: `sig.missing`; `sig.malformed` (size, parts, base64url, header);
 * `sig.algorithm`; `key.unknown`, `key.revoked`, `key.expired`; `sig.mismatch`; then of what it says `sig.malformed`,
 * `sig.wrong_namespace`, `sig.wrong_audience`, `sig.from_future` (60 s), `sig.expired`. Of a pair also `input.invalid`, `key.weak`.
 */
export function verify(token: string, keys: readonly KeyLike[], options: VerifyMessageOptions): VerifiedMessage {
  check.checkOne('token', token, check.text)
  check.checkOne('keys', keys, check.objects)
  check.checkFields(options, VERIFY)
  const { audience, namespace, at } = options
  if (audience !== null) check.checkOne('audience', audience, check.textOrTexts)
  const args = {
    // Half of a surrogate pair is in no token, which the native half says better.
    token: token.toWellFormed(), keys: keys.map(encodeKey), namespace,
    audience: audience === null ? [] : typeof audience === 'string' ? [audience] : audience, at: time(at ?? new Date()),
  }
  return results.verifiedMessage(native.verify(encodeFields(args)))
}

const isPair = (key: KeyLike): key is readonly [agent: string, publicKey: string] => Array.isArray(key)

function encodeKey(key: KeyLike, index: number): object {
  if (key instanceof Identity) return { agentId: key.agent, keyId: key.keyId, publicKey: key.publicKey }
  if (isPair(key)) {
    check.checkOne(`key ${index}`, key, check.texts)
    return { agentId: key[0], publicKey: key[1] }
  }
  check.checkFields(key, KEY, `key ${index}: `)
  const { agentId, keyId, algorithm, state, publicKey, activatedAt, expiresAt, reason } = key
  return { agentId, keyId, algorithm, state, publicKey, activatedAt: time(activatedAt), expiresAt: time(expiresAt), reason }
}

/** @internal */
export function messageId(message: string | { readonly id: string }): string {
  return typeof message === 'string' ? message : message.id
}
