// What happened, in commit order: `k.events`, the log.

import { call } from './bridge'
import * as check from './check'
import { encodeArgs } from './json'
import type { NativeEvents } from './native'
import { time } from './new_task'
import { Pages } from './pages'
import * as results from './results'
import type { Alert, Event, EventFilter, EventPage, Waits } from './types'

const FILTER: check.Fields = {
  afterSeq: check.whole, topic: check.text, source: check.text, taskId: check.text, type: check.text, since: check.date,
  limit: check.count, waitMs: check.ms, signal: check.anything,
}

/** The event log of one team. */
export class Events {
  readonly #native: NativeEvents

  /** @internal */
  constructor(native: NativeEvents) {
    this.#native = native
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
