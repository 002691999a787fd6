// The door: `open(url)`, one team's shared picture.

import { Agents, THRESHOLDS } from './agents'
import { bridge, call } from './bridge'
import { called } from './called'
import * as check from './check'
import { toError } from './errors'
import { Events } from './events'
import { identitiesOf } from './identity'
import { encodeArgs } from './json'
import { Keys } from './keys'
import { Messages } from './messages'
import { native, type NativeJobs, type NativeTeam } from './native'
import { RETRY, time } from './new_task'
import * as results from './results'
import { Schedules } from './schedules'
import { Tasks } from './tasks'
import type {
  AnyTasks, AdoptOptions, Adoption, Check, CycleOptions, CycleReport, NamespaceInfo, OpenOptions, VerifyOptions, Waits,
} from './types'
import { wrappingKeyOf } from './wrapping_key'

const OPEN: check.Fields = {
  identity: check.anything, wrappingKey: check.anything, minVersion: check.count, namespace: check.text, migrate: check.flag, background: check.flag, agingMs: check.ms, maxDepth: check.count, clock: check.date,
  taskDefaults: check.object({
    maxAttempts: check.count, maxSnoozes: check.count, expiresInMs: check.ms, leaseMs: check.ms, retry: check.object(RETRY),
  }),
  retention: check.object({ tasksMs: check.ms, eventsMs: check.ms, messagesMs: check.ms }), signal: check.anything,
}

const CYCLE: check.Fields = { wake: check.callable, signal: check.anything }
const VERIFY: check.Fields = { strict: check.flag, ...THRESHOLDS }

/** One team on one store. */
export class Kurultai<M extends object = AnyTasks> {
  readonly tasks: Tasks<M>
  readonly agents: Agents
  readonly schedules: Schedules
  readonly messages: Messages
  readonly keys: Keys
  readonly events: Events
  readonly #team: NativeTeam

  /** @internal */
  constructor(team: NativeTeam) {
    this.#team = team
    this.tasks = new Tasks(team.tasks())
    this.agents = new Agents(team.agents())
    this.schedules = new Schedules(team.schedules())
    this.messages = new Messages(team.messages())
    this.keys = new Keys(team.keys())
    this.events = new Events(team.events())
  }

  get namespace(): string {
    return this.#team.namespace()
  }

  /** `sqlite` or `neo4j`. */
  get storeName(): string {
    return this.#team.storeName()
  }

  /** Statements that this process has sent to the store. */
  get statements(): number {
    return this.#team.statements()
  }

  /** Moves the clock that was given to `open`. For tests. */
  advance(ms: number): void {
    this.#team.advance(ms)
  }

