"""The native part. Its classes are public as ``kurultai.Task`` and so on; its functions are not."""

from asyncio import AbstractEventLoop
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Iterator, Mapping
from contextvars import Context
from datetime import datetime
from os import PathLike
from typing import Any, ClassVar, Final, Literal, NoReturn, TypedDict, TypeVar, final

from typing_extensions import Self

from ._client import Retention, TaskDefaults
from .errors import KurultaiError
from .types import (
    AgentStatus,
    AlertState,
    Attention,
    Algorithm,
    CatchUp,
    DependencyFields,
    DependencyType,
    Duration,
    FindingKind,
    Health,
    IdentityLike,
    KeyState,
    LeaseLike,
    MessageLike,
    MessageStatus,
    NewAgentFields,
    NewEventFields,
    NewMessageFields,
    NewTaskFields,
    OnPrerequisiteFailure,
    OnStall,
    Overlap,
    Priority,
    PriorityWord,
    ReceiptLike,
    Recipient,
    RetryPolicyFields,
    Severity,
    Signal,
    Status,
    TaskLike,
    UnderLike,
    UsageFields,
    WrappingKeyLike,
)

_T = TypeVar("_T")
_Stop = Literal["lost", "cancelled", "suspended", "drained", "timeout", "stalled"]
_Default = Callable[[Any], Any]
_LegacyKey = tuple[str, str, str, datetime | None, bool]

__all__ = [
    "Adoption", "AgentHealth", "AgentInfo", "AgentKey", "AgentMessage", "Agents", "Alert", "Bridge", "Check", "Claimed", "Complete", "CycleReport", "DeadEvent", "Delegated", "Dependency", "EmergencyStop", "Enqueued", "Event", "EventBatch", "EventPage", "Events",
    "Explanation", "Extended", "Fail", "FailoverEvent", "Finding", "Finished", "Follow", "Identity", "ImportedKeys", "Incoming", "Item", "Job", "Jobs", "Keys", "Kurultai", "Leadership", "Lease",
    "ManualClock", "MessageJob", "MessagePage", "Messages", "NamespaceInfo", "NewAgent", "NewMessage", "NewTask", "Op", "Page", "Percentiles", "Postpone", "Prerequisite", "Published", "Reason", "Receipt", "Release", "RetryPolicy", "RoleLease",
    "Schedule", "Schedules", "Sent", "Settled", "Signer", "SkippedKey", "Stats", "Subscription", "Task", "TaskError", "Tasks", "Unread", "Usage", "VerifiedMessage", "Watcher", "WrappingKey", "__version__", "council", "emit", "fold",
    "hop", "kinds", "legacy_seal", "legacy_verify", "matches", "open", "provoke", "ready", "restore", "run", "sample", "token_sign",
    "token_verify",
]
__version__: str

class _OpenOptions(TypedDict, total=False):
    namespace: str | None
    migrate: bool | None
    background: bool | None
    task_defaults: TaskDefaults | None
    retention: Retention | None
    aging: Duration | None
    max_depth: int | None
    clock: ManualClock | None
    identity: IdentityLike | Iterable[IdentityLike] | None
    wrapping_key: WrappingKeyLike | Iterable[WrappingKeyLike] | None
    min_version: int | None

class _ImportOptions(TypedDict, total=False):
    rows: str | None
    agents: Iterable[str] | None
    dry_run: bool | None

class _AdoptOptions(TypedDict, total=False):
    dry_run: bool | None
    labels: Iterable[str] | None
    ids: Iterable[str] | None
    types: Iterable[str] | None
    statuses: Iterable[str] | None

class _AgentSettings(TypedDict, total=False):
    types: Iterable[str] | None
    messages: Iterable[str] | None
    message_timeout: Duration | None
    capabilities: Iterable[str] | None
    aliases: Iterable[str] | None
    display_name: str | None
    role: str | None
    metadata: Mapping[str, Any] | None
    concurrency: int | None
    max_concurrent: int | None
    lease: Duration | None
    wait: Duration | None
    grace: Duration | None
    heartbeat: Duration | None
    stall_after: Duration | None
    on_stall: OnStall | None

class _HealthOptions(TypedDict, total=False):
    dead_after: Duration | None
    stuck_after: Duration | None

class _VerifyOptions(_HealthOptions, total=False):
    strict: bool | None

class _WatchOptions(_HealthOptions, total=False):
    every: Duration | None
    agent: str | None
    roles: Mapping[str, Iterable[str]] | None

class _LeadOptions(TypedDict, total=False):
    ttl: Duration | None
    wait: Duration | None
    reason: str | None

class _FailoverOptions(TypedDict, total=False):
    active: bool | None
    since: datetime | None

class _HandBackOptions(TypedDict, total=False):
    to: str | None
    reason: str | None

class _Limits(TypedDict, total=False):
    timeout: Duration | None
    retries: int | None
    retry: RetryPolicy | RetryPolicyFields | None
    stall_after: Duration | None
    on_stall: OnStall | None

class _MessageLimits(TypedDict, total=False):
    timeout: Duration | None
    retry: RetryPolicy | RetryPolicyFields | None

class _IncomingOptions(TypedDict, total=False):
    types: Iterable[str] | None
    wait: Duration | None

class _ClaimOptions(TypedDict, total=False):
    max: int | None
    types: Iterable[str] | None
    lease: Duration | None
    wait: Duration | None
    persistent: bool | None

class _FailOptions(TypedDict, total=False):
    retryable: bool | None
    retry_after: Duration | None
    results: Any
    usage: Usage | UsageFields | None

class _RenewOptions(TypedDict, total=False):
    ttl: Duration | None
    progress: float | None
    checkpoint: Any

class _Filter(TypedDict, total=False):
    status: str | None
    type: str | None
    assigned_to: str | None
    claimed_by: str | None
    parent: TaskLike | None
    cursor: str | None
    limit: int | None

class _NewEvent(TypedDict, total=False):
    topic: str
    payload: Any
    source: str | None
    task: TaskLike | None
    correlation_id: str | None
    key: str | None
    cause: int | None

