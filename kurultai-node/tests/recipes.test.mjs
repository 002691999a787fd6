// The Node programs of the project's RECIPES.md run as they stand, and on Neo4j where the run was given a server, and
// find what they assert. Those in TypeScript compile, the wrong lines in them do not, and run too; tests pass under Vitest
// as well.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { test } from 'node:test'
import { promisify } from 'node:util'
import { stores } from './fixture.mjs'

const text = readFileSync(new URL('../../RECIPES.md', import.meta.url), 'utf8')
const recipes = text.split(/^## /m).flatMap((part) => {
  const program = /^```(js|ts)\n([^]*?)^```$/m.exec(part)
  return program ? [{ title: part.slice(0, part.indexOf('\n')), language: program[1], program: program[2] }] : []
})

test('RECIPES.md has programs', () => assert.ok(recipes.length >= 6))

/** Runs Node in a folder, which goes away, where a program finds this package as its users do. */
async function node(files, ...runs) {
  const cwd = mkdtempSync(join(import.meta.dirname, 'recipe-'))
  // A test runner within must not think that it is a part of this one.
  const { NODE_TEST_CONTEXT: _, ...env } = process.env
  try {
    for (const [name, source] of Object.entries(files)) writeFileSync(join(cwd, name), source)
    for (const args of runs) {
      const run = promisify(execFile)(process.execPath, args, { cwd, env, timeout: 60_000 })
      await run.catch(({ message, stdout }) => assert.fail(`${message}\n${stdout}`))
    }
  } finally {
    rmSync(cwd, { recursive: true })
  }
}

/** The same program on another store. On Neo4j each `open` of it is a team of its own, as `memory:` is. */
function on(store, url, program) {
  if (store === 'sqlite') return program
  const opened = /\bopen(<\w+>)?\('memory:'(, \{)?/g
  assert.match(program, opened, 'a recipe opens a store in a way that this does not know')
  const how = `${JSON.stringify(url)}, { namespace: 'recipe-' + crypto.randomUUID()`
  return program.replace(opened, (_, types = '', more) => `open${types}(${how}${more ? ',' : ' }'}`)
}

const modules = join(import.meta.dirname, '..', 'node_modules')
const STRICT = [
  join(modules, 'typescript', 'bin', 'tsc'), '--strict', '--exactOptionalPropertyTypes', '--target', 'es2022', '--lib', 'es2022,esnext.disposable',
  '--module', 'node20', '--types', 'node', '--typeRoots', join(modules, '@types'), 'recipe.mts',
]

const VITEST = [join(modules, 'vitest', 'vitest.mjs'), 'run', '--root', '.', 'recipe.test.mjs']
const ours = "from 'node:test'"

for (const { title, language, program } of recipes) {
  for (const [store, url] of stores) {
    test(`${store}: RECIPES.md: ${title}`, async () => {
      const placed = on(store, url(), program)
      if (language === 'js') await node({ 'recipe.mjs': placed }, ['recipe.mjs'])
      else await node({ 'recipe.mts': placed }, STRICT, ['recipe.mjs'])
    })
    if (program.includes(ours)) {
      test(`${store}: RECIPES.md under Vitest: ${title}`, async () => {
        await node({ 'recipe.test.mjs': on(store, url(), program).replace(ours, "from 'vitest'") }, VITEST)
      })
    }
  }
}

test('RECIPES.md has tests', () => assert.ok(recipes.some(({ program }) => program.includes(ours))))
