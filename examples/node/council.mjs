// Six agents, each a process of its own. Kublai routes; he is killed at work, Ögedei routes until he is back:
// `council.mjs [URL]`.

import { fork } from 'node:child_process'
import { once } from 'node:events'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { setTimeout as sleep } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'
import { Agent, Identity, NewTask, council, open } from 'kurultai'

const TASKS = 60
const CANDIDATES = ['kublai', 'ogedei']
const [first, ...rest] = process.argv.slice(2)
if (first === 'member') await member(...rest)
else await main(first)

async function member(url, name, keys) {
  const stop = new AbortController()
  process.once('SIGTERM', () => stop.abort())
  const k = await open(url, { identity: Identity.read(`${keys}/${name}.key`) })
  const agent = new Agent(name, { kurultai: k, heartbeatMs: 1000 })
  agent.task('work', async () => {
    await sleep(500)
    return { by: name }
  })
  const { signal } = stop
  const duties = CANDIDATES.includes(name)
    ? [k.agents.watch({ roles: { router: CANDIDATES }, agent: name, everyMs: 1000, deadAfterMs: 6000, signal }), route(k, name, signal)]
    : []
  await Promise.allSettled([agent.run({ signal }), ...duties])
  await k.close()
}

async function route(k, name, signal) {
  for (;;) {
    const leader = await k.agents.leader('router', { signal })
    // Whoever is replaced in the midst of a cycle has delegated nothing more.
    if (leader?.holder === name) {
      await k.cycle(name, { signal }).catch((error) => {
        if (!['role.held', 'role.stale_term'].includes(error.code)) throw error
      })
    }
    await sleep(1000, undefined, { signal })
  }
}

async function main(given) {
  const folder = await mkdtemp(`${tmpdir()}/council-`)
  const url = given ?? `sqlite:${folder}/team.db`
  const start = (name) => fork(fileURLToPath(import.meta.url), ['member', url, name, folder])

  const k = await open(url)
  await k.agents.registerMany(council())
  const agents = await k.agents.list()
  for (const { id } of agents) (await k.keys.rotate(id)).write(`${folder}/${id}.key`)
  const members = Object.fromEntries(agents.map(({ id }) => [id, start(id)]))

  const leads = async (name) => {
    while ((await k.agents.leader('router'))?.holder !== name) await sleep(100)
    console.log(`${name} leads`)
  }

  await leads('kublai')
  const skills = agents.filter(({ id }) => id !== 'kublai').map(({ capabilities }) => capabilities[0])
  const work = (_, n) => new NewTask('work', { n }, { requires: [skills[n % skills.length]] })
  const tasks = await k.tasks.enqueueMany(Array.from({ length: TASKS }, work))
  while ((await k.tasks.list({ status: 'in_progress', limit: 1 })).length === 0) await sleep(100)
  members.kublai.kill('SIGKILL')
  await once(members.kublai, 'exit')
  console.log('kublai is killed')
  await leads('ogedei')
  members.kublai = start('kublai')
  console.log('kublai is back')
  await leads('kublai')

  const done = await Promise.all(tasks.map((task) => k.tasks.waitFor(task, { timeoutMs: 120_000 })))
  console.log(`${done.length} tasks are done, by ${new Set(done.map(({ results }) => results.by)).size} agents`)
  for (const process of Object.values(members)) process.kill()
  await Promise.all(Object.values(members).map((process) => once(process, 'exit')))
  await k.close()
  await rm(folder, { recursive: true })
}