class _SubscribeOptions(TypedDict, total=False):
    agent: str | None
    source: str | None
    where: Mapping[str, Any] | None
    start: int | datetime | None
    batch: Duration | None
    quiet: Duration | None

class _ConsumeOptions(TypedDict, total=False):
    max: int | None
    wait: Duration | None
    hold: Duration | None

class _EventFilter(TypedDict, total=False):
    after_seq: int | None
    topic: str | None
    source: str | None
    task: TaskLike | None
    type: str | None
    since: datetime | None
    limit: int | None
    wait: Duration | None

class _InboxOptions(TypedDict, total=False):
    agent: str | None
    max: int | None
    types: Iterable[str] | None
    wait: Duration | None
    visible: Duration | None

class _ScheduleOptions(TypedDict, total=False):
    every: Duration | None
    cron: str | None
    timezone: str | None
    catch_up: str | None
    overlap: str | None
    jitter: Duration | None
    start: datetime | None

_MessageFilter = TypedDict(
    "_MessageFilter", {"to": str | None, "from": str | None, "limit": int | None, "cursor": str | None}, total=False
)

class _DraftOptions(TypedDict, total=False):
    audience: str
    type: str
    namespace: str | None
    task: TaskLike | None
    reply_to: MessageLike | None
    ttl: Duration | None
    id: str | None
    default: _Default | None

def open(url: str | None, options: _OpenOptions) -> Awaitable[Kurultai]: ...
def run(coroutine: Coroutine[Any, Any, _T]) -> _T: ...
def legacy_seal(text: str, by: _LegacyKey, now: datetime) -> tuple[str, str]: ...
def legacy_verify(text: str, by: _LegacyKey | None, audiences: list[str], now: datetime) -> None: ...
def token_sign(body: Any, identity: Identity, issued_at: datetime, options: _DraftOptions) -> str: ...
def token_verify(
    token: str, keys: list[AgentKey | tuple[str, str]], namespace: str, audiences: list[str], now: datetime
) -> VerifiedMessage: ...
def fold(name: str) -> str: ...
def restore(kind: str, text: str) -> Any: ...
def emit() -> None: ...
def kinds() -> list[str]: ...
def provoke(kind: str) -> None: ...
def ready() -> Awaitable[None]: ...
def hop() -> Awaitable[None]: ...
def sample(count: int, payload: str) -> Awaitable[list[Claimed]]: ...
def council() -> list[NewAgent]:
    """The six agents of the first team, to register as they are."""

def matches(pattern: str, topic: str) -> bool:
    """Whether a topic fits a pattern: words between dots, ``*`` for one word, ``**`` for any number of words."""

@final
class Op:
    _asyncio_future_blocking: bool
    def __await__(self) -> Iterator[Any]: ...
    def __iter__(self) -> Iterator[Any]: ...
    def __next__(self) -> Any: ...
    def get_loop(self) -> AbstractEventLoop | None: ...
    def add_done_callback(self, callback: Callable[[Op], object], *, context: Context) -> None: ...
    def done(self) -> bool: ...
    def cancel(self, msg: Any = None) -> bool: ...
    def result(self) -> None: ...

@final
class Bridge:
    def __new__(cls) -> Bridge: ...
    def fileno(self) -> int: ...
    def drain(self) -> None: ...
    def abandon(self) -> None: ...
    def wait(self) -> bool: ...
    def close(self) -> None: ...

@final
class Kurultai:
    @property
    def default(self) -> _Default | None: ...
    @property
    def tasks(self) -> Tasks: ...
    @property
    def agents(self) -> Agents: ...
    @property
    def schedules(self) -> Schedules: ...
    @property
    def events(self) -> Events: ...
    @property
    def messages(self) -> Messages: ...
    @property
    def keys(self) -> Keys: ...
    @property
    def namespace(self) -> str: ...
    @property
    def store_name(self) -> str: ...
    @property
    def statements(self) -> int: ...
    def maintain(self) -> Awaitable[None]: ...
    def verify(self, options: _VerifyOptions) -> Awaitable[list[Check]]: ...
    def adopt(self, options: _AdoptOptions) -> Awaitable[Adoption]: ...
    def cycle(self, agent: str) -> Awaitable[CycleReport]: ...
    def namespaces(self) -> Awaitable[list[NamespaceInfo]]: ...
    def delete_namespace(self, name: str) -> Awaitable[bool]: ...
    def with_default(self, default: _Default) -> Kurultai: ...
    def start(self, agent: str, settings: _AgentSettings) -> Awaitable[Jobs]: ...
    def close(self) -> Awaitable[None]: ...

