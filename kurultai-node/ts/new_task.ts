// A task to enqueue, as its author says it and as it crosses.

import { encode, encodeArgs, quick } from './json'
import { native } from './native'
import type { Dependency, TaskLike, TaskOptions } from './types'

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
  return typeof task === 'string' ? task : task?.id
}

/** The arguments of `enqueueMany`: all at once where every payload is simple, as nearly all are. */
export function encodeTasks(tasks: readonly NewTaskLike[]): string {
  const all = tasks.map(parts)
  const text = quick(all.map(({ fields, payload }) => ({ ...fields, payload })))
  if (text !== undefined) return text
  const one = ({ fields, payload }: Parts, index: number) => {
    const label = tasks.length === 1 ? 'payload' : `payload of task ${index}`
    return `${encodeArgs(fields).slice(0, -1)},"payload":${encode(payload, label)}}`
  }
  return `[${all.map(one).join(',')}]`
}

interface Parts {
  fields: Record<string, unknown>
  payload: unknown
}

function parts(task: NewTaskLike): Parts {
  if (task instanceof NewTask) return { fields: fieldsOf(task.type, { ...task.options, id: task.id }), payload: task.payload }
  const { type, payload = null, ...options } = task
  return { fields: fieldsOf(type, options), payload }
}

function fieldsOf(type: string, options: TaskOptions): Record<string, unknown> {
  const fields: Record<string, unknown> = { type }
  for (const key in options) {
    const value = options[key as keyof TaskOptions]
    if (value !== undefined) fields[key] = crossing[key]?.(value) ?? value
  }
  return fields
}

/** The fields that cross in another form than they are given in. */
const crossing: Record<string, (value: any) => unknown> = {
  parent: idOf,
  dependsOn: (tasks: readonly (TaskLike | Dependency)[]) => tasks.map(encodeDependency),
  runAt: time,
  expiresAt: time,
}

/** @internal */
export function encodeDependency(on: TaskLike | Dependency): object {
  if (typeof on === 'string') return { prerequisite: on }
  if (!('prerequisite' in on)) return { prerequisite: on.id }
  return JSON.parse(encodeArgs({ ...on, prerequisite: idOf(on.prerequisite) }))
}

/** @internal */
export function time(value: unknown): unknown {
  return value instanceof Date ? value.getTime() : value
}

/** A new task id, sortable by the time it was made. */
export function newId(): string {
  return native.newId()
}
