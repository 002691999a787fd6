// Who is there, who lives, who works: `k.agents`. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import { called } from './called'
import * as check from './check'
import { KurultaiError } from './errors'
import { encode, encodeArgs } from './json'
import { native, type NativeAgents, type Outcome } from './native'
import { time } from './new_task'
import * as results from './results'
import type {
  AgentHealth, AgentInfo, AgentUpdate, FailoverEvent, HandBackOptions, HealthOptions, LeadOptions, NewAgent, RoleLease, Waits,
  WatchOptions,
} from './types'

const AGENT: check.Fields = {
  id: check.text, displayName: check.text, role: check.text, aliases: check.texts, capabilities: check.texts,
  maxConcurrent: check.count, metadata: check.anything,
}

const BEAT: check.Fields = { create: check.flag, signal: check.anything }
/** @internal */
export const THRESHOLDS: check.Fields = { deadAfterMs: check.ms, stuckAfterMs: check.ms, signal: check.anything }
const WATCH: check.Fields = { ...THRESHOLDS, everyMs: check.ms, onAlert: check.callable, agent: check.text, roles: check.anything }
const FAILOVERS: check.Fields = { active: check.flag, since: check.date, signal: check.anything }
const LEAD: check.Fields = { ttlMs: check.ms, waitMs: check.ms, reason: check.text, signal: check.anything }
const HAND_BACK: check.Fields = { to: check.text, reason: check.text, signal: check.anything }
const UPDATE: check.Fields = { add: check.texts, remove: check.texts, metadata: check.anything }
const DEREGISTER: check.Fields = { force: check.flag, signal: check.anything }

function encodeAgents(agents: readonly NewAgent[]): string {
  check.checkOne('agents', agents, check.objects)
  const row = (agent: NewAgent, index: number) => {
    check.checkFields(agent, AGENT, agents.length === 1 ? '' : `agent ${index}: `)
    return encodeArgs(agent)
  }
  return `[${agents.map(row).join(',')}]`
}

function encodeText(name: string, value: string): string {
  return encode(textOf(name, value), name)
}

function textOf(name: string, value: string): string {
  check.checkOne(name, value, check.text)
  return value
}

/** The six agents of the first team, to register as they are: `await k.agents.registerMany(council())`. */
export function council(): NewAgent[] {
  return results.value(native.council())
}

/**
 * A role that this process holds for an agent; `agents.lead` gives it. It is renewed, and the agent's heartbeats are written,
 * until it is handed back (by `await using` at the end of the block) or lost, or the store is closed, which hands it back.
 * It does not keep Node alive by itself.
 *
 * Whether it is lost is judged by this process's own stopwatch, from the beginning of the last renewal that succeeded and
 * with a margin of 2 s, so that it ends here before it ends for others. That is a hint: what must not happen under an old
 * term takes it as `under`, and the store checks it in the same transaction.
 */
export class Leadership {
  readonly role: string
  /** The agent that holds it. */
  readonly holder: string
  /** Only grows: pass it to other systems as the fencing token. */
  readonly term: number
  readonly #native: NativeAgents
  readonly #number: number
  #lease: RoleLease
  /** Once it was handed back: the native half knows it no longer. */
  #ended: RoleLease | undefined

  /** @internal */
  constructor(native: NativeAgents, number: number, lease: RoleLease) {
    this.#native = native
    this.#number = number
    this.#lease = lease
    this.role = lease.role
    this.holder = lease.holder
    this.term = lease.term
  }

  /** As of the last renewal. */
  get lease(): RoleLease {
    const renewed = this.#native.lease(this.#number)
    if (renewed !== null) this.#lease = results.roleLease(renewed)
    return this.#lease
  }

  /** Whether the role is surely still held, by this process's own stopwatch. */
  get isValid(): boolean {
    return this.#native.isValid(this.#number)
  }

