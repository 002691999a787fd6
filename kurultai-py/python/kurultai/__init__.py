"""A shared, durable picture for a team of AI agents: who is alive, what must be done, what happened.

``kurultai.open(url)`` gives a team on one file or on Neo4j; ``kurultai.blocking`` has the same names without
``await``; ``kurultai.Agent`` runs decorated functions on tasks; ``kurultai.errors`` says what can go wrong;
``kurultai.legacy`` has the signed messages of older teams.
"""

from . import blocking, errors, legacy
from ._client import Kurultai, Retention, TaskDefaults, open
from ._native import __version__, council, matches
from .agent import Agent, Context, Reject, Retry, Snooze
from .agents import Agents
from .errors import KurultaiError
from .events import Events
from .tasks import Tasks
from .types import (
    Adoption,
    AgentHealth,
    AgentInfo,
    Check,
    Claimed,
    Complete,
    Dependency,
    Enqueued,
    Event,
    EventPage,
    Explanation,
    Extended,
    Fail,
    Finding,
    Finished,
    Lease,
    ManualClock,
    NamespaceInfo,
    NewAgent,
    NewTask,
    Page,
    Percentiles,
    Postpone,
    Prerequisite,
    Reason,
    Release,
    RetryPolicy,
    Stats,
    Task,
    TaskError,
    Usage,
)

__all__ = [
    "Adoption",
    "Agent",
    "AgentHealth",
    "AgentInfo",
    "Agents",
    "Check",
    "Claimed",
    "Complete",
    "Context",
    "Dependency",
    "Enqueued",
    "Event",
    "EventPage",
    "Events",
    "Explanation",
    "Extended",
    "Fail",
    "Finding",
    "Finished",
    "Kurultai",
    "KurultaiError",
    "Lease",
    "ManualClock",
    "NamespaceInfo",
    "NewAgent",
    "NewTask",
    "Page",
    "Percentiles",
    "Postpone",
    "Prerequisite",
    "Reason",
    "Reject",
    "Release",
    "Retention",
    "Retry",
    "RetryPolicy",
    "Snooze",
    "Stats",
    "Task",
    "TaskDefaults",
    "TaskError",
    "Tasks",
    "Usage",
    "__version__",
    "blocking",
    "council",
    "errors",
    "legacy",
    "matches",
    "open",
]
