// One error type with a code; a subclass for each kind, which says what the caller should do.

/** What the caller should do; the same words as in every language. */
export type Kind =
  | 'input' | 'config' | 'not_found' | 'conflict' | 'lease_lost'
  | 'unavailable' | 'outcome_unknown' | 'storage' | 'denied' | 'limited' | 'timed_out' | 'closed' | 'internal'

/** What the native half says of an error. */
export interface Failure {
  kind: string
  code: string
  message: string
  retryable: boolean
  retryAfterMs?: number | null
  cause?: string | null
  taskId?: string | null
}

/** Every error of kurultai. `code` says precisely what happened, the subclass what to do. */
export class KurultaiError extends Error {
  override name = 'KurultaiError'
  /** The dotted code, the same in every language: `lease.lost`, `store.unavailable`. */
  readonly code: string
  readonly kind: Kind
  /** Whether the same call may succeed later without any change by the caller. */
  readonly retryable: boolean
  /** How long to wait before the repetition, where the store knows. */
  readonly retryAfterMs: number | null
  /** The task that `waitFor` or `call` waited for, of `task.failed` and `task.timeout`; else null. */
  readonly taskId: string | null

  constructor(failure: Failure) {
    super(failure.message, failure.cause == null ? undefined : { cause: new Error(failure.cause) })
    this.code = failure.code
    this.kind = failure.kind as Kind
    this.retryable = failure.retryable
    this.retryAfterMs = failure.retryAfterMs ?? null
    this.taskId = failure.taskId ?? null
  }
}

/** The call is wrong: mend the named field. */
export class InputError extends KurultaiError {
  override name = 'InputError'
}
/** The URL, the environment or the options are wrong. */
export class ConfigError extends KurultaiError {
  override name = 'ConfigError'
}
/** No such task or agent in this namespace. */
export class NotFoundError extends KurultaiError {
  override name = 'NotFoundError'
}
/** The thing exists but its state forbids this: read it again and decide. */
export class ConflictError extends KurultaiError {
  override name = 'ConflictError'
}
/** Somebody else owns the task now: stop working on it. */
export class LeaseLostError extends KurultaiError {
  override name = 'LeaseLostError'
}
/** The store did not do it and may do it later: repeat. */
export class UnavailableError extends KurultaiError {
  override name = 'UnavailableError'
}
/** It may have happened: repeat with the same id, unique key or lease, or look. */
export class OutcomeUnknownError extends KurultaiError {
  override name = 'OutcomeUnknownError'
}
/** An operator must act: disk, rights, schema. */
export class StorageError extends KurultaiError {
  override name = 'StorageError'
}
/** Refused: who we are, or who signed. */
export class DeniedError extends KurultaiError {
  override name = 'DeniedError'
}
/** A limit of the team is reached: repeat after `retryAfterMs`. */
export class LimitedError extends KurultaiError {
  override name = 'LimitedError'
}
/** It did not come in time, and may still: wait again. */
export class TimedOutError extends KurultaiError {
  override name = 'TimedOutError'
}
/** The store was closed by this program: open it again. */
export class ClosedError extends KurultaiError {
  override name = 'ClosedError'
}
/** A defect of this library or of the database. */
export class InternalError extends KurultaiError {
  override name = 'InternalError'
}

const classes: Record<Kind, typeof KurultaiError> = {
  input: InputError,
  config: ConfigError,
  not_found: NotFoundError,
  conflict: ConflictError,
  lease_lost: LeaseLostError,
  unavailable: UnavailableError,
  outcome_unknown: OutcomeUnknownError,
  storage: StorageError,
  denied: DeniedError,
  limited: LimitedError,
  timed_out: TimedOutError,
  closed: ClosedError,
  internal: InternalError,
}

/** @internal */
export function toError(failure: Failure): KurultaiError {
  // A kind that this version does not know is still a KurultaiError.
  return new (classes[failure.kind as Kind] ?? KurultaiError)(failure)
}

/** @internal */
export function refused(code: 'input.invalid' | 'input.payload', message: string): InputError {
  return new InputError({ kind: 'input', code, message, retryable: false })
}