@final
class Tasks:
    def under(self, term: UnderLike) -> Tasks: ...
    def enqueue(self, task: NewTask | NewTaskFields) -> Awaitable[Enqueued]: ...
    def enqueue_many(self, tasks: Iterable[NewTask | NewTaskFields]) -> Awaitable[list[Enqueued]]: ...
    def claim(self, agent: str, options: _ClaimOptions) -> Awaitable[list[Claimed]]: ...
    def complete(
        self, task: LeaseLike, results: Any, usage: Usage | UsageFields | None
    ) -> Awaitable[Finished]: ...
    def fail(
        self, task: LeaseLike, error: str | BaseException, options: _FailOptions
    ) -> Awaitable[Finished]: ...
    def release(self, task: LeaseLike) -> Awaitable[Finished]: ...
    def snooze(self, task: LeaseLike, after: Duration) -> Awaitable[Finished]: ...
    def finish(self, finish: Complete | Fail | Release | Postpone) -> Awaitable[Finished]: ...
    def finish_many(
        self, finishes: Iterable[Complete | Fail | Release | Postpone]
    ) -> Awaitable[list[Finished | KurultaiError]]: ...
    def complete_many(
        self, done: Iterable[tuple[LeaseLike, Any]]
    ) -> Awaitable[list[Finished | KurultaiError]]: ...
    def renew(self, task: LeaseLike, options: _RenewOptions) -> Awaitable[Extended]: ...
    def checkpoint(self, task: LeaseLike, checkpoint: Any) -> Awaitable[Extended]: ...
    def cancel(self, task: TaskLike, reason: str | None, children: bool) -> Awaitable[Status]: ...
    def cancel_many(self, filter: _Filter, reason: str | None) -> Awaitable[int]: ...
    def update(self, task: TaskLike, changes: dict[str, Any]) -> Awaitable[Task]: ...
    def reprioritize(
        self, task: TaskLike, priority: PriorityWord | None, weight: float | None
    ) -> Awaitable[Task]: ...
    def assign(self, task: TaskLike, agent: str | None, by: str | None) -> Awaitable[Task]: ...
    def suspend(self, task: TaskLike) -> Awaitable[Status]: ...
    def resume(self, task: TaskLike) -> Awaitable[Status]: ...
    def requeue(self, task: TaskLike) -> Awaitable[Status]: ...
    def requeue_many(self, filter: _Filter) -> Awaitable[int]: ...
    def discard(self, task: TaskLike) -> Awaitable[Status]: ...
    def pause(self, type: str | None) -> Awaitable[None]: ...
    def unpause(self, type: str | None) -> Awaitable[None]: ...
    def stop_all(self, reason: str) -> Awaitable[int]: ...
    def start_all(self) -> Awaitable[None]: ...
    def add_dependency(self, task: TaskLike, on: TaskLike | Dependency | DependencyFields) -> Awaitable[None]: ...
    def get(self, task: TaskLike) -> Awaitable[Task]: ...
    def wait_for(self, task: TaskLike, timeout: Duration) -> Awaitable[Task]: ...
    def get_many(self, tasks: list[TaskLike]) -> Awaitable[list[Task | None]]: ...
    def find(self, unique_key: str) -> Awaitable[Task | None]: ...
    def list(self, filter: _Filter) -> Awaitable[Page]: ...
    def stats(self) -> Awaitable[Stats]: ...
    def explain(self, task: TaskLike) -> Awaitable[Explanation]: ...

@final
class Agents:
    def register_many(self, agents: Iterable[NewAgent | NewAgentFields]) -> Awaitable[None]: ...
    def beat(self, agent: str) -> Awaitable[None]: ...
    def beat_many(self, names: Iterable[str], create: bool) -> Awaitable[_list[str]]: ...
    def health(self, agent: str | None, options: _HealthOptions) -> Awaitable[_list[AgentHealth]]: ...
    def watcher(self, options: _WatchOptions) -> Watcher: ...
    def lead(self, role: str, agent: str, options: _LeadOptions) -> Awaitable[Leadership]: ...
    def failovers(self, options: _FailoverOptions) -> Awaitable[_list[FailoverEvent]]: ...
    def leader(self, role: str) -> Awaitable[RoleLease | None]: ...
    def hand_back(self, role: str, agent: str, options: _HandBackOptions) -> Awaitable[RoleLease]: ...
    def get(self, name: str) -> Awaitable[AgentInfo]: ...
    def list(self) -> Awaitable[_list[AgentInfo]]: ...
    def with_capability(self, capability: str) -> Awaitable[_list[AgentInfo]]: ...
    def drain(self, agent: str) -> Awaitable[None]: ...
    def update(self, agent: str, changes: dict[str, Any]) -> Awaitable[None]: ...
    def deregister(self, agent: str, force: bool) -> Awaitable[None]: ...

@final
class Watcher:
    def next_alerts(self) -> Awaitable[list[Alert]]: ...

@final
class Events:
    def publish(self, event: _NewEvent) -> Awaitable[Published]: ...
    def publish_many(self, all: Iterable[NewEventFields]) -> Awaitable[list[Published]]: ...
    def subscribe(self, name: str, topic: str, options: _SubscribeOptions) -> Awaitable[Subscription]: ...
    def consume(self, name: str, options: _ConsumeOptions) -> Awaitable[EventBatch | None]: ...
    def subscriptions(self, agent: str | None) -> Awaitable[list[Subscription]]: ...
    def pause(self, name: str) -> Awaitable[Subscription]: ...
    def unpause(self, name: str) -> Awaitable[Subscription]: ...
    def rewind(self, name: str, to: int | datetime | None) -> Awaitable[Subscription]: ...
    def unsubscribe(self, name: str) -> Awaitable[None]: ...
    def dead(self, name: str) -> Awaitable[list[DeadEvent]]: ...
    def read(self, filter: _EventFilter) -> Awaitable[EventPage]: ...
    def follow(self, filter: _EventFilter) -> Follow: ...
    def alerts(self) -> Awaitable[list[Alert]]: ...
    def last_seq(self) -> Awaitable[int]: ...

@final
class Messages:
    def under(self, term: UnderLike) -> Messages: ...
    def send(self, message: NewMessage | NewMessageFields) -> Awaitable[Sent]: ...
    def send_many(self, all: Iterable[NewMessage | NewMessageFields]) -> Awaitable[_list[Sent]]: ...
    def accept(self, text: str, to: str | None) -> Awaitable[Sent]: ...
    def inbox(self, options: _InboxOptions) -> Awaitable[_list[AgentMessage]]: ...
    def ack(self, receipts: _list[ReceiptLike]) -> Awaitable[_list[Settled | KurultaiError]]: ...
    def reject(self, message: ReceiptLike, reason: str) -> Awaitable[Settled]: ...
    def retry(self, message: ReceiptLike, after: Duration) -> Awaitable[Settled]: ...
    def unread(self, agent: str | None) -> Awaitable[Unread]: ...
    def thread(self, id: MessageLike) -> Awaitable[_list[AgentMessage]]: ...
    def list(self, filter: _MessageFilter) -> Awaitable[MessagePage]: ...
    def ask(self, message: NewMessage | NewMessageFields, timeout: Duration) -> Awaitable[AgentMessage]: ...

@final
class Keys:
    def list(self, agent: str | None) -> Awaitable[_list[AgentKey]]: ...
    def rotate(self, agent: str) -> Awaitable[Identity]: ...
    def rotate_in_store(self, agent: str) -> Awaitable[AgentKey]: ...
    def rewrap(self, to: WrappingKeyLike) -> Awaitable[int]: ...
    def import_rows(self, options: _ImportOptions) -> Awaitable[ImportedKeys]: ...
    def add(self, agent: str, public_key: str) -> Awaitable[AgentKey]: ...
    def revoke(self, agent: str, key_id: str, reason: str) -> Awaitable[AgentKey]: ...

