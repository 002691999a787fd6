// An agent as a program: handlers by task type. The core registers, beats, claims, renews, drains and releases.

import { call } from './bridge'
import { Context, Reject, Retry, Stopped, type Pulled, type StopReason } from './context'
import { KurultaiError, refused } from './errors'
import { encode, encodeArgs } from './json'
import { Kurultai, open } from './kurultai'
import type { NativeJobs } from './native'
import * as results from './results'
import { encodeFailure } from './tasks'
import type { FailOptions, OpenOptions } from './types'

export interface AgentOptions {
  /** The store, where none is given as `kurultai`. Default KURULTAI_URL. */
  url?: string
  /** How the store is opened. */
  open?: Omit<OpenOptions, 'signal'>
  /** An open team to work for; it stays open. */
  kurultai?: Kurultai
  /** What it can do. Default: what the registry says of it already. */
  capabilities?: readonly string[]
  /** How many tasks this process works on at once. Default 1. */
  concurrency?: number
  /** How many tasks it may hold in all its processes together. Default: what the registry says already. */
  maxConcurrent?: number
  displayName?: string
  role?: string
  aliases?: readonly string[]
  /** How long a silent worker keeps its tasks. Default 30,000; renewed three times as often. */
  leaseMs?: number
  /** How long one claim waits for work before the next is made. Default 10,000. */
  waitMs?: number
  /** How long running handlers may go on after a drain before they are stopped. Default 8,000. */
  graceMs?: number
  /** How often it says that its process runs. Default 30,000, or HEARTBEAT_INTERVAL in seconds. */
  heartbeatMs?: number
  /** Whether SIGTERM and SIGINT drain it. Default true; a second signal ends the process. */
  signals?: boolean
}

export interface TaskHandlerOptions {
  /** After this time the attempt has failed and `ctx.signal` aborts. Default none. */
  timeoutMs?: number
  /** How often this handler is tried again at most, whatever the task itself allows. Default: as the task says. */
  retries?: number
}

/**
 * Returns the task's results. An error fails the attempt and is stored with its stack; `Retry` and `Reject` say more.
 * When `ctx.signal` aborts, the task has been given back: what the handler still does counts for nothing.
 */
export type Handler<P = any> = (payload: P, ctx: Context<P>) => unknown

export interface RunOptions {
  /** An abort drains: no new tasks, and running handlers may end within `graceMs`. */
  signal?: AbortSignal | null
}

/** How a run went. */
export interface Run {
  /** How many tasks its handlers ended. */
  readonly handled: number
  /** How many tasks had to be stopped and released when the grace was over. */
  readonly stopped: number
}

interface Handling {
  handler: Handler
  options: TaskHandlerOptions
}

/** How work on a job ended. */
type Ending = { results: unknown } | { error: unknown } | { stop: StopReason }

export class Agent {
  readonly id: string
  readonly #options: AgentOptions
  readonly #handlers = new Map<string, Handling>()

  constructor(id: string, options: AgentOptions = {}) {
    this.id = id
    this.#options = options
  }

  /** Handles a type of tasks; only types with a handler are claimed. */
  task<P = any>(type: string, handler: Handler<P>): this
  task<P = any>(type: string, options: TaskHandlerOptions, handler: Handler<P>): this
  task(type: string, ...rest: [Handler] | [TaskHandlerOptions, Handler]): this {
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
    if (typeof handler !== 'function') throw refused('input.invalid', `the handler of ${type} is no function`)
    if (this.#handlers.has(type)) throw refused('input.invalid', `${type} has a handler already; one type has one`)
    this.#handlers.set(type, { handler, options })
    return this
  }

  /**
   * Works until it is drained: by the signal, or by SIGTERM or SIGINT. Errors: those of `open`, `input.invalid`, and
   * what no repetition mends, for example `store.full`.
   */
  async run(options: RunOptions = {}): Promise<Run> {
    options.signal?.throwIfAborted()
    const { url, open: how, kurultai: given } = this.#options
    const kurultai = given ?? (await open(url, how))
    try {
      return await this.#work(kurultai, options.signal)
    } finally {
      if (!given) await kurultai.close()
    }
  }

  async #work(kurultai: Kurultai, signal: AbortSignal | null | undefined): Promise<Run> {
    const { url: _, open: __, kurultai: ___, signals = true, ...settings } = this.#options
    const jobs = kurultai.jobs()
    const args = encodeArgs({ ...settings, agent: this.id, types: [...this.#handlers.keys()] })
    results.nothing(await call((id) => jobs.start(id, args)))
    const ended = onDrain(jobs, signals, signal)
    const running = new Set<Promise<void>>()
    const run = { handled: 0, stopped: 0 }
    try {
      for (;;) {
        const pulled = results.pulled(await call((id) => jobs.next(id)))
        if (pulled === null) break
        const job: Promise<void> = this.#handle(kurultai, jobs, pulled).then((ended) => {
          running.delete(job)
          if (ended) run.handled += 1
        })
        running.add(job)
      }
    } finally {
      // Also after an error: what runs may end, what does not is released.
      run.stopped = results.value(await call((id) => jobs.finished(id)))
      await Promise.all(running)
      ended()
    }
    return Object.freeze(run)
  }

  async #handle(kurultai: Kurultai, jobs: NativeJobs, pulled: Pulled): Promise<boolean> {
    const { handler, options } = this.#handlers.get(pulled.task.type)!
    const stop = new AbortController()
    const over = new AbortController()
    const ctx = new Context(kurultai, jobs, stop.signal, pulled)
    try {
      const ending = await Promise.race([
        work(handler, ctx),
        stopped(jobs, pulled.job, stop, over.signal),
        timedOut(options.timeoutMs, stop, over.signal),
      ])
      return await end(jobs, pulled, options, ending)
    } catch (error) {
      // A lost lease is nobody's fault, and the task is in good hands.
      if (!(error instanceof KurultaiError && error.kind === 'lease_lost')) process.emitWarning(error as Error)
      return false
    } finally {
      over.abort()
      jobs.forget(pulled.job)
    }
  }
}

