// How a call waits: one number a call, one native callback for whatever has been answered since the last time.

import { native, type Now, type Outcome } from './native'

/** Who waits for each call, by its number. A number is used again once its call is over. */
const waiting: (((outcome: Outcome) => void) | undefined)[] = []
const free: number[] = []
let underway = 0

/** One for this environment: the main thread and each worker thread load their own. */
export const bridge = new native.Bridge((calls, outcomes) => {
  for (let i = 0; i < calls.length; i++) {
    const settle = waiting[calls[i]!]
    forget(calls[i]!)
    settle?.(outcomes[i]!)
  }
})

/** Node stays alive while something is under way, and no longer. */
function remember(call: number, settle: (outcome: Outcome) => void): void {
  if (underway++ === 0) bridge.keepAlive(true)
  waiting[call] = settle
}

function forget(call: number): void {
  if (waiting[call] === undefined) return
  waiting[call] = undefined
  free.push(call)
  if (--underway === 0) bridge.keepAlive(false)
}

/**
 * What a native call answers, to be read by `results` in the async function that awaits it: an error is made there, so
 * that its stack names the caller, and no second async function waits in between, which would be a third of a call's
 * cost. An abort drops the call; the core gives back what it was given all the same.
 */
export function call(start: (call: number) => Now, signal?: AbortSignal | null): Outcome | Promise<Outcome> {
  signal?.throwIfAborted()
  const id = free.pop() ?? waiting.push(undefined) - 1
  const now = start(id)
  if (now === null) return signal ? abortable(id, signal) : later(id)
  free.push(id)
  return now
}

function later(id: number): Promise<Outcome> {
  return new Promise((resolve) => remember(id, resolve))
}

function abortable(id: number, signal: AbortSignal): Promise<Outcome> {
  return new Promise((resolve, reject) => {
    const settled = onAbort(signal, () => {
      bridge.cancel(id)
      forget(id)
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
