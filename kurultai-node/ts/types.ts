// The words of the rooms, as TypeScript sees them. Absent is null. Every result is frozen.

import type { KurultaiError } from './errors'
import type { Identity, IdentityLike } from './identity'
import type { Payload } from './json'
import type { Lease, LeaseLike } from './lease'
import type { AgentKey as LegacyKey } from './legacy'
import type { WrappingKeyLike } from './wrapping_key'

export type { IdentityLike, WrappingKeyLike }

export type Status =
  | 'blocked' | 'pending' | 'in_progress' | 'completed' | 'dead_letter' | 'cancelled' | 'expired' | 'suspended'
  | 'pending_review'
/**
 * The task types of a team, each with what it takes and gives:
 * `interface Tasks { review: { payload: { pr: number }; results: string } }`. Give it to `open<Tasks>()` and
 * `new Agent<Tasks>()`, and a type or payload that is none does not compile.
 */
export type AnyTasks = { [type: string]: { payload: any; results: any } }
export type TypeOf<M> = keyof M & string
export type PayloadOf<M, K> = K extends keyof M ? (M[K] extends { payload: infer P } ? P : unknown) : any
export type ResultsOf<M, K> = K extends keyof M ? (M[K] extends { results: infer R } ? R : unknown) : any

/** P0 is served first. */
export type Priority = 'P0' | 'P1' | 'P2' | 'P3'
/** Words that a priority is read from too: P0 is `critical` or `urgent`, P1 `high`, P2 `normal` or `medium`, P3 `low` or `backlog`. */
export type PriorityWord = Priority | 'critical' | 'urgent' | 'high' | 'normal' | 'medium' | 'low' | 'backlog'
/** What the holder of a lease should do now. */
export type Signal = 'continue' | 'cancel' | 'suspend' | 'pause'
export type DependencyType = 'blocks' | 'feeds_into' | 'parallel_ok'
export type OnPrerequisiteFailure = 'block' | 'cancel' | 'continue'
/** Why an attempt failed. */
export type FailureKind = 'failed' | 'timeout' | 'lapsed' | 'stalled' | 'max_runtime'
/** How an agent fares. */
export type Health = 'alive' | 'idle' | 'stuck' | 'dead' | 'unknown'
/** What becomes of an attempt whose handler has shown no sign of life for too long. */
export type OnStall = 'report' | 'release'
export type AgentStatus = 'active' | 'busy' | 'idle' | 'offline' | 'draining'

/** Ends the wait for an answer. What an aborted claim was given is released. */
export interface Waits {
  signal?: AbortSignal | null
}

/** A task by its id, or anything that has one. */
export type TaskLike = string | { readonly id: string }

export interface Dependency {
  prerequisite: TaskLike
  /** Default `blocks`. */
  type?: DependencyType
  weight?: number
  detectedBy?: string
}

export interface TaskOptions {
  /** Made here where none is given, so that tasks of a batch can refer to each other. */
  id?: string
  title?: string
  description?: string
  /**
   * P0 (or `critical`, `urgent`), P1 (`high`), P2 (`normal`, `medium`; the default) or P3 (`low`, `backlog`); P0 is
   * served first.
   */
  priority?: PriorityWord
  /** 0 to 1, higher first within a priority. Default 0.5. */
  priorityWeight?: number
  /** Who claims it must have all of these capabilities. */
  requires?: readonly string[]
  /** An agent takes tasks that prefer its capabilities first. */
  prefers?: readonly string[]
  assignedTo?: string
  delegatedBy?: string
  parent?: TaskLike
  /** What its chain of work is known by in events. Default the parent's, or its own id. */
  correlationId?: string
  /** How many of its children it waits for. Default `all`. */
  waitFor?: 'all' | 'any' | { quorum: number }
  dependsOn?: readonly (TaskLike | Dependency)[]
  /** Default `block`. */
  onPrerequisiteFailure?: OnPrerequisiteFailure
  /**
   * A second task of this key is not made: the first one's id is the answer. A task that was cancelled, expired or went
   * to the dead letters gives its key to the next one; a completed one keeps it until retention removes it.
   */
  uniqueKey?: string
  runAt?: Date
  delayMs?: number
  /** Until when it can be claimed, whatever it waits for. */
  expiresAt?: Date
  /** How long it may wait once it can be claimed; Infinity for ever. Default 30 minutes, or TASK_TIMEOUT_MINUTES. */
  expiresInMs?: number
  /** Default 3, or TASK_QUEUE_MAX_RETRIES. */
  maxAttempts?: number
  /**
   * How long one attempt may take, 1,000 or more, kept by the store: its lease never lasts longer, and then the attempt has
   * failed. Default, and Infinity: as long as its lease is renewed.
   */
  maxRuntimeMs?: number
  /** Default: 60 s, doubled up to 1 h, full jitter. */
  retry?: { baseMs?: number; capMs?: number; jitter?: boolean }
}

export interface Enqueued {
  readonly id: string
  /** True where the task was there already, by its unique key or id; nothing was added. */
  readonly deduplicated: boolean
}

