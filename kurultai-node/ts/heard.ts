// What an agent tells of its attempts, and who listens.

import { EventEmitter } from 'node:events'
import type { MessageStatus, Status } from './types'

/** An attempt. */
export interface Attempt {
  /** What has happened, in a line. */
  readonly text: string
  readonly taskId: string
  readonly type: string
  /** 1 for the first try. */
  readonly attempt: number
  readonly maxAttempts: number
}

/** An attempt that has failed: its handler did, took too long, or returned what cannot be stored; or its lease was lost. */
export interface Failed extends Attempt {
  /** The whole text of the error. */
  readonly error: string
  /** Where the task stands now; `null` where the lease was lost, since then others decide. */
  readonly status: Status | null
  /** When it is tried again, where it is. */
  readonly runAt: Date | null
}

/** An attempt that its handler has put off, by a `Snooze`. */
export interface Snoozed extends Attempt {
  /** When it is run again. */
  readonly runAt: Date | null
}

/** An attempt that has not ended: its handler shows no sign of life. Its lease is renewed, and its agent counts as stuck. */
export interface Stalled extends Attempt {
  /** For how long. */
  readonly silentMs: number
}

/** A message whose handler failed, took too long or rejected it; or that somebody else has now. */
export interface MessageFailed {
  /** What has happened, in a line. */
  readonly text: string
  readonly messageId: string
  readonly type: string
  readonly sender: string
  /** 1 for the first time. */
  readonly delivery: number
  /** The whole text of the error. */
  readonly error: string
  /** How the message stands now; `null` where others decide. */
  readonly status: MessageStatus | null
  /** After which time it is delivered again, where it is. */
  readonly againMs: number | null
}

/** What an agent tells, and what of it. */
export interface AgentEvents {
  failed: [failed: Failed]
  completed: [attempt: Attempt]
  snoozed: [snoozed: Snoozed]
  stalled: [stalled: Stalled]
  messageFailed: [failed: MessageFailed]
  /** What went wrong beside the handlers, such as an end that could not be stored. */
  error: [error: Error]
}

export type AgentListener<E extends keyof AgentEvents> = (...told: AgentEvents[E]) => void

/** What is done where nobody listens. */
const DEFAULTS: { [E in keyof AgentEvents]: AgentListener<E> } = {
  failed: ({ text }) => void process.stderr.write(`kurultai: ${text}\n`),
  completed: () => {},
  snoozed: () => {},
  stalled: ({ text }) => void process.stderr.write(`kurultai: ${text}\n`),
  messageFailed: ({ text }) => void process.stderr.write(`kurultai: ${text}\n`),
  error: (error) => process.emitWarning(error),
}

/** @internal */
export class Listeners {
  readonly #emitter = new EventEmitter()

  add(event: keyof AgentEvents, listener: (...told: any[]) => void, once: boolean): void {
    if (once) this.#emitter.once(event, listener)
    else this.#emitter.on(event, listener)
  }

  remove(event: keyof AgentEvents, listener: (...told: any[]) => void): void {
    this.#emitter.off(event, listener)
  }

  has(event: keyof AgentEvents): boolean {
    return this.#emitter.listenerCount(event) > 0
  }

  /** A listener that throws ends no agent. */
  tell<E extends keyof AgentEvents>(event: E, ...told: AgentEvents[E]): void {
    try {
      if (this.has(event)) this.#emitter.emit(event, ...told)
      else (DEFAULTS[event] as (...told: AgentEvents[E]) => void)(...told)
    } catch (error) {
      process.emitWarning(error instanceof Error ? error : String(error))
    }
  }
}
