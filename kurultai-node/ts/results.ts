// Outcomes as frozen results: parsed by the engine, then dates and leases put in place. A failure is thrown.

import { toError } from './errors'
import { decode } from './json'
import { Lease } from './lease'
import type { Outcome } from './native'
import type { Failed, MessageFailed, Stalled } from './heard'
import type {
  Adoption, AgentHealth, AgentInfo, AgentKey, AgentMessage, Alert, Claimed, DeadEvent, Each, Event, EventPage, Explanation, Extended, FailoverEvent,
  Finished,
  ImportedKeys, MessagePage, Page, Prerequisite, RoleLease, Schedule, Settled, Stats, Subscription, Task, VerifiedMessage,
} from './types'

type Raw = any

const date = (ms: number | null) => (ms === null ? null : new Date(ms))

/** The list and what is in it. */
function frozen<T>(list: T[]): T[] {
  for (const item of list) Object.freeze(item)
  return Object.freeze(list) as T[]
}

/** As it was parsed. */
export function value(outcome: Outcome): any {
  nothing(outcome)
  return decode(outcome)
}

/** Of a call that answers nothing. */
export function nothing(outcome: Outcome): asserts outcome is string {
  if (typeof outcome !== 'string') throw toError(outcome)
}

/** As it is: no JSON. */
export function text(outcome: Outcome): string {
  nothing(outcome)
  return outcome
}

export function simple<T>(outcome: Outcome): T {
  return Object.freeze(value(outcome))
}

export function simpleList<T>(outcome: Outcome): readonly T[] {
  return frozen(value(outcome))
}

/** Most tasks have none, and one frozen list is enough for them. */
const NONE = Object.freeze([])

/** Of columns, in the order of `Batch` in src/wire.rs; what is no list there is the same for all tasks. */
function claimedOf(columns: Raw[]): readonly Claimed[] {
  const [
    ids, type, title, description, payloads, priority, attempt, maxAttempts, maxRuntimeMs, snoozes, delegatedBy, parentId,
    correlationId, checkpoints,
    waitedFor, claimIds, version, leaseAttempt, expires,
  ] = columns
  const claimed: Claimed[] = []
  for (let i = 0; i < ids.length; i++) {
    const id = ids[i]
    claimed.push(Object.freeze({
      id, type: at(type, i), title: at(title, i), description: at(description, i), payload: payloads[i],
      priority: at(priority, i), attempt: at(attempt, i), maxAttempts: at(maxAttempts, i),
      maxRuntimeMs: at(maxRuntimeMs, i), snoozes: at(snoozes, i),
      delegatedBy: at(delegatedBy, i), parentId: at(parentId, i), correlationId: at(correlationId, i) ?? id,
      checkpoint: checkpoints[i],
      prerequisites: waitedFor[i].length === 0 ? NONE : frozen<Prerequisite>(waitedFor[i]),
      lease: new Lease(id, claimIds[i], at(version, i), at(leaseAttempt, i), at(expires, i)),
    }))
  }
  return Object.freeze(claimed)
}

const at = (column: Raw, index: number) => (Array.isArray(column) ? column[index] : column)

export function claimedList(outcome: Outcome): readonly Claimed[] {
  return claimedOf(value(outcome))
}

/** A job as it is pulled. */
export interface Pulled {
  job: number
  task: Claimed
  idempotencyKey: string
  fencingToken: number
}

/** `null` once the worker drains. */
export function pulled(outcome: Outcome): Pulled | null {
  const raw = value(outcome)
  if (raw === null) return null
  const { tasks, ...job } = raw
  return { ...job, task: claimedOf(tasks)[0] }
}

/** A message as it is pulled. */
export interface PulledMessage {
  job: number
  message: AgentMessage
}

/** `null` once the worker drains. */
export function pulledMessage(outcome: Outcome): PulledMessage | null {
  const raw = value(outcome)
  if (raw !== null) toMessage(raw.message)
  return raw
}

/** What has become of attempts; `null` where nothing more is told. */
export function reports(
  outcome: Outcome,
): readonly (Failed & Stalled & MessageFailed & { event: 'failed' | 'completed' | 'snoozed' | 'stalled' | 'messageFailed' })[] | null {
  const list: Raw[] | null = value(outcome)
  for (const raw of list ?? []) if ('runAt' in raw) raw.runAt = date(raw.runAt)
  return list
}

export function extended(outcome: Outcome): Extended {
  const raw = value(outcome)
  raw.lease = Lease.of(raw.lease)
  Object.freeze(raw.unread)
  return Object.freeze(raw)
}

