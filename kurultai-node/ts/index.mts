// For `import`: the same module, so that a process that uses both ways has one bridge and one KurultaiError.
export * from './index.js'
