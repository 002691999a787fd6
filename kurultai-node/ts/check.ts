// What a caller may write where. The native half decides which values are sound; here is seen what JSON would not tell
// apart or not carry, and named as JavaScript calls it.

import { inspect } from 'node:util'
import { refused } from './errors'

/** Why a value is wrong: what is allowed, whether its type is, and where in it. */
interface Verdict {
  allowed: string
  type: boolean
  /** There is no such field. */
  unknown?: boolean
  at?: string
  value?: unknown
}
export type Check = (value: any) => Verdict | undefined
/** What each field of an object may be. What is null or undefined counts as left out. */
export type Fields = Readonly<Record<string, Check>>

const ofType = (allowed: string): Verdict => ({ allowed, type: true })
const ofValue = (allowed: string): Verdict => ({ allowed, type: false })

const one = (type: string, allowed: string): Check => {
  const verdict = ofType(allowed)
  return (value) => (typeof value === type ? undefined : verdict)
}
export const text = one('string', 'a string')
export const flag = one('boolean', 'true or false')
export const callable = one('function', 'a function')

const number = (allowed: string, fits: (value: number) => boolean): Check => {
  const [type, value] = [ofType(allowed), ofValue(allowed)]
  return (given) => (typeof given !== 'number' ? type : fits(given) ? undefined : value)
}
export const finite = number('a finite number', Number.isFinite)
export const whole = number('a whole number', Number.isSafeInteger)
export const count = number('a whole number, 0 or more', (value) => Number.isSafeInteger(value) && value >= 0)
export const ms = number('0 or more milliseconds', (value) => value >= 0 && value !== Infinity)
/** A span in which something can be done. */
export const msOfWork = number('more than 0 milliseconds, or Infinity for no limit', (value) => value > 0)
/** The time of a message's handler. */
export const msOfHandler = number('more than 0 milliseconds, at most 12 hours', (value) => value > 0 && value <= 43_200_000)
export const anyNumber = one('number', 'a number')
export const msOrEver = number('0 or more milliseconds, or Infinity', (value) => value >= 0)

export const date: Check = (value) => {
  if (Object.prototype.toString.call(value) !== '[object Date]') return ofType('a Date')
  return Number.isNaN(value.getTime()) ? ofValue('a valid Date') : undefined
}

const list = (allowed: string, item: Check): Check => (value) => {
  if (!Array.isArray(value)) return ofType(allowed)
  for (let i = 0; i < value.length; i++) {
    const verdict = item(value[i])
    if (verdict !== undefined) return within(verdict, `[${i}]`, value[i])
  }
  return undefined
}
export const texts = list('an array of strings', text)

/** A role that is held, or its lease. */
export const under: Check = (value) =>
  typeof value?.role === 'string' && Number.isSafeInteger(value.term) ? undefined : ofType('a role that is held, or its lease')

const row: Check = (value) => (typeof value === 'object' && value !== null ? undefined : ofType('an object of its fields'))
export const objects = list('an array', row)

export const taskLike: Check = (value) =>
  typeof (typeof value === 'object' && value !== null ? value.id : value) === 'string' ? undefined : ofType('a task or its id')

export const messageLike: Check = (value) =>
  typeof (typeof value === 'object' && value !== null ? value.id : value) === 'string' ? undefined : ofType('a message or its id')

export const receiptLike: Check = (value) =>
  typeof (typeof value === 'object' && value !== null ? value.receipt : value) === 'string' ? undefined : ofType('a message or its receipt')

export const textOrTexts: Check = (value) => {
  if (typeof value === 'string') return undefined
  if (!Array.isArray(value)) return ofType('a string or an array of strings')
  return value.length === 0 ? ofValue('at least one') : texts(value)
}

export const anything: Check = () => undefined

/** An object with these fields. */
export const object = (fields: Fields): Check => (value) => {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) {
    return ofType(`an object of ${Object.keys(fields).join(', ')}`)
  }
  for (const key in value) {
    const verdict = ofField(fields, key, value[key])
    if (verdict !== undefined) return within(verdict, `.${key}`, value[key])
  }
  return undefined
}

/** One of these words. */
const oneOf = (...words: string[]): Check => {
  const allowed = words.join(' or ')
  return (value) => (typeof value !== 'string' ? ofType(allowed) : words.includes(value) ? undefined : ofValue(allowed))
}
export const onStall = oneOf('report', 'release')

const quorum = object({ quorum: count })
export const waitFor: Check = (value) => {
  if (typeof value === 'object') return quorum(value)
  if (typeof value !== 'string') return ofType('all, any or { quorum: n }')
  return value === 'all' || value === 'any' ? undefined : ofValue('all, any or { quorum: n }')
}

const edge = object({ prerequisite: taskLike, type: text, weight: finite, detectedBy: text })
export const dependency: Check = (value) =>
  typeof value === 'object' && value !== null && 'prerequisite' in value ? edge(value) : taskLike(value)
export const dependencies = list('an array of tasks, their ids or dependencies', dependency)

function within(verdict: Verdict, at: string, value: unknown): Verdict {
  return { ...verdict, at: at + (verdict.at ?? ''), value: verdict.at === undefined ? value : verdict.value }
}

function ofField(fields: Fields, key: string, value: unknown): Verdict | undefined {
  const check = Object.hasOwn(fields, key) ? fields[key] : undefined
  if (check === undefined) return { ...ofType(Object.keys(fields).join(', ')), unknown: true }
  return value === undefined || value === null ? undefined : check(value)
}

/**
 * Throws where a field is not as it may be: a TypeError where its type is wrong, an InputError where its value is.
 * `before` names the row that the fields are of.
 */
export function checkFields(given: object, fields: Fields, before = ''): void {
  if (typeof given !== 'object' || given === null) throw wrong(`${before}options`, given, ofType('an object'))
  for (const key in given) {
    const value = (given as Record<string, unknown>)[key]
    const verdict = ofField(fields, key, value)
    if (verdict !== undefined) throw wrong(before + key, value, verdict)
  }
}

/** A call's options, which may be left out and are an object where they are not. */
export function given<T extends object>(options: T): T {
  if (typeof options !== 'object' || options === null) throw wrong('options', options, ofType('an object'))
  return options
}

/** What ends a call, of its options. By what it can, since a test's environment may have an AbortSignal of its own. */
export function signalOf(options: { signal?: AbortSignal | null }): AbortSignal | null | undefined {
  const { signal } = given(options)
  if (signal === undefined || signal === null) return signal
  const is = typeof signal.throwIfAborted === 'function' && typeof signal.addEventListener === 'function'
  if (!is) throw wrong('signal', signal, ofType('an AbortSignal'))
  return signal
}

/** The same of an argument. */
export function checkOne(name: string, value: unknown, check: Check): void {
  const verdict = check(value)
  if (verdict !== undefined) throw wrong(name, value, verdict)
}

function wrong(field: string, given: unknown, { allowed, type, unknown, at, value }: Verdict): Error {
  const of = at === undefined ? given : value
  const shown = unknown ? 'no field' : inspect(of, { depth: 0, breakLength: Infinity }).slice(0, 80)
  const message = `${field}${at ?? ''} is ${shown}; allowed: ${allowed}`
  if (!type) return refused('input.invalid', message)
  return Object.assign(new TypeError(message), { code: 'input.invalid' })
}
