// The declarations that `import` finds, also where Node's own are missing.

import { type Kurultai, KurultaiError, Lease, open } from 'kurultai'

export const k: Promise<Kurultai> = open('memory:', { signal: new AbortController().signal })
export async function release(lease: Lease): Promise<KurultaiError | undefined> {
  const [answer] = await (await k).tasks.finishMany([{ task: lease, outcome: 'release' }])
  await (await k)[Symbol.asyncDispose]()
  return answer instanceof KurultaiError ? answer : undefined
}
