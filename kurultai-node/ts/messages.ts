// Who said what: `k.messages`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { encode, encodeArgs, encodeFields } from './json'
import type { NativeMessages, Outcome } from './native'
import { idOf } from './new_task'
import * as results from './results'
import { messageId } from './tokens'
import type {
  AgentMessage, AskOptions, Each, InboxOptions, MessageFilter, MessageLike, MessageOptions, MessagePage, NewMessage,
  ReceiptLike, Sent, Settled, Under, Unread, Waits,
} from './types'

const OPTIONS: check.Fields = {
  sender: check.text, task: check.taskLike, replyTo: check.messageLike, dedupeKey: check.text, ttlMs: check.ms, urgent: check.flag,
}
const SEND: check.Fields = { ...OPTIONS, signal: check.anything }
const ASK: check.Fields = { ...SEND, timeoutMs: check.msOrEver }
const ROW: check.Fields = { ...OPTIONS, to: check.text, type: check.text, body: check.anything }
const INBOX: check.Fields = {
  agent: check.text, max: check.count, types: check.texts, waitMs: check.ms, visibleMs: check.ms, signal: check.anything,
}
const RETRY: check.Fields = { afterMs: check.ms, signal: check.anything }
const ACCEPT: check.Fields = { to: check.text, signal: check.anything }
const FILTER: check.Fields = { to: check.text, from: check.text, limit: check.count, cursor: check.text, signal: check.anything }

/** A message as it crosses; `before` names its row. */
function encodeMessage(to: string, type: string, body: unknown, options: MessageOptions, before = '', label = 'body'): string {
  check.checkOne(`${before}to`, to, check.text)
  check.checkOne(`${before}type`, type, check.text)
  const { sender, task, replyTo, dedupeKey, ttlMs, urgent } = options
  const fields = {
    to, type, sender, task: task == null ? undefined : idOf(task), replyTo: replyTo == null ? undefined : messageId(replyTo),
    dedupeKey, ttlMs, urgent,
  }
  return `${encodeFields(fields).slice(0, -1)},"body":${encode(body, label)}}`
}

function encodeRows(messages: readonly NewMessage[]): string {
  check.checkOne('messages', messages, check.objects)
  const row = (message: NewMessage, index: number) => {
    const many = messages.length > 1
    const before = many ? `message ${index}: ` : ''
    check.checkFields(message, ROW, before)
    const { to, type, body = null } = message
    return encodeMessage(to, type, body, message, before, many ? `body of message ${index}` : 'body')
  }
  return `[${messages.map(row).join(',')}]`
}

/** `ID/DELIVERY`. */
function receiptOf(message: ReceiptLike): string {
  if (typeof message === 'string') return message
  check.checkOne('message', message, check.receiptLike)
  return message.receipt
}

/** Signed messages between the agents of one team. Who sends one is proved by its signature, also to who reads it later. */
export class Messages {
  readonly #native: NativeMessages

  /** @internal */
  constructor(native: NativeMessages) {
    this.#native = native
  }

