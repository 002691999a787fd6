// Pages of what comes, as one iterator that can be ended while it waits.

/** Takes the next page; `null` where there is no further one. Rejects with the signal's reason when it aborts. */
export type Pull<T> = (signal: AbortSignal) => Promise<readonly T[] | null>

/**
 * Not an async generator: `return()` of one that waits in a `next()` would wait with it, and so would `destroy()` of a
 * stream made of it.
 */
export class Pages<T> implements AsyncGenerator<T, void, undefined> {
  readonly #pull: Pull<T>
  readonly #end: (left: readonly T[]) => unknown
  readonly #stop = new AbortController()
  readonly #signal: AbortSignal
  #page: T[] = []
  #over = false
  #last: Promise<unknown> = Promise.resolve()

  /** `end` is told what nobody took. */
  constructor(pull: Pull<T>, signal: AbortSignal | null | undefined, end: (left: readonly T[]) => unknown) {
    this.#pull = pull
    this.#end = end
    this.#signal = signal ? AbortSignal.any([signal, this.#stop.signal]) : this.#stop.signal
  }

  /** Calls that overlap are answered one after another. */
  next(): Promise<IteratorResult<T, void>> {
    const next = this.#last.then(() => this.#take())
    this.#last = next.catch(() => undefined)
    return next
  }

  async #take(): Promise<IteratorResult<T, void>> {
    try {
      while (!this.#over && this.#page.length === 0) {
        const page = await this.#pull(this.#signal)
        if (page === null) this.#over = true
        else this.#page = [...page]
      }
    } catch (error) {
      if (!this.#over) {
        await this.#close()
        throw error
      }
    }
    if (this.#over) {
      await this.#close()
      return { done: true, value: undefined }
    }
    return { done: false, value: this.#page.shift()! }
  }

  async #close(): Promise<void> {
    this.#over = true
    const left = this.#page.splice(0)
    await this.#end(left)
  }

  async return(): Promise<IteratorResult<T, void>> {
    this.#over = true
    this.#stop.abort()
    await this.#close()
    return { done: true, value: undefined }
  }

  async throw(error: unknown): Promise<IteratorResult<T, void>> {
    await this.return()
    throw error
  }

  [Symbol.asyncIterator](): this {
    return this
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.return()
  }
}