/** A task as its claimer gets it. */
export interface Claimed<P = any> {
  readonly id: string
  readonly type: string
  readonly title: string
  readonly description: string
  readonly payload: P
  readonly priority: Priority
  readonly attempt: number
  readonly maxAttempts: number
  /** How long the attempt may take; the store keeps it. */
  readonly maxRuntimeMs: number | null
  /** How often its attempts were put off before. */
  readonly snoozes: number
  readonly delegatedBy: string | null
  readonly parentId: string | null
  /** What its chain of work is known by: its author's word, or else the parent's, or else its own id. */
  readonly correlationId: string
  /** What an earlier attempt left. */
  readonly checkpoint: any
  /** The results of the tasks it waited for or is fed by. */
  readonly prerequisites: readonly Prerequisite[]
  readonly lease: Lease
}

export interface Prerequisite {
  readonly id: string
  readonly dependencyType: DependencyType
  readonly status: Status
  readonly results: any
  /** Its results were left out, because those of the claim had more than 16 MiB without them; `get` has them. */
  readonly omitted: boolean
}

export interface ClaimOptions extends Waits {
  /** 1 to 1,000. Default 1. */
  max?: number
  /** Default every type. */
  types?: readonly string[]
  /** How long the lease lasts without renewal. Default 30,000. */
  leaseMs?: number
  /** How long to wait for work where there is none. Default 0. */
  waitMs?: number
}

export interface StreamOptions extends Omit<ClaimOptions, 'max'> {
  /** How many tasks to take at once; those that are not reached are released. Default 1. */
  batch?: number
}

/** What work has cost. */
export interface Usage {
  readonly tokens: number
  readonly cost: number
  readonly seconds: number
}

export interface FailOptions {
  /** False sends it to the dead letters at once. Default true. */
  retryable?: boolean
  /** Instead of the back-off of its policy. */
  retryAfterMs?: number
  /** What was achieved nevertheless; kept with the task. */
  results?: Payload
  usage?: Partial<Usage>
}

/** How one attempt ends. An Error is stored with its stack. */
export type Finish =
  | { task: LeaseLike; outcome: 'complete'; results?: unknown; usage?: Partial<Usage> }
  | ({ task: LeaseLike; outcome: 'fail'; error: string | Error } & FailOptions)
  | { task: LeaseLike; outcome: 'release' }
  | { task: LeaseLike; outcome: 'snooze'; afterMs: number }

export interface Finished {
  readonly id: string
  readonly status: Status
  /** True where the same lease had ended it so before: what is stored is the first. */
  readonly repeated: boolean
  /** When it can be claimed again, where it went back to the queue. */
  readonly runAt: Date | null
  /** Whether the attempt counts as failed, as after a snooze too many too. */
  readonly failed: boolean
}

/** What a holder learns when it extends its lease. */
export interface Extended {
  readonly lease: Lease
  readonly signal: Signal
  /** Why its task was cancelled, where it was and the reason was given. */
  readonly reason: string | null
  /** The messages that its agent would be given now, at most 100 of them. */
  readonly unread: Unread
}

export interface Renewal {
  leaseMs?: number
  /** 0 to 1. */
  progress?: number
  checkpoint?: unknown
}

/** The whole task. */
export interface Task<P = any> {
  readonly id: string
  readonly type: string
  readonly title: string
  readonly description: string
  readonly status: Status
  readonly priority: Priority
  readonly priorityWeight: number
  readonly payload: P
  readonly requiredCapabilities: readonly string[]
  readonly preferredCapabilities: readonly string[]
  readonly assignedTo: string | null
  readonly delegatedBy: string | null
  readonly parentId: string | null
  /** What its chain of work is known by: its author's word, or else the parent's, or else its own id. */
  readonly correlationId: string
  readonly uniqueKey: string | null
  readonly dependsOn: readonly string[]
  readonly runAt: Date | null
  readonly expiresAt: Date | null
  readonly attempts: number
  readonly maxAttempts: number
  /** How long one attempt may take; the store keeps it. */
  readonly maxRuntimeMs: number | null
  /** How often its attempts were put off, since it was enqueued or requeued. */
  readonly snoozes: number
  readonly claimedBy: string | null
  readonly claimedAt: Date | null
  readonly leaseVersion: number
  readonly leaseExpiresAt: Date | null
  readonly progress: number | null
  readonly checkpoint: any
  readonly results: any
  readonly errorMessage: string | null
  readonly errors: readonly TaskError[]
  readonly usage: Usage | null
  readonly createdAt: Date
  readonly updatedAt: Date
  readonly completedAt: Date | null
}

/** One failed attempt. */
export interface TaskError {
  readonly attempt: number
  readonly agent: string | null
  /**
   * Its holder said so, its handler took too long, its lease ran out, its handler showed no sign of life and was let go, or
   * it took longer than the task's `maxRuntimeMs`.
   */
  readonly kind: FailureKind
  readonly error: string
  readonly at: Date
}

/** Every field that is given must match. */
export interface Filter extends Waits {
  status?: Status
  type?: string
  assignedTo?: string
  claimedBy?: string
  parent?: TaskLike
  /** `next` of the page before. */
  cursor?: string | null
  /** 1 to 1,000. Default 100. */
  limit?: number
}

/** Every field that is given must match; at least one is given. */
export type Matching = Omit<Filter, 'cursor' | 'limit'>

