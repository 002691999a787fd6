// A participant in Node; README.md has the protocol.

import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { Agent, KurultaiError, open } from '../../kurultai-node/dist/index.mjs'

const say = (line) => process.stdout.write(`${JSON.stringify(line)}\n`)
const now = () => Number(process.hrtime.bigint())
const ms = (seconds) => (seconds === undefined ? undefined : seconds * 1000)
const seen = (task) => [task.id, task.status, task.leaseVersion, task.claimedBy]

function newTask({ depends_on, unique_key, expires_in, retry, ...rest }) {
  return {
    ...rest,
    ...(depends_on && { dependsOn: depends_on }),
    ...(unique_key && { uniqueKey: unique_key }),
    ...(expires_in !== undefined && { expiresInMs: ms(expires_in) }),
    ...(retry && { retry: { baseMs: ms(retry.base), capMs: ms(retry.cap) } }),
  }
}

const finished = ({ status, repeated }) => [status, repeated]

const operations = {
  register: async ({ agents }, { agent }) => { await agents.register(agent) },
  enqueue: async ({ tasks }, given) => {
    const all = given.tasks.map(newTask)
    const { type, payload, ...options } = all[0]
    const added = all.length === 1 ? [await tasks.enqueue(type, payload, options)] : await tasks.enqueueMany(all)
    return added.map(({ id, deduplicated }) => [id, deduplicated])
  },
  claim: async ({ tasks }, { agent, lease, wait, ...rest }) => {
    const claimed = await tasks.claim(agent, { ...rest, leaseMs: ms(lease), waitMs: ms(wait) })
    return claimed.map((task) => [task.id, task.lease.version, String(task.lease)])
  },
  complete: async ({ tasks }, { lease, results }) => finished(await tasks.complete(lease, results)),
  fail: async ({ tasks }, { lease, retryable }) => finished(await tasks.fail(lease, 'broken', { retryable })),
  release: async ({ tasks }, { lease }) => finished(await tasks.release(lease)),
  extend: async ({ tasks }, { lease, ttl }) => (await tasks.extend(lease, ms(ttl))).signal,
  depend: async ({ tasks }, { task, on }) => { await tasks.addDependency(task, on) },
  get: async ({ tasks }, { task }) => seen(await tasks.get(task)),
  list: async ({ tasks }, given) => (await tasks.list(given)).tasks.map(seen),
  read: async ({ events }, { after, wait, task, ...rest }) => {
    const filter = { ...rest, afterSeq: after, waitMs: ms(wait), ...(task && { taskId: task }) }
    return (await events.read(filter)).events.map((event) => [event.seq, event.topic, event.taskId, event.source])
  },
  last_seq: ({ events }) => events.lastSeq(),
  look: (_, { file }) => { readFileSync(file) },
  close: async (kurultai) => { await kurultai.close() },
  serve: (kurultai, { agent, type }) => {
    new Agent(agent, { kurultai, signals: false }).task(type, (payload) => payload).run()
    return null
  },
}
for (const verb of ['cancel', 'suspend', 'resume', 'requeue', 'discard']) {
  operations[verb] = ({ tasks }, { task }) => tasks[verb](task)
}

async function call(teams, { call, team, do: name, with: given }) {
  const present = Object.fromEntries(Object.entries(given).filter(([, value]) => value !== null))
  say({ call, at: now() })
  try {
    const ok = (await operations[name](teams[team], present)) ?? null
    say({ call, at: now(), ok })
  } catch (error) {
    // Any other is a defect: the run reports it.
    const code = error instanceof KurultaiError ? error.code : error.name
    say({ call, at: now(), error: code, message: error.message })
  }
}

const [url, ...namespaces] = process.argv.slice(2)
const teams = await Promise.all(namespaces.map((namespace) => open(url, { namespace })))
say({ ready: true })
for await (const line of createInterface({ input: process.stdin })) call(teams, JSON.parse(line))
process.exit(0)