@final
class Schedules:
    def put(self, name: str, task: Mapping[str, Any], options: _ScheduleOptions) -> Awaitable[Schedule]: ...
    def list(self) -> Awaitable[_list[Schedule]]: ...
    def get(self, name: str) -> Awaitable[Schedule]: ...
    def pause(self, name: str) -> Awaitable[Schedule]: ...
    def unpause(self, name: str) -> Awaitable[Schedule]: ...
    def remove(self, name: str) -> Awaitable[None]: ...
    def run_now(self, name: str) -> Awaitable[Enqueued]: ...

@final
class EventBatch:
    @property
    def events(self) -> list[Event]: ...
    def ack(self) -> Awaitable[None]: ...
    def retry(self, error: str, after: Duration) -> Awaitable[None]: ...

@final
class Follow:
    def next(self) -> Awaitable[list[Event]]: ...

@final
class Leadership:
    @property
    def lease(self) -> RoleLease: ...
    def is_valid(self) -> bool: ...
    def lost(self) -> Awaitable[None]: ...
    def hand_back(self, options: _HandBackOptions) -> Awaitable[RoleLease]: ...

@final
class Jobs:
    def next(self) -> Awaitable[Job | None]: ...
    def next_message(self) -> Awaitable[MessageJob | None]: ...
    def drain(self) -> None: ...
    def finished(self) -> Awaitable[int]: ...

@final
class Job:
    @property
    def task(self) -> Claimed: ...
    def alive(self) -> None: ...
    @property
    def lease(self) -> Lease: ...
    @property
    def fencing_token(self) -> int: ...
    @property
    def idempotency_key(self) -> str: ...
    @property
    def ended(self) -> bool: ...
    @property
    def stop(self) -> _Stop | None: ...
    @property
    def stop_reason(self) -> str | None: ...
    @property
    def is_draining(self) -> bool: ...
    def draining(self) -> Awaitable[None]: ...
    def stopped(self) -> Awaitable[_Stop]: ...
    def progress(self, progress: float) -> Awaitable[Extended]: ...
    def checkpoint(self, checkpoint: Any, default: _Default | None) -> Awaitable[Extended]: ...
    @property
    def unread(self) -> Unread: ...
    def messages(self, options: _IncomingOptions) -> Incoming: ...
    def usage(self, usage: Usage | UsageFields) -> None: ...
    def limit(self, limits: _Limits) -> None: ...
    def returned(self, results: Any, default: _Default | None) -> Awaitable[Finished]: ...
    def unstorable(self, why: str) -> Awaitable[Finished]: ...
    def raised(
        self,
        error: str,
        wish: Literal["retry", "reject", "snooze"] | None = None,
        after: float | None = None,
        why: str | None = None,
    ) -> Awaitable[Finished]: ...
    def release(self) -> Awaitable[Finished]: ...

@final
class MessageJob:
    @property
    def message(self) -> AgentMessage: ...
    @property
    def stop(self) -> _Stop | None: ...
    @property
    def is_draining(self) -> bool: ...
    def draining(self) -> Awaitable[None]: ...
    def stopped(self) -> Awaitable[_Stop]: ...
    def reply(self, type: str, body: Any, default: _Default | None) -> Awaitable[Sent]: ...
    def limit(self, limits: _MessageLimits) -> None: ...
    def returned(self) -> Awaitable[Settled]: ...
    def raised(
        self,
        error: str,
        wish: Literal["retry", "reject", "snooze"] | None = None,
        after: float | None = None,
        why: str | None = None,
    ) -> Awaitable[Settled]: ...
    def release(self) -> Awaitable[None]: ...

@final
class Incoming:
    def next(self) -> Awaitable[AgentMessage | None]: ...

_list = list

class _View:
    """What the classes of results share. Their fields are held against the native half by tests/test_stub.py."""

    __match_args__: ClassVar[Any]
    def to_dict(self) -> dict[str, Any]:
        """Its fields as a dict, and theirs; a lease is its string."""
    def __copy__(self) -> Self: ...
    def __deepcopy__(self, _memo: Any, /) -> Self: ...
    def __reduce__(self) -> tuple[Any, tuple[str, str]]: ...
    def __eq__(self, other: object, /) -> bool: ...
    def __hash__(self) -> int: ...

class _Unhashable(_View):
    __hash__: ClassVar[None]  # type: ignore[assignment]

@final
class Lease(_View):
    """The right to finish a task. ``version`` only grows, also over a requeue: pass it to other systems as the
    fencing token. ``str(lease)`` is its one-string form, which every call takes in its place."""
    task_id: Final[str]
    claim_id: Final[str]
    version: Final[int]
    attempt: Final[int]
    expires_at: Final[datetime]
    @staticmethod
    def parse(text: str) -> Lease: ...

@final
class Claimed(_View):
    """A task as its claimer gets it."""
    id: Final[str]
    type: Final[str]
    title: Final[str]
    description: Final[str]
    payload: Final[Any]
    priority: Final[Priority]
    attempt: Final[int]
    max_attempts: Final[int]
    max_runtime: Final[float | None]
    """How many seconds the attempt may take; the store keeps it."""
    snoozes: Final[int]
    delegated_by: Final[str | None]
    parent_id: Final[str | None]
    correlation_id: Final[str]
    checkpoint: Final[Any]
    prerequisites: Final[list[Prerequisite]]
    lease: Final[Lease]

@final
class Prerequisite(_Unhashable):
    """A task that this one waited for, or that feeds it, with its results; they are `omitted` where those of the claim
    have more than 16 MiB without them, and `get` has them."""
    id: Final[str]
    dependency_type: Final[DependencyType]
    status: Final[Status]
    results: Final[Any]
    omitted: Final[bool]