  #call(operation: Exclude<keyof NativeMessages, 'under'>, args: string, options: Waits, native = this.#native): Outcome | Promise<Outcome> {
    return call((id) => native[operation](id, args), check.signalOf(options))
  }

  #under(held: Under['under']): NativeMessages {
    if (held == null) return this.#native
    check.checkOne('under', held, check.under)
    return this.#native.under(held.role, held.term)
  }

  /**
   * Signs a message with the handle's identity and puts it into the inbox of `to`, an agent or `role:NAME`, with an event
   * `message.received`.
   *
   * Errors: `input.invalid`, `input.payload`; `config.identity` where the handle has no identity of the sender; `key.unknown`,
   * `key.revoked`, `key.expired` where the team does not know the key or no more; `message.conflict` where the `dedupeKey` is
   * that of a message of this sender with another recipient, type or body; `limit.inbox` (retryable) where 10,000 messages wait for
   * the recipient. After `store.outcome_unknown` repeat it with a `dedupeKey`. An aborted call may still send.
   */
  async send(to: string, type: string, body: unknown = null, options: MessageOptions & Under & Waits = {}): Promise<Sent> {
    const { under, ...rest } = check.given(options)
    check.checkFields(rest, SEND)
    const args = `[${encodeMessage(to, type, body, rest)}]`
    return results.simpleList<Sent>(await this.#call('sendMany', args, options, this.#under(under)))[0]!
  }

  /** Sends many, all in one transaction or none. Errors as `send`, which name the message. */
  async sendMany(messages: readonly NewMessage[], options: Under & Waits = {}): Promise<readonly Sent[]> {
    return results.simpleList(await this.#call('sendMany', encodeRows(messages), options, this.#under(check.given(options).under)))
  }

  /**
   * Admits a token that came from outside, once: verifies it and puts it into its recipient's inbox. What is refused is
   * counted in the store, by who it claims to be from, why, and the minute.
   *
   * A text that begins with `{` is a legacy envelope. It is verified with a key that the team keeps (`keys.importRows`), stored
   * as it was received, and verified again at each fetch; it waits as long as a token of its type may, counted from its
   * timestamp. Its recipient is the one that `to` or else `delegate` names, in any spelling that folds to an agent's id; an
   * envelope that names nobody, or several, needs the option `to`, by which a token and an envelope must be for this one.
   * `type` is its type (`message` where it has none), `task_id` its task, and the whole of it the body.
   *
   * Errors: `sig.missing`, `sig.malformed`, `sig.algorithm` (also where `minVersion` is 2 and this is an envelope),
   * `sig.mismatch`, `sig.expired`, `sig.from_future`, `sig.wrong_namespace`, `sig.wrong_audience`, `sig.replayed`;
   * `key.unknown`, `key.revoked`, `key.expired`; `limit.inbox` (retryable); of an envelope also `key.weak`, `key.unwrap`,
   * `config.wrapping_key` where the team was opened without the wrapping key, and `input.invalid` where nobody says for whom it
   * is. An aborted call may still admit it, and a repetition is `sig.replayed`.
   */
  async accept(token: string, options: { to?: string } & Waits = {}): Promise<Sent> {
    check.checkOne('token', token, check.text)
    check.checkFields(options, ACCEPT)
    const args = encodeFields({ token: token.toWellFormed(), to: options.to })
    return results.simple(await this.#call('accept', args, options))
  }

  /**
   * Messages for an agent, urgent ones first, then the oldest. Nobody else is given them for `visibleMs`; whoever has them
   * acknowledges or rejects each within that time, else it is delivered again, five times in all. What is no longer signed by
   * a good key, or was delivered too often, leaves the inbox as `failed`, with an event for its sender. Where there is none
   * it waits up to `waitMs` and returns as soon as one comes.
   *
   * Errors: `input.invalid`; `config.identity` where neither the options nor the handle say for whom. What an aborted call was
   * given is visible again when its time is over.
   */
  async inbox(options: InboxOptions = {}): Promise<readonly AgentMessage[]> {
    return results.messages(await this.#call('inbox', encodeArgs(options, {}, INBOX), options))
  }

  /**
   * Says that a message was taken in, or that many were. A repetition has the same answer, marked `repeated`. Of many each has
   * its own answer or error.
   *
   * Errors: `lease.lost` where it was given to somebody else meanwhile or has left the inbox; `message.not_found`. An aborted
   * call may still acknowledge.
   */
  ack(message: ReceiptLike, options?: Waits): Promise<Settled>
  ack(messages: readonly ReceiptLike[], options?: Waits): Promise<readonly Each<Settled>[]>
  async ack(given: ReceiptLike | readonly ReceiptLike[], options: Waits = {}): Promise<Settled | readonly Each<Settled>[]> {
    const many = Array.isArray(given)
    const receipts = (many ? given : [given as ReceiptLike]).map(receiptOf)
    const each = results.settledList(await this.#call('ack', encodeFields(receipts), options))
    if (many) return each
    const [settled] = each
    if (settled instanceof Error) throw settled
    return settled!
  }

  /**
   * Refuses a message for good: it is `failed`, and its sender hears of it by the event `message.failed`. Errors as `ack`,
   * `input.invalid`.
   */
  async reject(message: ReceiptLike, reason: string, options: Waits = {}): Promise<Settled> {
    check.checkOne('reason', reason, check.text)
    const args = encodeFields({ receipt: receiptOf(message), reason })
    return results.simple(await this.#call('reject', args, options))
  }

  /** Gives a message back, to be delivered again after `afterMs`, default at once; it counts as delivered. Errors as `ack`. */
  async retry(message: ReceiptLike, options: { afterMs?: number } & Waits = {}): Promise<Settled> {
    const args = encodeArgs(options, { receipt: receiptOf(message) }, RETRY)
    return results.simple(await this.#call('retry', args, options))
  }

  /** How many messages wait for an agent, or for the handle's identity. Errors: `config.identity`. */
  async unread(agent?: string | null, options: Waits = {}): Promise<Unread> {
    if (agent !== undefined && agent !== null) check.checkOne('agent', agent, check.text)
    return results.simple(await this.#call('unread', encode(agent ?? null, 'agent'), options))
  }

  /**
   * What was said in an exchange, in the order in which it came: the first 1,000 messages, or those that have 16 MiB; of a
   * message, or of the id that the exchange began with. Errors: `input.invalid`.
   */
  async thread(message: MessageLike, options: Waits = {}): Promise<readonly AgentMessage[]> {
    check.checkOne('message', message, check.messageLike)
    const id = typeof message === 'string' ? message : message.thread ?? message.id
    return results.messages(await this.#call('thread', encode(id, 'message'), options))
  }

  /**
   * Messages in about the order in which they were sent, however they stand, a page at a time; a page ends early where it has
   * 16 MiB. Those whose signature no longer holds are left out. Errors: `input.invalid`, also where `to` and `from` are both given.
   */
  async list(filter: MessageFilter = {}): Promise<MessagePage> {
    check.checkFields(filter, FILTER)
    const { cursor, ...rest } = filter
    const args = encodeArgs(rest, { cursor: cursor ?? undefined })
    return results.messagePage(await this.#call('list', args, filter))
  }

  /**
   * Sends a message and waits for the answer to it, which it acknowledges: a message that is signed as an answer to this one
   * (`replyTo`) by the agent that was asked, or, where a role was asked, by the agent that was last given the message. What
   * others answer stays in the inbox.
   *
   * Errors: as `send`; `message.no_reply` (retryable, but a repetition waits for nothing that was sent before: give a
   * `dedupeKey`) where none comes within `timeoutMs`, default 30,000. After an abort the message may be sent, and its answer is
   * in the inbox.
   */
  async ask(to: string, type: string, body: unknown = null, options: AskOptions = {}): Promise<AgentMessage> {
    check.checkFields(options, ASK)
    const { timeoutMs = 30_000 } = options
    // JSON has no Infinity; without a time the core waits as long as it ever does, a day.
    const time = timeoutMs === null || timeoutMs === Infinity ? '' : `,"timeoutMs":${timeoutMs}`
    const args = `{"message":${encodeMessage(to, type, body, options)}${time}}`
    return results.message(await this.#call('ask', args, options))
  }
}
