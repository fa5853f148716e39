"""What those who look are told: the whole at first, then what differs. All pure."""

from collections.abc import Iterable, Mapping, Sequence

from msgspec.structs import replace

from engine.service import Now, Standing, Turn, View
from journal import Happened, Minute, News
from pool import Change, Changes, Event

HAPPENED = 1000
SERVED = 500
"""The most that a `View` holds of each."""
TURN_HAPPENED = 200
TURN_SERVED = 50
_MINUTES = 90 * 60


def happened_of(changes: Iterable[Change]) -> list[Happened]:
    """Entries of the pool's log over all accounts, in the journal's words. The outcome of a change of state is its reason."""
    return [
        Happened(change.at, "replica", outcome=change.to, replica=change.replica)
        if change.replica
        else _state(change.at, change.account, change.from_, change.to, change.reason)
        for change in changes
    ]


def states_of(account: str, events: Iterable[Event]) -> list[Happened]:
    """The same of one account's own log."""
    return [_state(event.at, account, event.from_, event.to, event.reason) for event in events]


def _state(at: float, account: str, before: str, after: str, reason: str) -> Happened:
    return Happened(at, "state", account, before, after, reason)


def whole(now: Now, accounts: tuple[Standing, ...], changes: Changes, news: News) -> View:
    """From a reading that began at nothing."""
    happened = _newest([*news.happened, *happened_of(changes.changes)])[:HAPPENED]
    return View(now, accounts, tuple(happened), news.served[:SERVED], news.minutes)


def turned(
    view: View, now: Now, accounts: tuple[Standing, ...], changes: Changes, news: News
) -> tuple[View, Turn]:
    """The view after a reading of what is new since, and what differs."""
    before = {standing.id: standing for standing in view.accounts}
    ids = {standing.id for standing in accounts}
    order = _order(accounts)
    new = _newest([*news.happened, *happened_of(changes.changes)])
    turn = Turn(
        now,
        tuple(standing for standing in accounts if _differs(before.get(standing.id), standing)),
        order if order != _order(view.accounts) else None,
        tuple(id for id in before if id not in ids),
        tuple(new[:TURN_HAPPENED]),
        news.served[:TURN_SERVED],
        news.minutes,
    )
    happened = _newest([*new, *view.happened])[:HAPPENED] if new else view.happened
    served = view.served
    if news.served:
        served = tuple(sorted((*news.served, *view.served), key=lambda entry: -entry.at)[:SERVED])
    after = View(now, accounts, tuple(happened), served, _minutes(view.minutes, news.minutes, now.time))
    return after, turn


def says_something(turn: Turn, before: Now) -> bool:
    """Whether anything differs but the time."""
    if turn.accounts or turn.order is not None or turn.gone or turn.happened or turn.served or turn.minutes:
        return True
    return replace(turn.now, time=before.time) != before


def merged(earlier: Turn, later: Turn) -> Turn:
    """One turn that tells what the two told."""
    accounts = {standing.id: standing for standing in (*earlier.accounts, *later.accounts)}
    for id in later.gone:
        accounts.pop(id, None)
    come_back = {standing.id for standing in later.accounts}
    gone = dict.fromkeys(id for id in (*earlier.gone, *later.gone) if id not in come_back)
    return Turn(
        later.now,
        tuple(accounts.values()),
        later.order if later.order is not None else earlier.order,
        tuple(gone),
        (*later.happened, *earlier.happened)[:TURN_HAPPENED],
        (*later.served, *earlier.served)[:TURN_SERVED],
        _minutes(earlier.minutes, later.minutes, later.now.time),
    )


def _differs(before: Standing | None, after: Standing) -> bool:
    """In more than its place in the order."""
    return before is None or (before is not after and replace(before, order=after.order) != after)


def _order(accounts: Iterable[Standing]) -> tuple[str, ...]:
    """Who can serve, next first."""
    return tuple(standing.id for standing in sorted(accounts, key=lambda one: one.order) if standing.order)


def _minutes(before: Sequence[Minute], after: Sequence[Minute], now: float) -> tuple[Minute, ...]:
    if not after:
        return tuple(before)
    all_: Mapping[int, Minute] = {minute.start: minute for minute in (*before, *after)}
    return tuple(all_[start] for start in sorted(all_) if start > now - _MINUTES - 60)


def _newest(entries: Iterable[Happened]) -> list[Happened]:
    return sorted(entries, key=lambda entry: -entry.at)
