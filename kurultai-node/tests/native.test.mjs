// Whether ts/native.ts says what the native half has: the names by the module itself, parameters and answers by its source.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'
import ts from 'typescript'

const here = fileURLToPath(new URL('..', import.meta.url))
const { native } = createRequire(import.meta.url)('../dist/native.js')

const camel = (name) => name.replace(/_(\w)/g, (_, letter) => letter.toUpperCase())

/** Of a Rust type as napi shows it. */
function typed(rust) {
  const inside = rust.match(/^(?:napi::)?(Option|Result|Vec)<(.*)>$/)
  if (inside?.[1] === 'Option') return `${typed(inside[2])} | null`
  if (inside?.[1] === 'Vec') return `${typed(inside[2])}[]`
  if (inside) return typed(inside[2])
  const plain = { String: 'string', bool: 'boolean', u32: 'number', f64: 'number', '()': 'void', '&Bridge': 'NativeBridge', '&Identity': 'NativeIdentity', '&WrappingKey': 'NativeWrappingKey' }[rust]
  return plain ?? (/^(Tasks|Agents|Schedules|Messages|Keys|Identity|Events|Jobs|MessageJobs|WrappingKey)$/.test(rust) ? `Native${rust}` : rust)
}

/** What stands in the source, as rustfmt writes it: a class begins, an attribute of napi, or a function. */
const TOKEN = /^impl (?<block>\w+) \{|^pub struct |#\[napi(?<napi>\S*)|^(?<inside> *)pub(?:\(crate\))? fn (?<name>\w+)\((?<takes>[^)]*)\)(?: -> (?<gives>[^{]+))? \{/gm

/** What the source declares, by `Class.method` or by name, as TypeScript would write its signature. */
function declared() {
  const found = {}
  for (const file of readdirSync(join(here, 'src'))) {
    let of, shown
    for (const { groups } of readFileSync(join(here, 'src', file), 'utf8').matchAll(TOKEN)) {
      const { block, napi, inside, name, takes, gives } = groups
      if (napi !== undefined) shown = !napi.includes('constructor')
      else {
        if (block) of = block
        if (name && shown) found[(inside ? `${of}.` : '') + camel(name)] = signature(takes, gives)
        shown = false
      }
    }
  }
  return found
}

function signature(takes, gives = '()') {
  const all = takes.split(',').map((one) => one.trim()).filter((one) => one !== '' && one !== '&self')
  const types = all.map((one) => one.split(': ')[1]).filter((type) => type !== 'Env')
  return `(${types.map(typed).join(', ')}) => ${typed(gives)}`
}

/** The same of what ts/native.ts says. */
function said() {
  const path = join(here, 'ts', 'native.ts')
  const program = ts.createProgram([path], { strict: true, skipLibCheck: true, types: ['node'], typeRoots: [join(here, 'node_modules/@types')] })
  const checker = program.getTypeChecker()
  const found = {}
  for (const node of program.getSourceFile(path).statements.filter(ts.isInterfaceDeclaration)) {
    const owner = node.name.text === 'Native' ? '' : `${node.name.text.replace('Native', '')}.`
    for (const member of checker.getPropertiesOfType(checker.getTypeAtLocation(node.name))) {
      const [call] = checker.getTypeOfSymbol(member).getCallSignatures()
      if (!call) continue // a class
      const types = call.parameters.map((parameter) => checker.typeToString(checker.getTypeOfSymbol(parameter)))
      found[owner + member.name] = `(${types.join(', ')}) => ${checker.typeToString(call.getReturnType())}`
    }
  }
  return found
}

test('native.ts has the names of the native half', () => {
  const names = new Set()
  for (const [name, value] of Object.entries(native)) {
    const methods = Object.getOwnPropertyNames(value.prototype ?? {}).filter((method) => method !== 'constructor')
    if (methods.length === 0) names.add(name)
    for (const method of methods) names.add(`${name}.${method}`)
  }
  assert.deepEqual([...names].sort(), Object.keys(said()).sort())
})

test('native.ts has the signatures of the native half', () => {
  assert.deepEqual(said(), declared())
})