@final
class Task(_View):
    """The whole task."""
    id: Final[str]
    type: Final[str]
    title: Final[str]
    description: Final[str]
    status: Final[Status]
    priority: Final[Priority]
    priority_weight: Final[float]
    payload: Final[Any]
    required_capabilities: Final[list[str]]
    preferred_capabilities: Final[list[str]]
    assigned_to: Final[str | None]
    delegated_by: Final[str | None]
    parent_id: Final[str | None]
    correlation_id: Final[str]
    unique_key: Final[str | None]
    depends_on: Final[list[str]]
    run_at: Final[datetime | None]
    expires_at: Final[datetime | None]
    attempts: Final[int]
    max_attempts: Final[int]
    max_runtime: Final[float | None]
    """How many seconds one attempt may take; the store keeps it. None for as long as its lease is renewed."""
    snoozes: Final[int]
    claimed_by: Final[str | None]
    claimed_at: Final[datetime | None]
    lease_version: Final[int]
    lease_expires_at: Final[datetime | None]
    progress: Final[float | None]
    checkpoint: Final[Any]
    results: Final[Any]
    error_message: Final[str | None]
    errors: Final[list[TaskError]]
    usage: Final[Usage | None]
    created_at: Final[datetime]
    updated_at: Final[datetime]
    completed_at: Final[datetime | None]

@final
class TaskError(_Unhashable):
    """One failed attempt."""
    attempt: Final[int]
    agent: Final[str | None]
    kind: Final[Literal["failed", "timeout", "lapsed", "stalled", "max_runtime"]]
    """It failed, its handler took too long, its lease ran out, its handler showed no sign of life and was let go, or it
    took longer than the task's ``max_runtime``."""
    error: Final[str]
    at: Final[datetime]

@final
class Enqueued(_View):
    """The id of a task that was added, or was there already."""
    id: Final[str]
    deduplicated: Final[bool]

@final
class Finished(_Unhashable):
    """How a task stands after a finish; ``repeated`` where the same lease had ended it so before; what is stored is the first. ``run_at``: when
    it can be claimed again, where it went back to the queue. ``failed``: whether the attempt counts as failed, as after a
    snooze too many too."""
    id: Final[str]
    status: Final[Status]
    repeated: Final[bool]
    run_at: Final[datetime | None]
    failed: Final[bool]

@final
class Extended(_Unhashable):
    """What a holder learns when it extends its lease."""
    lease: Final[Lease]
    signal: Final[Signal]
    reason: Final[str | None]
    """Why its task was cancelled, where it was and the reason was given."""
    unread: Final[Unread]
    """The messages that its agent would be given now, at most 100 of them."""

@final
class Page:
    """A page of a list; give ``next`` as the cursor for the next one."""

    @property
    def tasks(self) -> list[Task]: ...
    @property
    def next(self) -> str | None: ...
    def __iter__(self) -> Iterator[Task]: ...
    def __len__(self) -> int: ...

@final
class Stats(_Unhashable):
    """How many tasks stand where, and how long they wait and run."""
    by_status: Final[dict[Status, int]]
    oldest_pending_seconds: Final[float | None]
    wait_seconds: Final[Percentiles]
    run_seconds: Final[Percentiles]
    expired_last_day: Final[int]
    paused: Final[list[str]]
    stopped: Final[EmergencyStop | None]

@final
class EmergencyStop(_Unhashable):
    """An emergency stop: why, and since when."""
    reason: Final[str]
    at: Final[datetime]

@final
class NamespaceInfo(_Unhashable):
    """A team of a database, and how much it has there."""
    name: Final[str]
    tasks: Final[int]
    agents: Final[int]

@final
class Schedule(_Unhashable):
    """A schedule as it stands. Spans are seconds."""
    name: Final[str]
    type: Final[str]
    """The type of its tasks."""
    payload: Final[Any]
    task_fields: Final[Any]
    """What else each task is given, as it was put; spans are seconds."""
    every: Final[float | None]
    """From one time to the next, where it goes by a span."""
    cron: Final[str | None]
    """The pattern, where it goes by the wall clock."""
    timezone: Final[str]
    start: Final[datetime | None]
    """What ``every`` counts from; nothing is due before."""
    catch_up: Final[CatchUp]
    overlap: Final[Overlap]
    jitter: Final[float]
    """By how much a task may come later than its time."""
    paused: Final[bool]
    next_due: Final[datetime | None]
    """The time that is due next, which may have come already; None while it is paused."""
    upcoming: Final[list[datetime]]
    """The next three times, the first of which is ``next_due``; none while it is paused."""
    last_due: Final[datetime | None]
    """The last time that had a task."""
    last_task: Final[str | None]
    """The task that it enqueued last, also by ``run_now``."""
    last_skipped: Final[datetime | None]
    """The last time that had none: the task before was unfinished, or ``catch_up`` is ``skip``."""
    created_at: Final[datetime]
    """When a schedule of this name was put first."""
    updated_at: Final[datetime]
    """When somebody last changed it."""

@final
class Check(_Unhashable):
    """What one check of ``verify`` has found."""
    check: Final[str]
    """``store``, ``schema``, ``clocks``, ``infra``, ``functional`` or ``takeover``."""
    ok: Final[bool]
    """Whether it is in order."""
    text: Final[str]
    """What was found, in words."""

@final
class Percentiles(_Unhashable):
    """Of spans, in seconds."""
    p50: Final[float]
    p95: Final[float]
    p99: Final[float]

@final
class Adoption(_Unhashable):
    """What was taken over; after a dry run, what would be."""
    dry_run: Final[bool]
    tasks: Final[int]
    agents: Final[int]
    by_status: Final[dict[Status, int]]
    findings: Final[list[Finding]]

@final
class Finding(_Unhashable):
    """Something that happened to nodes in the same way, with the first five of them."""
    kind: Final[FindingKind]
    what: Final[str]
    count: Final[int]
    examples: Final[list[str]]

@final
class Usage(_Unhashable):
    """What work has cost."""
    tokens: Final[int]
    cost: Final[float]
    seconds: Final[float]
    def __new__(cls, *, tokens: int = 0, cost: float = 0.0, seconds: float = 0.0) -> Usage: ...

