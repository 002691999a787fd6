// An agent as a program: handlers by task type and by message type. The core registers, beats, claims, renews, drains and releases.

import { call } from './bridge'
import * as check from './check'
import { Context, Stopped, type Shift, type StopReason } from './context'
import { InputError, KurultaiError, refused } from './errors'
import { Listeners, type AgentEvents, type AgentListener } from './heard'
import { encode, encodeArgs } from './json'
import { Kurultai, open } from './kurultai'
import { MessageContext } from './message_context'
import type { NativeJobs, NativeMessageJobs, Now } from './native'
import { RETRY } from './new_task'
import * as results from './results'
import type { Pulled, PulledMessage } from './results'
import { errorText, wishOf } from './thrown'
import type { AnyTasks, OnStall, OpenOptions, PayloadOf, ResultsOf, TypeOf } from './types'

export interface AgentOptions {
  /** The store, where none is given as `kurultai`. Default KURULTAI_URL. */
  url?: string
  /** How the store is opened. */
  open?: Omit<OpenOptions, 'signal'>
  /** An open team to work for; it stays open. */
  kurultai?: Kurultai<any>
  /** What it can do. Default: what the registry says of it already. */
  capabilities?: readonly string[]
  /** How many tasks this process works on at once, and as many messages beside them. Default 1. */
  concurrency?: number
  /** How many tasks it may hold in all its processes together. Default: what the registry says already. */
  maxConcurrent?: number
  /** A JSON object for its team. Default: what the registry says already. */
  metadata?: object
  displayName?: string
  role?: string
  aliases?: readonly string[]
  /** How long it keeps its tasks when it falls silent. Default 30,000; renewed three times as often. */
  leaseMs?: number
  /** How long one claim waits for work before the next is made. Default 10,000. */
  waitMs?: number
  /** How long running handlers may go on after a drain before they are stopped. Default 8,000. */
  graceMs?: number
  /** How often it says that its process runs. Default 30,000, or HEARTBEAT_INTERVAL in seconds. */
  heartbeatMs?: number
  /**
   * For how long a handler may show no sign of life of its own: progress, a checkpoint, usage, `ctx.alive()`, any other look at
   * its context. Until then the renewals of its lease count as signs that the agent works. Default 600,000; Infinity:
   * never.
   */
  stallAfterMs?: number
  /**
   * What becomes of an attempt that is silent for longer. `report`, the default: its lease is renewed, which is no sign of
   * work any more, so that `agents.health()` calls the agent stuck and says why; `agent.on('stalled', ...)` and the event
   * `agent.stuck` tell it. `release`: it has failed, `ctx.signal` aborts with `stalled`, and what comes later counts for
   * nothing.
   */
  onStall?: OnStall
  /** Whether SIGTERM and SIGINT drain it. Default true; a second signal ends the process. */
  signals?: boolean
}

const AGENT: check.Fields = {
  url: check.text, open: check.anything,
  kurultai: (value) => (value instanceof Kurultai ? undefined : { allowed: 'what `open` gave', type: true }),
  capabilities: check.texts, concurrency: check.count, maxConcurrent: check.count, metadata: check.anything, displayName: check.text, role: check.text,
  aliases: check.texts, leaseMs: check.ms, waitMs: check.ms, graceMs: check.ms, heartbeatMs: check.ms, stallAfterMs: check.msOfWork, onStall: check.onStall,
  signals: check.flag,
}

export interface TaskHandlerOptions {
  /**
   * After this time the attempt has failed, also where its handler blocks the thread or never ends: `ctx.signal` aborts,
   * and what comes later counts for nothing. More than 0; Infinity for none. Default none.
   */
  timeoutMs?: number
  /** How often this handler is tried again at most, whatever the task itself allows. Default: as the task says. */
  retries?: number
  /** Its own pauses between attempts, where the failure itself does not say. Default: as the task says. */
  retry?: { baseMs?: number; capMs?: number; jitter?: boolean }
  /** For how long it may show no sign of life. Default: as its agent. */
  stallAfterMs?: number
  /** What becomes of the attempt then. Default: as its agent. */
  onStall?: OnStall
}