/** What to change of a task; what is left out stays as it is. */
export interface TaskUpdate {
  title?: string
  description?: string
  payload?: unknown
  priority?: PriorityWord
  priorityWeight?: number
  /** `null` is at once. */
  runAt?: Date | null
  /** `null` is never. Ends a time-out. */
  expiresAt?: Date | null
  /** `null` is anybody. */
  assignedTo?: string | null
}

/** It may have fewer tasks than asked for where they have 16 MiB. */
export interface Page {
  readonly tasks: readonly Task[]
  /** The cursor of the next page. */
  readonly next: string | null
}

/** A team of a database, and how much it has there. */
export interface NamespaceInfo {
  readonly name: string
  readonly tasks: number
  readonly agents: number
}

export interface Percentiles {
  readonly p50: number
  readonly p95: number
  readonly p99: number
}

export interface Stats {
  readonly byStatus: Readonly<Partial<Record<Status, number>>>
  /** How long the oldest task that can be claimed has waited. */
  readonly oldestPendingSeconds: number | null
  /** From claimable to claimed, over the last 1,000 completed tasks among the newest 20,000 events. */
  readonly waitSeconds: Percentiles
  /** From claimed to completed, over the same tasks. */
  readonly runSeconds: Percentiles
  /** How many expired in the last 24 hours: nobody claimed them in time. */
  readonly expiredLastDay: number
  /** Paused task types; an empty name stands for the whole namespace. */
  readonly paused: readonly string[]
  /** The emergency stop, where there is one: then the whole namespace is paused. */
  readonly stopped: EmergencyStop | null
}

/** An emergency stop. */
export interface EmergencyStop {
  /** Why, for people. */
  readonly reason: string
  /** Since when. */
  readonly at: Date
}

/** What to take over; every field that is given must match. The default is every task and agent without a namespace. */
export interface AdoptOptions extends Waits {
  /** Only report; nothing is changed. Default false. */
  dryRun?: boolean
  /** Only nodes that have one of these labels. `Task` and `Agent` are labels too. */
  labels?: readonly string[]
  /** Only these, by the `id`, `task_id` or `agent_id` that they have now. */
  ids?: readonly string[]
  /** Only tasks of these types, and no agent. */
  types?: readonly string[]
  /** Only tasks whose status is one of these words, as the other program wrote it, and no agent. */
  statuses?: readonly string[]
}

/** What was taken over; after a dry run, what would be. */
export interface Adoption {
  readonly dryRun: boolean
  readonly tasks: number
  readonly agents: number
  /** The tasks by the status that they have now. */
  readonly byStatus: Readonly<Partial<Record<Status, number>>>
  /** What a person should know of it. */
  readonly findings: readonly Finding[]
}

/** Something that happened to nodes in the same way. */
export interface Finding {
  /**
   * `read`: another name for something known; `guessed`: look whether it is right; `suspended`: until somebody resumes or
   * cancels it; `dropped`: an edge or a value was taken away; `unresolved`: a name stands for nobody; `left_out`: nothing
   * was done.
   */
  readonly kind: 'read' | 'guessed' | 'suspended' | 'dropped' | 'unresolved' | 'left_out'
  readonly what: string
  readonly count: number
  /** The first five, by their ids. */
  readonly examples: readonly string[]
}

interface TaskState {
  readonly id: string
  readonly status: Status
}

/** Why a task is not claimed; `text` says it in words. */
export type Reason = { readonly text: string } & (
  | { readonly reason: 'finished'; readonly status: Status; readonly error: string | null }
  | { readonly reason: 'held'; readonly by: string; readonly until: Date }
  | {
    readonly reason: 'failed'; readonly attempt: number; readonly maxAttempts: number; readonly error: string
    readonly runAt: Date
  }
  | { readonly reason: 'suspended' }
  | { readonly reason: 'blocked_by'; readonly tasks: readonly TaskState[] }
  | { readonly reason: 'waits_for_children'; readonly tasks: readonly TaskState[] }
  | { readonly reason: 'scheduled'; readonly runAt: Date }
  /** An empty type is the whole namespace. */
  | { readonly reason: 'paused'; readonly taskType: string }
  | { readonly reason: 'assignee_absent'; readonly agent: string }
  | { readonly reason: 'capability_missing'; readonly capabilities: readonly string[] }
  | { readonly reason: 'nobody_has_all'; readonly capabilities: readonly string[] }
  | { readonly reason: 'nobody_alive' }
  | { readonly reason: 'busy'; readonly agents: readonly string[] }
)

export interface Explanation {
  readonly id: string
  readonly status: Status
  /** Empty where somebody alive can claim it now. */
  readonly reasons: readonly Reason[]
  /** The agents alive that could claim it. */
  readonly candidates: readonly string[]
}

export interface NewAgent {
  /** `[a-z0-9][a-z0-9_-]{0,63}` */
  id: string
  /** Any name; the id where none is given. */
  displayName?: string
  role?: string
  aliases?: readonly string[]
  capabilities?: readonly string[]
  /** How many tasks it may hold at once. Default any number. */
  maxConcurrent?: number
  /** What its team wants to know of it beside: what JSON writes as an object. */
  metadata?: object
}

/** What to change of an agent; what is left out stays as it is. */
export interface AgentUpdate {
  /** Capabilities that it has from now on. */
  add?: readonly string[]
  /** Capabilities that it has no more. */
  remove?: readonly string[]
  /** Instead of what was there: what JSON writes as an object, or null. */
  metadata?: object | null
}

