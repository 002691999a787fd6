// What needs no store: to sign a message, and to verify one.

import * as check from './check'
import { Identity, nativeOf } from './identity'
import { encode, encodeArgs, encodeFields } from './json'
import { native } from './native'
import { idOf, time } from './new_task'
import * as results from './results'
import type { KeyLike, SignOptions, VerifiedMessage, VerifyMessageOptions } from './types'

const SIGN: check.Fields = {
  audience: check.text, type: check.text, namespace: check.text, id: check.text, task: check.taskLike, replyTo: check.messageLike,
  ttlMs: check.ms, issuedAt: check.date,
}
const KEY: check.Fields = {
  agentId: check.text, keyId: check.text, algorithm: check.text, state: check.text, publicKey: check.text, createdAt: check.date,
  activatedAt: check.date, expiresAt: check.date, wrappingKey: check.text, reason: check.text,
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