const HANDLER: check.Fields = {
  timeoutMs: check.msOfWork, retries: check.count, retry: check.object(RETRY), stallAfterMs: check.msOfWork, onStall: check.onStall,
}

export interface MessageHandlerOptions {
  /** After this time `ctx.signal` aborts, and the message is delivered again. More than 0, at most 12 hours. Default 60,000. */
  timeoutMs?: number
  /** Its own pauses between deliveries. Default 5,000 ms, doubled up to 60,000, with jitter. */
  retry?: { baseMs?: number; capMs?: number; jitter?: boolean }
}

const MESSAGE_HANDLER: check.Fields = { timeoutMs: check.msOfHandler, retry: check.object(RETRY) }
const MESSAGE_TIMEOUT_MS = 60_000

/** JSON has no Infinity. */
const silence = (ms: number | undefined) => (ms === Infinity ? 'never' : ms)

/**
 * Returns the task's results. However it ends, the attempt is over and counted. An error fails it and is stored with its
 * stack and its causes; `Retry`, `Reject` and `Snooze` say more, also as the cause of another error or among those of an
 * AggregateError: the outermost counts. Results that cannot be stored send the task to the dead letters: the work is
 * done, and another attempt would return the same. When `ctx.signal` aborts, the task has been given back: what the
 * handler still does counts for nothing.
 */
export type Handler<P = any, R = unknown> = (payload: P, ctx: Context<P>) => R | Promise<R>

/**
 * Handles a message; who has sent it is verified: `ctx.message.sender`. When it returns, the message is acknowledged;
 * `ctx.reply()` answers it. After an error it is delivered again, five times in all, and then it has failed; `Reject` fails
 * it at once and for good, and its sender hears why by the event `message.failed`: what the `Reject` says itself, also where it
 * is the cause of another error; `Retry` and `Snooze` say when it is delivered again. A message is delivered at least once: a handler may see one again, as `ctx.message.delivery` tells.
 */
export type MessageHandler<B = any> = (body: B, ctx: MessageContext<B>) => unknown

export interface RunOptions {
  /** An abort drains: no new tasks, and running handlers may end within `graceMs`. */
  signal?: AbortSignal | null
}

/** How a run went. */
export interface Run {
  /** How many tasks and messages its handlers ended. */
  readonly handled: number
  /** How many had to be stopped and given back when the grace was over. */
  readonly stopped: number
}

interface Handling {
  handler: Handler
  options: TaskHandlerOptions
}

interface MessageHandling {
  handler: MessageHandler
  options: MessageHandlerOptions
}

/** How a handler ended. */
type Ended = { results: unknown } | { error: unknown }

const EVENTS: readonly (keyof AgentEvents)[] = ['failed', 'completed', 'snoozed', 'stalled', 'messageFailed', 'error']

/** So long after its end nobody but who blocks the thread is late. */
const DEAF_MS = 5000

export class Agent<M extends object = AnyTasks> {
  readonly id: string
  readonly #options: AgentOptions
  readonly #handlers = new Map<string, Handling>()
  readonly #messageHandlers = new Map<string, MessageHandling>()
  readonly #listeners = new Listeners()
  /** The runs at work. */
  readonly #runs = new Set<NativeJobs>()

  /** What cannot be is a TypeError or `input.invalid` that names the field, the value and what is allowed. */
  constructor(id: string, options: AgentOptions = {}) {
    check.checkOne('id', id, check.text)
    check.checkFields(options, AGENT)
    this.id = id
    this.#options = options
  }

