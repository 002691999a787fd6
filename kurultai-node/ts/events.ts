// What happened, in commit order: `k.events`, the log.

import { call } from './bridge'
import * as check from './check'
import { encode, encodeArgs, encodeFields } from './json'
import type { NativeEvents, Outcome } from './native'
import { idOf, time } from './new_task'
import { Pages } from './pages'
import * as results from './results'
import type {
  Alert, ConsumeOptions, DeadEvent, Event, EventFilter, EventOptions, EventPage, NewEvent, Published, SubscribeOptions,
  Subscription, Waits,
} from './types'

const OPTIONS: check.Fields = {
  source: check.text, task: check.taskLike, correlationId: check.text, key: check.text, cause: check.whole,
}
const PUBLISH: check.Fields = { ...OPTIONS, signal: check.anything }
const ROW: check.Fields = { ...OPTIONS, topic: check.text, payload: check.anything }
const FILTER: check.Fields = {
  afterSeq: check.whole, topic: check.text, source: check.text, taskId: check.text, type: check.text, since: check.date,
  limit: check.count, waitMs: check.ms, signal: check.anything,
}

const start: check.Check = (value) => (typeof value === 'number' ? check.whole(value) : check.date(value))
const SUBSCRIBE: check.Fields = {
  agent: check.text, source: check.text, where: check.anything, start, batchMs: check.ms, quietMs: check.ms, signal: check.anything,
}
const CONSUME: check.Fields = { max: check.count, waitMs: check.msOrEver, holdMs: check.ms, signal: check.anything }

/** Where a subscription begins, as it crosses. */
function place(start: number | Date | null | undefined): object {
  return typeof start === 'number' ? { afterSeq: start } : { since: time(start) }
}

/** An event as it crosses; `before` names its row. */
function encodeEvent(topic: string, payload: unknown, options: EventOptions, before = '', label = 'payload'): string {
  check.checkOne(`${before}topic`, topic, check.text)
  const { source, task, correlationId, key, cause } = options
  const fields = encodeFields({ topic, source, task: task == null ? undefined : idOf(task), correlationId, key, cause })
  return payload === undefined ? fields : `${fields.slice(0, -1)},"payload":${encode(payload, label)}}`
}

function encodeRows(events: readonly NewEvent[]): string {
  check.checkOne('events', events, check.objects)
  const row = (event: NewEvent, index: number) => {
    const many = events.length > 1
    const before = many ? `event ${index}: ` : ''
    check.checkFields(event, ROW, before)
    return encodeEvent(event.topic, event.payload, event, before, many ? `payload of event ${index}` : 'payload')
  }
  return `[${events.map(row).join(',')}]`
}

/**
 * The next events of a subscription, which nobody else is given until they are acknowledged, for as long as this process
 * lives.
 */
export class EventBatch {
  readonly #native: NativeEvents
  readonly #number: number
  #ended = false
  /** Those that match, oldest first. */
  readonly events: readonly Event[]

  /** @internal */
  constructor(native: NativeEvents, number: number, events: readonly Event[]) {
    this.#native = native
    this.#number = number
    this.events = events
  }

