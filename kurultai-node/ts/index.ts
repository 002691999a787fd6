/// <reference lib="esnext.disposable" preserve="true" />
// What the package gives.

export { Agents, council, Leadership } from './agents'
export { Agent } from './agent'
export type { AgentOptions, Handler, Run, RunOptions, TaskHandlerOptions } from './agent'
export { Context, Stopped } from './context'
export type { StopReason } from './context'
export {
  ClosedError, ConfigError, ConflictError, DeniedError, InputError, InternalError, KurultaiError, LeaseLostError,
  LimitedError, NotFoundError, OutcomeUnknownError, StorageError, TimedOutError,
  UnavailableError,
} from './errors'
export type { Kind } from './errors'
export { Events } from './events'
export { Identity, sign, verify } from './identity'
export type { AgentEvents, AgentListener, Attempt, Failed, Snoozed, Stalled } from './heard'
export type { Payload } from './json'
export { Keys } from './keys'
export { Kurultai, open } from './kurultai'
export { Lease } from './lease'
export type { LeaseLike } from './lease'
export { Messages } from './messages'
export { newId, NewTask } from './new_task'
export type { NewTaskLike } from './new_task'
export { Tasks } from './tasks'
export { Reject, Retry, Snooze } from './thrown'
export type * from './types'
