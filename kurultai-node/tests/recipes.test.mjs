// The Node programs of the project's RECIPES.md run as they stand, and find what they assert.

import assert from 'node:assert/strict'
import { execFile } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import { promisify } from 'node:util'

const text = readFileSync(new URL('../../RECIPES.md', import.meta.url), 'utf8')
const recipes = text.split(/^## /m).flatMap((part) => {
  const program = /^```js\n([^]*?)^```$/m.exec(part)
  return program ? [{ title: part.slice(0, part.indexOf('\n')), program: program[1] }] : []
})

test('RECIPES.md has programs', () => assert.ok(recipes.length >= 4))

for (const { title, program } of recipes) {
  test(`RECIPES.md: ${title}`, async () => {
    const cwd = fileURLToPath(new URL('.', import.meta.url))
    // A test runner within must not think that it is a part of this one.
    const { NODE_TEST_CONTEXT: _, ...env } = process.env
    await promisify(execFile)(process.execPath, ['--input-type=module', '-e', program], { cwd, env, timeout: 30_000 })
  })
}
