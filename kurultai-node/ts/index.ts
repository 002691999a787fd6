/// <reference lib="esnext.disposable" preserve="true" />
// What the package gives.

export { Agents, council, Leadership } from './agents'
export { Agent } from './agent'
export type { AgentOptions, Handler, MessageHandler, MessageHandlerOptions, Run, RunOptions, TaskHandlerOptions } from './agent'
export { Context, Stopped } from './context'
export type { StopReason } from './context'
export {
  ClosedError, ConfigError, ConflictError, DeniedError, InputError, InternalError, KurultaiError, LeaseLostError,
  LimitedError, NotFoundError, OutcomeUnknownError, StorageError, TimedOutError,
  UnavailableError,
} from './errors'
export type { Kind } from './errors'
export { EventBatch, Events } from './events'
export { Identity } from './identity'
export type { AgentEvents, AgentListener, Attempt, Failed, MessageFailed, Snoozed, Stalled } from './heard'
export type { Payload } from './json'
export { Keys } from './keys'
export { Kurultai, open } from './kurultai'
export * as legacy from './legacy'
export { Lease } from './lease'
export type { LeaseLike } from './lease'
export { MessageContext } from './message_context'
export { Messages } from './messages'
export { newId, NewTask } from './new_task'
export type { NewTaskLike } from './new_task'
export { Schedules } from './schedules'
export { Tasks } from './tasks'
export { Reject, Retry, Snooze } from './thrown'
export { sign, verify } from './tokens'
export type * from './types'
export { WrappingKey } from './wrapping_key'