  /**
   * Says that the events are done: the subscription goes on behind them. A repetition does nothing more. Errors:
   * `event.stale_consumer` where they were given to another consumer or the hold is over, and the cursor stays;
   * `subscription.not_found`.
   */
  async ack(options: Waits = {}): Promise<void> {
    if (this.#ended) return
    results.nothing(await call((id) => this.#native.ackBatch(id, this.#number), options.signal))
    this.#end()
  }

  /**
   * Has them given again, at once or after `afterMs`, as somebody's next try; after 5 the first of them is a dead event, with
   * this as its error. Errors: `input.invalid`, and as `ack`.
   */
  async retry(error: string, options: { afterMs?: number } & Waits = {}): Promise<void> {
    if (this.#ended) return
    check.checkOne('error', error, check.text)
    check.checkFields(options, { afterMs: check.ms, signal: check.anything })
    const afterMs = options.afterMs ?? 0
    results.nothing(await call((id) => this.#native.retryBatch(id, this.#number, error, afterMs), options.signal))
    this.#end()
  }

  /** @internal It is given again, at once or when the hold is over. */
  async leave(): Promise<void> {
    await this.retry('it was not acknowledged').catch(() => this.#end())
  }

  #end(): void {
    this.#ended = true
    this.#native.forgetBatch(this.#number)
  }
}

/** The event log of one team. */
export class Events {
  readonly #native: NativeEvents

  /** @internal */
  constructor(native: NativeEvents) {
    this.#native = native
  }

  /**
   * Tells of something that happened: an event of a topic of yours, in the log beside the library's own. `topic`: words of
   * letters, digits, `_` and `-` with dots between them, at most 128 bytes; what begins with `task.`, `tasks.`, `agent.`,
   * `role.`, `alert.`, `message.` or `security.` is the library's. `payload`: JSON, at most 64 KiB. A second event of a `key`
   * is not published: the first one's number is the answer, for as long as retention keeps that. An event that names its
   * `cause` belongs to the same chain, of which more than 16 are refused; what a handler enqueues or sends does not go on
   * with it.
   *
   * Errors: `input.invalid`, also for a topic of the library; `input.payload`; `event.conflict` where the key is that of an
   * event with another topic, source, task or payload; `event.loop`, `event.not_found` of the cause; `task.not_found`. After
   * `store.outcome_unknown` repeat it with a key. An aborted call may still publish.
   */
  async publish(topic: string, payload?: unknown, options: EventOptions & Waits = {}): Promise<Published> {
    check.checkFields(options, PUBLISH)
    const args = `[${encodeEvent(topic, payload, options)}]`
    return results.simpleList<Published>(await call((id) => this.#native.publishMany(id, args), options.signal))[0]!
  }

  /** Publishes many, all in one transaction or none. Errors as `publish`; what is wrong with a value names the event. */
  async publishMany(events: readonly NewEvent[], options: Waits = {}): Promise<readonly Published[]> {
    const args = encodeRows(events)
    return results.simpleList(await call((id) => this.#native.publishMany(id, args), options.signal))
  }

  /**
   * Has the store remember a reader under a name, whose events `consume` gives: none is missed while nobody reads, and of many
   * readers one has each. Programs subscribe whenever they start: where one of the name is there, it is defined anew and goes
   * on where it was, and `start` does not matter. Retention leaves what a subscription that is not paused has yet to take, up
   * to twice as long as it leaves events.
   *
   * Errors: `input.invalid`. After `store.outcome_unknown` repeat it. An aborted call may still subscribe.
   */
  async subscribe(name: string, topic: string, options: SubscribeOptions = {}): Promise<Subscription> {
    check.checkOne('name', name, check.text)
    check.checkOne('topic', topic, check.text)
    check.checkFields(options, SUBSCRIBE)
    const { start, where, signal, ...rest } = options
    const fields = encodeArgs(rest, { name, topic, ...place(start) })
    const args = where == null ? fields : `${fields.slice(0, -1)},"where":${encode(where, 'where')}}`
    return results.subscription(await call((id) => this.#native.subscribe(id, args), signal))
  }

  /**
   * The events of a subscription, in batches; nobody else is given them until the batch is acknowledged. It goes on until none
   * has come for `waitMs`, or for as long as you take them. What is not acknowledged is given again: when the next batch is
   * asked for or the loop ends, or, where this process has died, after `holdMs`. From the third time on the first event is given
   * alone, five times in all; then the subscription goes on without it (`dead`).
   *
   * Errors: `input.invalid`, `subscription.not_found`; `event.cursor_too_old` where retention has removed events before they
   * were taken, which names the number to rewind to.
   */
  consume(name: string, options: ConsumeOptions = {}): AsyncGenerator<EventBatch, void, undefined> {
    check.checkOne('name', name, check.text)
    check.checkFields(options, CONSUME)
    const { signal, waitMs = Infinity, ...rest } = options
    const forever = waitMs === Infinity
    const args = encodeArgs(rest, { name, waitMs: forever ? 60_000 : waitMs })
    let last: EventBatch | undefined
    const leave = async () => {
      await last?.leave()
      last = undefined
    }
    const pull = async (signal: AbortSignal) => {
      await leave()
      const consumed = results.consumed(await call((id) => this.#native.consume(id, args), signal))
      if (consumed === null) return forever ? [] : null
      last = new EventBatch(this.#native, consumed.batch, consumed.events)
      return [last]
    }
    return new Pages(pull, signal, leave)
  }

  /** The subscriptions of an agent, or all, in the order of their names. */
  async subscriptions(options: { agent?: string } & Waits = {}): Promise<readonly Subscription[]> {
    check.checkFields(options, { agent: check.text, signal: check.anything })
    const args = encode(options.agent ?? null, 'agent')
    return results.subscriptions(await call((id) => this.#native.subscriptions(id, args), options.signal))
  }

  /**
   * Lets a subscription give nothing until `unpause`; what was given may still be acknowledged. Retention does not wait for it
   * meanwhile. Errors: `subscription.not_found`, with the nearest name.
   */
  async pause(name: string, options: Waits = {}): Promise<Subscription> {
    return results.subscription(await this.#of('pause', name, options))
  }

  /** Lets it give events again, from where it was. Errors: `subscription.not_found`. */
  async unpause(name: string, options: Waits = {}): Promise<Subscription> {
    return results.subscription(await this.#of('unpause', name, options))
  }

  /**
   * Has a subscription go on somewhere else, forward or back: behind the event of a number, from a time on, or with what comes
   * (`null`). Who has events of it can no longer acknowledge them. Errors: `input.invalid`, `subscription.not_found`.
   */
  async rewind(name: string, to: number | Date | null, options: Waits = {}): Promise<Subscription> {
    check.checkOne('name', name, check.text)
    if (to !== null) check.checkOne('to', to, start)
    const args = encodeArgs({ name, ...place(to) })
    return results.subscription(await call((id) => this.#native.rewind(id, args), options.signal))
  }

  /** Removes a subscription, with what it says of dead events. Errors: `subscription.not_found`. */
  async unsubscribe(name: string, options: Waits = {}): Promise<void> {
    results.nothing(await this.#of('unsubscribe', name, options))
  }

  /**
   * The events without which a subscription went on, oldest first: the newest 1,000. Errors: `subscription.not_found`.
   */
  async dead(name: string, options: Waits = {}): Promise<readonly DeadEvent[]> {
    return results.deadEvents(await this.#of('dead', name, options))
  }

  #of(operation: 'pause' | 'unpause' | 'unsubscribe' | 'dead', name: string, options: Waits): Outcome | Promise<Outcome> {
    check.checkOne('name', name, check.text)
    return call((id) => this.#native[operation](id, encode(name, 'name')), options.signal)
  }

  /**
   * The events that match, oldest first. Read on with the page's `next` as `afterSeq`. Where there is none it waits up to
   * `waitMs` and returns as soon as one comes; an empty page is no error. With a wait the page may stop before the
   * newest event, and the next has it. Errors: `input.invalid`; `event.cursor_too_old` where retention has removed
   * events after `afterSeq`.
   */
  async read(filter: EventFilter = {}): Promise<EventPage> {
    const args = encodeArgs(filter, { since: time(check.given(filter).since) }, FILTER)
    return results.eventPage(await call((id) => this.#native.read(id, args), check.signalOf(filter)))
  }

  /** The number of the newest event; 0 where nothing happened yet. */
  async lastSeq(options: Waits = {}): Promise<number> {
    return results.simple(await call((id) => this.#native.lastSeq(id), check.signalOf(options)))
  }

  /**
   * What burns now, the worst first, then the oldest. Whoever watches the team (`k.agents.watch`) raises and clears it;
   * each change is an event, `alert.raised` or `alert.cleared`.
   */
  async alerts(options: Waits = {}): Promise<readonly Alert[]> {
    return results.alerts(await call((id) => this.#native.alerts(id), check.signalOf(options)))
  }

  /** Every event that matches and is there now, read 256 at a time. Errors as `read`. */
  async *each(filter: Omit<EventFilter, 'limit' | 'waitMs'> = {}): AsyncGenerator<Event, void, undefined> {
    for (let afterSeq = check.given(filter).afterSeq ?? 0; ; ) {
      const { events, next } = await this.read({ ...filter, afterSeq, limit: 256 })
      yield* events
      if (events.length < 256) return
      afterSeq = next
    }
  }

  /**
   * Events as they happen: `for await (const event of k.events.follow({ topic: 'task.*' }))`. Starts after `afterSeq`,
   * or now where none is given. It reads each event once, whether it matches or not, and goes on through an outage of
   * the store. `return()`, or the end of the loop, ends it at once; an abort ends it with the signal's reason.
   */
  follow(filter: Omit<EventFilter, 'limit' | 'waitMs' | 'since'> = {}): AsyncGenerator<Event, void, undefined> {
    const { signal: _, ...rest } = check.given(filter)
    const signal = check.signalOf(filter)
    let following: number | undefined
    const pull = async (signal: AbortSignal) => {
      if (following === undefined) {
        const afterSeq = rest.afterSeq ?? (await this.lastSeq({ signal }))
        const args = encodeArgs({ ...rest, afterSeq })
        following = results.value(await call((id) => this.#native.follow(id, args), signal)) as number
      }
      const number = following
      return results.events(await call((id) => this.#native.next(id, number), signal))
    }
    return new Pages(pull, signal, () => {
      if (following !== undefined) this.#native.forget(following)
    })
  }
}
