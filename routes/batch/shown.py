"""Batches as callers see them. Pure."""

from datetime import UTC, datetime

import msgspec
from msgspec import UNSET

from engine.service import Batch, Outcome
from routes.batch import wire
from routes.batch.orders import Part


def summary(batch: Batch) -> wire.Summary:
    return wire.Summary(
        batch_id=batch.id,
        object="batch",
        kind=batch.kind,
        model=batch.model,
        total=batch.total,
        completed=batch.completed,
        failed=batch.failed,
        cancelled=batch.cancelled,
        pending=batch.pending,
        running=batch.running,
        progress=f"{batch.total - batch.pending}/{batch.total}",
        status=batch.state,
        concurrency=batch.concurrency,
        created_at=_iso(batch.created_at),
        started_at=_iso(batch.started_at),
        ended_at=_iso(batch.ended_at),
        expires_at=_iso(batch.expires_at),
        why=batch.why or UNSET,
    )


def page(batch: Batch, part: Part) -> wire.Page:
    """The status without the results and errors that `part` wants. Who wants none is not told where they go on."""
    end = None if part.limit is None else part.offset + part.limit
    more = end is not None and part.limit != 0 and end < max(batch.completed, batch.failed)
    return wire.Page(
        **msgspec.structs.asdict(summary(batch)), next_offset=end if more and end is not None else UNSET
    )


def accepted(batch: Batch, *, new: bool) -> wire.Accepted:
    if new:
        message = (
            f"The batch is taken in. GET /v1/batch/{batch.id}/status tells how it stands, DELETE /v1/batch/{batch.id}"
            " cancels it."
        )
    else:
        message = "This Idempotency-Key stands for this batch already, so no other was made."
    return wire.Accepted(batch.id, batch.total, batch.state, message)


def cancelled(batch: Batch, *, now: bool) -> wire.Cancelled:
    if not now:
        message = "The batch was cancelled before."
    elif batch.running:
        message = f"What had not begun will not run. Tasks that run now and may finish: {batch.running}."
    else:
        message = "What had not begun will not run."
    return wire.Cancelled(**msgspec.structs.asdict(summary(batch)), message=message)


def task_id(batch: Batch, outcome: Outcome) -> str:
    return f"{batch.id}-{outcome.index}"


def error(batch: Batch, outcome: Outcome) -> wire.TaskError:
    return wire.TaskError(
        task_id(batch, outcome), outcome.index, outcome.message, outcome.code, outcome.tries
    )


def _iso(seconds: float | None) -> str | None:
    if seconds is None:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
