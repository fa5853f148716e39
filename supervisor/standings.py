"""How each account stands, for the operator. All pure but for what the pool and the jars know of this replica."""

from collections.abc import Callable, Iterable, Mapping, Sequence

from engine.service import ModelRest, NextStep, Standing
from pool import AccountConfig, AccountView, State
from pool.account import Record
from supervisor.policy import plan
from supervisor.reasons import UNREADABLE, why_of
from supervisor.settings import SupervisorSettings

_STEADY = 0.5
"""Seconds by which a planned time may differ between two readings and still be the same plan."""


class Known:
    """What this replica knows of accounts beside their records.

    config: the roster's entry, None where this replica has none. source: where its cookies are from. unreadable: whether its
    stored cookies cannot be read. models: the public names that it serves.
    """

    def __init__(
        self,
        config: Callable[[str], AccountConfig | None],
        source: Callable[[AccountConfig], str],
        unreadable: Callable[[AccountConfig], bool],
        models: Callable[[Record], tuple[str, ...]],
    ) -> None:
        self.config = config
        self.source = source
        self.unreadable = unreadable
        self.models = models


def standings(
    views: Sequence[AccountView],
    now: float,
    settings: SupervisorSettings,
    known: Known,
    before: Mapping[str, Standing],
) -> tuple[Standing, ...]:
    """In the order of the views. now: seconds of the store's clock. before: the last reading's, by id, so that plans which are
    reckoned anew each time stand still."""
    places = orders(views)
    return tuple(
        _standing(view, now, settings, known, places.get(view.record.id, 0), before.get(view.record.id))
        for view in views
    )


def orders(views: Iterable[AccountView]) -> dict[str, int]:
    """The places of those that can serve: the least recently used first, and those of last resort behind all others."""
    serving = sorted(
        (view.record for view in views if view.state is State.ACTIVE),
        key=lambda record: (record.last_resort, record.use_order),
    )
    return {record.id: place for place, record in enumerate(serving, 1)}


def _standing(
    view: AccountView,
    now: float,
    settings: SupervisorSettings,
    known: Known,
    order: int,
    before: Standing | None,
) -> Standing:
    record, state, reason = view.record, view.state, view.reason
    config = known.config(record.id)
    if state is State.STARTING and config is not None and known.unreadable(config):
        reason = UNREADABLE
    appointments = plan(record, now, settings)
    cooling = record.cooldown.until if state is State.COOLING and record.cooldown is not None else None
    opens = None if view.next_try is None else _steady(now + view.next_try, before)
    next_, next_at = _next(state, cooling, opens, appointments.probe, appointments.rotate)
    return Standing(
        id=record.id,
        state=str(state),
        reason=reason,
        why=why_of(state, reason, last_resort=record.last_resort),
        since=record.changed_at or None,
        until=cooling,
        next=next_,
        next_at=next_at,
        order=order,
        in_flight=record.in_flight,
        max_concurrency=record.max_concurrency,
        min_interval=record.min_interval,
        last_used=record.last_used or None,
        cookies_at=record.cookies_at or None,
        cookie_source="" if config is None else known.source(config),
        rotation_at=record.rotation_tried_at or None,
        rotation_outcome=record.rotation_outcome,
        next_rotation=appointments.rotate,
        proved_at=record.proved_at or None,
        probed_at=record.probed_at or None,
        probe_outcome=record.probe_outcome,
        next_probe=appointments.probe,
        failures=record.consecutive_failures,
        last_resort=record.last_resort,
        session_open=view.session_open,
        egress=record.egress,
        tags=() if config is None else config.tags,
        models=known.models(record),
        resting=tuple(
            ModelRest(lane, cooldown.reason, cooldown.until)
            for lane, cooldown in sorted(record.lane_cooldowns.items())
            if cooldown.until > now
        ),
    )


def _next(
    state: State, returns: float | None, opens: float | None, probe: float | None, rotation: float | None
) -> tuple[NextStep, float | None]:
    """Whatever comes first. A time may lie in the past: then it is due."""
    if state in (State.DISABLED, State.DRAINING):
        return "", None
    steps: list[tuple[NextStep, float | None]] = [
        ("return", returns),
        ("open", opens),
        ("probe", probe),
        ("rotation", rotation),
    ]
    planned = [(at, step) for step, at in steps if at is not None]
    if planned:
        at, step = min(planned)
        return step, at
    # One that never opened is being tried right now, or by another replica.
    return ("open", None) if state is State.STARTING else ("operator", None)


def _steady(at: float, before: Standing | None) -> float:
    if before is not None and before.next == "open" and before.next_at is not None:
        return before.next_at if abs(before.next_at - at) < _STEADY else at
    return at
