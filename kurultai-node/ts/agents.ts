// Who is there: `k.agents`, the registry. An operation of the core is a method here, by the same word.

import { call } from './bridge'
import * as check from './check'
import { encode, encodeArgs } from './json'
import type { NativeAgents, Outcome } from './native'
import * as results from './results'
import type { AgentInfo, NewAgent, Waits } from './types'

const AGENT: check.Fields = {
  id: check.text, displayName: check.text, role: check.text, aliases: check.texts, capabilities: check.texts,
  maxConcurrent: check.count, metadata: check.anything,
}

function encodeAgents(agents: readonly NewAgent[]): string {
  check.checkOne('agents', agents, check.objects)
  const row = (agent: NewAgent, index: number) => {
    check.checkFields(agent, AGENT, agents.length === 1 ? '' : `agent ${index}: `)
    return encodeArgs(agent)
  }
  return `[${agents.map(row).join(',')}]`
}

function encodeText(name: string, value: string): string {
  check.checkOne(name, value, check.text)
  return encode(value, name)
}

function encodeIds(ids: readonly string[]): string {
  check.checkOne('ids', ids, check.texts)
  return encode(ids, 'ids')
}

/** The registry of one team. */
export class Agents {
  readonly #native: NativeAgents

  /** @internal */
  constructor(native: NativeAgents) {
    this.#native = native
  }

  #call(operation: keyof NativeAgents, args: string, options: Waits): Outcome | Promise<Outcome> {
    return call((id) => this.#native[operation](id, args), options.signal)
  }

  /** Adds an agent or brings its entry up to date. Errors: `input.invalid`. */
  async register(id: string, options: Omit<NewAgent, 'id'> & Waits = {}): Promise<void> {
    const { signal, ...agent } = options
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
   * The heartbeats of many agents in one statement, as a sidecar writes them. Returns the ids that are not
   * registered; the others have their beat. Errors: `input.invalid`.
   */
  async beatMany(ids: readonly string[], options: Waits = {}): Promise<readonly string[]> {
    return results.simpleList(await this.#call('beatMany', encodeIds(ids), options))
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

  /** Removes an agent. Its leases run out by themselves. Errors: `agent.not_found`. */
  async deregister(id: string, options: Waits = {}): Promise<void> {
    results.nothing(await this.#call('deregister', encodeText('id', id), options))
  }
}