@final
class Explanation(_Unhashable):
    """Why a task is not claimed; no reasons where somebody alive can claim it now. ``str`` says it in a sentence."""
    id: Final[str]
    status: Final[Status]
    reasons: Final[list[Reason]]
    candidates: Final[list[str]]

@final
class AgentInfo(_Unhashable):
    """An agent as the registry knows it. ``current_load`` is how many live leases it holds now."""
    id: Final[str]
    display_name: Final[str]
    role: Final[str | None]
    aliases: Final[list[str]]
    capabilities: Final[list[str]]
    status: Final[AgentStatus]
    max_concurrent: Final[int | None]
    current_load: Final[int]
    infra_heartbeat: Final[datetime | None]
    last_heartbeat: Final[datetime | None]
    created_at: Final[datetime]
    metadata: Final[Any]
    @property
    def has_room(self) -> bool:
        """Whether a claim may give it anything."""

@final
class AgentHealth(_Unhashable):
    """How one agent fares, as far as this process can tell. Ages are seconds, None where there is no such thing."""
    agent: Final[str]
    state: Final[Health]
    reason: Final[str]
    """Why, in words."""
    infra_age: Final[float | None]
    """Of the last sign that its process runs."""
    functional_age: Final[float | None]
    """Of the last sign that it works: claim, renewal, progress, completion, failure."""
    holds: Final[int]
    """How many tasks it holds."""
    oldest_claim_age: Final[float | None]
    leads: Final[list[str]]
    """The roles that it holds."""
    dead_at: Final[datetime | None]
    """When a watcher declared it dead, unless it has been declared recovered since."""
    watched_for: Final[float]
    """For how many seconds this process has watched it without a gap; 0 in the first call. Where that is less than the
    threshold, no silence makes it ``dead`` unless a watcher has declared it."""

@final
class FailoverEvent(_Unhashable):
    """A role went from one agent to another, and is away until it is back."""
    id: Final[str]
    role: Final[str]
    from_agent: Final[str]
    to_agent: Final[str]
    term: Final[int]
    """Under which the role was taken."""
    reason: Final[str]
    triggered_by: Final[Literal["auto", "manual"]]
    """By a watch, or by whoever called ``lead`` or ``hand_back``."""
    activated_at: Final[datetime]
    deactivated_at: Final[datetime | None]
    """When it was back."""
    status: Final[Literal["active", "resolved"]]

@final
class RoleLease(_Unhashable):
    """Who holds a role, and until when. A role is an office that one agent holds at a time; an agent's own ``role`` is a word
    about it."""
    role: Final[str]
    holder: Final[str]
    """The agent that holds it."""
    instance: Final[str]
    """Of the opened store that holds it: another process of the same agent does not."""
    term: Final[int]
    """Only grows: a new one each time that the role is taken. Pass it to other systems as the fencing token."""
    expires_at: Final[datetime]
    """Unless it is renewed, by the store's clock."""

@final
class CycleReport(_Unhashable):
    """What a cycle has done and found."""
    agent: Final[str]
    term: Final[int | None]
    """Under which term it routed; None where it is an agent's own view."""
    text: Final[str]
    """``HEARTBEAT_OK``, or what there is to do, or what burns and nothing else."""
    attention: Final[Attention]
    delegated: Final[list[Delegated]]
    stuck: Final[list[Item]]
    """What nobody can do who may be given it."""
    asleep: Final[list[str]]
    """Agents with work that sleep."""
    woken: Final[list[str]]
    stale: Final[list[AgentHealth]]
    """Agents that are stuck or dead."""
    alerts: Final[list[Alert]]
    inbox: Final[Unread]
    tasks: Final[list[Item]]
    """The agent's own: what it holds, and what waits for it alone."""

    def with_woken(self, woken: list[str]) -> CycleReport: ...

@final
class Delegated(_Unhashable):
    """A task that was given to an agent, with a message that tells it; ``assigned`` now, or before."""
    task: Final[Item]
    to: Final[str]
    assigned: Final[bool]

@final
class Item(_Unhashable):
    """A task, as a report names it."""
    id: Final[str]
    type: Final[str]
    title: Final[str]
    status: Final[Status]
    required_capabilities: Final[list[str]]

@final
class Event(_View):
    """Something that happened. ``seq`` grows in commit order within the namespace, without a gap."""
    seq: Final[int]
    topic: Final[str]
    source: Final[str | None]
    task_id: Final[str | None]
    task_type: Final[str | None]
    correlation_id: Final[str | None]
    payload: Final[Any]
    created_at: Final[datetime]

@final
class Alert(_Unhashable):
    """Something that somebody should look at. ``key`` says what it is about: ``agent.dead:kublai``, ``queue.depth``."""
    key: Final[str]
    severity: Final[Severity]
    state: Final[AlertState]
    text: Final[str]
    raised_at: Final[datetime]
    cleared_at: Final[datetime | None]

@final
class Published(_View):
    """What became of an event that was published: ``seq`` is its number in the log."""
    seq: Final[int]
    deduplicated: Final[bool]
    """One of its key was there already, and this is its number."""

@final
class Subscription(_Unhashable):
    """A subscription as it stands. Spans are seconds."""
    name: Final[str]
    topic: Final[str]
    agent: Final[str | None]
    source: Final[str | None]
    where: Final[Any]
    batch: Final[float | None]
    quiet: Final[float | None]
    paused: Final[bool]
    cursor: Final[int]
    """Every event up to here is acknowledged or does not match."""
    lag: Final[int]
    """How many events of the log it has yet to look at, whether they match or not."""
    held_until: Final[datetime | None]
    """Until when nobody else is given its next events: somebody has them, or they are to be tried later."""
    tries: Final[int]
    """How often its next events were given and not acknowledged."""
    error: Final[str | None]
    created_at: Final[datetime]
    updated_at: Final[datetime]

@final
class DeadEvent(_Unhashable):
    """An event without which a subscription went on: it was given 5 times."""
    seq: Final[int]
    topic: Final[str]
    tries: Final[int]
    error: Final[str | None]
    at: Final[datetime]

