"""Entries on their way into the store, and counts on their way out of it. All pure."""

import math
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence

import msgspec
from msgspec.structs import replace

from core.masking import mask
from core.metrics import SECONDS
from journal.entries import Happened, Minute, Served

_WORD = 120
_DETAIL = 240
_ATTEMPTS = 32
"""Accounts of one request that are told, at most."""
_BOUNDS = (*(f"{bound:g}" for bound in SECONDS), "+Inf")
_ASKED, _SERVED, _SECONDS, _FIRST = "a", "s", "d", "f"


class Gathered:
    """What one write takes to the store. number: of the write; a repeated one counts once."""

    def __init__(self, number: int, served: Sequence[Served], happened: Sequence[Happened]) -> None:
        self.number = number
        self.served = [(entry.at, msgspec.json.encode(entry).decode()) for entry in served]
        self.happened = [
            (entry.at, is_routine(entry), entry.account, msgspec.json.encode(entry).decode())
            for entry in happened
        ]
        self.counts = counts_of(served)

    def arguments(self, now: float) -> Iterator[str | int]:
        """The groups that `lua/write.lua` takes. now: wall clock seconds of who noted."""
        for at, text in self.served:
            yield from (_age(now, at), text)
        for at, routine, account, text in self.happened:
            yield from (_age(now, at), "routine" if routine else "happened", account, text)
        for (second, field), number in self.counts.items():
            yield from (_age(now, second), field, number)


def counts_of(served: Sequence[Served]) -> Counter[tuple[int, str]]:
    """How often what was counted, by second and by the field of the minute that it goes to."""
    counts: Counter[tuple[int, str]] = Counter()
    for entry in served:
        second = math.floor(entry.at)
        counts[second, f"{_SERVED}\n{entry.outcome}"] += 1
        for asked in entry.asked:
            counts[second, f"{_ASKED}\n{asked.account}\n{asked.outcome}"] += 1
        if entry.outcome == "ok":
            counts[second, f"{_SECONDS}\n{_bound(entry.seconds)}"] += 1
            if entry.first_content is not None:
                counts[second, f"{_FIRST}\n{_bound(entry.first_content)}"] += 1
    return counts


def minute_of(start: int, flat: Sequence[str]) -> Minute:
    """A minute from its fields in the store, a flat list of names and numbers."""
    asked: dict[str, dict[str, int]] = {}
    others: dict[str, dict[str, int]] = {_SERVED: {}, _SECONDS: {}, _FIRST: {}}
    for name, number in zip(flat[::2], flat[1::2], strict=True):
        kind, _, rest = name.partition("\n")
        if kind == _ASKED:
            account, _, outcome = rest.partition("\n")
            asked.setdefault(account, {})[outcome] = int(number)
        elif kind in others:
            others[kind][rest] = int(number)
    return Minute(start, asked, others[_SERVED], _ordered(others[_SECONDS]), _ordered(others[_FIRST]))


def is_routine(entry: Happened) -> bool:
    """What happens to every well account all day."""
    return (entry.kind, entry.outcome) in (("probe", "well"), ("rotation", "ok"))


def clean_served(entry: Served) -> Served:
    """The entry as it may lie in the store: short, and with nothing that looks like a secret."""
    return replace(
        entry,
        id=_clean(entry.id),
        caller=_clean(entry.caller),
        route=_clean(entry.route),
        model=_clean(entry.model),
        asked=entry.asked[:_ATTEMPTS],
    )


def clean_happened(entry: Happened, replica: str) -> Happened:
    """The same, and the replica that noted it."""
    return replace(
        entry,
        outcome=_clean(entry.outcome),
        detail=_clean(entry.detail, _DETAIL),
        replica=entry.replica or replica,
    )


def _clean(text: str, most: int = _WORD) -> str:
    text = mask(text).encode("utf-8", "replace").decode()
    return text if len(text) <= most else text[: most - 1] + "…"


def _bound(seconds: float) -> str:
    return _BOUNDS[bisect_left(SECONDS, seconds)]


def _ordered(buckets: dict[str, int]) -> dict[str, int]:
    return dict(sorted(buckets.items(), key=lambda bucket: float(bucket[0])))


def _age(now: float, at: float) -> int:
    return max(0, round((now - at) * 1000))
