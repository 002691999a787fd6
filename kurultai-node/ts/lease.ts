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
  constructor(raw: { taskId: string; claimId: string; version: number; attempt: number; expiresAt: number; token: string }) {
    this.taskId = raw.taskId
    this.claimId = raw.claimId
    this.version = raw.version
    this.attempt = raw.attempt
    this.expiresAt = new Date(raw.expiresAt)
    this.#token = raw.token
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