@final
class EventPage:
    """What a read has found; give ``next`` as ``after_seq`` to read on. Every event up to there was looked at, whether it
    matched or not."""

    @property
    def events(self) -> list[Event]: ...
    @property
    def next(self) -> int: ...
    def __iter__(self) -> Iterator[Event]: ...
    def __len__(self) -> int: ...

@final
class Reason:
    """One reason why a task is not claimed. ``str(reason)`` says it in a sentence."""

    @property
    def reason(self) -> str:
        """held, blocked_by, failed, scheduled, paused, ..."""

    def to_dict(self) -> dict[str, Any]:
        """``reason``, what the sentence names, and the sentence as ``text``."""

    @property
    def details(self) -> dict[str, Any]:
        """What the sentence names: ``{"by": "temujin", "until": ..}``."""

    __hash__: ClassVar[None]  # type: ignore[assignment]
    def __eq__(self, other: object, /) -> bool: ...

@final
class AgentMessage(_View):
    """A message as its recipient gets it. What it says is what its signature covers."""
    id: Final[str]
    sender: Final[str]
    to: Final[str]
    """An agent, or ``role:NAME``."""
    type: Final[str]
    body: Final[Any]
    task_id: Final[str | None]
    reply_to: Final[str | None]
    thread: Final[str]
    """The message that the exchange began with."""
    urgent: Final[bool]
    status: Final[MessageStatus]
    delivery: Final[int]
    """How often it was delivered."""
    code: Final[str | None]
    """Why it has failed."""
    created_at: Final[datetime]
    expires_at: Final[datetime]
    verified: Final[Signer]
    @property
    def receipt(self) -> Receipt:
        """With what this delivery of it is ended."""

@final
class Receipt(_View):
    """One delivery of a message: who has a later one can end it, who has an earlier one cannot. ``str(receipt)`` is its
    one-string form, which every call takes in its place."""
    id: Final[str]
    delivery: Final[int]
    @staticmethod
    def parse(text: str) -> Receipt: ...

@final
class Signer(_Unhashable):
    """Who signed, as it was verified when the message was read."""
    agent: Final[str]
    key_id: Final[str]
    version: Final[int]

@final
class Sent(_View):
    """What became of a message that was sent."""
    id: Final[str]
    deduplicated: Final[bool]
    """One of its dedupe key was there already, and this is its id."""
    recipient: Final[Recipient]

@final
class Settled(_Unhashable):
    """How a message stands after its delivery has ended; ``repeated`` where it had ended so before."""
    id: Final[str]
    status: Final[MessageStatus]
    repeated: Final[bool]

@final
class Unread(_Unhashable):
    """How many messages nobody has acknowledged, and how many of them are urgent."""
    count: Final[int]
    urgent: Final[int]

@final
class MessagePage:
    """A page of a list; give ``next`` as the cursor for the next one."""

    @property
    def messages(self) -> list[AgentMessage]: ...
    @property
    def next(self) -> str | None: ...
    def __iter__(self) -> Iterator[AgentMessage]: ...
    def __len__(self) -> int: ...

@final
class AgentKey(_Unhashable):
    """What a team knows of a key: never its secret."""
    agent_id: Final[str]
    key_id: Final[str]
    algorithm: Final[Algorithm]
    state: Final[KeyState]
    """As it was when it was read; ``state_at`` has it at another time."""
    created_at: Final[datetime]
    activated_at: Final[datetime | None]
    """From when on every process knows it."""
    expires_at: Final[datetime]
    """From when on nothing that it has signed counts."""
    public_key: Final[str | None]
    """32 bytes in base64url without padding."""
    wrapping_key: Final[str | None]
    """Of a key whose secret the team keeps: the id of the ``WrappingKey`` that opens it."""
    reason: Final[str | None]
    """Why it was revoked."""
    def state_at(self, at: datetime) -> KeyState:
        """What it may be used for at that time."""

@final
class VerifiedMessage(_View):
    """What a token says, as ``verify`` has found it."""
    id: Final[str]
    namespace: Final[str]
    sender: Final[str]
    key_id: Final[str]
    audience: Final[str]
    type: Final[str]
    body: Final[Any]
    task_id: Final[str | None]
    reply_to: Final[str | None]
    issued_at: Final[datetime]
    """By the sender's clock."""
    expires_at: Final[datetime]

@final
class SkippedKey(_Unhashable):
    """A row that ``keys.import_rows`` has not imported."""
    agent_id: Final[str | None]
    """Whose it is, as far as it says."""
    key_id: Final[str | None]
    code: Final[str]
    """``key.known``: the team has it already. ``key.conflict``: it has another secret under this id, or the row was changed
    meanwhile. ``key.weak``: less than 32 characters. ``input.invalid``: it does not say whose, which or what."""
    why: Final[str]
    """The same in words."""

@final
class ImportedKeys(_Unhashable):
    """What ``keys.import_rows`` has imported, and what not."""
    dry_run: Final[bool]
    imported: Final[list[AgentKey]]
    """The keys that the team has from now on."""
    skipped: Final[list[SkippedKey]]

