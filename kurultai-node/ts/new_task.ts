// A task to enqueue, as its author says it and as it crosses.

import * as check from './check'
import { encode, encodeArgs, encodeFields, quick } from './json'
import { native } from './native'
import type { Dependency, TaskLike, TaskOptions, Waits } from './types'

/** A task to enqueue. Its id is made here, so that other tasks of the same batch can depend on it. */
export class NewTask {
  readonly id: string
  constructor(readonly type: string, readonly payload: unknown = null, readonly options: TaskOptions = {}) {
    this.id = options.id ?? native.newId()
    Object.freeze(this)
  }
}

/** What `enqueueMany` takes: a `NewTask`, or its parts as one object. */
export type NewTaskLike = NewTask | ({ type: string; payload?: unknown } & TaskOptions)

/** @internal */
export function idOf(task: TaskLike): string {
  if (typeof task === 'string') return task
  check.checkOne('task', task, check.taskLike)
  return task.id
}

export const RETRY: check.Fields = { baseMs: check.ms, capMs: check.ms, jitter: check.flag }
const OPTIONS: check.Fields = {
  id: check.text, title: check.text, description: check.text, priority: check.text, priorityWeight: check.finite,
  requires: check.texts, prefers: check.texts, assignedTo: check.text, delegatedBy: check.text, parent: check.taskLike,
  correlationId: check.text,
  waitFor: check.waitFor, dependsOn: check.dependencies, onPrerequisiteFailure: check.text, uniqueKey: check.text,
  runAt: check.date, delayMs: check.ms, expiresAt: check.date, expiresInMs: check.msOrEver, maxAttempts: check.count,
  maxRuntimeMs: check.msOrEver, retry: check.object(RETRY),
}
export const ONE: check.Fields = { ...OPTIONS, signal: check.anything }
export const CALL: check.Fields = { ...ONE, timeoutMs: check.msOrEver }
const ROW: check.Fields = { ...OPTIONS, type: check.text, payload: check.anything }

/** The arguments of `enqueueMany`: all at once where every payload is simple, as nearly all are. */
export function encodeTasks(tasks: readonly NewTaskLike[]): string {
  check.checkOne('tasks', tasks, check.objects)
  tasks.forEach((task, index) => {
    const before = tasks.length === 1 ? '' : `task ${index}: `
    if (task instanceof NewTask) check.checkFields(task.options, OPTIONS, before)
    else check.checkFields(task, ROW, before)
    check.checkOne(`${before}type`, task.type, check.text)
  })
  const simple = tasks.every(isAsItCrosses) ? quick(tasks) : undefined
  if (simple !== undefined) return simple
  const all = tasks.map(crossed)
  const label = (index: number) => (all.length === 1 ? 'payload' : `payload of task ${index}`)
  return quick(all) ?? `[${all.map((task, index) => written(task, label(index))).join(',')}]`
}

/** Nothing in it has another form to cross in. */
function isAsItCrosses(task: NewTaskLike): boolean {
  if (task instanceof NewTask) return false
  for (const key in task) if (crossing.has(key) || (task as any)[key] === null) return false
  return true
}

/** The arguments of `enqueue`. */
export function encodeTask(type: string, payload: unknown, options: TaskOptions & Waits): string {
  check.checkOne('type', type, check.text)
  check.checkFields(options, ONE)
  const fields = { type, payload }
  add(fields, options, 'signal')
  return quick(fields) ?? written(fields, 'payload')
}

/** By itself, so that a refusal names the task and the path in its payload. */
function written({ payload, ...fields }: Record<string, unknown>, label: string): string {
  return `${encodeFields(fields).slice(0, -1)},"payload":${encode(payload, label)}}`
}

function crossed(task: NewTaskLike): Record<string, unknown> {
  const { type, payload = null } = task
  const crossed: Record<string, unknown> = { type, payload }
  if (task instanceof NewTask) {
    add(crossed, task.options)
    crossed.id = task.id
  } else add(crossed, task)
  return crossed
}

function add(crossed: Record<string, unknown>, options: Record<string, any>, skipped?: string): void {
  for (const key in options) {
    const value = options[key]
    if (value === undefined || value === null || key === 'payload' || key === 'type' || key === skipped) continue
    const other = crossing.get(key)
    crossed[key] = other === undefined ? value : other(value)
  }
}

/** The fields that cross in another form than they are given in. */
const crossing = new Map<string, (value: any) => unknown>([
  ['parent', idOf],
  ['dependsOn', (tasks: readonly (TaskLike | Dependency)[]) => tasks.map(encodeDependency)],
  ['runAt', time],
  ['expiresAt', time],
  ['maxRuntimeMs', (ms: number) => (ms === Infinity ? undefined : ms)],
  ['expiresInMs', (ms: number) => (ms === Infinity ? 'never' : ms)],
])

/** @internal */
export function encodeDependency(on: TaskLike | Dependency): object {
  check.checkOne('on', on, check.dependency)
  if (typeof on === 'string') return { prerequisite: on }
  if (!('prerequisite' in on)) return { prerequisite: on.id }
  return JSON.parse(encodeArgs(on, { prerequisite: idOf(on.prerequisite) }))
}

/** @internal */
export function time(value: unknown): unknown {
  return check.date(value) === undefined ? (value as Date).getTime() : value
}

/** A new task id, sortable by the time it was made. */
export function newId(): string {
  return native.newId()
}