export interface HealthOptions extends Waits {
  /** Dead after so long without any sign, 1,000 or more. Default 120,000: four missed heartbeats. */
  deadAfterMs?: number
  /**
   * Stuck after so long without a sign of work while it holds a task that it claimed as long ago, 1,000 or more. Default
   * 90,000. One whose handler is silent for its `stallAfterMs` is stuck in any case.
   */
  stuckAfterMs?: number
}

export interface LeadOptions extends Waits {
  /** How long the lease lasts without renewal, 100 to 86,400,000; it is renewed three times as often. Default 30,000. */
  ttlMs?: number
  /** How long to wait while somebody else holds the role. Default not at all. */
  waitMs?: number
  /** Why the role is taken, for the event. */
  reason?: string
}

/** A role went from one agent to another, and is away until it is back. */
export interface FailoverEvent {
  readonly id: string
  readonly role: string
  readonly fromAgent: string
  readonly toAgent: string
  /** Under which the role was taken. */
  readonly term: number
  readonly reason: string
  /** By a watch, or by whoever called `lead` or `handBack`. */
  readonly triggeredBy: 'auto' | 'manual'
  readonly activatedAt: Date
  /** When it was back. */
  readonly deactivatedAt: Date | null
  readonly status: 'active' | 'resolved'
}

export interface Under {
  /**
   * A role that is held (`agents.lead`), or its lease: what the call stores is stored only where it still is, which the
   * store checks in the same transaction; `role.stale_term` otherwise.
   */
  under?: { readonly role: string; readonly term: number }
}

export interface HandBackOptions extends Waits {
  /** Who alone may take the role in the next 30 seconds. */
  to?: string
  /** Why, for the event. */
  reason?: string
}

/** Who holds a role, and until when. A role is an office that one agent holds at a time; an agent's own `role` is a word about it. */
export interface RoleLease {
  readonly role: string
  /** The agent that holds it. */
  readonly holder: string
  /** Of the opened store that holds it: another process of the same agent does not. */
  readonly instance: string
  /** Only grows: a new one each time that the role is taken. Pass it to other systems as the fencing token. */
  readonly term: number
  /** Unless it is renewed, by the store's clock. */
  readonly expiresAt: Date
}

export interface WatchOptions extends HealthOptions {
  /** The time from one check to the next, at most half of `deadAfterMs`. Default 10,000. */
  everyMs?: number
  /** The agent that watches. Of the watches that name one, the holder of the role `watcher` declares. */
  agent?: string
  /** For each role its candidates, the first of whom it belongs to: `{ router: ['kublai', 'ogedei'] }`. */
  roles?: Readonly<Record<string, readonly string[]>>
  /**
   * Called for each alert that this watcher has raised or cleared. Of several that watch a team one is told of each. The
   * watch goes on while it works; what it throws is a warning of the process.
   */
  onAlert?: (alert: Alert) => void | Promise<void>
}

/** Something that somebody should look at. */
export interface Alert {
  /** What it is about: `agent.dead:kublai`, `queue.depth`. At most one alert of a key burns at a time. */
  readonly key: string
  readonly severity: 'warning' | 'critical'
  /** Whether it burns. */
  readonly state: 'raised' | 'cleared'
  /** What people are told. */
  readonly text: string
  readonly raisedAt: Date
  /** When it burnt no more. */
  readonly clearedAt: Date | null
}

/** A task, as a report names it. */
export interface Item {
  readonly id: string
  readonly type: string
  readonly title: string
  readonly status: Status
  readonly requiredCapabilities: readonly string[]
}

/** What a cycle has done and found. */
export interface CycleReport {
  readonly agent: string
  /** Under which term it routed; `null` where it is an agent's own view. */
  readonly term: number | null
  /** `HEARTBEAT_OK`, or what there is to do, or what burns and nothing else. */
  readonly text: string
  /** Whether anybody has to look at it. */
  readonly attention: 'nothing' | 'work' | 'alert'
  /** What was given to whom, with a message that tells it; `assigned` now, or before. */
  readonly delegated: readonly { readonly task: Item; readonly to: string; readonly assigned: boolean }[]
  /** What nobody can do who may be given it. */
  readonly stuck: readonly Item[]
  /** Agents with work that sleep. */
  readonly asleep: readonly string[]
  /** Those for whom `wake` threw nothing. */
  readonly woken: readonly string[]
  /** Agents that are stuck or dead. */
  readonly stale: readonly AgentHealth[]
  readonly alerts: readonly Alert[]
  readonly inbox: Unread
  /** The agent's own tasks: what it holds, and what waits for it alone. */
  readonly tasks: readonly Item[]
}

export interface CycleOptions extends Waits {
  /** Called for each agent that sleeps on work; what it throws is a warning of the process. */
  wake?: (agent: string) => void | Promise<void>
}

export interface VerifyOptions extends HealthOptions {
  /** Whether both signs of every agent must be younger than 60 s, whether it holds a task or not. Default false. */
  strict?: boolean
}

/** What one check has found. */
export interface Check {
  readonly check: 'store' | 'schema' | 'clocks' | 'infra' | 'functional' | 'takeover'
  /** Whether it is in order. */
  readonly ok: boolean
  /** What was found, in words. */
  readonly text: string
}

