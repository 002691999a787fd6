"""The words of the library: what calls take and answer with. Results are frozen; a field becomes a Python object
when it is first looked at.

>>> task = await k.tasks.get(await k.tasks.enqueue("review", {"pr": 42}, priority="P1"))
>>> task.type, task.status, task.payload
('review', 'pending', {'pr': 42})
"""

from __future__ import annotations

import enum
import os
from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta
from typing import Any, Final, Literal, Protocol, TypedDict, Union

from ._native import (
    Adoption,
    AgentHealth,
    AgentInfo,
    AgentKey,
    AgentMessage,
    Alert,
    Check,
    Claimed,
    Complete,
    CycleReport,
    DeadEvent,
    Delegated,
    Dependency,
    EmergencyStop,
    Enqueued,
    Event,
    EventPage,
    Explanation,
    Extended,
    Fail,
    FailoverEvent,
    Finding,
    Finished,
    Identity,
    ImportedKeys,
    Item,
    Lease,
    ManualClock,
    MessagePage,
    NamespaceInfo,
    NewAgent,
    NewMessage,
    NewTask,
    Page,
    Percentiles,
    Postpone,
    Prerequisite,
    Published,
    Reason,
    Receipt,
    Release,
    RetryPolicy,
    RoleLease,
    Schedule,
    Sent,
    Settled,
    Signer,
    SkippedKey,
    Stats,
    Subscription,
    Task,
    TaskError,
    Unread,
    Usage,
    VerifiedMessage,
    WrappingKey,
)

__all__ = [
    "UNCHANGED",
    "Adoption",
    "AgentHealth",
    "AgentInfo",
    "AgentKey",
    "AgentMessage",
    "AgentStatus",
    "Alert",
    "AlertState",
    "Attention",
    "Algorithm",
    "CatchUp",
    "Check",
    "Claimed",
    "Complete",
    "CycleReport",
    "DeadEvent",
    "Delegated",
    "Dependency",
    "DependencyType",
    "Duration",
    "EmergencyStop",
    "Enqueued",
    "Event",
    "EventPage",
    "Explanation",
    "Extended",
    "Fail",
    "FailoverEvent",
    "Finding",
    "FindingKind",
    "Finished",
    "HasId",
    "HasLease",
    "HasReceipt",
    "HasRoleLease",
    "Health",
    "Identity",
    "IdentityLike",
    "ImportedKeys",
    "Item",
    "KeyState",
    "Lease",
    "LeaseLike",
    "ManualClock",
    "MessageLike",
    "MessagePage",
    "MessageStatus",
    "NamespaceInfo",
    "NewAgent",
    "NewMessage",
    "NewTask",
    "OnPrerequisiteFailure",
    "OnStall",
    "Overlap",
    "Page",
    "Percentiles",
    "Postpone",
    "Prerequisite",
    "Published",
    "Priority",
    "PriorityWord",
    "Reason",
    "Receipt",
    "ReceiptLike",
    "Recipient",
    "Release",
    "RetryPolicy",
    "RoleLease",
    "Schedule",
    "Sent",
    "Settled",
    "Severity",
    "Signal",
    "Signer",
    "SkippedKey",
    "Stats",
    "Subscription",
    "Status",
    "Task",
    "TaskError",
    "TaskLike",
    "Unchanged",
    "UnderLike",
    "Unread",
    "Usage",
    "VerifiedMessage",
    "WrappingKey",
    "WrappingKeyLike",
]


class Unchanged(enum.Enum):
    """The type of ``UNCHANGED``."""

    UNCHANGED = "unchanged"


#: What ``tasks.update`` and ``agents.update`` take for a field that stays as it is, where None says something.
UNCHANGED: Final = Unchanged.UNCHANGED

Status = Literal[
    "blocked",
    "pending",
    "in_progress",
    "completed",
    "dead_letter",
    "cancelled",
    "expired",
    "suspended",
    "pending_review",
]
Priority = Literal["P0", "P1", "P2", "P3"]
#: What a priority can be said with: P0 is critical or urgent, P1 high, P2 normal or medium, P3 low or backlog.
PriorityWord = Union[Priority, Literal["critical", "urgent", "high", "normal", "medium", "low", "backlog"]]
Signal = Literal["continue", "cancel", "suspend", "pause"]
AgentStatus = Literal["active", "busy", "idle", "offline", "draining"]
#: How bad an alert is, and whether it burns.
Severity = Literal["warning", "critical"]
AlertState = Literal["raised", "cleared"]
#: Whether anybody has to look at what a cycle has found.
Attention = Literal["nothing", "work", "alert"]
#: How an agent fares.
Health = Literal["alive", "idle", "stuck", "dead", "unknown"]
FindingKind = Literal["read", "guessed", "suspended", "dropped", "unresolved", "left_out"]
DependencyType = Literal["blocks", "feeds_into", "parallel_ok"]
#: How a message stands.
MessageStatus = Literal["pending", "delivered", "acknowledged", "failed", "expired"]
#: How the recipient of a message fared when it was sent; a role is unknown.
Recipient = Literal["alive", "asleep", "draining", "unknown"]
#: How a key signs; HMAC-SHA256 is of older teams alone.
Algorithm = Literal["EdDSA", "HMAC-SHA256"]
#: What a key may be used for: before every process knows it, to sign and to verify, to verify, or for nothing.
KeyState = Literal["pending", "active", "verify_only", "expired", "revoked"]
#: What becomes of a schedule's times that passed while no process had the store open.
CatchUp = Literal["one", "skip", "all"]
#: What becomes of a time that comes while the schedule's last task is unfinished.
Overlap = Literal["skip", "allow"]
OnPrerequisiteFailure = Literal["block", "cancel", "continue"]
#: What becomes of an attempt whose handler has shown no sign of life for too long.
OnStall = Literal["report", "release"]

