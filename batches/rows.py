"""Batches as the scripts tell them. Pure."""

import hashlib
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from engine.service import Batch, BatchForm, BatchKind, BatchOrder, BatchState


class _Row(Struct, frozen=True, array_like=True):
    """A batch as `read.lua` tells it."""

    total: int
    conc: int
    done: int
    bad: int
    dead: int
    run: int
    next: int
    cr: int
    st: int
    en: int
    ex: int
    hold: int
    turn: int
    can: int
    kind: BatchKind
    model: str
    form: BatchForm
    wish: str
    owner: str
    caller: str
    why: str
    key: str


def batch_of(id: str, fields: Sequence[str]) -> Batch:
    row = msgspec.convert(fields, _Row, strict=False)
    return Batch(
        id=id,
        kind=row.kind,
        model=row.model,
        form=row.form,
        state=_state(row),
        total=row.total,
        completed=row.done,
        failed=row.bad,
        cancelled=row.dead,
        running=row.run,
        concurrency=row.conc,
        created_at=row.cr / 1000,
        started_at=row.st / 1000 if row.st else None,
        ended_at=row.en / 1000 if row.en else None,
        expires_at=row.ex / 1000 if row.ex else None,
        why=row.why,
    )


def _state(row: _Row) -> BatchState:
    if row.can:
        return "cancelled" if row.en else "cancelling"
    if row.en:
        return "completed" if row.done else "failed"
    return "running" if row.st else "queued"


def fingerprint_of(order: BatchOrder) -> str:
    """The same for orders that want the same."""
    facts = (order.kind, order.model, order.form, order.concurrency, order.wish)
    digest = hashlib.sha256(msgspec.json.encode(facts))
    for prompt in order.prompts:
        digest.update(b"\n" + msgspec.json.encode(prompt))
    return digest.hexdigest()