/** How one agent fares, as far as this process can tell. */
export interface AgentHealth {
  readonly agent: string
  readonly state: Health
  /** Why, in words. */
  readonly reason: string
  /** The age of the last sign that its process runs. */
  readonly infraAgeMs: number | null
  /** The age of the last sign that it works: claim, renewal, progress, completion, failure. */
  readonly functionalAgeMs: number | null
  /** How many tasks it holds. */
  readonly holds: number
  /** The age of the oldest claim among them. */
  readonly oldestClaimAgeMs: number | null
  /** The roles that it holds. */
  readonly leads: readonly string[]
  /** When a watcher declared it dead, unless it has been declared recovered since. */
  readonly deadAt: Date | null
  /**
   * For how long this process has watched it without a gap; 0 in the first call. Where that is less than the threshold, no
   * silence makes it `dead` unless a watcher has declared it.
   */
  readonly watchedForMs: number
}

/** An agent as the registry knows it. */
export interface AgentInfo {
  readonly id: string
  readonly displayName: string
  readonly role: string | null
  readonly aliases: readonly string[]
  readonly capabilities: readonly string[]
  readonly status: AgentStatus
  readonly maxConcurrent: number | null
  /** How many live leases it holds now. */
  readonly currentLoad: number
  /** The last sign that its process runs. */
  readonly infraHeartbeat: Date | null
  /** The last sign that it works: claim, extend, progress, complete, fail. */
  readonly lastHeartbeat: Date | null
  readonly createdAt: Date
  readonly metadata: any
}

/** How a message stands. */
export type MessageStatus = 'pending' | 'delivered' | 'acknowledged' | 'failed' | 'expired'
/** How the recipient of a message fared when it was sent; `unknown` where no agent of this name is registered. */
export type Recipient = 'alive' | 'asleep' | 'draining' | 'unknown'
/** What a key may be used for. */
export type KeyState = 'pending' | 'active' | 'verify_only' | 'expired' | 'revoked'
/** How a key signs. */
export type Algorithm = 'EdDSA' | 'HMAC-SHA256'

/** A message by its id, or anything that has one. */
export type MessageLike = string | { readonly id: string; readonly thread?: string }
/** Whatever names one delivery: a message of the inbox, or its receipt. */
export type ReceiptLike = string | { readonly receipt: string }

export interface MessageOptions {
  /** Who says it; the handle's identity unless it has several. */
  sender?: string
  /** The task that it is about. */
  task?: TaskLike
  /** The message that it answers. */
  replyTo?: MessageLike
  /**
   * A second message of this sender and key is not sent: the first one's id is the answer where it says the same, else it is
   * `message.conflict`. The key is free again once its message has expired or failed and nobody has taken it in.
   */
  dedupeKey?: string
  /**
   * How long it may wait, in whole seconds. Default, and most: 5 minutes of a type `agent.*` or `control.*`, 24 hours of one
   * that begins with `task_`, else 7 days.
   */
  ttlMs?: number
  /** It is delivered before those that are not. Default false. */
  urgent?: boolean
}

/** A message to be sent. */
export interface NewMessage extends MessageOptions {
  /** An agent's id, or `role:NAME` for whoever holds the role when it is fetched. */
  to: string
  /** What kind of message it is, 1 to 128 characters. */
  type: string
  /** Any JSON. Default null. */
  body?: unknown
}

export interface AskOptions extends MessageOptions, Waits {
  /** How long to wait for the answer, at most a day. Default 30,000. */
  timeoutMs?: number
}

/** What became of a message that was sent. */
export interface Sent {
  readonly id: string
  /** True where one of its dedupe key was there already; nothing was sent, and this is its id. */
  readonly deduplicated: boolean
  /** How its recipient fares; `unknown` where it is a role. */
  readonly recipient: Recipient
}

export interface InboxOptions extends Waits {
  /** Whose; default the handle's identity. */
  agent?: string
  /** 1 to 1,000; there are fewer where they have 16 MiB. Default 10. */
  max?: number
  /** Default every type. */
  types?: readonly string[]
  /** How long to wait where there is none. Default 0. */
  waitMs?: number
  /** How long nobody else is given them, 100 or more. Default 60,000. */
  visibleMs?: number
}

/** A message as its recipient gets it. What it says is what its signature covers. */
export interface AgentMessage<B = any> {
  readonly id: string
  /** Who said it. */
  readonly sender: string
  /** An agent or `role:NAME`. */
  readonly to: string
  readonly type: string
  readonly body: B
  /** The task that it is about. */
  readonly taskId: string | null
  /** The message that it answers. */
  readonly replyTo: string | null
  /** The message that the exchange began with. */
  readonly thread: string
  readonly urgent: boolean
  readonly status: MessageStatus
  /** How often it was delivered; of a fetched message also the fence, with which it is acknowledged. */
  readonly delivery: number
  /** The delivery as text, `ID/DELIVERY`: with it another process can acknowledge the message. */
  readonly receipt: string
  /** Why it has failed. */
  readonly code: string | null
  /** When it was sent, by the store's clock. */
  readonly createdAt: Date
  /** Until when it may wait. */
  readonly expiresAt: Date
  /** Who signed it, as it was verified when the message was read. */
  readonly verified: { readonly agent: string; readonly keyId: string; readonly version: number }
}

