"""The words of the library: what calls take and answer with. Results are frozen; a field becomes a Python object
when it is first looked at.

>>> task = await k.tasks.get(await k.tasks.enqueue("review", {"pr": 42}, priority="P1"))
>>> task.type, task.status, task.payload
('review', 'pending', {'pr': 42})
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Literal, Protocol, Union

from ._native import (
    AgentInfo,
    Claimed,
    Complete,
    Dependency,
    Enqueued,
    Event,
    Explanation,
    Extended,
    Fail,
    Finished,
    Lease,
    ManualClock,
    NewAgent,
    NewTask,
    Page,
    Percentiles,
    Prerequisite,
    Reason,
    Release,
    RetryPolicy,
    Stats,
    Task,
    TaskError,
    Usage,
)

if TYPE_CHECKING:
    from ._native import NewAgentFields, NewTaskFields, UsageFields

__all__ = [
    "AgentInfo",
    "AgentStatus",
    "Claimed",
    "Complete",
    "Dependency",
    "DependencyType",
    "Duration",
    "Enqueued",
    "Event",
    "Explanation",
    "Extended",
    "Fail",
    "Finished",
    "HasId",
    "HasLease",
    "Lease",
    "LeaseLike",
    "ManualClock",
    "NewAgent",
    "NewTask",
    "OnPrerequisiteFailure",
    "Page",
    "Percentiles",
    "Prerequisite",
    "Priority",
    "Reason",
    "Release",
    "RetryPolicy",
    "Signal",
    "Stats",
    "Status",
    "Task",
    "TaskError",
    "TaskLike",
    "Usage",
]

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
Signal = Literal["continue", "cancel", "suspend", "pause"]
AgentStatus = Literal["active", "busy", "idle", "offline", "draining"]
DependencyType = Literal["blocks", "feeds_into", "parallel_ok"]
OnPrerequisiteFailure = Literal["block", "cancel", "continue"]

#: Seconds, or a timedelta.
Duration = Union[float, timedelta]


class HasLease(Protocol):
    """A handler's context, for example."""

    @property
    def lease(self) -> Lease: ...


class HasId(Protocol):
    """A task in any form."""

    @property
    def id(self) -> str: ...


#: What every call that needs a lease takes; the string is ``str(lease)``.
LeaseLike = Union[Claimed, Lease, HasLease, str]
#: What every call that needs a task takes.
TaskLike = Union[str, HasId]
