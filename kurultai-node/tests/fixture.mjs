// A team of its own for each case, on every store at hand.

import { after, test } from 'node:test'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { newId, open } from 'kurultai'

/** A folder that goes away with the test file. */
export function folder() {
  const path = mkdtempSync(join(tmpdir(), 'kurultai-node-'))
  after(() => rmSync(path, { recursive: true, force: true }))
  return path
}

const neo4j = process.env.KURULTAI_TEST_NEO4J
const here = folder()

/** The stores' URLs. SQLite is always there; Neo4j where KURULTAI_TEST_NEO4J names one. */
export const stores = [['sqlite', () => `sqlite:${join(here, `${newId()}.db`)}`]]
if (neo4j) stores.push(['neo4j', () => neo4j])

/** One test for each store: `cases('title', async (k) => ...)`, each in a namespace of its own. */
export function cases(title, body, options = {}) {
  for (const [store, url] of stores) {
    test(`${store}: ${title}`, async (t) => {
      const how = { namespace: `node-${newId()}`, ...options }
      const place = url()
      const k = await open(place, how)
      try {
        await body(k, { t, store, url: place, namespace: how.namespace })
      } finally {
        await k.close()
      }
    })
  }
}

/** The error of a promise that must fail. */
export async function failure(promise) {
  try {
    await promise
  } catch (error) {
    return error
  }
  throw new Error('it should have failed')
}

export async function codeOf(promise) {
  return (await failure(promise)).code
}

/** Waits until something is so, at most ten seconds. */
export async function until(what, check) {
  for (const deadline = Date.now() + 10_000; Date.now() < deadline; ) {
    if (await check()) return
    await new Promise((resolve) => setTimeout(resolve, 20))
  }
  throw new Error(`not within ten seconds: ${what}`)
}