@final
class WrappingKey:
    """The key of a team's keys: what opens the secrets that the team keeps in its store, and is not in the store. Give it to
    ``open(wrapping_key=...)``. It is not pickled; give another process its file.

    >>> key = kurultai.WrappingKey.generate()
    >>> key.id[:5]
    'wrap-'
    """

    @staticmethod
    def read(path: str | PathLike[str]) -> WrappingKey:
        """From its file: 32 bytes in base64url. Errors: ``key.permissions`` where group or others may read it; ``config.key``
        where it cannot be read or is no key; ``key.weak``."""

    @staticmethod
    def generate() -> WrappingKey:
        """A new one from the system's random numbers."""

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the file, which only its owner may read (mode 0600), and never over another. Whoever loses it loses every
        secret that it wraps. Errors: ``config.key`` where it exists or cannot be written."""

    @property
    def id(self) -> str:
        """Stands beside each secret that it wraps."""

    def __copy__(self) -> WrappingKey: ...
    def __deepcopy__(self, _memo: Any, /) -> WrappingKey: ...
    def __reduce__(self) -> NoReturn: ...

@final
class Identity:
    """An agent and its secret key, which nothing shows. Whoever has it can sign as that agent, so it is not pickled; give
    another process the key file. Give it to ``open(identity=...)`` or to ``sign``.

    >>> me = kurultai.Identity.generate("temujin")
    >>> me.agent
    'temujin'
    """

    @staticmethod
    def read(path: str | PathLike[str]) -> Identity:
        """From a key file. Errors: ``key.permissions`` where group or others may read it; ``config.key`` where it cannot
        be read or is no key; ``key.weak``."""

    @staticmethod
    def env(agent: str) -> Identity:
        """From the environment: AGENT_KEY_TEMUJIN, or with the display name AGENT_KEY_TEMÜJIN, has the text of a key file
        or a bare secret, 32 bytes in base64url. Errors: ``config.env`` where none is set, or two that differ;
        ``config.key``, ``key.weak``, ``input.invalid``."""

    @staticmethod
    def generate(agent: str) -> Identity:
        """A new key from the system's random numbers; tell the team of it by ``keys.add``. Errors: ``input.invalid``."""

    def write(self, path: str | PathLike[str]) -> None:
        """Writes the key file, which only its owner may read (mode 0600), and never over another. Errors: ``config.key``
        where there is a file, or it cannot be written."""

    @property
    def agent(self) -> str: ...
    @property
    def key_id(self) -> str:
        """Under which the team knows the key: ``temujin-3f2a9c1b``."""

    @property
    def public_key(self) -> str:
        """The half that everybody may know: 32 bytes in base64url without padding."""

    def __copy__(self) -> Identity: ...
    def __deepcopy__(self, _memo: Any, /) -> Identity: ...
    def __reduce__(self) -> NoReturn: ...

@final
class NewMessage:
    """A message to be sent; its fields are those of ``Messages.send``. ``default`` is asked for what JSON has no form
    for."""

    def __new__(
        cls,
        to: str,
        type: str,
        body: Any = None,
        *,
        sender: str | None = None,
        task: TaskLike | None = None,
        reply_to: MessageLike | None = None,
        dedupe_key: str | None = None,
        ttl: Duration | None = None,
        urgent: bool = False,
        default: _Default | None = None,
    ) -> NewMessage: ...
    @property
    def to(self) -> str: ...
    @property
    def type(self) -> str: ...

@final
class NewTask:
    """A task to enqueue; its fields are those of ``Tasks.enqueue``. Its id is made here, so that other tasks of the
    same batch can depend on it and an enqueue whose answer was lost can be repeated. ``default`` is asked for what
    JSON has no form for."""

    def __new__(
        cls,
        type: str,
        payload: Any = None,
        *,
        id: str | None = None,
        title: str | None = None,
        description: str | None = None,
        priority: PriorityWord | None = None,
        priority_weight: float | None = None,
        requires: Iterable[str] | None = None,
        prefers: Iterable[str] | None = None,
        assigned_to: str | None = None,
        delegated_by: str | None = None,
        parent: TaskLike | None = None,
        correlation_id: str | None = None,
        depends_on: Iterable[TaskLike | Dependency | DependencyFields] | None = None,
        unique_key: str | None = None,
        run_at: datetime | None = None,
        delay: Duration | None = None,
        expires_at: datetime | None = None,
        expires_in: Duration | None = None,
        max_attempts: int | None = None,
        max_runtime: Duration | None = None,
        retry: RetryPolicy | RetryPolicyFields | None = None,
        wait_for: Literal["all", "any"] | int | None = None,
        on_prerequisite_failure: OnPrerequisiteFailure | None = None,
        default: _Default | None = None,
    ) -> NewTask: ...
    @property
    def id(self) -> str: ...
    @property
    def type(self) -> str: ...

@final
class Dependency:
    """An edge to another task. ``blocks``: this one waits; ``feeds_into``: its results are handed over if they are
    there; ``parallel_ok``: for readers only."""

    def __new__(
        cls,
        prerequisite: TaskLike,
        type: DependencyType = "blocks",
        *,
        weight: float | None = None,
        detected_by: str | None = None,
    ) -> Dependency: ...

@final
class RetryPolicy:
    """Back-off between attempts: ``base`` doubles each time up to ``cap``; with ``jitter``, which is the default, the
    wait is drawn evenly from zero to that. Seconds or timedelta; 60 and 3600."""

    def __new__(
        cls, *, base: Duration | None = None, cap: Duration | None = None, jitter: bool = True
    ) -> RetryPolicy: ...

@final
class Complete:
    """Ends a task well; an item of ``finish_many``."""

    def __new__(
        cls,
        task: LeaseLike,
        results: Any = None,
        *,
        usage: Usage | UsageFields | None = None,
        default: _Default | None = None,
    ) -> Complete: ...

@final
class Fail:
    """Ends an attempt badly; an item of ``finish_many``."""

    def __new__(
        cls,
        task: LeaseLike,
        error: str | BaseException,
        *,
        retryable: bool = True,
        retry_after: Duration | None = None,
        results: Any = None,
        usage: Usage | UsageFields | None = None,
        default: _Default | None = None,
    ) -> Fail: ...

@final
class Release:
    """Gives a task back; an item of ``finish_many``."""

    def __new__(cls, task: LeaseLike) -> Release: ...

@final
class Postpone:
    """Puts a task off, as ``tasks.snooze`` does; an item of ``finish_many``."""

    def __new__(cls, task: LeaseLike, *, after: Duration) -> Postpone: ...

@final
class NewAgent:
    """An agent to register; its fields are those of ``Agents.register``."""

    def __new__(
        cls,
        id: str,
        *,
        display_name: str | None = None,
        role: str | None = None,
        aliases: Iterable[str] | None = None,
        capabilities: Iterable[str] | None = None,
        max_concurrent: int | None = None,
        metadata: Mapping[str, Any] | None = None,
    ) -> NewAgent: ...
    @property
    def id(self) -> str: ...

@final
class ManualClock:
    """A clock that moves only when told, for tests: give it to ``open(clock=...)``."""

    def __new__(cls, at: datetime) -> ManualClock: ...
    def advance(self, by: Duration) -> None:
        """Seconds or a timedelta."""

    def now(self) -> datetime: ...