/** How a message stands after its delivery has ended. */
export interface Settled {
  readonly id: string
  readonly status: MessageStatus
  /** It had ended so before. */
  readonly repeated: boolean
}

/**
 * What waits for an agent and for the roles that it holds: of `messages.unread` all that nobody has acknowledged, with a
 * renewal what it would be given now.
 */
export interface Unread {
  /** How many messages. */
  readonly count: number
  /** How many of them are urgent. */
  readonly urgent: number
}

/** Either `to` or `from`, or neither. */
export interface MessageFilter extends Waits {
  /** To an agent or a role. */
  to?: string
  /** From an agent. */
  from?: string
  /** 1 to 1,000. Default 100. */
  limit?: number
  /** `next` of the page before. */
  cursor?: string | null
}

export interface MessagePage {
  readonly messages: readonly AgentMessage[]
  /** The cursor of the next page. */
  readonly next: string | null
}

/** What becomes of a schedule's times that passed while no process had the store open. */
export type CatchUp = 'one' | 'skip' | 'all'

/** What becomes of a time that comes while the schedule's last task is unfinished. */
export type Overlap = 'skip' | 'allow'

/** When a schedule is due, and what else each of its tasks is given. Either `everyMs` or `cron`. */
export interface ScheduleOptions extends Waits, Pick<TaskOptions,
  | 'title' | 'description' | 'priority' | 'priorityWeight' | 'requires' | 'prefers' | 'assignedTo' | 'delegatedBy'
  | 'correlationId' | 'expiresInMs' | 'maxAttempts' | 'maxRuntimeMs' | 'retry'> {
  /** From one time to the next, 1,000 or more, counted from `start` or else from the first put, whatever clocks show. */
  everyMs?: number
  /**
   * Five fields, minute hour day month weekday, as in `0 9 * * MON`; or `@hourly`, `@daily`, `@weekly`, `@monthly`, `@yearly`. A
   * time that the wall clock leaves out when it is put forward is due at that moment; one that it shows twice is due the first
   * time.
   */
  cron?: string
  /** Whose wall clock `cron` goes by, an IANA name. Default `UTC`. */
  timezone?: string
  /** `one` task for all missed times, which is the default; `skip`: none, but what is less than a minute late; `all`: one for each. */
  catchUp?: CatchUp
  /** Default `skip`; with `catchUp: 'all'`, `allow`. */
  overlap?: Overlap
  /** By how much each task may come later than its time: the same for every process, and less than from one time to the next. */
  jitterMs?: number
  /** Nothing is due before. */
  start?: Date
}

/** A schedule as it stands. */
export interface Schedule<P = any> {
  readonly name: string
  /** The type of its tasks. */
  readonly type: string
  readonly payload: P
  /** What else each task is given, as the store has it: names as `max_runtime`, spans in seconds. */
  readonly taskFields: Readonly<Record<string, any>>
  /** From one time to the next, where it goes by a span. */
  readonly everyMs: number | null
  /** The pattern, where it goes by the wall clock. */
  readonly cron: string | null
  readonly timezone: string
  /** What `everyMs` counts from; nothing is due before. */
  readonly start: Date | null
  readonly catchUp: CatchUp
  readonly overlap: Overlap
  /** By how much a task may come later than its time. */
  readonly jitterMs: number
  readonly paused: boolean
  /** The time that is due next, which may have come already; null while it is paused. */
  readonly nextDue: Date | null
  /** The next three times, the first of which is `nextDue`; none while it is paused. */
  readonly upcoming: readonly Date[]
  /** The last time that had a task. */
  readonly lastDue: Date | null
  /** The task that it enqueued last, also by `runNow`. */
  readonly lastTask: string | null
  /** The last time that had none: the task before was unfinished, or `catchUp` is `skip`. */
  readonly lastSkipped: Date | null
  /** When a schedule of this name was put first. */
  readonly createdAt: Date
  /** When somebody last changed it. */
  readonly updatedAt: Date
}

/** What a team knows of a key; never its secret. */
export interface AgentKey {
  readonly agentId: string
  /** Unique among the agent's. */
  readonly keyId: string
  readonly algorithm: Algorithm
  readonly state: KeyState
  /** When the team heard of it. */
  readonly createdAt: Date
  /** From when on it may sign. */
  readonly activatedAt: Date | null
  /** From when on nothing that it has signed counts. */
  readonly expiresAt: Date
  /** 32 bytes in base64url; null of a key that the team shares. */
  readonly publicKey: string | null
  /** Of a key whose secret the team keeps: the id of the `WrappingKey` that opens it. */
  readonly wrappingKey: string | null
  /** Why it was revoked. */
  readonly reason: string | null
}

/** What `verify` takes as a key: one of `k.keys.list()`, its parts, an identity, or an agent and its public key. */
export type KeyLike =
  | Identity | readonly [agent: string, publicKey: string]
  | (Pick<AgentKey, 'agentId' | 'keyId' | 'publicKey'> & Partial<AgentKey>)

