// What must be done: `k.tasks`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { refused } from './errors'
import { encode, encodeArgs, quick } from './json'
import { tokenOf, type LeaseLike } from './lease'
import type { NativeTasks, Outcome } from './native'
import { CALL, encodeDependency, encodeTask, encodeTasks, idOf, time, type NewTaskLike } from './new_task'
import { Pages } from './pages'
import * as results from './results'
import { errorText } from './thrown'
import type {
  AnyTasks, Claimed, ClaimOptions, Dependency, Each, Enqueued, Explanation, Extended, FailOptions, Filter, Finish,
  Finished, Matching, Page, PayloadOf, PriorityWord, Renewal, ResultsOf, Stats, Status, StreamOptions, Task, TaskLike,
  TaskOptions, TaskUpdate, TypeOf, Under, Usage, Waits,
} from './types'

const CLAIM: check.Fields = {
  max: check.count, types: check.texts, leaseMs: check.ms, waitMs: check.ms, signal: check.anything,
}
const RENEWAL: check.Fields = { leaseMs: check.ms, progress: check.finite, checkpoint: check.anything }
const WAIT: check.Fields = { timeoutMs: check.msOrEver, signal: check.anything }
const FILTER: check.Fields = {
  status: check.text, type: check.text, assignedTo: check.text, claimedBy: check.text, parent: check.taskLike,
  cursor: check.text, limit: check.count, signal: check.anything,
}
const { cursor: _cursor, limit: _limit, ...MATCHING } = FILTER
const CANCEL: check.Fields = { reason: check.text, children: check.flag, signal: check.anything }
const UPDATE: check.Fields = {
  title: check.text, description: check.text, payload: check.anything, priority: check.text,
  priorityWeight: check.finite, runAt: check.date, expiresAt: check.date, assignedTo: check.text,
}
const FAILURE: check.Fields = { retryable: check.flag, retryAfterMs: check.ms }
const USAGE: check.Fields = { tokens: check.count, cost: check.finite, seconds: check.finite }

function textOf(name: string, value: string): string {
  check.checkOne(name, value, check.text)
  return value
}

/** The queue of one team. */
export class Tasks<M extends object = AnyTasks> {
  readonly #native: NativeTasks

  /** @internal */
  constructor(native: NativeTasks) {
    this.#native = native
  }

