// Payloads, out and in: plain JSON values, and nothing is lost silently on the way.

import { checkFields, type Fields } from './check'
import { refused } from './errors'

/**
 * What can be stored: plain JSON. A BigInt is stored as an integer, a Date as its ISO string; a field that is undefined
 * is left out.
 */
export type Payload =
  | null | boolean | number | bigint | string | Date
  | readonly Payload[] | { readonly [key: string]: Payload | undefined }

const MAX_DEPTH = 64

/**
 * JSON text of a value. `label` names it in errors, which carry the path of what cannot be stored.
 *
 * Nearly every value is simple, and for those the engine's own JSON.stringify is the fastest; the walk before it
 * only looks. Whatever is not simple is written, or refused with its path, by `write`.
 * @internal
 */
export function encode(value: unknown, label = 'payload'): string {
  return quick(value) ?? write(value, (path, why) => refused('input.payload', `${label} at ${path}: ${why}`), [], [])
}

/**
 * JSON text of a call's own arguments: the caller's options, and what we add. A field that is undefined counts as left
 * out, and a signal does not cross. `allowed` says what the caller's may be. One loop over both is half the work of spreading them into a new object.
 * @internal
 */
export function encodeArgs(options: object, fields: object = {}, allowed?: Fields): string {
  if (allowed !== undefined) checkFields(options, allowed)
  const given: Record<string, unknown> = {}
  for (const of of [options, fields] as Record<string, unknown>[]) {
    for (const key in of) if (of[key] !== undefined && key !== 'signal') given[key] = of[key]
  }
  return encodeFields(given)
}

/** @internal */
export function encodeFields(fields: object): string {
  return quick(fields) ?? write(fields, (path, why) => refused('input.invalid', `${path.slice(2)}: ${why}`), [], [])
}

/**
 * The text of a simple value.
 * @internal
 */
export function quick(value: unknown): string | undefined {
  if (value === undefined || !isSimple(value, 0)) return undefined
  const text = JSON.stringify(value)
  return text.includes('\\ud') && LONE_SURROGATE.test(text) ? undefined : text
}

type Refuse = (path: string, why: string) => Error

/**
 * JSON.stringify writes a lone surrogate so; a text that spells it out looks the same and is written slowly. Its fixed
 * beginning is looked for first, which takes the engine a thirtieth of the time.
 */
const LONE_SURROGATE = /\\ud[89a-f]/

function isSimple(value: unknown, depth: number): boolean {
  switch (typeof value) {
    case 'string':
    case 'boolean':
    // Of a field, which JSON.stringify leaves out; items are looked at before.
    case 'undefined':
      return true
    case 'number':
      return Number.isSafeInteger(value) || (Number.isFinite(value) && !Number.isInteger(value))
    case 'object':
      if (value === null) return true
      if (depth >= MAX_DEPTH) return false
      if (Array.isArray(value)) {
        for (let i = 0; i < value.length; i++) if (value[i] === undefined || !isSimple(value[i], depth + 1)) return false
        return true
      }
      if (!isPlain(value)) return false
      for (const key in value) if (!isSimple((value as Record<string, unknown>)[key], depth + 1)) return false
      return true
    default:
      return false
  }
}

/** A literal or `Object.create(null)`, also one of another realm. */
function isPlain(value: object): boolean {
  const prototype = Object.getPrototypeOf(value)
  return prototype === null || prototype === Object.prototype || Object.getPrototypeOf(prototype) === null
}

function write(value: unknown, refused: Refuse, path: (string | number)[], above: object[]): string {
  const refuse = (why: string) => refused(shown(path), why)
  switch (typeof value) {
    case 'boolean':
      return String(value)
    case 'bigint':
      return value.toString()
    case 'string':
      if (!value.isWellFormed()) throw refuse('half of a surrogate pair is no text; remove it with toWellFormed()')
      return JSON.stringify(value)
    case 'number':
      if (!Number.isFinite(value)) throw refuse(`${value} is not JSON; give null or a finite number`)
      // A whole number that large stands for a double, not for its digits; so written it is read back as one.
      if (Number.isInteger(value) && !Number.isSafeInteger(value)) return value.toExponential()
      return JSON.stringify(value)
    case 'object':
      return value === null ? 'null' : writeObject(value, refused, path, above)
    default:
      throw refuse(`${value === undefined ? 'undefined' : `a ${typeof value}`} is not JSON; leave it out or give null`)
  }
}

function writeObject(value: object, refused: Refuse, path: (string | number)[], above: object[]): string {
  const refuse = (why: string) => refused(shown(path), why)
  if (above.includes(value)) throw refuse('a cycle; it refers to what contains it')
  if (Object.prototype.toString.call(value) === '[object Date]') {
    const time = (value as Date).getTime()
    if (Number.isNaN(time)) throw refuse('an invalid Date')
    return JSON.stringify(new Date(time))
  }
  if (above.length >= MAX_DEPTH) throw refuse(`deeper than ${MAX_DEPTH} levels`)
  const inside = [...above, value]
  const item = (key: string | number) =>
    write((value as Record<string | number, unknown>)[key], refused, [...path, key], inside)
  if (Array.isArray(value)) return `[${Array.from(value, (_, index) => item(index)).join(',')}]`
  if (!isPlain(value)) {
    const name = value.constructor?.name || 'an object with a prototype'
    throw refuse(`${name} is no plain object; give a plain object, an array or a string instead`)
  }
  const field = (key: string) => {
    if (!key.isWellFormed()) throw refuse('a key with half of a surrogate pair')
    return `${JSON.stringify(key)}:${item(key)}`
  }
  const given = (key: string) => (value as Record<string, unknown>)[key] !== undefined
  return `{${Object.keys(value).filter(given).map(field).join(',')}}`
}

function shown(path: (string | number)[]): string {
  const step = (key: string | number) => {
    if (typeof key === 'number') return `[${key}]`
    return /^[\p{L}_$][\p{L}\p{N}_$]*$/u.test(key) ? `.${key}` : `[${JSON.stringify(key)}]`
  }
  return `$${path.map(step).join('')}`
}

/** The native half begins a text with a space where a payload in it has a whole number of 16 digits or more. */
const SPACE = 32
const TOKEN = /"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?/g

/**
 * The value of JSON text; whole numbers beyond 2^53 come as BigInt, so that no digit is lost.
 * @internal
 */
export function decode(text: string): any {
  if (text.charCodeAt(0) !== SPACE) return JSON.parse(text)
  // A mark that no string of the text begins with.
  let mark = '#'
  while (text.includes(`"${mark}`)) mark += '#'
  const marked = text.replace(TOKEN, (token) => {
    if (token.length < 16 || !/^-?\d+$/.test(token) || Number.isSafeInteger(Number(token))) return token
    return `"${mark}${token}"`
  })
  const revive = (_: string, value: unknown) =>
    typeof value === 'string' && value.startsWith(mark) ? BigInt(value.slice(mark.length)) : value
  return JSON.parse(marked, revive)
}