#: Seconds, or a timedelta.
Duration = Union[float, timedelta]


class HasLease(Protocol):
    """A handler's context, for example."""

    @property
    def lease(self) -> Lease: ...


class HasRoleLease(Protocol):
    """A role that is held, for example."""

    @property
    def lease(self) -> RoleLease: ...


class HasId(Protocol):
    """A task or a message in any form."""

    @property
    def id(self) -> str: ...


class HasReceipt(Protocol):
    """A message in any form."""

    @property
    def receipt(self) -> Receipt: ...


#: What every call that ends the delivery of a message takes; the string is ``str(message.receipt)``.
ReceiptLike = Union[AgentMessage, Receipt, HasReceipt, str]
#: What every call that needs a message takes.
MessageLike = Union[str, HasId]
#: An ``Identity``, or the path of a key file.
IdentityLike = Union[Identity, str, "os.PathLike[str]"]
#: A ``WrappingKey``, or the path of its file.
WrappingKeyLike = Union[WrappingKey, str, "os.PathLike[str]"]
#: What every call that needs a lease takes; the string is ``str(lease)``.
LeaseLike = Union[Claimed, Lease, HasLease, str]
#: What every call takes that is to count only while a role is held.
UnderLike = Union[RoleLease, HasRoleLease]
#: What every call that needs a task takes.
TaskLike = Union[str, HasId]


class UsageFields(TypedDict, total=False):
    """``Usage`` as a dict."""

    tokens: int
    cost: float
    seconds: float


class RetryPolicyFields(TypedDict, total=False):
    """``RetryPolicy`` as a dict."""

    base: Union[Duration, None]
    cap: Union[Duration, None]
    jitter: bool


class _DependencyOf(TypedDict):
    prerequisite: TaskLike


class DependencyFields(_DependencyOf, total=False):
    """``Dependency`` as a dict."""

    type: DependencyType
    weight: Union[float, None]
    detected_by: Union[str, None]


class _NewAgentOf(TypedDict):
    id: str


class NewAgentFields(_NewAgentOf, total=False):
    """``NewAgent`` as a dict."""

    display_name: Union[str, None]
    role: Union[str, None]
    aliases: Union[Iterable[str], None]
    capabilities: Union[Iterable[str], None]
    max_concurrent: Union[int, None]
    metadata: Union[Mapping[str, Any], None]


class _NewTaskOf(TypedDict):
    type: str


class TaskFields(TypedDict, total=False):
    """What ``ctx.enqueue`` takes beside a type and a payload."""

    id: Union[str, None]
    title: Union[str, None]
    description: Union[str, None]
    priority: Union[PriorityWord, None]
    priority_weight: Union[float, None]
    requires: Union[Iterable[str], None]
    prefers: Union[Iterable[str], None]
    assigned_to: Union[str, None]
    delegated_by: Union[str, None]
    correlation_id: Union[str, None]
    depends_on: Union[Iterable[Union[TaskLike, Dependency, DependencyFields]], None]
    unique_key: Union[str, None]
    run_at: Union[datetime, None]
    delay: Union[Duration, None]
    expires_at: Union[datetime, None]
    expires_in: Union[Duration, None]
    max_attempts: Union[int, None]
    max_runtime: Union[Duration, None]
    retry: Union[RetryPolicy, RetryPolicyFields, None]
    wait_for: Union[Literal["all", "any"], int, None]
    on_prerequisite_failure: Union[OnPrerequisiteFailure, None]


class ScheduledTaskFields(TypedDict, total=False):
    """What ``schedules.put`` takes of the tasks beside their type and payload."""

    title: Union[str, None]
    description: Union[str, None]
    priority: Union[PriorityWord, None]
    priority_weight: Union[float, None]
    requires: Union[Iterable[str], None]
    prefers: Union[Iterable[str], None]
    assigned_to: Union[str, None]
    delegated_by: Union[str, None]
    correlation_id: Union[str, None]
    expires_in: Union[Duration, None]
    max_attempts: Union[int, None]
    max_runtime: Union[Duration, None]
    retry: Union[RetryPolicy, RetryPolicyFields, None]


class NewTaskFields(_NewTaskOf, TaskFields, total=False):
    """``NewTask`` as a dict."""

    payload: Any
    parent: Union[TaskLike, None]


class _NewEventOf(TypedDict):
    topic: str


class NewEventFields(_NewEventOf, total=False):
    """An event to publish, as a dict."""

    payload: Any
    source: Union[str, None]
    task: Union[TaskLike, None]
    correlation_id: Union[str, None]
    key: Union[str, None]
    cause: Union[int, None]


class _NewMessageOf(TypedDict):
    to: str
    type: str


class NewMessageFields(_NewMessageOf, total=False):
    """``NewMessage`` as a dict."""

    body: Any
    sender: Union[str, None]
    task: Union[TaskLike, None]
    reply_to: Union[MessageLike, None]
    dedupe_key: Union[str, None]
    ttl: Union[Duration, None]
    urgent: bool
