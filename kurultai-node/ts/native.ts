// The native half: where its binary is, and what it has.

import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Failure } from './errors'

/** JSON text, or why not. */
export type Outcome = string | Failure
/** The outcome where it is there at once; `null` where it comes later. */
export type Now = Outcome | null

export interface NativeBridge {
  cancel(call: number): void
  keepAlive(alive: boolean): void
  echo(call: number, text: string, later: boolean): Now
}

type Operation = (call: number, args: string) => Now

export interface NativeTasks extends Record<
  | 'enqueue' | 'enqueueMany' | 'claim' | 'finish' | 'finishMany' | 'renew' | 'cancel' | 'cancelMany' | 'update'
  | 'reprioritize' | 'assign' | 'suspend' | 'resume' | 'requeue' | 'requeueMany' | 'discard'
  | 'pause' | 'unpause' | 'stopAll' | 'startAll' | 'addDependency' | 'get' | 'waitFor' | 'getMany' | 'find' | 'list' | 'deadLetters' | 'stats' | 'explain',
  Operation> {
  under(role: string, term: number): NativeTasks
}

export interface NativeAgents extends Record<
  | 'registerMany' | 'beat' | 'beatMany' | 'health' | 'watcher' | 'lead' | 'lost' | 'letGo' | 'leader' | 'failovers' | 'handBack' | 'get' | 'list' | 'withCapability' | 'drain' | 'update'
  | 'deregister', Operation> {
  lease(number: number): string | null
  isValid(number: number): boolean
  nextAlerts(call: number, watcher: number): Now
  forget(watcher: number): void
}

export interface NativeSchedules extends Record<'put' | 'get' | 'pause' | 'unpause' | 'remove' | 'runNow', Operation> {
  list(call: number): Now
}

export interface NativeMessages extends Record<
  'sendMany' | 'accept' | 'inbox' | 'ack' | 'reject' | 'retry' | 'unread' | 'thread' | 'list' | 'ask', Operation> {
  under(role: string, term: number): NativeMessages
}

export interface NativeKeys extends Record<'list' | 'rotate' | 'rotateInStore' | 'importRows' | 'add' | 'revoke', Operation> {
  take(number: number): NativeIdentity | null
  rewrap(call: number, to: NativeWrappingKey): Now
}

export interface NativeWrappingKey {
  id(): string
  write(path: string): Failure | null
}

/** A wrapping key, or why not. */
export type MadeWrappingKey = NativeWrappingKey | Failure

export interface NativeIdentity {
  agent(): string
  keyId(): string
  publicKey(): string
  write(path: string): Failure | null
}

/** An identity, or why not. */
export type Made = NativeIdentity | Failure

export interface NativeEvents extends Record<
  'publishMany' | 'subscribe' | 'consume' | 'subscriptions' | 'pause' | 'unpause' | 'rewind' | 'unsubscribe' | 'dead', Operation> {
  ackBatch(call: number, batch: number): Now
  retryBatch(call: number, batch: number, error: string, afterMs: number): Now
  forgetBatch(batch: number): void
  read: Operation
  lastSeq(call: number): Now
  alerts(call: number): Now
  follow: Operation
  next(call: number, follow: number): Now
  forget(follow: number): void
}

export interface NativeJobs {
  start: Operation
  next(call: number): Now
  stopped(call: number, job: number): Now
  limit(job: number, args: string): void
  alive(job: number): void
  returned(call: number, job: number, results: string): Now
  unstorable(call: number, job: number, why: string): Now
  raised(call: number, job: number, args: string): Now
  release(call: number, job: number): Now
  progress(call: number, job: number, progress: number): Now
  checkpoint(call: number, job: number, args: string): Now
  usage(call: number, job: number, args: string): Now
  unread(job: number): string | null
  messages(call: number, job: number, args: string): Now
  nextIncoming(call: number, incoming: number): Now
  forgetIncoming(incoming: number): void
  messageJobs(): NativeMessageJobs
  lease(job: number): string | null
  forget(job: number): void
  draining(call: number): Now
  reports(call: number): Now
  tellAll(all: boolean): void
  hush(): void
  drain(): void
  finished(call: number): Now
}

export interface NativeMessageJobs {
  next(call: number): Now
  stopped(call: number, job: number): Now
  begin(job: number, args: string): void
  reply(call: number, job: number, args: string): Now
  returned(call: number, job: number): Now
  raised(call: number, job: number, args: string): Now
  forget(job: number): void
}

export interface NativeTeam {
  identify(identity: NativeIdentity): Failure | null
  unlock(key: NativeWrappingKey): void
  open: Operation
  close(call: number): Now
  maintain(call: number): Now
  verify: Operation
  adopt: Operation
  cycle(call: number, agent: string): Now
  namespaces(call: number): Now
  deleteNamespace: Operation
  tasks(): NativeTasks
  agents(): NativeAgents
  schedules(): NativeSchedules
  messages(): NativeMessages
  keys(): NativeKeys
  events(): NativeEvents
  jobs(): NativeJobs
  namespace(): string
  storeName(): string
  statements(): number
  advance(byMs: number): void
}

export interface Native {
  Bridge: new (settle: (calls: number[], outcomes: Outcome[]) => void) => NativeBridge
  Team: new (bridge: NativeBridge) => NativeTeam
  newId(): string
  version(): string
  council(): string
  identityRead(path: string): Made
  identityEnv(agent: string): Made
  identityGenerate(agent: string): Made
  wrappingKeyRead(path: string): MadeWrappingKey
  wrappingKeyGenerate(): MadeWrappingKey
  sign(identity: NativeIdentity, args: string): Outcome
  verify(args: string): Outcome
  legacySeal(args: string): Outcome
  legacyVerify(args: string): Failure | null
  fold(name: string): string
  oneFailureOfEachKind(): Failure[]
}

function load(): Native {
  const folder = join(__dirname, '..', 'native')
  const platform = `${process.platform}-${process.arch}`
  // On Linux a binary is for glibc or for musl; the one that does not fit does not load.
  const names = process.platform === 'linux' ? [`${platform}-gnu`, `${platform}-musl`] : [platform]
  const reasons: unknown[] = []
  for (const name of names) {
    const path = join(folder, `kurultai.${name}.node`)
    if (!existsSync(path)) continue
    try {
      return require(path)
    } catch (reason) {
      reasons.push(reason)
    }
  }
  const why = reasons.length > 0 ? `does not load: ${reasons.join('; ')}` : `is not in ${folder}`
  throw new Error(
    `kurultai has no native half for ${platform}: it ${why}. ` +
      'Build it in the kurultai tree with `cargo xtask node`, or install a package made for this platform.',
  )
}

export const native = load()
