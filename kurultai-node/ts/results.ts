// Answers as frozen results: parsed by the engine, then dates and leases put in place.

import { toError } from './errors'
import { decode } from './json'
import { Lease } from './lease'
import type { AgentInfo, Claimed, Each, Event, Explanation, Extended, Finished, Page, Prerequisite, Stats, Task } from './types'

type Raw = any

const date = (ms: number | null) => (ms === null ? null : new Date(ms))

/** The list and what is in it. */
function frozen<T>(list: T[]): T[] {
  for (const item of list) Object.freeze(item)
  return Object.freeze(list) as T[]
}

export function simple<T>(text: string): T {
  return Object.freeze(decode(text))
}

export function simpleList<T>(text: string): readonly T[] {
  return frozen(decode(text))
}

/** Most tasks have none, and one frozen list is enough for them. */
const NONE = Object.freeze([])

/** Comes as a list, in the order of `row!(Claimed)` in src/wire.rs. */
export function toClaimed(raw: Raw): Claimed {
  const [
    id, type, title, description, payload, priority, attempt, maxAttempts, delegatedBy, parentId, checkpoint, waitedFor,
    lease,
  ] = raw
  return Object.freeze({
    id, type, title, description, payload, priority, attempt, maxAttempts, delegatedBy, parentId, checkpoint,
    prerequisites: waitedFor.length === 0 ? NONE : frozen<Prerequisite>(waitedFor),
    lease: new Lease(lease),
  })
}

export function claimedList(text: string): readonly Claimed[] {
  return Object.freeze(decode(text).map(toClaimed))
}

export function extended(text: string): Extended {
  const raw = decode(text)
  raw.lease = new Lease(raw.lease)
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

export function task(text: string): Task {
  return toTask(decode(text))
}

export function tasks(text: string): readonly (Task | null)[] {
  const list: Raw[] = decode(text)
  for (const raw of list) if (raw !== null) toTask(raw)
  return Object.freeze(list)
}

export function page(text: string): Page {
  const raw = decode(text)
  for (const task of raw.tasks) toTask(task)
  Object.freeze(raw.tasks)
  return Object.freeze(raw)
}

export function finishedList(text: string): readonly Each<Finished>[] {
  const list: Raw[] = decode(text)
  const each = list.map((raw) => (raw.error ? toError(raw.error) : Object.freeze(raw)))
  return Object.freeze(each)
}

export function stats(text: string): Stats {
  const raw = decode(text)
  for (const part of Object.values(raw)) Object.freeze(part)
  return Object.freeze(raw)
}

export function explanation(text: string): Explanation {
  const raw = decode(text)
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

export function agent(text: string): AgentInfo {
  return toAgent(decode(text))
}

export function agents(text: string): readonly AgentInfo[] {
  const list: Raw[] = decode(text)
  for (const raw of list) toAgent(raw)
  return Object.freeze(list)
}

export function events(text: string): readonly Event[] {
  const list: Raw[] = decode(text)
  for (const raw of list) {
    raw.createdAt = date(raw.createdAt)
    Object.freeze(raw)
  }
  return Object.freeze(list)
}
