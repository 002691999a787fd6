import assert from 'node:assert/strict'
import { once } from 'node:events'
import { createServer } from 'node:http'
import { json, text } from 'node:stream/consumers'
import { Agent, ConflictError, InputError, newId, NotFoundError, open, Reject, TimedOutError } from 'kurultai'

const PATIENCE = 2000 // milliseconds; stay below the time-out of your proxy
const ENDED = ['completed', 'dead_letter', 'cancelled', 'expired']
const ENDS = ENDED.map((status) => `task.${status}`)

const team = await open('memory:') // 'sqlite:team.db', so that others see it

async function postReview(request, answer) {
  const id = newId()
  try {
    answer(200, await team.tasks.call('review', await json(request), { id, timeoutMs: PATIENCE }))
  } catch (error) {
    if (error instanceof TimedOutError) answer(202, { id }, { location: `/reviews/${id}/events` }) // the task goes on
    else if (error instanceof ConflictError && error.code === 'task.failed') answer(422, { id, error: error.message })
    else throw error
  }
}

async function reviewEvents(id, request, response, answer) {
  const task = await team.tasks.get(id)
  if (task.type !== 'review') return answer(404, { error: 'task.not_found' })
  const afterSeq = Number(request.headers['last-event-id'] ?? 0) // sent by a browser that returns
  const past = await team.events.read({ taskId: id, afterSeq })
  if (past.events.length === 0 && ENDED.includes(task.status)) return answer(204) // a browser does not return after it
  response.writeHead(200, { 'content-type': 'text/event-stream' })
  const gone = new AbortController()
  response.on('close', () => gone.abort())
  const send = ({ seq, topic, payload }) => {
    response.write(`id: ${seq}\nevent: ${topic}\ndata: ${JSON.stringify(payload)}\n\n`)
    return ENDS.includes(topic)
  }
  if (!past.events.some(send)) {
    // Nothing falls between the page and what follows it.
    for await (const event of team.events.follow({ taskId: id, afterSeq: past.next, signal: gone.signal })) {
      if (send(event)) break
    }
  }
  response.end()
}

const server = createServer(async (request, response) => {
  const answer = (status, body, headers) => {
    response.writeHead(status, { 'content-type': 'application/json', ...headers })
    response.end(body === undefined ? undefined : JSON.stringify(body))
  }
  try {
    const id = /^\/reviews\/([^/]+)\/events$/.exec(request.url)?.[1]
    if (request.method === 'POST' && request.url === '/reviews') await postReview(request, answer)
    else if (request.method === 'GET' && id) await reviewEvents(id, request, response, answer)
    else answer(404, { error: 'no such page' })
  } catch (error) {
    if (response.headersSent) response.destroy()
    else if (error instanceof NotFoundError) answer(404, { error: error.code })
    else if (error instanceof InputError || error instanceof SyntaxError) answer(400, { error: error.message })
    else answer(500, { error: error.code ?? 'internal' })
  }
})

// The agent. Usually it is a program of its own.

const slow = new EventTarget() // stands in for something slow
const agent = new Agent('temujin', { kurultai: team, concurrency: 4 })
agent.task('review', { timeoutMs: 600_000 }, async ({ pr, large }, ctx) => {
  if (pr < 0) throw new Reject('no such pull request')
  if (large) {
    await once(slow, 'done', { signal: ctx.signal })
    await ctx.progress(0.5)
  }
  return { approved: true }
})
const stop = new AbortController()
const working = agent.run({ signal: stop.signal })

server.listen(0, '127.0.0.1')
await once(server, 'listening')
const base = `http://127.0.0.1:${server.address().port}`
const post = (review) => fetch(`${base}/reviews`, { method: 'POST', body: JSON.stringify(review) })

const quick = await post({ pr: 1 })
assert.deepEqual([quick.status, await quick.json()], [200, { approved: true }])

const failed = await post({ pr: -1 })
assert.equal(failed.status, 422)
assert.match((await failed.json()).error, /no such pull request/)

const later = await post({ pr: 2, large: true })
assert.equal(later.status, 202)
const path = base + later.headers.get('location')
const stream = await fetch(path)
slow.dispatchEvent(new Event('done'))
const events = await text(stream.body)
const topics = [...events.matchAll(/^event: (.*)$/gm)].map(([, topic]) => topic)
assert.deepEqual(topics, ['task.enqueued', 'task.claimed', 'task.progress', 'task.completed'])

const last = [...events.matchAll(/^id: (.*)$/gm)].at(-1)[1]
assert.equal((await fetch(path, { headers: { 'last-event-id': last } })).status, 204)
assert.equal((await fetch(`${base}/reviews/nothing/events`)).status, 404)

stop.abort()
await working
server.closeAllConnections()
server.close()
await team.close()