/** A key as an older program has it, also one of `legacy.AgentKey`, by our names or by those of its database (`agent_id`, `key_hash`, `is_active` ...). */
export interface LegacyKeyRow {
  /** The agent's name as it is sent. */
  readonly agentId?: string
  readonly keyId?: string
  /** The secret as text; 64 hexadecimal digits stay what they are. */
  readonly secretKey?: string
  readonly revoked?: boolean
  readonly createdAt?: Date | string | null
  readonly expiresAt?: Date | string | null
  readonly [column: string]: unknown
}

export interface ImportOptions extends Waits {
  /** Rows that come from elsewhere; without them those that lie in the store. */
  rows?: readonly (LegacyKeyRow | LegacyKey)[]
  /** Only those of these agents, by their names in any spelling. */
  agents?: readonly string[]
  /** Only says what would be done. */
  dryRun?: boolean
}

/** A row that was not imported. */
export interface SkippedKey {
  /** Whose it is, as far as it says. */
  readonly agentId: string | null
  readonly keyId: string | null
  /**
   * `key.known`: the team has it already. `key.conflict`: it has another secret under this id, or the row was changed
   * meanwhile. `key.weak`: less than 32 characters. `input.invalid`: it does not say whose, which or what.
   */
  readonly code: string
  /** The same in words. */
  readonly why: string
}

/** What was imported, and what was not. */
export interface ImportedKeys {
  readonly dryRun: boolean
  /** The keys that the team has from now on. */
  readonly imported: readonly AgentKey[]
  readonly skipped: readonly SkippedKey[]
}

export interface SignOptions {
  /** The agent that is told, or `role:NAME`. */
  audience: string
  /** What kind of message it is, 1 to 128 characters. */
  type: string
  /** The team. Default `default`. */
  namespace?: string
  /** A UUIDv7, under which the message is admitted once. Default a new one. */
  id?: string
  /** The task that it is about. */
  task?: TaskLike
  /** The message that it answers. */
  replyTo?: MessageLike
  /** How long it is good for, in whole seconds; default the longest that its type allows. */
  ttlMs?: number
  /** When it is signed. Default now, by this machine's clock. */
  issuedAt?: Date
}

export interface VerifyMessageOptions {
  /**
   * Who we are: an agent, and `role:NAME` for each role that it holds. `null` only for whoever passes messages on, and takes
   * those for anybody.
   */
  audience: string | readonly string[] | null
  /** The team. Default `default`. */
  namespace?: string
  /** Default now, by this machine's clock. */
  at?: Date
}

/** What a token says, as `verify` has found it. It was said by `sender`. */
export interface VerifiedMessage<B = any> {
  /** The message's id, under which it is admitted once. */
  readonly id: string
  readonly namespace: string
  readonly sender: string
  readonly keyId: string
  /** The agent that it is for, or `role:NAME`. */
  readonly audience: string
  readonly type: string
  readonly body: B
  /** The task that it is about. */
  readonly taskId: string | null
  /** The message that it answers. */
  readonly replyTo: string | null
  /** When it was signed, by the sender's clock. */
  readonly issuedAt: Date
  /** From when on it is refused. */
  readonly expiresAt: Date
}

/** The topics of this library's own events. */
export type Topic =
  | 'task.enqueued' | 'task.unblocked' | 'task.claimed' | 'task.progress' | 'task.released' | 'task.snoozed'
  | 'task.failed' | 'task.lapsed' | 'task.completed' | 'task.dead_letter' | 'task.cancelled' | 'task.expired'
  | 'task.waiting' | 'task.suspended' | 'task.resumed' | 'task.requeued' | 'task.discarded' | 'task.blocked'
  | 'task.cancel_requested' | 'task.suspend_requested' | 'task.updated' | 'task.reprioritized' | 'task.assigned'
  | 'task.adopted' | 'agent.registered' | 'agent.adopted' | 'agent.stuck' | 'agent.dead' | 'agent.recovered'
  | 'message.received' | 'message.failed' | 'message.expired' | 'alert.raised' | 'alert.cleared'
  | 'tasks.stopped' | 'tasks.started'

export interface Event {
  /** Grows in commit order within the namespace, without a gap. */
  readonly seq: number
  readonly topic: Topic | (string & {})
  /** The agent, where one caused it. */
  readonly source: string | null
  readonly taskId: string | null
  /** Its task's type, where it is about one. */
  readonly taskType: string | null
  /** The task's, where it is about one. */
  readonly correlationId: string | null
  readonly payload: any
  readonly createdAt: Date
}

/** What a read has found. */
export interface EventPage {
  readonly events: readonly Event[]
  /** Read on with this as `afterSeq`: every event up to here was looked at, whether it matched or not. */
  readonly next: number
}

/** What is told of an event beside its topic and payload. */
export interface EventOptions {
  /** The agent that it comes from. */
  source?: string
  /** What it is about. */
  task?: TaskLike
  /** What it belongs to. Default that of `cause`, else that of the task. */
  correlationId?: string
  /** A second event of this key is not published: 1 to 256 characters. */
  key?: string
  /** The `seq` of the event in whose handling it is published. */
  cause?: number
}

/** An event to publish. */
export interface NewEvent extends EventOptions {
  /** Words of letters, digits, `_` and `-` with dots between them. */
  topic: string
  /** JSON, at most 64 KiB. */
  payload?: unknown
}

