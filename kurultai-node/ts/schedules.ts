// What is due when: `k.schedules`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { encode, encodeFields } from './json'
import type { NativeSchedules, Outcome } from './native'
import { encodeTask, ONE, time } from './new_task'
import * as results from './results'
import type { Enqueued, Schedule, ScheduleOptions, Waits } from './types'

const PUT: check.Fields = {
  ...ONE, everyMs: check.ms, cron: check.text, timezone: check.text, catchUp: check.text, overlap: check.text, jitterMs: check.ms,
  start: check.date,
}

/** A schedule as it crosses. */
function encodeSchedule(name: string, type: string, payload: unknown, options: ScheduleOptions): string {
  check.checkOne('name', name, check.text)
  check.checkFields(options, PUT)
  const { everyMs, cron, timezone, catchUp, overlap, jitterMs, start, ...task } = options
  const given = { everyMs, cron, timezone, catchUp, overlap, jitterMs, start }
  const fields: Record<string, unknown> = { name }
  for (const [key, value] of Object.entries(given)) if (value !== undefined && value !== null) fields[key] = time(value)
  return `${encodeFields(fields).slice(0, -1)},"task":${encodeTask(type, payload, task)}}`
}

/**
 * What is due when. A schedule enqueues a task at its times and does nothing else; every process that has the store open sees
 * to it, and each time has its task once, whoever crashes.
 */
export class Schedules {
  readonly #native: NativeSchedules

  /** @internal */
  constructor(native: NativeSchedules) {
    this.#native = native
  }

  #of(operation: 'get' | 'pause' | 'unpause' | 'remove' | 'runNow', name: string, options: Waits): Outcome | Promise<Outcome> {
    check.checkOne('name', name, check.text)
    return call((id) => this.#native[operation](id, encode(name, 'name')), check.signalOf(options))
  }

  /**
   * Puts a schedule, in place of the one of its name: a task of this type, whenever `everyMs` or `cron` say. Programs put theirs
   * whenever they start: where it is as it was, nothing changes; where its times are the same, what was missed is still caught
   * up. A paused one stays paused. The unique key of its tasks is `schedule:NAME:TIME`.
   *
   * Errors: `input.invalid`, `input.payload`. After `store.outcome_unknown` repeat it. An aborted call may still put it.
   */
  async put(name: string, type: string, payload: unknown, options: ScheduleOptions): Promise<Schedule> {
    const args = encodeSchedule(name, type, payload ?? null, options)
    return results.schedule(await call((id) => this.#native.put(id, args), check.signalOf(options)))
  }

  /** All schedules, in the order of their names, each with the next three times. */
  async list(options: Waits = {}): Promise<readonly Schedule[]> {
    return results.schedules(await call((id) => this.#native.list(id), check.signalOf(options)))
  }

  /** One of them. Errors: `schedule.not_found`, with the nearest name. */
  async get(name: string, options: Waits = {}): Promise<Schedule> {
    return results.schedule(await this.#of('get', name, options))
  }

  /**
   * Lets it enqueue nothing until `unpause`, also where it is put again. Errors: `schedule.not_found`. An aborted call may still
   * pause it.
   */
  async pause(name: string, options: Waits = {}): Promise<Schedule> {
    return results.schedule(await this.#of('pause', name, options))
  }

  /**
   * Lets it enqueue again, from the next time on that is to come: what came while it was paused is not caught up. Errors:
   * `schedule.not_found`. An aborted call may still unpause it.
   */
  async unpause(name: string, options: Waits = {}): Promise<Schedule> {
    return results.schedule(await this.#of('unpause', name, options))
  }

  /** Removes it; its tasks stay. Errors: `schedule.not_found`. An aborted call may still remove it. */
  async remove(name: string, options: Waits = {}): Promise<void> {
    results.nothing(await this.#of('remove', name, options))
  }

  /**
   * Enqueues its task at once, also where it is paused; what is due when stays. Where it waits for its last task (`overlap` is
   * `skip`), that one is the answer, marked `deduplicated`. Errors: `schedule.not_found`. An aborted call may still have enqueued
   * the task.
   */
  async runNow(name: string, options: Waits = {}): Promise<Enqueued> {
    return results.simple(await this.#of('runNow', name, options))
  }
}
