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
  /** The same in microseconds, which a Date has not. */
  readonly #expires: number

  /** @internal */
  constructor(taskId: string, claimId: string, version: number, attempt: number, expires: number) {
    this.taskId = taskId
    this.claimId = claimId
    this.version = version
    this.attempt = attempt
    this.expiresAt = new Date(expires / 1e3)
    this.#expires = expires
    Object.freeze(this)
  }

  /** @internal */
  static of(token: string): Lease {
    const [claimId, version, attempt, expires, ...taskId] = token.split(':')
    return new Lease(taskId.join(':'), claimId!, Number(version), Number(attempt), Number(expires))
  }

  /** Its string, which every call takes in its place. */
  toJSON(): string {
    return this.toString()
  }

  /** As the core writes and reads it; of the parts only a task's id may have colons. */
  toString(): string {
    return `${this.claimId}:${this.version}:${this.attempt}:${this.#expires}:${this.taskId}`
  }
}

/** Whatever names a lease: the lease, its compact string, a claimed task, or the context of a running handler. */
export type LeaseLike = Lease | string | { readonly lease: Lease | string }

/** What `structuredClone` and a worker thread make of a lease. */
function isCopy(lease: any): lease is Lease {
  return typeof lease?.taskId === 'string' && typeof lease.claimId === 'string' && lease.expiresAt instanceof Date
    && Number.isInteger(lease.version) && Number.isInteger(lease.attempt)
}

/** @internal */
export function tokenOf(held: LeaseLike): string {
  if (typeof held === 'string') return held
  const lease: unknown = held instanceof Lease ? held : held?.lease
  if (typeof lease === 'string') return lease
  if (lease instanceof Lease) return lease.toString()
  if (isCopy(lease)) {
    const { taskId, claimId, version, attempt, expiresAt } = lease
    return new Lease(taskId, claimId, version, attempt, expiresAt.getTime() * 1e3).toString()
  }
  throw refused('input.invalid', `lease is ${JSON.stringify(held)}; allowed: a claimed task, its lease, or the lease's string`)
}