/** What became of an event that was published. */
export interface Published {
  /** Its number in the log. */
  readonly seq: number
  /** True where one of its key was there already, and this is its number. */
  readonly deduplicated: boolean
}

/** What is in events: a field, an operator, and but for `exists` a value. */
export type Condition =
  | readonly [field: string, operator: 'exists']
  | readonly [field: string, operator: 'eq' | 'lt' | 'gt', value: unknown]
  | readonly [field: string, operator: 'in', values: readonly unknown[]]

export interface SubscribeOptions extends Waits {
  /** Whose it is. */
  agent?: string
  /** Only events that this agent caused. */
  source?: string
  /**
   * Only events of which all conditions hold, or any: `{ all: [['payload.pr', 'exists'], ['payload.n', 'gt', 3]] }`. Fields are
   * `topic`, `source`, `task_id`, `task_type`, `correlation_id` and what is in the payload; `lt` and `gt` compare two numbers
   * or two texts. At most 32 conditions.
   */
  where?: { readonly all: readonly Condition[] } | { readonly any: readonly Condition[] }
  /** The number of the event behind which it begins, 0 for the first that the log has, or a time. Default now. */
  start?: number | Date
  /** Events are given together so long after the first of them. */
  batchMs?: number
  /** Events are given together once none has come for so long; with `batchMs`, that is the longest that the first waits. */
  quietMs?: number
}

export interface ConsumeOptions extends Waits {
  /** How many events at most: 1 to 1,000. Default 100. */
  max?: number
  /** It ends where none has come for so long. Default never. */
  waitMs?: number
  /** How long nobody else is given them after this process has died. Default 30,000. */
  holdMs?: number
}

/** A subscription as it stands. */
export interface Subscription {
  readonly name: string
  readonly topic: string
  readonly agent: string | null
  readonly source: string | null
  readonly where: unknown
  readonly batchMs: number | null
  readonly quietMs: number | null
  readonly paused: boolean
  /** Every event up to here is acknowledged or does not match. */
  readonly cursor: number
  /** How many events of the log it has yet to look at, whether they match or not. */
  readonly lag: number
  /** Until when nobody else is given its next events: somebody has them, or they are to be tried later. */
  readonly heldUntil: Date | null
  /** How often its next events were given and not acknowledged. */
  readonly tries: number
  readonly error: string | null
  readonly createdAt: Date
  readonly updatedAt: Date
}

/** An event without which a subscription went on: it was given 5 times. */
export interface DeadEvent {
  readonly seq: number
  readonly topic: string
  readonly tries: number
  readonly error: string | null
  readonly at: Date
}

/** Every field that is given must match. */
export interface EventFilter extends Waits {
  afterSeq?: number
  /** Dotted; `*` is one word, `**` any number: `task.*`. */
  topic?: Topic | 'task.*' | 'agent.*' | 'message.*' | 'alert.*' | (string & {})
  source?: string
  taskId?: string
  /** Only those about tasks of this type. */
  type?: string
  /** Not before this time. */
  since?: Date
  /** 1 to 10,000. Default 1,000. */
  limit?: number
  /** How long to wait where none matches yet. Default 0. */
  waitMs?: number
}

export interface OpenOptions extends Waits {
  /**
   * Whom this process speaks for: the path of a key file, an `Identity`, or an array of these, of which each message names its
   * sender. Without one nothing is sent.
   */
  identity?: IdentityLike | readonly IdentityLike[] | null
  /**
   * What opens the secrets that the team keeps in its store: a `WrappingKey`, the path of its file, or an array of these, of
   * which the first wraps. Default that of KURULTAI_WRAPPING_KEY, or of the file that KURULTAI_WRAPPING_KEY_FILE names.
   */
  wrappingKey?: WrappingKeyLike | readonly WrappingKeyLike[] | null
  /** The team. Two namespaces of one database never see each other. Default `default`. */
  namespace?: string
  /**
   * Which messages are taken: 1, the default, takes the legacy envelopes of older programs too, where the team keeps their
   * keys; 2 refuses them with `sig.algorithm`, also those that were admitted before.
   */
  minVersion?: number
  /** Whether the schema is brought up to date. Default true. */
  migrate?: boolean
  /** Whether this process enqueues what schedules have due, returns lapsed leases, expires waiting tasks and ages priorities. Default true. */
  background?: boolean
  /**
   * What a task gets where its author says nothing. `expiresInMs: null` lets tasks wait for ever. `maxSnoozes` is how often
   * attempts at one task may be put off (100); it counts where a `Snooze` ends an attempt.
   */
  taskDefaults?: {
    maxAttempts?: number; maxSnoozes?: number; expiresInMs?: number | null; leaseMs?: number
    retry?: { baseMs?: number; capMs?: number; jitter?: boolean }
  }
  /** How long what is over is kept. Default for ever. */
  retention?: { tasksMs?: number; eventsMs?: number; messagesMs?: number }
  /**
   * A task rises one rank for each such span since it can be claimed, and after a further one as P0 comes before every
   * weight. Default 1 h; null for never.
   */
  agingMs?: number | null
  /** How many tasks a task may have above it. Default 10. */
  maxDepth?: number
  /** Starts a clock that only `k.advance(ms)` moves: for tests. */
  clock?: Date
}

/** One answer of many: the result, or the error of this one. */
export type Each<T> = T | KurultaiError
