// Functions of the caller's that the library calls, whatever becomes of them.

/** Calls it; what it throws is a warning of the process. Whether it threw nothing. @internal */
export async function called<T>(callee: (argument: T) => void | Promise<void>, argument: T): Promise<boolean> {
  try {
    await callee(argument)
    return true
  } catch (error) {
    process.emitWarning(error instanceof Error ? error : String(error))
    return false
  }
}