function toTask(raw: Raw): Task {
  raw.runAt = date(raw.runAt)
  raw.expiresAt = date(raw.expiresAt)
  raw.claimedAt = date(raw.claimedAt)
  raw.leaseExpiresAt = date(raw.leaseExpiresAt)
  raw.createdAt = date(raw.createdAt)
  raw.updatedAt = date(raw.updatedAt)
  raw.completedAt = date(raw.completedAt)
  for (const error of raw.errors) error.at = date(error.at)
  frozen(raw.errors)
  for (const list of [raw.requiredCapabilities, raw.preferredCapabilities, raw.dependsOn]) Object.freeze(list)
  Object.freeze(raw.usage)
  return Object.freeze(raw)
}

export function task(outcome: Outcome): Task {
  return toTask(value(outcome))
}

export function maybeTask(outcome: Outcome): Task | null {
  const raw = value(outcome)
  return raw === null ? null : toTask(raw)
}

export function tasks(outcome: Outcome): readonly (Task | null)[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) if (raw !== null) toTask(raw)
  return Object.freeze(list)
}

export function page(outcome: Outcome): Page {
  const raw = value(outcome)
  for (const task of raw.tasks) toTask(task)
  Object.freeze(raw.tasks)
  return Object.freeze(raw)
}

function toFinished(raw: Raw): Finished {
  raw.runAt = date(raw.runAt)
  return Object.freeze(raw)
}

export function finished(outcome: Outcome): Finished {
  return toFinished(value(outcome))
}

export function finishedList(outcome: Outcome): readonly Each<Finished>[] {
  const list: Raw[] = value(outcome)
  const each = list.map((raw) => (raw.error ? toError(raw.error) : toFinished(raw)))
  return Object.freeze(each)
}

export function stats(outcome: Outcome): Stats {
  const raw = value(outcome)
  if (raw.stopped) raw.stopped.at = date(raw.stopped.at)
  for (const part of Object.values(raw)) Object.freeze(part)
  return Object.freeze(raw)
}

export function adoption(outcome: Outcome): Adoption {
  const raw = value(outcome)
  for (const finding of raw.findings) Object.freeze(finding.examples)
  frozen(raw.findings)
  Object.freeze(raw.byStatus)
  return Object.freeze(raw)
}

export function explanation(outcome: Outcome): Explanation {
  const raw = value(outcome)
  for (const reason of raw.reasons) {
    if ('until' in reason) reason.until = date(reason.until)
    if ('runAt' in reason) reason.runAt = date(reason.runAt)
    for (const list of [reason.tasks, reason.capabilities, reason.agents]) if (list) frozen(list)
  }
  frozen(raw.reasons)
  Object.freeze(raw.candidates)
  return Object.freeze(raw)
}

function toAgent(raw: Raw): AgentInfo {
  raw.infraHeartbeat = date(raw.infraHeartbeat)
  raw.lastHeartbeat = date(raw.lastHeartbeat)
  raw.createdAt = date(raw.createdAt)
  Object.freeze(raw.aliases)
  Object.freeze(raw.capabilities)
  return Object.freeze(raw)
}

export function agent(outcome: Outcome): AgentInfo {
  return toAgent(value(outcome))
}

export function agents(outcome: Outcome): readonly AgentInfo[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) toAgent(raw)
  return Object.freeze(list)
}

function toRoleLease(raw: Raw): RoleLease {
  raw.expiresAt = date(raw.expiresAt)
  return Object.freeze(raw)
}

export function roleLease(outcome: Outcome): RoleLease {
  return toRoleLease(value(outcome))
}

export function maybeRoleLease(outcome: Outcome): RoleLease | null {
  const raw = value(outcome)
  return raw === null ? null : toRoleLease(raw)
}

export function failovers(outcome: Outcome): readonly FailoverEvent[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) {
    raw.activatedAt = date(raw.activatedAt)
    raw.deactivatedAt = date(raw.deactivatedAt)
  }
  return frozen(list)
}

/** A role that is held here, and its number. */
export function led(outcome: Outcome): { number: number; lease: RoleLease } {
  const raw = value(outcome)
  toRoleLease(raw.lease)
  return raw
}

export function health(outcome: Outcome): readonly AgentHealth[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) {
    raw.deadAt = date(raw.deadAt)
    Object.freeze(raw.leads)
  }
  return frozen(list)
}

function toSchedule(raw: Raw): Schedule {
  for (const key of ['start', 'nextDue', 'lastDue', 'lastSkipped', 'createdAt', 'updatedAt']) raw[key] = date(raw[key])
  raw.upcoming = Object.freeze(raw.upcoming.map(date))
  return Object.freeze(raw)
}

