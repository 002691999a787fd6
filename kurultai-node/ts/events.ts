// What happened, in commit order: `k.events`, the log.

import { setTimeout as sleep } from 'node:timers/promises'
import { call } from './bridge'
import { encodeArgs } from './json'
import type { NativeEvents } from './native'
import { time } from './new_task'
import * as results from './results'
import type { Event, EventFilter, FollowOptions, Waits } from './types'

/** The event log of one team. */
export class Events {
  readonly #native: NativeEvents

  /** @internal */
  constructor(native: NativeEvents) {
    this.#native = native
  }

  /** The events that match, oldest first. Read on with `afterSeq` of the last one. Errors: `input.invalid`. */
  async read(filter: EventFilter = {}): Promise<readonly Event[]> {
    const { signal, since, ...rest } = filter
    const args = encodeArgs({ ...rest, since: time(since) })
    return results.events(await call((id) => this.#native.read(id, args), signal))
  }

  /** The number of the newest event; 0 where nothing happened yet. */
  async lastSeq(options: Waits = {}): Promise<number> {
    return results.simple(await call((id) => this.#native.lastSeq(id), options.signal))
  }

  /**
   * Events as they happen: `for await (const event of k.events.follow({ topic: 'task.*' }))`. Starts after
   * `afterSeq`, or now where none is given; looks again every `pollMs` where nothing happened. An abort ends it with
   * the signal's reason.
   */
  async *follow(options: FollowOptions = {}): AsyncGenerator<Event, void, undefined> {
    const { afterSeq, pollMs = 200, batch = 256, signal, ...filter } = options
    let seen = afterSeq ?? (await this.lastSeq({ signal }))
    for (;;) {
      // Asked for first: what is not among the events up to here does not match, and need not be looked at again.
      const last = await this.lastSeq({ signal })
      const events = last > seen ? await this.read({ ...filter, afterSeq: seen, limit: batch, signal }) : []
      yield* events
      const newest = events.at(-1)?.seq ?? seen
      seen = events.length < batch ? Math.max(last, newest) : newest
      if (events.length < batch) await sleep(pollMs, undefined, { signal: signal ?? undefined }).catch(() => {})
      signal?.throwIfAborted()
    }
  }
}