  /** Handles a type of tasks; only types with a handler are claimed. Wrong options as of `new Agent`. */
  task<K extends TypeOf<M>>(type: K, handler: Handler<PayloadOf<M, K>, ResultsOf<M, K>>): this
  task<K extends TypeOf<M>>(type: K, options: TaskHandlerOptions, handler: Handler<PayloadOf<M, K>, ResultsOf<M, K>>): this
  task<P>(type: string extends keyof M ? string : never, handler: Handler<P>): this
  task<P>(type: string extends keyof M ? string : never, options: TaskHandlerOptions, handler: Handler<P>): this
  task(type: string, ...rest: [Handler] | [TaskHandlerOptions, Handler]): this {
    check.checkOne('type', type, check.text)
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
    check.checkFields(options, HANDLER)
    check.checkOne(`the handler of ${type}`, handler, check.callable)
    if (this.#handlers.has(type)) throw refused('input.invalid', `${type} has a handler already; one type has one`)
    this.#handlers.set(type, { handler, options })
    return this
  }

  /**
   * Handles a type of messages, beside tasks and as many at once, in places of their own. Long work is a task
   * (`ctx.enqueue`). While a handler runs nobody else is given its message: all messages of the agent are out of sight for the
   * longest time of its handlers and 10 s more, also where its process dies meanwhile. Wrong options as of `new Agent`.
   */
  onMessage<B = any>(type: string, handler: MessageHandler<B>): this
  onMessage<B = any>(type: string, options: MessageHandlerOptions, handler: MessageHandler<B>): this
  onMessage(type: string, ...rest: [MessageHandler] | [MessageHandlerOptions, MessageHandler]): this {
    check.checkOne('type', type, check.text)
    const [options, handler] = rest.length === 1 ? [{}, rest[0]] : rest
    check.checkFields(options, MESSAGE_HANDLER)
    check.checkOne(`the handler of ${type}`, handler, check.callable)
    if (this.#messageHandlers.has(type)) throw refused('input.invalid', `${type} has a handler already; one type has one`)
    this.#messageHandlers.set(type, { handler, options })
    return this
  }

  /**
   * Hears of each attempt that `failed`, `completed` or was `snoozed`, of each whose handler has `stalled` and is not let
   * go, of each `messageFailed`, and of each `error` beside the handlers. Where nobody listens, failures and stalls are a line on stderr and errors a
   * warning of the process.
   */
  on<E extends keyof AgentEvents>(event: E, listener: AgentListener<E>): this {
    return this.#listen(event, listener, false)
  }

  /** As `on`, for the next one only. */
  once<E extends keyof AgentEvents>(event: E, listener: AgentListener<E>): this {
    return this.#listen(event, listener, true)
  }

  /** Ends what `on` began. */
  off<E extends keyof AgentEvents>(event: E, listener: AgentListener<E>): this {
    this.#listeners.remove(event, listener)
    return this
  }

  #listen<E extends keyof AgentEvents>(event: E, listener: AgentListener<E>, once: boolean): this {
    if (!EVENTS.includes(event)) throw refused('input.invalid', `event is ${JSON.stringify(event)}; allowed: ${EVENTS.join(', ')}`)
    check.checkOne(`the listener of ${event}`, listener, check.callable)
    this.#listeners.add(event, listener, once)
    if (event === 'completed' || event === 'snoozed') for (const jobs of this.#runs) jobs.tellAll(true)
    return this
  }

  /**
   * Works until it is drained: by the signal, by SIGTERM or SIGINT, or since its store was closed. Errors: those of
   * `open`, `input.invalid`, and what no repetition mends, for example `store.full`.
   */
  async run(options: RunOptions = {}): Promise<Run> {
    const signal = check.signalOf(options)
    signal?.throwIfAborted()
    const { url, open: how, kurultai: given } = this.#options
    const kurultai = given ?? (await open(url, how))
    try {
      return await this.#work(kurultai, signal)
    } finally {
      if (!given) await kurultai.close()
    }
  }

  async #work(kurultai: Kurultai, signal: AbortSignal | null | undefined): Promise<Run> {
    const { url: _, open: __, kurultai: ___, signals = true, ...settings } = this.#options
    const jobs = kurultai.jobs()
    const stallAfterMs = silence(settings.stallAfterMs)
    const times = [...this.#messageHandlers.values()].map(({ options }) => options.timeoutMs ?? MESSAGE_TIMEOUT_MS)
    const args = encodeArgs({
      ...settings, stallAfterMs, agent: this.id, types: [...this.#handlers.keys()], messages: [...this.#messageHandlers.keys()],
      messageTimeoutMs: times.length === 0 ? undefined : Math.max(...times),
    })
    jobs.tellAll(this.#listeners.has('completed') || this.#listeners.has('snoozed'))
    results.nothing(await call((id) => jobs.start(id, args)))
    this.#runs.add(jobs)
    const ended = onDrain(jobs, signals, signal)
    const telling = this.#tell(jobs)
    const shift = { team: kurultai, agent: this.id, jobs, draining: draining(jobs) }
    const running = new Set<Promise<void>>()
    const run = { handled: 0, stopped: 0 }
    const begin = (handling: Promise<boolean>) => {
      const job: Promise<void> = handling.then((ended) => {
        running.delete(job)
        if (ended) run.handled += 1
      })
      running.add(job)
    }
    const tasks = async () => {
      for (;;) {
        const pulled = results.pulled(await call((id) => jobs.next(id)))
        if (pulled === null) return
        begin(this.#handle(shift, pulled))
      }
    }
    const messages = async () => {
      const messageJobs = jobs.messageJobs()
      for (;;) {
        const pulled = results.pulledMessage(await call((id) => messageJobs.next(id)))
        if (pulled === null) return
        begin(this.#handleMessage(shift, messageJobs, pulled))
      }
    }
    try {
      await Promise.all([tasks(), messages()])
    } finally {
      // Also after an error: what runs may end, what does not is released.
      run.stopped = results.value(await call((id) => jobs.finished(id)))
      await Promise.all(running)
      jobs.hush()
      await telling
      this.#runs.delete(jobs)
      ended()
    }
    return Object.freeze(run)
  }

  /** Until the run is over. */
  async #tell(jobs: NativeJobs): Promise<void> {
    for (;;) {
      const told = results.reports(await call((id) => jobs.reports(id)))
      if (told === null) return
      for (const { event, ...report } of told) this.#listeners.tell(event, Object.freeze(report))
    }
  }

  /** Whether the attempt ended; otherwise the handler was stopped. */
  async #handle(shift: Shift, pulled: Pulled): Promise<boolean> {
    const { handler, options } = this.#handlers.get(pulled.task.type)!
    const { job } = pulled
    const { jobs } = shift
    const stop = new AbortController()
    const over = new AbortController()
    try {
      const ctx = new Context(shift, stop.signal, pulled)
      const { timeoutMs, retries, retry, stallAfterMs, onStall } = options
      const timeout = timeoutMs === Infinity ? undefined : timeoutMs
      jobs.limit(job, encodeArgs({ timeoutMs: timeout, retries, retry, stallAfterMs: silence(stallAfterMs), onStall }))
      // Its own time, or that of the task, whichever is over first.
      const timeMs = Math.min(timeout ?? Infinity, pulled.task.maxRuntimeMs ?? Infinity)
      const stopping = stopped((id) => jobs.stopped(id, job), timeMs, `task ${pulled.task.id}`, stop, over.signal)
      const ended = await Promise.race([work(() => handler(ctx.task.payload, ctx)), stopping])
      if (typeof ended === 'object') {
        await end(jobs, job, ended)
        return true
      }
      // Lost and drained jobs are not ours any more.
      if (ended === 'cancelled' || ended === 'suspended') results.nothing(await call((id) => jobs.release(id, job)))
      return ended === 'timeout' || ended === 'stalled'
    } catch (error) {
      // A lost lease is nobody's fault, the task is in good hands, and the core has told of it.
      if (!(error instanceof KurultaiError && error.kind === 'lease_lost')) this.#listeners.tell('error', error as Error)
      return false
    } finally {
      over.abort()
      jobs.forget(job)
    }
  }

  /** The same for a message. */
  async #handleMessage(shift: Shift, jobs: NativeMessageJobs, pulled: PulledMessage): Promise<boolean> {
    const { handler, options } = this.#messageHandlers.get(pulled.message.type)!
    const { job } = pulled
    const stop = new AbortController()
    const over = new AbortController()
    try {
      const ctx = new MessageContext(shift, jobs, stop.signal, pulled)
      jobs.begin(job, encodeArgs(options))
      const timeMs = options.timeoutMs ?? MESSAGE_TIMEOUT_MS
      const stopping = stopped((id) => jobs.stopped(id, job), timeMs, `message ${pulled.message.id}`, stop, over.signal)
      const ended = await Promise.race([work(() => handler(ctx.message.body, ctx)), stopping])
      // A message whose handler was stopped has been given back.
      if (typeof ended !== 'object') return ended === 'timeout'
      const args = 'error' in ended ? raised(ended.error) : null
      results.nothing(await call((id) => (args === null ? jobs.returned(id, job) : jobs.raised(id, job, args))))
      return true
    } catch (error) {
      if (!(error instanceof KurultaiError && error.kind === 'lease_lost')) this.#listeners.tell('error', error as Error)
      return false
    } finally {
      over.abort()
      jobs.forget(job)
    }
  }
}

/** Drains on an abort and on the signals of the system; returns what ends that. A second signal ends the process. */
function onDrain(jobs: NativeJobs, signals: boolean, signal: AbortSignal | null | undefined): () => void {
  const drain = () => jobs.drain()
  const names = signals ? (['SIGTERM', 'SIGINT'] as const) : []
  const deaf = () => names.forEach((name) => process.off(name, asked))
  const asked = () => {
    deaf()
    drain()
  }
  for (const name of names) process.on(name, asked)
  signal?.addEventListener('abort', drain, { once: true })
  if (signal?.aborted) drain()
  return () => {
    deaf()
    signal?.removeEventListener('abort', drain)
  }
}

/** Aborts when the run begins to drain, as every run does in the end. */
function draining(jobs: NativeJobs): AbortSignal {
  const told = new AbortController()
  void Promise.resolve(call((id) => jobs.draining(id))).then(() => told.abort())
  return told.signal
}

async function work(handler: () => unknown): Promise<Ended> {
  try {
    return { results: await handler() }
  } catch (error) {
    return { error }
  }
}

/** Why the handler must stop, once it must; it is told before. */
async function stopped(
  wait: (call: number) => Now, timeMs: number, what: string, stop: AbortController, over: AbortSignal,
): Promise<StopReason> {
  const begun = performance.now()
  const waiting = Promise.resolve(call(wait, over))
  const outcome = await waiting.catch(() => null)
  if (outcome === null) return new Promise(() => {}) // the handler has ended
  const { why, reason }: { why: StopReason; reason: string | null } = results.value(outcome)
  const timedOut = () => new DOMException(`timed out after ${timeMs} ms`, 'TimeoutError')
  stop.abort(why === 'timeout' ? timedOut() : new Stopped(why, reason))
  if (why === 'timeout' && performance.now() - begun > timeMs + DEAF_MS) {
    process.emitWarning(`a handler has blocked the thread beyond its time, in which nothing else ran (${what})`)
  }
  return why
}

/** What it means that a handler threw is for the core to say. */
function raised(error: unknown): string {
  const { wish, afterMs, why } = wishOf(error)
  // What is no finite number counts as left out, and JSON has none.
  const after = Number.isFinite(afterMs) ? afterMs : undefined
  return encodeArgs({ error: errorText(error), wish, afterMs: after, why })
}

/** Says how the handler ended; the core decides what that means. */
async function end(jobs: NativeJobs, job: number, ended: Ended): Promise<void> {
  if ('error' in ended) {
    const args = raised(ended.error)
    return results.nothing(await call((id) => jobs.raised(id, job, args)))
  }
  let text: string
  try {
    text = encode(ended.results ?? null, 'results')
  } catch (error) {
    const why = error instanceof InputError ? error.message.toWellFormed() : `results cannot be written: ${errorText(error)}`
    return results.nothing(await call((id) => jobs.unstorable(id, job, why)))
  }
  return results.nothing(await call((id) => jobs.returned(id, job, text)))
}
