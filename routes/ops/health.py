"""What `/health` says, from what the engine and others report. Pure."""

from collections.abc import Mapping
from typing import Any, Literal, TypeAlias

from engine.service import Status
from routes.outcomes import Outcomes

Health: TypeAlias = Literal["ok", "degraded", "down"]


def verdict(status: Status | None) -> Health:
    """`down` where nothing can be served, `degraded` where a part of it cannot. None: no status at all."""
    if status is None or not status.ready:
        return "down"
    lame = any(
        count and state.startswith(("quarantined", "cooling")) for state, count in status.accounts.items()
    )
    return "degraded" if lame or not status.store_ok else "ok"


def report(
    status: Status | None, outcomes: Outcomes, *, version: str, facts: Mapping[str, object], known: bool
) -> dict[str, Any]:
    """The body of `/health`. Callers who are not known are told counts only.

    `task_stats` counts requests for answers since the start, `completed` and `failed`, and generations of now: `running` on an
    account, tasks of batches too, `pending` in the queue. Tasks of batches that ended are counted among the facts. `concurrency` says the same of now beside what is possible.
    """
    found: dict[str, Any] = {
        "status": verdict(status),
        "version": version,
        "client_ready": status is not None and status.ready,
        "accounts": dict(status.accounts) if status else {},
        "task_stats": {
            "running": status.in_flight if status else 0,
            "pending": status.waiting if status else 0,
            "completed": outcomes.completed,
            "failed": outcomes.failed,
        },
        "concurrency": {
            "in_flight": status.in_flight if status else 0,
            "waiting": status.waiting if status else 0,
            "capacity": status.capacity if status else 0,
        },
    }
    extra = dict(facts) if known else counts_only(facts)
    if known and status is not None and status.why:
        found["why"] = status.why
    return {**extra, **found}


def counts_only(facts: Mapping[str, object]) -> dict[str, object]:
    """The numbers and the yes or no among `facts`, at any depth."""
    found: dict[str, object] = {}
    for key, value in facts.items():
        if value is None or isinstance(value, bool | int | float):
            found[key] = value
        elif isinstance(value, Mapping) and (inner := counts_only(value)):
            found[key] = inner
    return found
