// The key of a team's keys.

import * as check from './check'
import { toError } from './errors'
import { native, type MadeWrappingKey, type NativeWrappingKey } from './native'

/** What stands behind each; a key's id is all that there is to see. */
const behind = new WeakMap<WrappingKey, NativeWrappingKey>()

/**
 * What opens the secrets that the team keeps in its store, and is not in the store: 32 bytes, which stay in the native half
 * of this process and in the file they came from. Give it to `open`.
 */
export class WrappingKey {
  /** Stands beside each secret that it wraps. */
  readonly id: string

  private constructor(made: MadeWrappingKey) {
    if ('code' in made) throw toError(made)
    this.id = made.id()
    behind.set(this, made)
    Object.freeze(this)
  }

  /**
   * From its file, which only its owner can read, as `write` makes it.
   *
   * Errors: `key.permissions` where group or others may use it; `config.key` where it cannot be read or is no key; `key.weak`.
   */
  static read(path: string): WrappingKey {
    check.checkOne('path', path, check.text)
    return new WrappingKey(native.wrappingKeyRead(path))
  }

  /** A new one from the system's random numbers. */
  static generate(): WrappingKey {
    return new WrappingKey(native.wrappingKeyGenerate())
  }

  /**
   * Writes the file, with mode 0600, and never over another. Whoever loses it loses every secret that it wraps. Errors:
   * `config.key`.
   */
  write(path: string): void {
    check.checkOne('path', path, check.text)
    const failure = wrappingKeyOf(this).write(path)
    if (failure !== null) throw toError(failure)
  }
}

/** A wrapping key, or the path of its file. */
export type WrappingKeyLike = string | WrappingKey

/**
 * Of what a caller gives. What is given instead may be a secret, and is not shown.
 * @internal
 */
export function wrappingKeyOf(given: WrappingKeyLike): NativeWrappingKey {
  const key = typeof given === 'string' ? WrappingKey.read(given) : given
  const native = behind.get(key)
  if (native !== undefined) return native
  const allowed = 'allowed: a WrappingKey, the path of its file, or an array of these'
  throw Object.assign(new TypeError(`wrappingKey is none; ${allowed}`), { code: 'input.invalid' })
}