  /**
   * What the background does: schedules that are due enqueue their tasks; about once a second lapsed leases return and overdue
   * tasks expire, about once a minute priorities age and old tasks and events are removed. Safe to call at any time, from any process.
   */
  async maintain(options: Waits = {}): Promise<void> {
    results.nothing(await call((id) => this.#team.maintain(id), check.signalOf(options)))
  }

  /**
   * What an agent does every five minutes. As the holder of the role `router`, or as who takes it for the cycle because it
   * has the capability `routing` and nobody holds the role: each task that can be claimed and is assigned to nobody is
   * assigned to the agent that can do it and is the least laden, and told it by a message of type `task_delegation` signed
   * as this agent; so is each agent to whom a task was assigned without a word. Assignment and message are one transaction,
   * so whatever ends in between, a task is delegated once; and again where its message has expired or failed and nobody has
   * taken it in. What nobody can do is named (`stuck`), as are agents that sleep on work, those that are stuck or dead
   * (`stale`), and what burns. For every other agent it is its own view: its `inbox`, and its `tasks`.
   *
   * `text` is `HEARTBEAT_OK` where nothing needs attention, the text of the alerts alone where something critical burns, and
   * else what was delegated and what there is to do; `attention` says it in a word.
   *
   * Errors: `agent.not_found`; `role.held`, naming the router, where it has the capability `routing` and another agent
   * routes, or does so meanwhile; `role.stale_term` where it lost the role and may not take it; `config.identity` where there
   * is something to tell and the team is not open as this agent. After an abort a repetition goes on where the call was.
   */
  async cycle(agent: string, options: CycleOptions = {}): Promise<CycleReport> {
    check.checkOne('agent', agent, check.text)
    check.checkFields(options, CYCLE)
    const report = results.cycleReport(await call((id) => this.#team.cycle(id, agent), check.signalOf(options)))
    const { wake } = options
    if (wake) {
      for (const asleep of report.asleep) if (await called(wake, asleep)) report.woken.push(asleep)
    }
    Object.freeze(report.woken)
    return Object.freeze(report)
  }

  /**
   * What one asks after a deployment, each with whether it is in order: `store` (it answers), `schema` (tables, constraints
   * and indexes are there), `clocks` (the store's differs from this machine's by at most 5 s), `infra` (every agent has given
   * a sign within `deadAfterMs`), `functional` (whoever holds a task works on it) and `takeover`: in a namespace of its
   * own, which takes a second or two, an agent falls silent, a watcher finds it and its task goes on.
   *
   * Errors: `input.invalid`; `store.unavailable` where the store cannot be asked for anything. The namespace `verify-...` of
   * an aborted call may stay behind.
   */
  async verify(options: VerifyOptions = {}): Promise<readonly Check[]> {
    const args = encodeArgs(options, {}, VERIFY)
    return results.simpleList(await call((id) => this.#team.verify(id, args), check.signalOf(options)))
  }

  /**
   * Takes over tasks and agents that other programs wrote under the same names: on Neo4j, nodes labelled `Task` or
   * `Agent` that have no `namespace`. What is read as what is a table in ADOPTING.md. Each node has an event,
   * `task.adopted` or `agent.adopted`, with what was changed as it was before. Repeating it changes nothing more. A
   * file of SQLite has nothing to take over.
   *
   * Errors: `input.invalid`, `store.unavailable` where the other program changes the same nodes too quickly. After an
   * abort a repetition goes on where the call was.
   */
  async adopt(options: AdoptOptions = {}): Promise<Adoption> {
    return results.adoption(await call((id) => this.#team.adopt(id, encodeArgs(options)), check.signalOf(options)))
  }

  /** The namespaces of this database, in the order of their names, each with how many tasks and agents it has. */
  async namespaces(options: Waits = {}): Promise<readonly NamespaceInfo[]> {
    return results.simpleList(await call((id) => this.#team.namespaces(id), check.signalOf(options)))
  }

  /**
   * Deletes another namespace of this database with everything in it, in portions; false where there is none of this name.
   * Close whoever works in it first: a handle that still has it open is told `store.namespace_missing` by what it wants
   * to write, and finds nothing; opening it again makes it anew.
   *
   * Errors: `input.invalid`, also for the namespace of this handle. What an aborted call has deleted is gone, and a
   * repetition goes on there.
   */
  async deleteNamespace(name: string, options: Waits = {}): Promise<boolean> {
    check.checkOne('name', name, check.text)
    return results.simple(await call((id) => this.#team.deleteNamespace(id, name), check.signalOf(options)))
  }

  /**
   * Waits until what was sent is committed and lets go of the store. Later calls fail with `store.closed`. Agents that
   * work for it end: what they hold goes back, and handlers at work are stopped with `drained`, without their grace.
   */
  async close(): Promise<void> {
    results.nothing(await call((id) => this.#team.close(id)))
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close()
  }

  /** @internal */
  jobs(): NativeJobs {
    return this.#team.jobs()
  }
}

/**
 * Opens a store and brings its schema up to date: `memory:`, `sqlite:PATH?durability=full|process` or
 * `neo4j://user:password@host:7687/database`. Without a URL, the one that KURULTAI_URL, or NEO4J_URI with
 * NEO4J_USER and NEO4J_PASSWORD, name.
 *
 * Errors: `config.url`, `config.env`, `store.auth`, `store.unavailable` (retryable), `store.schema_newer`,
 * `store.schema_conflict` (the file holds another program's things under our names), `store.read_only`,
 * `store.tls` (only one side wants TLS, or the server's certificate is not trusted); of a key file those of
 * `Identity.read`, of a wrapping key those of `WrappingKey.read`.
 */
export async function open<M extends object = AnyTasks>(url?: string, options: OpenOptions = {}): Promise<Kurultai<M>> {
  const team = new native.Team(bridge)
  if (url !== undefined && url !== null) check.checkOne('url', url, check.text)
  check.checkFields(options, OPEN)
  const { identity, wrappingKey, ...rest } = options
  for (const one of identitiesOf(identity)) {
    const failure = team.identify(one)
    if (failure !== null) throw toError(failure)
  }
  const keys = wrappingKey == null ? [] : Array.isArray(wrappingKey) ? wrappingKey : [wrappingKey]
  for (const key of keys) team.unlock(wrappingKeyOf(key))
  const args = encodeArgs(rest, { url, clock: time(options.clock) })
  results.nothing(await call((id) => team.open(id, args), check.signalOf(options)))
  return new Kurultai<M>(team)
}
