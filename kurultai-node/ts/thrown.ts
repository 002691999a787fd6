// Whatever was thrown: its text, and what it wants of its task.

import { inspect, types } from 'node:util'
import * as check from './check'

const RETRY: check.Fields = { afterMs: check.anyNumber, message: check.text, cause: check.anything }

/**
 * Throw it to have the task tried again: `throw new Retry({ afterMs: 5000 })`. Without a time its policy counts, and so
 * it does where the time is no finite number; a negative one is 0, more than ten years are ten years.
 */
export class Retry extends Error {
  override name = 'Retry'
  readonly afterMs: number | undefined
  constructor(options: { afterMs?: number; message?: string } & ErrorOptions = {}) {
    check.checkFields(options, RETRY, 'new Retry: ')
    super(options.message ?? 'tried again at the handler\'s request', options)
    this.afterMs = options.afterMs
  }
}

/** Throw it to send the task to the dead letters at once: `throw new Reject('no such repository')`. */
export class Reject extends Error {
  override name = 'Reject'
}

/**
 * Throw it where what the work waits for is not there yet: `throw new Snooze({ afterMs: 60_000 })`. The task goes back to
 * the queue and is run again after this time, and no attempt is counted. A negative time is 0, more than ten years are ten
 * years; with what is no finite number, and after `maxSnoozes` (100), the attempt has failed.
 */
export class Snooze extends Error {
  override name = 'Snooze'
  readonly afterMs: number
  constructor(options: { afterMs: number; message?: string } & ErrorOptions) {
    check.checkFields(options, RETRY, 'new Snooze: ')
    check.checkOne('afterMs', options.afterMs, check.anyNumber)
    super(options.message ?? 'put off at the handler\'s request', options)
    this.afterMs = options.afterMs
  }
}

const isError = (value: unknown): value is Error => value instanceof Error || types.isNativeError(value)

/** The errors of an AggregateError, and the cause. */
function inside(error: Error): [name: string, error: unknown][] {
  const { errors } = error as Partial<AggregateError>
  const grouped: [string, unknown][] = Array.isArray(errors) ? errors.map((one, at) => [`errors ${at}`, one]) : []
  return error.cause === undefined ? grouped : [...grouped, ['cause', error.cause]]
}

/** What a handler wants that threw. `why` is what a `Reject` says itself: the sender of a message is told this, and no stack. */
export type Wish = { wish?: 'retry' | 'reject' | 'snooze'; afterMs?: number; why?: string }

/**
 * The outermost Retry, Reject or Snooze among an error, those that it groups and its causes, level by level.
 * @internal
 */
export function wishOf(thrown: unknown): Wish {
  const seen = new Set<unknown>()
  for (let level = [thrown]; level.length > 0; ) {
    for (const error of level) {
      if (error instanceof Reject) return { wish: 'reject', why: String(error.message).toWellFormed() }
      if (error instanceof Retry) return { wish: 'retry', afterMs: error.afterMs }
      if (error instanceof Snooze) return { wish: 'snooze', afterMs: error.afterMs }
      seen.add(error)
    }
    const inner = level.filter(isError).flatMap((error) => inside(error).map(([, one]) => one))
    level = inner.filter((error) => !seen.has(error))
  }
  return {}
}

/**
 * Stacks, as `util.inspect` shows them with their causes; but not what else hangs on an error, which may be a whole
 * request with its keys.
 * @internal
 */
export function errorText(thrown: unknown): string {
  try {
    return write(thrown, new Set()).toWellFormed()
  } catch {
    return 'something was thrown whose text cannot be shown'
  }
}

function write(thrown: unknown, above: Set<unknown>): string {
  if (!isError(thrown)) return typeof thrown === 'string' ? thrown : inspect(thrown, { depth: 2, breakLength: 120 })
  if (above.has(thrown)) return '[Circular]'
  const stack = typeof thrown.stack === 'string' && thrown.stack !== '' ? thrown.stack : `${thrown.name}: ${thrown.message}`
  const within = new Set(above).add(thrown)
  const parts = inside(thrown).map(([name, error]) => `\n  [${name}]: ${write(error, within).replaceAll('\n', '\n  ')}`)
  return parts.length === 0 ? stack : `${stack} {${parts.join(',')}\n}`
}
