"""What can go wrong. A class says what the caller should do; ``code`` says precisely what happened.

>>> try:
...     await k.tasks.get("nothing")
... except kurultai.errors.NotFoundError as error:
...     print(error.code, error.retryable)
task.not_found False
"""

from __future__ import annotations

from typing import ClassVar


class KurultaiError(Exception):
    """Every error of this library. Unless its class says otherwise, nothing was changed.

    ``code`` is dotted and the same in every language (``lease.lost``); ``retryable`` says whether the same call may
    succeed later; ``retry_after`` is how many seconds to wait before, where the store knows. ``task_id`` is the task that
    ``wait_for`` or ``call`` waited for, of ``task.failed`` and ``task.timeout``; else None.
    """

    kind: ClassVar[str] = "internal"
    code: str
    message: str
    retryable: bool
    retry_after: float | None
    task_id: str | None

    def __init__(
        self,
        message: str,
        *,
        code: str,
        retryable: bool = False,
        retry_after: float | None = None,
        task_id: str | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.code = code
        self.retryable = retryable
        self.retry_after = retry_after
        self.task_id = task_id

    def __str__(self) -> str:
        return f"{self.message} [{self.code}]"

    def __reduce__(self) -> tuple[object, ...]:
        return _again, (type(self), self.message, self.code, self.retryable, self.retry_after, self.task_id)


class InputError(KurultaiError, ValueError):
    """The call is wrong: mend the named field."""

    kind = "input"


class ConfigError(KurultaiError):
    """The URL, the environment or the options are wrong."""

    kind = "config"


class NotFoundError(KurultaiError, LookupError):
    """No such task, agent or message in this namespace."""

    kind = "not_found"


class ConflictError(KurultaiError):
    """The thing exists but its state forbids this: read it again and decide."""

    kind = "conflict"


class LeaseLostError(KurultaiError):
    """Somebody else has the task or the message now: stop working on it. Nothing was stored."""

    kind = "lease_lost"


class UnavailableError(KurultaiError):
    """The store did not do it and may do it later: repeat."""

    kind = "unavailable"


class OutcomeUnknownError(KurultaiError):
    """It may have happened: repeat with the same id, unique key or lease, or look."""

    kind = "outcome_unknown"


class StorageError(KurultaiError):
    """An operator must act: disk, rights, schema."""

    kind = "storage"


class DeniedError(KurultaiError):
    """Refused: who we are, or who signed."""

    kind = "denied"


class LimitedError(KurultaiError):
    """A limit of the team is reached: repeat after ``retry_after``."""

    kind = "limited"


class TimedOutError(KurultaiError, TimeoutError):
    """It did not come in time, and may still: wait again."""

    kind = "timed_out"


class ClosedError(KurultaiError):
    """The store was closed by this program: open it again."""

    kind = "closed"


class InternalError(KurultaiError):
    """A defect of this library or of the database."""

    kind = "internal"


#: The class of each kind.
BY_KIND: dict[str, type[KurultaiError]] = {
    one.kind: one
    for one in (
        InputError,
        ConfigError,
        NotFoundError,
        ConflictError,
        LeaseLostError,
        UnavailableError,
        OutcomeUnknownError,
        StorageError,
        DeniedError,
        LimitedError,
        TimedOutError,
        ClosedError,
        InternalError,
    )
}


def from_core(
    kind: str,
    code: str,
    message: str,
    retryable: bool,
    retry_after: float | None,
    cause: str | None,
    task_id: str | None,
) -> KurultaiError:
    """The core's error as an exception, with what the store or the system said as its cause; the native part calls
    this."""
    error = BY_KIND[kind](
        message, code=code, retryable=retryable, retry_after=retry_after, task_id=task_id
    )
    if cause is not None:
        error.__cause__ = RuntimeError(cause)
    return error


def of(what: str, error: BaseException) -> BaseException:
    """The same error, with the row that it is of; the native part calls this."""
    if not isinstance(error, KurultaiError):
        return error
    message = f"{what}: {error.message}"
    prefixed = _again(type(error), message, error.code, error.retryable, error.retry_after, error.task_id)
    prefixed.__cause__ = error.__cause__
    return prefixed


def _again(
    cls: type[KurultaiError],
    message: str,
    code: str,
    retryable: bool,
    retry_after: float | None,
    task_id: str | None,
) -> KurultaiError:
    return cls(message, code=code, retryable=retryable, retry_after=retry_after, task_id=task_id)
