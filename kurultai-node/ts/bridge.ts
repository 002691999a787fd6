// How a call waits: one number a call, one native callback for whatever has been answered since the last time.

import { toError } from './errors'
import { native, type Now, type Outcome } from './native'

const waiting = new Map<number, (outcome: Outcome) => void>()
let last = 0

/** One for this environment: the main thread and each worker thread load their own. */
export const bridge = new native.Bridge((calls, outcomes) => {
  for (let i = 0; i < calls.length; i++) {
    const settle = waiting.get(calls[i]!)
    forget(calls[i]!)
    settle?.(outcomes[i]!)
  }
})

/** Node stays alive while something is under way, and no longer. */
function remember(call: number, settle: (outcome: Outcome) => void): void {
  if (waiting.size === 0) bridge.keepAlive(true)
  waiting.set(call, settle)
}

function forget(call: number): void {
  if (waiting.delete(call) && waiting.size === 0) bridge.keepAlive(false)
}

/**
 * The JSON text that a native call answers. The error is made here, in an async function that the caller awaits, so
 * that its stack names the caller. An abort drops the call; the core gives back what it was given all the same.
 */
export async function call(start: (call: number) => Now, signal?: AbortSignal | null): Promise<string> {
  signal?.throwIfAborted()
  do last = (last + 1) >>> 0
  while (waiting.has(last))
  const id = last
  const now = start(id)
  const outcome = now ?? (await (signal ? abortable(id, signal) : later(id)))
  if (typeof outcome === 'string') return outcome
  throw toError(outcome)
}

function later(id: number): Promise<Outcome> {
  return new Promise((resolve) => remember(id, resolve))
}

function abortable(id: number, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const settled = onAbort(signal, () => {
      forget(id)
      bridge.cancel(id)
      reject(signal.reason)
    })
    remember(id, (outcome) => {
      settled()
      resolve(outcome)
    })
  })
}

/** What waits for each signal. Node warns of a leak at the eleventh listener, so a signal gets one of ours at most. */
const aborts = new WeakMap<AbortSignal, { all: Set<() => void>; listener: () => void }>()

function onAbort(signal: AbortSignal, abort: () => void): () => void {
  let waits = aborts.get(signal)
  if (waits === undefined) {
    const all = new Set<() => void>()
    waits = { all, listener: () => all.forEach((abort) => abort()) }
    aborts.set(signal, waits)
    signal.addEventListener('abort', waits.listener, { once: true })
  }
  const { all, listener } = waits
  all.add(abort)
  return () => {
    all.delete(abort)
    if (all.size > 0) return
    aborts.delete(signal)
    signal.removeEventListener('abort', listener)
  }
}
