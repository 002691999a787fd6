// Whom this process speaks for.

import * as check from './check'
import { toError, type Failure } from './errors'
import { native, type Made, type NativeIdentity } from './native'

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

/** @internal */
export function nativeOf(identity: Identity): NativeIdentity {
  const native = behind.get(identity)
  if (native === undefined) throw wrong('identity', 'an Identity, as Identity.read, Identity.env and k.keys.rotate give it')
  return native
}

/** An identity, or the path of a key file. */
export type IdentityLike = string | Identity

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