/** Drains on an abort and on the signals of the system; returns what ends that. */
function onDrain(jobs: NativeJobs, signals: boolean, signal: AbortSignal | null | undefined): () => void {
  const drain = () => jobs.drain()
  const names = signals ? (['SIGTERM', 'SIGINT'] as const) : []
  for (const name of names) process.once(name, drain)
  signal?.addEventListener('abort', drain, { once: true })
  if (signal?.aborted) drain()
  return () => {
    for (const name of names) process.off(name, drain)
    signal?.removeEventListener('abort', drain)
  }
}

async function work(handler: Handler, ctx: Context): Promise<Ending> {
  try {
    return { results: await handler(ctx.task.payload, ctx) }
  } catch (error) {
    return { error }
  }
}

async function stopped(jobs: NativeJobs, job: number, stop: AbortController, over: AbortSignal): Promise<Ending> {
  try {
    const reason: StopReason = results.value(await call((id) => jobs.stopped(id, job), over))
    stop.abort(new Stopped(reason))
    return { stop: reason }
  } catch (error) {
    return { error }
  }
}

function timedOut(ms: number | undefined, stop: AbortController, over: AbortSignal): Promise<Ending> {
  return new Promise((resolve) => {
    if (ms === undefined) return
    const timer = setTimeout(() => {
      const error = new DOMException(`timed out after ${ms} ms`, 'TimeoutError')
      stop.abort(error)
      resolve({ error })
    }, ms)
    over.addEventListener('abort', () => clearTimeout(timer))
  })
}

/** Whether the handler ended the task; otherwise it was stopped. */
async function end(jobs: NativeJobs, { job, task }: Pulled, options: TaskHandlerOptions, ending: Ending): Promise<boolean> {
  if ('stop' in ending) {
    // Lost and drained jobs are not ours any more.
    if (ending.stop === 'cancelled' || ending.stop === 'suspended') results.nothing(await call((id) => jobs.release(id, job)))
    return false
  }
  if ('results' in ending) {
    try {
      const args = `[${encode(ending.results ?? null, 'results')},null]`
      results.nothing(await call((id) => jobs.complete(id, job, args)))
      return true
    } catch (error) {
      // Results that cannot be stored are the handler's failure too.
      if (!(error instanceof KurultaiError && error.kind === 'input')) throw error
      ending = { error }
    }
  }
  const tried = options.retries !== undefined && task.attempt > options.retries
  results.nothing(await call((id) => jobs.fail(id, job, encodeFailure(failureOf(ending.error, tried)))))
  return true
}

/** What an error means for the task; a `Retry` or `Reject` may be the cause of another error. */
function failureOf(error: unknown, tried: boolean): { error: string | Error } & FailOptions {
  let retryable = !tried
  let retryAfterMs: number | undefined
  for (let cause: unknown = error, depth = 0; cause instanceof Error && depth < 64; cause = cause.cause, depth++) {
    if (cause instanceof Reject) retryable = false
    if (cause instanceof Retry) retryAfterMs ??= cause.afterMs
  }
  return { error: error instanceof Error ? error : String(error), retryable, retryAfterMs }
}
