// The right to finish a task, and the forms in which it can be handed around.

import { refused } from './errors'

/** The right to finish a task. `String(lease)` is the compact form, which another process can use. */
export class Lease {
  readonly taskId: string
  readonly claimId: string
  /** Only grows, also over a requeue: pass it to other systems as the fencing token. */
  readonly version: number
  readonly attempt: number
  /** By the store's clock. */
  readonly expiresAt: Date
  readonly #token: string

  /** @internal */
  constructor(token: string) {
    // claim:version:attempt:microseconds:task, as the core writes it; only the last may have colons.
    const first = token.indexOf(':')
    const second = token.indexOf(':', first + 1)
    const third = token.indexOf(':', second + 1)
    const fourth = token.indexOf(':', third + 1)
    this.taskId = token.slice(fourth + 1)
    this.claimId = token.slice(0, first)
    this.version = Number(token.slice(first + 1, second))
    this.attempt = Number(token.slice(second + 1, third))
    this.expiresAt = new Date(Number(token.slice(third + 1, fourth)) / 1e3)
    this.#token = token
    Object.freeze(this)
  }

  toString(): string {
    return this.#token
  }
}

/** Whatever names a lease: the lease, its compact string, a claimed task, or the context of a running handler. */
export type LeaseLike = Lease | string | { readonly lease: Lease }

/** @internal */
export function tokenOf(held: LeaseLike): string {
  if (typeof held === 'string') return held
  const lease = held instanceof Lease ? held : held?.lease
  if (lease instanceof Lease) return lease.toString()
  throw refused('input.invalid', `lease is ${JSON.stringify(held)}; allowed: a claimed task, its lease, or the lease's string`)
}
