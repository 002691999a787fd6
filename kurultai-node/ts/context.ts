// What a handler can ask and tell while it works, and how it says that it failed.

import { call } from './bridge'
import * as check from './check'
import { LeaseLostError } from './errors'
import { encode, encodeArgs } from './json'
import type { Kurultai } from './kurultai'
import { Lease } from './lease'
import type { NativeJobs } from './native'
import * as results from './results'
import type { Pulled } from './results'
import type { AgentMessage, Claimed, Enqueued, Extended, Prerequisite, TaskOptions, Unread, Usage, Waits } from './types'

const INCOMING: check.Fields = { types: check.texts, waitMs: check.ms }
const NO_MESSAGES: Unread = Object.freeze({ count: 0, urgent: 0 })

/** Why work on a job must stop. */
export type StopReason = 'lost' | 'cancelled' | 'suspended' | 'drained' | 'timeout' | 'stalled'

const meanings: Record<StopReason, string> = {
  lost: 'somebody else may have the task now: whatever is done from here on counts for nothing',
  cancelled: 'somebody cancelled the task',
  suspended: 'somebody suspended the task',
  drained: 'this worker ends, and its grace is over; the task has been released',
  timeout: 'the time of the handler is over; the attempt has failed',
  stalled: 'the handler showed no sign of life for too long; the attempt has failed',
}

/** The reason of `ctx.signal` where the work must stop. */
export class Stopped extends Error {
  override name = 'AbortError'
  /** `reason`: what the author of the cancellation gave, if anything. */
  constructor(readonly stop: StopReason, readonly reason: string | null = null) {
    super((meanings[stop] ?? stop) + (reason === null ? '' : `: ${reason}`))
  }
}

/**
 * What the contexts of one run share.
 * @internal
 */
export interface Shift {
  readonly team: Kurultai
  readonly agent: string
  readonly jobs: NativeJobs
  readonly draining: AbortSignal
}

/**
 * A claimed task at work. It can be given wherever a lease is asked for. Whatever a handler asks or tells it is a sign of
 * life, also that it looks at `signal` here; what it reads of its task, and a signal that it has kept, is none.
 */
export class Context<P = any> {
  readonly task: Claimed<P>
  readonly #fencingToken: number
  readonly #idempotencyKey: string
  readonly #jobs: NativeJobs
  readonly #job: number
  readonly #agent: string
  readonly #draining: AbortSignal
  readonly #signal: AbortSignal
  readonly #team: Kurultai
  #lease: Lease

  /** @internal */
  constructor(shift: Shift, signal: AbortSignal, pulled: Pulled) {
    this.#team = shift.team
    this.#agent = shift.agent
    this.#draining = shift.draining
    this.#signal = signal
    this.task = pulled.task
    this.#fencingToken = pulled.fencingToken
    this.#idempotencyKey = pulled.idempotencyKey
    this.#jobs = shift.jobs
    this.#job = pulled.job
    this.#lease = pulled.task.lease
  }

  /** Aborts when the work must stop; its reason is a `Stopped`, or a TimeoutError where the handler's time is over. */
  get signal(): AbortSignal {
    this.alive()
    return this.#signal
  }

  /** The team that the agent works for. */
  get team(): Kurultai {
    this.alive()
    return this.#team
  }

  /**
   * Says that the handler is alive, and nothing else: for work that neither notes progress nor stores checkpoints. Nothing
   * is sent for it, so it may be called as often as one likes. A handler that is silent for longer than `stallAfterMs`
   * counts as stuck.
   */
  alive(): void {
    this.#jobs.alive(this.#job)
  }

  /** The lease as it was last renewed. */
  get lease(): Lease {
    const renewed = this.#jobs.lease(this.#job)
    if (renewed !== null) this.#lease = Lease.of(renewed)
    return this.#lease
  }

  /**
   * Grows with each claim of the task: a system that refuses a smaller number than it has seen is safe from workers
   * that lost their lease and do not know it yet.
   */
  get fencingToken(): number {
    this.alive()
    return this.#fencingToken
  }

  /** The same for every attempt at this task and for no other task: for systems that do a thing once a key. */
  get idempotencyKey(): string {
    this.alive()
    return this.#idempotencyKey
  }

  /** 1 for the first try. */
  get attempt(): number {
    return this.task.attempt
  }

  /** The results of the tasks that this one waited for or is fed by. */
  get prerequisites(): readonly Prerequisite[] {
    return this.task.prerequisites
  }

  /** What the author of the cancellation gave as its reason, once `signal` has aborted for it. */
  get stopReason(): string | null {
    return this.signal.reason instanceof Stopped ? this.signal.reason.reason : null
  }

  /** Aborts when a drain begins, which is a grace before `signal` does. */
  get draining(): AbortSignal {
    this.alive()
    return this.#draining
  }

  /** The messages that waited for its agent when the lease was last renewed, at most 100 of them; none before. */
  get unread(): Unread {
    const unread = this.#jobs.unread(this.#job)
    return unread === null ? NO_MESSAGES : results.simple(unread)
  }

  /**
   * The messages for its agent in the middle of the task, urgent ones first: `for await (const message of ctx.messages())`.
   * `types`: only these; those for which the agent has handlers may go to these. `waitMs`: how long to wait for one where there
   * is none, default 0. Ends when none comes, or the work must stop. Each step is a sign of life.
   *
   * A message is acknowledged when the loop asks for the next one. The one at which the loop is left is not: it is delivered
   * again after a minute, and so is one that took longer than that. Errors: as `team.messages.inbox`.
   */
  async *messages(options: { types?: readonly string[]; waitMs?: number } = {}): AsyncGenerator<AgentMessage, void, undefined> {
    const args = encodeArgs(options, {}, INCOMING)
    const incoming: number = results.value(await call((id) => this.#jobs.messages(id, this.#job, args)))
    try {
      for (;;) {
        const message = results.maybeMessage(await call((id) => this.#jobs.nextIncoming(id, incoming)))
        if (message === null) return
        yield message
      }
    } finally {
      this.#jobs.forgetIncoming(incoming)
    }
  }

  /**
   * Enqueues a part of this task: its parent is this one, and unless it says otherwise it is delegated by this agent.
   * Errors as `team.tasks.enqueue`.
   */
  async enqueue(type: string, payload: unknown = null, options: TaskOptions & Waits = {}): Promise<Enqueued> {
    return this.team.tasks.enqueue(type, payload, { delegatedBy: this.#agent, ...options, parent: this.task.id })
  }

  /** Notes how far the work is, 0 to 1; a sign of life. Errors: `lease.lost`, `input.invalid`. */
  async progress(progress: number): Promise<Extended> {
    return results.extended(await call((id) => this.#jobs.progress(id, this.#job, progress)))
  }

  /** Stores where the next attempt can go on; it reads it from `task.checkpoint`. Errors: `lease.lost`, `input.payload`. */
  async checkpoint(checkpoint: unknown): Promise<Extended> {
    const args = encode(checkpoint, 'checkpoint')
    return results.extended(await call((id) => this.#jobs.checkpoint(id, this.#job, args)))
  }

  /**
   * What the work has cost so far; stored when the task is completed or failed. What is no usage (negative, not finite, no
   * number) is no reason to lose the work: it is dropped with a warning of the process.
   */
  async usage(usage: Partial<Usage>): Promise<void> {
    try {
      results.nothing(await call((id) => this.#jobs.usage(id, this.#job, encodeArgs(usage))))
    } catch (error) {
      if (error instanceof LeaseLostError) throw error
      process.emitWarning(`the usage of task ${this.task.id} is dropped: ${(error as Error).message}`)
    }
  }
}
