"""How each account stands, for the operator."""

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence

from msgspec.structs import replace

from engine.service import ModelRest, NextStep, Standing
from pool import AccountConfig, AccountView, State
from pool.account import Record
from supervisor.policy import plan
from supervisor.reasons import UNREADABLE, why_of
from supervisor.settings import SupervisorSettings

_AT_ONCE = 50
_STEADY = 0.5
"""Seconds by which a planned time may differ between two readings and still be the same plan."""


class Standings:
    """Reckons how accounts stand, and what stands as before only once.

    settings: what the supervisor goes by. source: where an account's cookies are from. unreadable: whether its stored cookies
    cannot be read. models: the public names that an account serves.
    """

    def __init__(
        self,
        settings: SupervisorSettings,
        source: Callable[[AccountConfig], str],
        unreadable: Callable[[AccountConfig], bool],
        models: Callable[[Record], tuple[str, ...]],
    ) -> None:
        self._settings = settings
        self._source = source
        self._unreadable = unreadable
        self._models = models
        self._before: dict[str, tuple[AccountView, AccountConfig | None, Standing]] = {}

    async def of(
        self, views: Sequence[AccountView], configs: Mapping[str, AccountConfig], now: float
    ) -> tuple[Standing, ...]:
        """In the order of the views. configs: this replica's roster. now: seconds of the store's clock. Lets others go first now
        and then, since there may be many."""
        places, found = orders(views), list[Standing]()
        for number, view in enumerate(views, 1):
            id = view.record.id
            found.append(self._one(view, configs.get(id), now, places.get(id, 0)))
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        if len(self._before) > len(views):
            here = {view.record.id for view in views}
            self._before = {id: known for id, known in self._before.items() if id in here}
        return tuple(found)

    def _one(self, view: AccountView, config: AccountConfig | None, now: float, order: int) -> Standing:
        id = view.record.id
        before = self._before.get(id)
        # Where a model rests time alone changes what is told.
        if (
            before is not None
            and config is before[1]
            and view == before[0]
            and not view.record.lane_cooldowns
        ):
            standing = before[2] if before[2].order == order else replace(before[2], order=order)
        else:
            source = "" if config is None else self._source(config)
            unreadable = config is not None and self._unreadable(config)
            models, last = self._models(view.record), None if before is None else before[2]
            standing = standing_of(view, config, now, self._settings, order, source, unreadable, models, last)
        self._before[id] = (view, config, standing)
        return standing


def orders(views: Iterable[AccountView]) -> dict[str, int]:
    """The places of those that can serve: the least recently used first, and those of last resort behind all others."""
    serving = sorted(
        (view.record for view in views if view.state is State.ACTIVE),
        key=lambda record: (record.last_resort, record.use_order),
    )
    return {record.id: place for place, record in enumerate(serving, 1)}


def standing_of(
    view: AccountView,
    config: AccountConfig | None,
    now: float,
    settings: SupervisorSettings,
    order: int,
    source: str,
    unreadable: bool,
    models: tuple[str, ...],
    before: Standing | None,
) -> Standing:
    """before: the last reading's, so that a plan which is reckoned anew each time stands still."""
    record, state, reason = view.record, view.state, view.reason
    if state is State.STARTING and unreadable:
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
        cookie_source=source,
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
        models=models,
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