  /** Resolves when the role is held no longer, for whatever reason. */
  async lost(options: Waits = {}): Promise<void> {
    results.nothing(await call((id) => this.#native.lost(id, String(this.#number)), check.signalOf(options)))
  }

  /**
   * Lets go of the role, so that another may take it at once; with `to`, that agent alone in the next 30 seconds. Errors:
   * `role.stale_term` where it was lost before; `store.unavailable`: then it ends with its lease.
   */
  async handBack(options: HandBackOptions = {}): Promise<RoleLease> {
    const args = encodeArgs(options, { number: this.#number }, HAND_BACK)
    if (this.#ended !== undefined) return this.#ended
    this.#lease = this.lease
    return (this.#ended = results.roleLease(await call((id) => this.#native.letGo(id, args), check.signalOf(options))))
  }

  /** What was lost before, and what cannot be handed back now, ends with its lease. */
  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.handBack()
    } catch (error) {
      const over = error instanceof KurultaiError && (error.retryable || ['role.stale_term', 'store.closed'].includes(error.code))
      if (!over) throw error
    }
  }
}

/** The registry of one team, and how its agents fare. */
export class Agents {
  readonly #native: NativeAgents

  /** @internal */
  constructor(native: NativeAgents) {
    this.#native = native
  }

  #call(operation: Exclude<keyof NativeAgents, 'lease' | 'isValid' | 'nextAlerts' | 'forget'>, args: string, options: Waits): Outcome | Promise<Outcome> {
    return call((id) => this.#native[operation](id, args), check.signalOf(options))
  }

  /** Adds an agent or brings its entry up to date. Errors: `input.invalid`. */
  async register(id: string, options: Omit<NewAgent, 'id'> & Waits = {}): Promise<void> {
    const { signal, ...agent } = check.given(options)
    await this.registerMany([{ ...agent, id }], { signal })
  }

  /** Registers many in one transaction. Errors: `input.invalid`. */
  async registerMany(agents: readonly NewAgent[], options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('registerMany', encodeAgents(agents), options))
  }

  /**
   * The infrastructure heartbeat: a sign that the agent's process runs, even while it works on nothing. A worker
   * writes it by itself every 30 s. Errors: `agent.not_found`.
   */
  async beat(id: string, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('beat', encodeText('id', id), options))
  }

  /**
   * The heartbeats of many agents in one statement, as a sidecar writes them. Names are folded to ids (`Temüjin` is
   * `temujin`); with `create`, those that are unknown are registered under the name given. Returns the names that are not
   * registered; the others have their beat. Errors: `input.invalid`.
   */
  async beatMany(names: readonly string[], options: { create?: boolean } & Waits = {}): Promise<readonly string[]> {
    check.checkOne('names', names, check.texts)
    const args = encodeArgs(options, { names }, BEAT)
    return results.simpleList(await this.#call('beatMany', args, options))
  }

  /**
   * How each agent fares, in the order of their ids, by one read of the store: `alive`, `idle` (it holds no task), `stuck`
   * (it holds a task and shows no sign of work), `dead` or `unknown`, and why. With `agent`, a list of that one. Computed
   * when it is read, never stored; it declares nobody dead.
   *
   * The silence of an agent makes it `dead` where this handle has seen it all the time, by calls that lie no more than a
   * quarter of `deadAfterMs` apart, or where a watcher has declared it; otherwise it is `unknown`, with the ages.
   * Errors: `input.invalid`, `agent.not_found`.
   */
  async health(options: { agent?: string } & HealthOptions = {}): Promise<readonly AgentHealth[]> {
    const args = encodeArgs(options, {}, { ...THRESHOLDS, agent: check.text })
    return results.health(await this.#call('health', args, options))
  }

  /**
   * Watches the team until the signal aborts or the store is closed: declares agents dead, which puts their tasks back
   * into the queue at once, and recovered. What it finds are events: follow `agent.*`. An agent is declared dead only
   * where it is silent for longer than `deadAfterMs` by the store's clock, this watcher has seen no sign of it for as long by
   * its own stopwatch, the store answered it all the time, and not more than half of a team of three or more fell silent
   * at once. Any number may watch one team.
   *
   * With `roles` each candidate runs a watch with itself as `agent`: the first of them that lives takes a role when nobody
   * holds it, because its holder was declared dead, or has let it lapse or handed it back; once the first in the list has
   * given three signs of life the role goes back to it. What waits for an agent that is dead or draining, because it was
   * assigned to it, is anybody's. Its end hands back what it holds.
   * It raises and clears the team's alerts too, once however many watch: `k.events.alerts()`, the events `alert.*`, and
   * `onAlert`.
   *
   * Errors: the signal's reason; `input.invalid`; `store.closed`. A store out of reach is waited for. An abort leaves
   * nothing half done.
   */
  async watch(options: WatchOptions = {}): Promise<void> {
    check.checkFields(options, WATCH)
    const { onAlert, signal, ...rest } = options
    const watcher: number = results.value(await this.#call('watcher', encodeArgs(rest), options))
    try {
      for (;;) {
        const alerts = results.alerts(await call((id) => this.#native.nextAlerts(id, watcher), signal))
        if (onAlert) for (const alert of alerts) void called(onAlert, alert)
      }
    } finally {
      this.#native.forget(watcher)
    }
  }

  /**
   * Holds a role for an agent, which one agent of the team at a time does. It is renewed, with the agent's heartbeats, until
   * it is handed back or lost: `await using lead = await k.agents.lead('router', 'kublai')`. Each change of its holder is an
   * event `role.changed`. An agent's `role` in the registry is something else: a word about it.
   *
   * Errors: `input.invalid`; `agent.not_found`; `role.held`, which names the holder and until when. What an aborted call has
   * taken is handed back, or ends with its lease.
   */
  async lead(role: string, agent: string, options: LeadOptions = {}): Promise<Leadership> {
    const args = encodeArgs(options, { role: textOf('role', role), agent: textOf('agent', agent) }, LEAD)
    const { number, lease } = results.led(await this.#call('lead', args, options))
    return new Leadership(this.#native, number, lease)
  }

  /** Who holds a role, and until when; `null` where nobody does. Errors: `input.invalid`. */
  async leader(role: string, options: Waits = {}): Promise<RoleLease | null> {
    return results.maybeRoleLease(await this.#call('leader', encodeText('role', role), options))
  }

  /**
   * When roles went from one agent to another, oldest first: all, or with `active` those whose role is not back yet, or is.
   * Errors: `input.invalid`.
   */
  async failovers(options: { active?: boolean; since?: Date } & Waits = {}): Promise<readonly FailoverEvent[]> {
    check.checkFields(options, FAILOVERS)
    const args = encodeArgs(options, { since: time(options.since) })
    return results.failovers(await this.#call('failovers', args, options))
  }

  /**
   * Takes a role from the agent that holds it, in whatever process: that one learns it at its next renewal, and what it writes
   * under its term is refused from now on. With `to`, nobody but that agent may take the role in the next 30 seconds. The
   * answer is the lease as it ended; where nobody holds the role nothing happens.
   *
   * Errors: `input.invalid`; `role.held`, naming the holder, where another agent holds it; `role.not_found` where nobody
   * ever has. An aborted call may still hand it back.
   */
  async handBack(role: string, agent: string, options: HandBackOptions = {}): Promise<RoleLease> {
    const args = encodeArgs(options, { role: textOf('role', role), agent: textOf('agent', agent) }, HAND_BACK)
    return results.roleLease(await this.#call('handBack', args, options))
  }

  /**
   * By id, name or alias. What is written exactly so comes first; otherwise they are compared without case and without
   * the accents of Latin, Greek and Cyrillic letters (`Temüjin` = `temujin`). Errors: `agent.not_found`, with the
   * nearest name.
   */
  async get(name: string, options: Waits = {}): Promise<AgentInfo> {
    return results.agent(await this.#call('get', encodeText('name', name), options))
  }

  async list(options: Waits = {}): Promise<readonly AgentInfo[]> {
    return results.agents(await this.#call('list', 'null', options))
  }

  /** The agents that have a capability. */
  async withCapability(capability: string, options: Waits = {}): Promise<readonly AgentInfo[]> {
    return results.agents(await this.#call('withCapability', encodeText('capability', capability), options))
  }

  /** Lets an agent finish what it holds and gives it nothing new; `register` ends it. Errors: `agent.not_found`. */
  async drain(id: string, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('drain', encodeText('id', id), options))
  }

  /**
   * What an agent has learned and lost: capabilities that it has from now on (`add`) and those that it has no more
   * (`remove`). Other capabilities stay as they are, also where two change them at once. `metadata` takes the place of what
   * was there: what JSON writes as an object of at most 16 KiB, or null. Errors: `agent.not_found`, `input.invalid`. An
   * aborted call may still have changed the agent.
   */
  async update(id: string, changes: AgentUpdate, options: Waits = {}): Promise<void> {
    check.checkFields(changes, UPDATE)
    const args = encodeArgs(changes, { id: textOf('id', id) })
    results.nothing(await this.#call('update', args, options))
  }

  /**
   * Removes an agent that holds nothing. With `force` also one that holds tasks: they are in the queue again at once.
   * Errors: `agent.not_found`; `agent.in_use`, naming what it holds. An aborted call may still have removed it.
   */
  async deregister(id: string, options: { force?: boolean } & Waits = {}): Promise<void> {
    const args = encodeArgs(options, { id: textOf('id', id) }, DEREGISTER)
    results.nothing(await this.#call('deregister', args, options))
  }
}