  #call(
    operation: Exclude<keyof NativeTasks, 'under'>, args: string, signal?: AbortSignal | null, native = this.#native,
  ): Outcome | Promise<Outcome> {
    return call((id) => native[operation](id, args), signal)
  }

  #under(held: Under['under']): NativeTasks {
    if (held == null) return this.#native
    check.checkOne('under', held, check.under)
    return this.#native.under(held.role, held.term)
  }

  /**
   * Adds a task. A task whose id or unique key is there already is not added again: its id is the answer, marked
   * `deduplicated`; with another type or payload it is `task.conflict`.
   *
   * Errors: `input.invalid`, `input.payload`, `task.dependency_unknown`, `task.dependency_cycle`, `task.not_found`
   * (the parent), `task.conflict`, `task.too_deep` (more tasks above it than `maxDepth`), `task.delegation_cycle` (it
   * would go back to who gave it on). After `store.outcome_unknown` repeat it with the same `id` or `uniqueKey`. An aborted
   * call may still have added the task.
   */
  async enqueue<K extends TypeOf<M>>(
    type: K, payload: PayloadOf<M, K> | null = null, options: TaskOptions & Under & Waits = {},
  ): Promise<Enqueued> {
    if (check.given(options).under != null) {
      const { under, ...rest } = options
      return results.simple(await this.#call('enqueue', encodeTask(type, payload, rest), check.signalOf(rest), this.#under(under)))
    }
    return results.simple(await this.#call('enqueue', encodeTask(type, payload, options), check.signalOf(options)))
  }

  /** Adds all or none. Tasks may depend on each other, in any order. Errors as `enqueue`. */
  async enqueueMany(tasks: readonly NewTaskLike[], options: Under & Waits = {}): Promise<readonly Enqueued[]> {
    return results.simpleList(await this.#call('enqueueMany', encodeTasks(tasks), check.signalOf(options), this.#under(check.given(options).under)))
  }

  /**
   * Takes at most `max` tasks for an agent, the most urgent first. Where there is none it waits up to `waitMs` and
   * returns as soon as work arrives; an empty list is no error. What an aborted claim was given is released.
   *
   * Errors: `agent.not_found`, `input.invalid`.
   */
  async claim(agent: string, options: ClaimOptions = {}): Promise<readonly Claimed[]> {
    return results.claimedList(await this.#call('claim', encodeArgs(options, { agent: textOf('agent', agent) }, CLAIM), check.signalOf(options)))
  }

  /**
   * Claimed tasks, one after another, for as long as you take them: `for await (const task of k.tasks.stream('jochi'))`.
   * Finish each before you take the next, or renew its lease. Those of a batch that are not reached are released. It goes
   * on through an outage of the store. `return()`, or the end of the loop, ends it at once; an abort ends it with the
   * signal's reason. Errors as `claim`.
   */
  stream(agent: string, options: StreamOptions = {}): AsyncGenerator<Claimed, void, undefined> {
    const { batch = 1, waitMs = 30_000, ...rest } = check.given(options)
    const signal = check.signalOf(options)
    const pull = async (signal: AbortSignal) => {
      const args = encodeArgs({ ...rest, waitMs, max: batch, persistent: true }, { agent })
      return results.claimedList(await this.#call('claim', args, signal))
    }
    return new Pages(pull, signal, async (left) => {
      if (left.length > 0) await this.finishMany(left.map((task) => ({ task, outcome: 'release' })))
    })
  }

  /**
   * Ends a task well and stores its results. A repetition with the same lease gets the same answer, marked
   * `repeated`. A parent whose children are not done becomes `blocked` and completes when they do.
   *
   * Errors: `lease.lost` (nothing was stored), `input.payload`. After `store.outcome_unknown` repeat it.
   */
  complete(task: LeaseLike, value: unknown = null, options: { usage?: Partial<Usage> } & Waits = {}): Promise<Finished> {
    return this.finish({ task, outcome: 'complete', results: value, usage: options?.usage }, options)
  }

  /**
   * Ends an attempt badly: the task is tried again after a back-off, or goes to the dead letters when its attempts
   * are used up or the failure is not retryable. An Error is stored with its stack and its causes; over 16 KiB a text
   * keeps its end.
   * Errors as `complete`.
   */
  fail(task: LeaseLike, error: string | Error, options: FailOptions & Waits = {}): Promise<Finished> {
    const { signal: _, ...rest } = options ?? {}
    return this.finish({ task, outcome: 'fail', error, ...rest }, options)
  }

  /** Gives a task back at once; the attempt does not count. Errors as `complete`. */
  release(task: LeaseLike, options: Waits = {}): Promise<Finished> {
    return this.finish({ task, outcome: 'release' }, options)
  }

  /**
   * Puts a task off: it goes back to the queue, to be claimed after this time. No attempt is counted, but one of its
   * snoozes: after `maxSnoozes` (100) it fails instead. It may expire meanwhile. Errors as `complete`, and `input.invalid` beyond ten years.
   */
  snooze(task: LeaseLike, afterMs: number, options: Waits = {}): Promise<Finished> {
    return this.finish({ task, outcome: 'snooze', afterMs }, options)
  }

  /** Ends one attempt in any way. Errors as `complete`. */
  async finish(finish: Finish, options: Waits = {}): Promise<Finished> {
    return results.finished(await this.#call('finish', encodeFinish(finish), check.signalOf(options)))
  }

  /**
   * Ends many attempts in one transaction. Each has its own answer: the result, or the error of this one. Fails
   * whole, before anything is stored, with `input.invalid` or `input.payload`.
   */
  async finishMany(finishes: readonly Finish[], options: Waits = {}): Promise<readonly Each<Finished>[]> {
    return results.finishedList(await this.#call('finishMany', encodeFinishes(finishes), check.signalOf(options)))
  }

  /** Completes many in one transaction: `completeMany(claimed.map((task) => [task, { ok: true }]))`. */
  completeMany(tasks: readonly (readonly [LeaseLike, unknown])[], options: Waits = {}): Promise<readonly Each<Finished>[]> {
    return this.finishMany(tasks.map(([task, results]) => ({ task, outcome: 'complete', results })), options)
  }

  /**
   * Lets the lease last at least `leaseMs` from now and says what the holder should do: go on, or stop because the
   * task was cancelled or suspended. Errors: `lease.lost`, `input.invalid`.
   */
  extend(task: LeaseLike, leaseMs = 30_000, options: Waits = {}): Promise<Extended> {
    return this.renew(task, { leaseMs }, options)
  }

  /** Notes how far the work is, 0 to 1; a sign of life. Errors and answer as `extend`. */
  progress(task: LeaseLike, progress: number, options: Waits = {}): Promise<Extended> {
    return this.renew(task, { progress }, options)
  }

  /** Stores where the next attempt can go on; a sign of life. Errors and answer as `extend`. */
  checkpoint(task: LeaseLike, checkpoint: unknown, options: Waits = {}): Promise<Extended> {
    return this.renew(task, { checkpoint }, options)
  }

  /** `extend`, `progress` and `checkpoint` in one. */
  async renew(task: LeaseLike, renewal: Renewal, options: Waits = {}): Promise<Extended> {
    const { leaseMs: ttlMs, checkpoint, ...rest } = renewal
    check.checkFields(renewal, RENEWAL)
    const fields = encodeArgs({ ...rest, ttlMs, lease: tokenOf(task) })
    const stored = checkpoint === undefined ? '' : `,"checkpoint":${encode(checkpoint, 'checkpoint')}`
    return results.extended(await this.#call('renew', `${fields.slice(0, -1)}${stored}}`, check.signalOf(options)))
  }

  /**
   * Cancels a task: at once where nobody holds it; otherwise its holder learns it at its next `extend`. Its children
   * stay; with `children` everything below it is cancelled as well, and what is finished is passed over, be it the task
   * itself. Returns the task's status. Errors: `task.not_found`, `task.state` where it is finished. After an abort a
   * repetition goes on where the call was.
   */
  async cancel(task: TaskLike, options: { reason?: string; children?: boolean } & Waits = {}): Promise<Status> {
    const args = encodeArgs(options, { id: idOf(task) }, CANCEL)
    return results.simple(await this.#call('cancel', args, check.signalOf(options)))
  }

  /**
   * Cancels all tasks that match, as `cancel` does each, 200 at a time; what is finished is passed over. Returns how many
   * it cancelled or asked their holders to stop. Errors: `input.invalid` where no field is given. What was done before
   * an error stays so; after an abort a repetition goes on where the call was.
   */
  async cancelMany(filter: Matching, options: { reason?: string } & Waits = {}): Promise<number> {
    const { reason } = check.given(options)
    const said = reason === undefined || reason === null ? 'null' : encode(textOf('reason', reason), 'reason')
    const args = `{"filter":${encodeFilter(filter, MATCHING)},"reason":${said}}`
    return results.simple(await this.#call('cancelMany', args, check.signalOf(options) ?? check.signalOf(filter)))
  }

  /**
   * Changes what is given of a task that nobody holds, and answers with the task as it is then. It keeps its age in the
   * order; a rank that something more urgent waits for stays, and what it waits for rises with it. With a time-out and a
   * new `runAt` the time-out counts anew; `expiresAt` ends it. An enqueue under its unique key compares with the new
   * payload.
   *
   * Errors: `input.invalid`, `input.payload`, `task.not_found`, `task.state` where it is held or finished,
   * `task.delegation_cycle` where `assignedTo` would give it back to who gave it on. After `store.outcome_unknown` repeat it. An aborted call may still have changed the task.
   */
  async update(task: TaskLike, changes: TaskUpdate, options: Waits = {}): Promise<Task> {
    check.checkFields(changes, UPDATE)
    const { payload, ...rest } = changes
    const times = { runAt: time(rest.runAt), expiresAt: time(rest.expiresAt) }
    const fields = encodeArgs(rest, { ...times, id: idOf(task) })
    const stored = payload === undefined ? '' : `,"payload":${encode(payload)}`
    return results.task(await this.#call('update', `${fields.slice(0, -1)}${stored}}`, check.signalOf(options)))
  }

  /** Changes how urgent a task is: `priority`, `weight` (0 to 1) or both. Answer and errors as `update`. */
  async reprioritize(task: TaskLike, to: { priority?: PriorityWord; weight?: number }, options: Waits = {}): Promise<Task> {
    const args = encodeArgs(to, { id: idOf(task) }, { priority: check.text, weight: check.finite })
    return results.task(await this.#call('reprioritize', args, check.signalOf(options)))
  }

  /** Gives a task to one agent, or with null to anybody; `by` is who decided it. Answer and errors as `update`. */
  async assign(task: TaskLike, agent: string | null, options: { by?: string } & Under & Waits = {}): Promise<Task> {
    const to = agent === null ? null : textOf('agent', agent)
    const { under, ...rest } = check.given(options)
    const args = encodeArgs(rest, { id: idOf(task), agent: to }, { by: check.text, signal: check.anything })
    return results.task(await this.#call('assign', args, check.signalOf(options), this.#under(under)))
  }

  /**
   * Takes a task out of the queue until `resume`; its holder learns it at its next `extend`.
   * Errors: `task.not_found`, `task.state`.
   */
  async suspend(task: TaskLike, options: Waits = {}): Promise<Status> {
    return results.simple(await this.#call('suspend', encodeId(task), check.signalOf(options)))
  }

  /** Puts a suspended task back into the queue. Errors: `task.not_found`, `task.state`. */
  async resume(task: TaskLike, options: Waits = {}): Promise<Status> {
    return results.simple(await this.#call('resume', encodeId(task), check.signalOf(options)))
  }

  /**
   * Gives a dead, cancelled or expired task fresh attempts; its errors and its fencing version stay.
   * Errors: `task.not_found`, `task.state`, `task.conflict` where a later task has taken its unique key.
   */
  async requeue(task: TaskLike, options: Waits = {}): Promise<Status> {
    return results.simple(await this.#call('requeue', encodeId(task), check.signalOf(options)))
  }

  /**
   * Requeues all tasks that match, 200 at a time; what cannot be requeued is passed over. Returns how many it was. Errors
   * as `cancelMany`.
   */
  async requeueMany(filter: Matching): Promise<number> {
    return results.simple(await this.#call('requeueMany', encodeFilter(filter, MATCHING), check.signalOf(filter)))
  }

  /** Gives up a dead letter: it becomes `cancelled`. Errors: `task.not_found`, `task.state`. */
  async discard(task: TaskLike, options: Waits = {}): Promise<Status> {
    return results.simple(await this.#call('discard', encodeId(task), check.signalOf(options)))
  }

  /**
   * Stops giving out a task type, or with null every task. Holders see it at their next `extend` and go on; who wants
   * them to stop as well calls `stopAll`.
   */
  async pause(type: string | null = null, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('pause', encodeType(type), check.signalOf(options)))
  }

  /** Ends a pause of the same type; that of everything ends a stop too, as `startAll` does. */
  async unpause(type: string | null = null, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('unpause', encodeType(type), check.signalOf(options)))
  }

  /**
   * The emergency stop: from now on nothing is given out, and every holder is asked to cancel. What is held ends
   * `cancelled` when its holder gives it back or fails, or when its lease runs out; what is completed before the holder
   * has heard of it stays completed. An agent's handlers hear of it within a second or two, with the reason (1 to 1,000
   * characters); other holders when they renew their lease. Returns how many holders it has asked; those that were asked
   * before are not asked again, and a stop that is there already keeps its reason. Events: `tasks.stopped`, and
   * `task.cancel_requested` for each task. Errors: `input.invalid`. Aborting it may leave holders unasked: repeat it.
   */
  async stopAll(reason: string, options: Waits = {}): Promise<number> {
    return results.simple(await this.#call('stopAll', encode(textOf('reason', reason), 'reason'), check.signalOf(options)))
  }

  /**
   * Gives out tasks again after `stopAll`, or after a pause of everything; types that are paused by themselves stay so.
   * What was cancelled stays cancelled: `requeueMany` brings it back. Event: `tasks.started`, where there was a stop.
   */
  async startAll(options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('startAll', 'null', check.signalOf(options)))
  }

  /**
   * Lets a task that is there already wait for another, or be fed by it. Errors: `task.not_found`,
   * `task.dependency_unknown`, `task.dependency_cycle` naming the cycle, `task.state` where the dependent is held or
   * finished.
   */
  async addDependency(dependent: TaskLike, on: TaskLike | Dependency, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('addDependency', encodeArgs({ dependent: idOf(dependent), on: encodeDependency(on) }), check.signalOf(options)))
  }

  /**
   * Waits until a task is completed, at most `timeoutMs` (default 10,000; Infinity: without end), and returns it. However many wait, a process reads
   * the log once; an outage of the store does not end a wait before its time. Errors: `task.failed` where it ended
   * otherwise, with the stored error as the cause; `task.timeout` (nothing is cancelled, wait again), both with `taskId`; `task.not_found`.
   */
  async waitFor(task: TaskLike, options: { timeoutMs?: number } & Waits = {}): Promise<Task> {
    check.checkFields(options, WAIT)
    const { timeoutMs = 10_000 } = options
    const signal = check.signalOf(options)
    return results.task(await this.#call('waitFor', encodeArgs({ task: idOf(task), timeoutMs: timeoutMs === Infinity ? undefined : timeoutMs }), signal))
  }

  /**
   * Enqueues a task, waits for its end at most `timeoutMs` (default 30,000), and returns its results. Errors as `enqueue` and
   * `waitFor`; the task stays.
   */
  async call<K extends TypeOf<M>>(
    type: K, payload: PayloadOf<M, K> | null = null, options: TaskOptions & { timeoutMs?: number } & Waits = {},
  ): Promise<ResultsOf<M, K>> {
    check.checkFields(options, CALL)
    const { timeoutMs = 30_000, ...rest } = options
    const { id } = await this.enqueue(type, payload, rest)
    return (await this.waitFor(id, { timeoutMs, signal: check.signalOf(rest) })).results
  }

  /** Errors: `task.not_found`. */
  async get(task: TaskLike, options: Waits = {}): Promise<Task> {
    return results.task(await this.#call('get', encodeId(task), check.signalOf(options)))
  }

  /** `null` where there is no such task. */
  async getMany(tasks: readonly TaskLike[], options: Waits = {}): Promise<readonly (Task | null)[]> {
    return results.tasks(await this.#call('getMany', encode(tasks.map(idOf), 'ids'), check.signalOf(options)))
  }

  /**
   * The task that has this unique key, or that had it last and is dead, cancelled or expired; `null` where there is none.
   * Errors: `input.invalid`.
   */
  async find(uniqueKey: string, options: Waits = {}): Promise<Task | null> {
    return results.maybeTask(await this.#call('find', encode(textOf('uniqueKey', uniqueKey), 'uniqueKey'), check.signalOf(options)))
  }

  /** Tasks in the order in which they were made, a page at a time. */
  async list(filter: Filter = {}): Promise<Page> {
    return results.page(await this.#call('list', encodeFilter(filter), check.signalOf(filter)))
  }

  /** Every task that matches, read 256 at a time: `for await (const task of k.tasks.each({ status: 'pending' }))`. Errors as `list`. */
  async *each(filter: Omit<Filter, 'cursor' | 'limit'> = {}): AsyncGenerator<Task, void, undefined> {
    let cursor: string | null = null
    do {
      const page: Page = await this.list({ ...check.given(filter), cursor, limit: 256 })
      yield* page.tasks
      cursor = page.next
    } while (cursor !== null)
  }

  /** The tasks that failed for good. */
  async deadLetters(filter: Omit<Filter, 'status'> = {}): Promise<Page> {
    return results.page(await this.#call('deadLetters', encodeFilter(filter), check.signalOf(filter)))
  }

  /** Counts, ages and pauses. */
  async stats(options: Waits = {}): Promise<Stats> {
    return results.stats(await this.#call('stats', 'null', check.signalOf(options)))
  }

  /** Why a task is not claimed. Errors: `task.not_found`. */
  async explain(task: TaskLike, options: Waits = {}): Promise<Explanation> {
    return results.explanation(await this.#call('explain', encodeId(task), check.signalOf(options)))
  }
}

function encodeType(type: string | null | undefined): string {
  return encode(type === null || type === undefined ? null : textOf('type', type), 'type')
}

function encodeId(task: TaskLike): string {
  return encode(idOf(task), 'id')
}

function encodeFilter(filter: Filter = {}, allowed = FILTER): string {
  const of = check.given(filter).parent
  const parent = of === undefined || of === null ? undefined : idOf(of)
  return encodeArgs(filter, { parent }, allowed)
}

/** By columns where they are plain completions, as nearly all are. */
function encodeFinishes(finishes: readonly Finish[]): string {
  if (finishes.every((finish) => finish.outcome === 'complete')) {
    const text = quick({
      complete: {
        leases: finishes.map(({ task }) => tokenOf(task)), results: finishes.map(({ results }) => results ?? null),
        usage: finishes.map(({ usage }) => usage ?? null),
      },
    })
    if (text !== undefined) return text
  }
  return `{"each":[${finishes.map(encodeFinish).join(',')}]}`
}

function encodeFinish(finish: Finish): string {
  const lease = JSON.stringify(tokenOf(finish.task))
  switch (finish.outcome) {
    case 'complete': {
      const usage = finish.usage ? encodeArgs(finish.usage, {}, USAGE) : 'null'
      return `[${lease},{"complete":{"results":${encode(finish.results ?? null, 'results')},"usage":${usage}}}]`
    }
    case 'fail': {
      const { task: _, outcome: __, ...failure } = finish
      return `[${lease},{"fail":${encodeFailure(failure)}}]`
    }
    case 'release':
      return `[${lease},"release"]`
    case 'snooze':
      check.checkOne('afterMs', finish.afterMs, check.ms)
      return `[${lease},{"snooze":{"afterMs":${finish.afterMs}}}]`
    default:
      throw refused(
        'input.invalid',
        `outcome is ${JSON.stringify((finish as Finish).outcome)}; allowed: complete, fail, release, snooze`,
      )
  }
}

/** @internal */
export function encodeFailure(failure: { error: string | Error } & FailOptions): string {
  const { error, results: achieved, usage, ...rest } = failure
  check.checkFields(rest, FAILURE)
  const fields = encodeArgs({ ...rest, error: errorText(error) })
  const stored = achieved === undefined ? '' : `,"results":${encode(achieved, 'results')}`
  const spent = usage === undefined ? '' : `,"usage":${encodeArgs(usage, {}, USAGE)}`
  return `${fields.slice(0, -1)}${stored}${spent}}`
}