export function schedule(outcome: Outcome): Schedule {
  return toSchedule(value(outcome))
}

export function schedules(outcome: Outcome): readonly Schedule[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) toSchedule(raw)
  return Object.freeze(list)
}

function toMessage(raw: Raw): AgentMessage {
  raw.createdAt = date(raw.createdAt)
  raw.expiresAt = date(raw.expiresAt)
  raw.receipt = `${raw.id}/${raw.delivery}`
  Object.freeze(raw.verified)
  return Object.freeze(raw)
}

export function message(outcome: Outcome): AgentMessage {
  return toMessage(value(outcome))
}

export function maybeMessage(outcome: Outcome): AgentMessage | null {
  const raw = value(outcome)
  return raw === null ? null : toMessage(raw)
}

export function messages(outcome: Outcome): readonly AgentMessage[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) toMessage(raw)
  return Object.freeze(list)
}

export function messagePage(outcome: Outcome): MessagePage {
  const page: Raw = value(outcome)
  for (const raw of page.messages) toMessage(raw)
  Object.freeze(page.messages)
  return Object.freeze(page)
}

export function settledList(outcome: Outcome): readonly Each<Settled>[] {
  const list: Raw[] = value(outcome)
  return Object.freeze(list.map((raw) => (raw.error ? toError(raw.error) : Object.freeze(raw))))
}

export function verifiedMessage(outcome: Outcome): VerifiedMessage {
  const raw = value(outcome)
  raw.issuedAt = date(raw.issuedAt)
  raw.expiresAt = date(raw.expiresAt)
  return Object.freeze(raw)
}

function toKey(raw: Raw): AgentKey {
  raw.createdAt = date(raw.createdAt)
  raw.activatedAt = date(raw.activatedAt)
  raw.expiresAt = date(raw.expiresAt)
  return Object.freeze(raw)
}

export function key(outcome: Outcome): AgentKey {
  return toKey(value(outcome))
}

export function keys(outcome: Outcome): readonly AgentKey[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) toKey(raw)
  return Object.freeze(list)
}

export function importedKeys(outcome: Outcome): ImportedKeys {
  const raw = value(outcome)
  for (const key of raw.imported) toKey(key)
  Object.freeze(raw.imported)
  frozen(raw.skipped)
  return Object.freeze(raw)
}

export function alerts(outcome: Outcome): readonly Alert[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) {
    raw.raisedAt = date(raw.raisedAt)
    raw.clearedAt = date(raw.clearedAt)
  }
  return frozen(list)
}

/** Deep, with those whom the caller has woken. */
export function cycleReport(outcome: Outcome): any {
  const raw = value(outcome)
  for (const alert of raw.alerts) {
    alert.raisedAt = date(alert.raisedAt)
    alert.clearedAt = date(alert.clearedAt)
  }
  for (const health of raw.stale) health.deadAt = date(health.deadAt)
  for (const { task } of raw.delegated) Object.freeze(task)
  for (const list of [raw.delegated, raw.stuck, raw.asleep, raw.stale, raw.alerts, raw.tasks]) frozen(list)
  Object.freeze(raw.inbox)
  return raw
}

export function eventPage(outcome: Outcome): EventPage {
  const page: Raw = value(outcome)
  toEvents(page.events)
  return Object.freeze(page)
}

/** Events that are held, and the number of their batch; `null` where nothing came. */
export function consumed(outcome: Outcome): { batch: number; events: readonly Event[] } | null {
  const raw = value(outcome)
  return raw === null ? null : { batch: raw.batch, events: toEvents(raw.events) }
}

function toSubscription(raw: Raw): Subscription {
  raw.heldUntil = date(raw.heldUntil)
  raw.createdAt = date(raw.createdAt)
  raw.updatedAt = date(raw.updatedAt)
  return Object.freeze(raw)
}

export function subscription(outcome: Outcome): Subscription {
  return toSubscription(value(outcome))
}

export function subscriptions(outcome: Outcome): readonly Subscription[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) toSubscription(raw)
  return Object.freeze(list)
}

export function deadEvents(outcome: Outcome): readonly DeadEvent[] {
  const list: Raw[] = value(outcome)
  for (const raw of list) raw.at = date(raw.at)
  return frozen(list)
}

export function events(outcome: Outcome): readonly Event[] {
  return toEvents(value(outcome))
}

function toEvents(list: Raw[]): readonly Event[] {
  for (const raw of list) {
    raw.createdAt = date(raw.createdAt)
    Object.freeze(raw)
  }
  return Object.freeze(list)
}
