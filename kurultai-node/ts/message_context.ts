// What the handler of a message can ask and tell while it works.

import { call } from './bridge'
import * as check from './check'
import type { Shift } from './context'
import { encode, encodeFields } from './json'
import type { Kurultai } from './kurultai'
import type { NativeMessageJobs } from './native'
import * as results from './results'
import type { PulledMessage } from './results'
import type { AgentMessage, Enqueued, Sent, TaskOptions, Waits } from './types'

const REPLY: check.Fields = { type: check.text }

/** The message at hand, and how to answer it. */
export class MessageContext<B = any> {
  /** What was delivered, and who has said it. */
  readonly message: AgentMessage<B>
  /** Aborts when the work must stop; its reason is a `Stopped`, or a TimeoutError where the handler's time is over. */
  readonly signal: AbortSignal
  /** Aborts when a drain begins, which is a grace before `signal` does. */
  readonly draining: AbortSignal
  /** The team that the agent works for. */
  readonly team: Kurultai
  readonly #agent: string
  readonly #jobs: NativeMessageJobs
  readonly #job: number

  /** @internal */
  constructor(shift: Shift, jobs: NativeMessageJobs, signal: AbortSignal, { job, message }: PulledMessage) {
    this.message = message
    this.signal = signal
    this.draining = shift.draining
    this.team = shift.team
    this.#agent = shift.agent
    this.#jobs = jobs
    this.#job = job
  }

  /**
   * Answers the sender, signed as this agent and about the same task; who asked with `messages.ask` gets it as the answer. The
   * n-th answer of a handler is sent once, however often its message is delivered. `type`: default `reply`.
   *
   * Errors: as `team.messages.send`; `config.identity` where the team was not opened with an identity of this agent.
   */
  async reply(body: unknown = null, options: { type?: string } = {}): Promise<Sent> {
    check.checkFields(options, REPLY)
    const { type = 'reply' } = options
    const args = `${encodeFields({ type }).slice(0, -1)},"body":${encode(body, 'body')}}`
    return results.simple(await call((id) => this.#jobs.reply(id, this.#job, args)))
  }

  /**
   * Enqueues a task, which is where long work belongs; unless it says otherwise it is delegated by this agent. A message may
   * be delivered more than once: give the task a `uniqueKey`. Errors as `team.tasks.enqueue`.
   */
  async enqueue(type: string, payload: unknown = null, options: TaskOptions & Waits = {}): Promise<Enqueued> {
    return this.team.tasks.enqueue(type, payload, { delegatedBy: this.#agent, ...options })
  }
}
