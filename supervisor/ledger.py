"""What all replicas remember about one subject's alerts, and how that changes. All pure.

The ledger lives in the store under one key per subject and changes by compare and swap, so that of all
replicas that notice the same thing exactly one tells it. Times are wall clock seconds.
"""

from collections.abc import Mapping
from typing import Literal

from msgspec import Struct
from msgspec.structs import replace

from supervisor.incidents import Kind

CLAIM_SECONDS = 90.0
"""A replica that has claimed an alert and is silent for so long has died; the next one takes it over."""


class Mark(Struct, frozen=True):
    """An alert that stands: which replica tells it, until when that one is believed, and whether it has."""

    holder: str
    until: float
    told: bool = False


class Ledger(Struct, frozen=True, omit_defaults=True):
    """open: the alerts that stand, by kind. closing: the all-clear that is being told. shown: the kind of
    alert that the phone shows, '' where it shows none. told_at: when each kind was last told."""

    open: Mapping[Kind, Mark] = {}
    closing: Mark | None = None
    shown: Kind | Literal[""] = ""
    told_at: Mapping[Kind, float] = {}


def claim(ledger: Ledger, kind: Kind, holder: str, now: float) -> tuple[Ledger, bool]:
    """Something is wrong. True: it is for `holder` to tell."""
    if kind == "pool_below" and "pool_empty" in ledger.open:
        return ledger, False
    mark = ledger.open.get(kind)
    if mark is not None and (mark.told or mark.until > now):
        return ledger, False
    if mark is None and ledger.shown == kind:
        # Its all-clear has not reached the phone, which therefore shows the truth again.
        told = Mark(holder, now, told=True)
        return replace(ledger, open={**ledger.open, kind: told}, closing=None), False
    claimed = Mark(holder, now + CLAIM_SECONDS)
    return replace(ledger, open={**ledger.open, kind: claimed}, closing=None), True


def resolve(ledger: Ledger, holder: str, now: float) -> tuple[Ledger, bool]:
    """All is well. True: it is for `holder` to tell; never where the operator was told of no trouble."""
    if not ledger.shown:
        return replace(ledger, open={}, closing=None), False
    if not ledger.open and ledger.closing is not None and ledger.closing.until > now:
        return ledger, False
    return replace(ledger, open={}, closing=Mark(holder, now + CLAIM_SECONDS)), True


def is_mine(ledger: Ledger, kind: Kind, holder: str) -> bool:
    """Whether the alert still stands and is still for `holder` to tell."""
    mark = ledger.closing if kind == "recovered" else ledger.open.get(kind)
    return mark is not None and mark.holder == holder


def renewed(ledger: Ledger, kind: Kind, holder: str, now: float, seconds: float = CLAIM_SECONDS) -> Ledger:
    """A sign of life by the one who tells it; 0 seconds give the alert back, for another to take over."""
    if not is_mine(ledger, kind, holder):
        return ledger
    if kind == "recovered":
        return replace(ledger, closing=Mark(holder, now + seconds))
    mark = replace(ledger.open[kind], until=now + seconds)
    return replace(ledger, open={**ledger.open, kind: mark})


def delivered(ledger: Ledger, kind: Kind, holder: str, now: float) -> tuple[Ledger, tuple[Kind, ...]]:
    """The alert is on a phone. With it comes what must follow: the all-clear where the trouble ended
    meanwhile (already claimed for `holder`), or, where an all-clear covers up an alert that stands again,
    that alert (to be claimed anew)."""
    told_at = {**ledger.told_at, kind: now}
    if kind == "recovered":
        covered = {name: Mark("", 0.0) for name, mark in ledger.open.items() if mark.told}
        closing = None if is_mine(ledger, kind, holder) else ledger.closing
        after = Ledger(open={**ledger.open, **covered}, closing=closing, told_at=told_at)
        return after, tuple(covered)
    after = replace(ledger, shown=kind, told_at=told_at)
    if (mark := ledger.open.get(kind)) is not None:
        return replace(after, open={**ledger.open, kind: replace(mark, told=True)}), ()
    if ledger.open or ledger.closing is not None:
        return after, ()
    return replace(after, closing=Mark(holder, now + CLAIM_SECONDS)), ("recovered",)


def goes_on(ledger: Ledger, kind: Kind, holder: str, told: bool) -> bool:
    """Whether the alert is still to be brought to the devices that lack it. told: others have it."""
    if told and kind == "recovered":
        return not ledger.open
    mark = ledger.closing if kind == "recovered" else ledger.open.get(kind)
    return is_mine(ledger, kind, holder) and (told or mark is None or not mark.told)


def wait_before(ledger: Ledger, kind: Kind, now: float, min_interval: float) -> float:
    """Seconds until an alert of this kind about this subject may be told again."""
    last = ledger.told_at.get(kind)
    return 0.0 if last is None else min(min_interval, max(0.0, last + min_interval - now))
