// The programs of the package's README and of the project's run as they stand, and print what follows them.

import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

for (const [name, count] of [['../README.md', 6], ['../../README.md', 1]]) {
  const text = readFileSync(new URL(name, import.meta.url), 'utf8')
  const blocks = [...text.matchAll(/^```(\w+)\n([^]*?)^```$/gm)].map(([, language, body]) => ({ language, body }))
  const programs = blocks.map((block, at) => ({ ...block, printed: blocks[at + 1] })).filter(({ language }) => language === 'js')

  test(`${name} has programs`, () => assert.equal(programs.length, count))

  for (const [at, { body, printed }] of programs.entries()) {
    test(`program ${at + 1} of ${name} prints what it says`, () => {
      assert.equal(printed?.language, 'text')
      const cwd = fileURLToPath(new URL('.', import.meta.url))
      const out = execFileSync(process.execPath, ['--input-type=module', '-e', body], { cwd, encoding: 'utf8', timeout: 10_000 })
      assert.equal(out, printed.body)
    })
  }
}
