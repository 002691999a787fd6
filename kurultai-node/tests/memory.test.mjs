// Memory stays flat. KURULTAI_TEST_CALLS says over how many calls; CI is content with few.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

const calls = Number(process.env.KURULTAI_TEST_CALLS ?? 40_000)

const source = `
  import { open } from 'kurultai'
  const k = await open('memory:', { background: false })
  await k.agents.register('temujin')
  await k.tasks.enqueue('held', { text: 'x'.repeat(2000) })
  const [held] = await k.tasks.claim('temujin', { leaseMs: 86_400_000 })
  const quiet = () => {}
  const round = () => {
    const stop = new AbortController()
    const aborted = k.tasks.claim('temujin', { waitMs: 1000, signal: stop.signal }).catch(quiet)
    const all = [
      aborted, k.tasks.get(held.id), k.tasks.get('nobody').catch(quiet), k.tasks.claim('temujin'), k.tasks.extend(held),
      k.tasks.enqueue('x', { bad: NaN }).catch(quiet), k.agents.list(), k.tasks.getMany([held.id, 'nobody']),
      k.tasks.enqueue('held', { text: 'x'.repeat(2000) }, { id: held.id }), k.tasks.release('not a lease').catch(quiet),
    ]
    stop.abort()
    return Promise.all(all)
  }
  const run = async (calls) => {
    for (let done = 0; done < calls; done += 100) await Promise.all(Array.from({ length: 10 }, round))
    gc(); gc()
    const { rss, heapUsed } = process.memoryUsage()
    return { rss: rss / 2 ** 20, heap: heapUsed / 2 ** 20 }
  }
  await run(${calls} / 4)
  const before = await run(${calls} / 4)
  const after = await run(${calls} / 2)
  console.log(JSON.stringify({ before, after }))`

test(`memory is flat over ${calls} calls`, (t) => {
  const cwd = fileURLToPath(new URL('.', import.meta.url))
  const out = execFileSync(process.execPath, ['--expose-gc', '--input-type=module', '-e', source], { cwd, encoding: 'utf8' })
  const { before, after } = JSON.parse(out)
  t.diagnostic(`MiB before ${JSON.stringify(before)}, after ${JSON.stringify(after)}`)
  // 10,000 calls that kept 1 KiB each would be 10 MiB.
  assert.ok(after.heap - before.heap < 4, `heap grew from ${before.heap} to ${after.heap} MiB`)
  assert.ok(after.rss - before.rss < 24, `resident memory grew from ${before.rss} to ${after.rss} MiB`)
})
