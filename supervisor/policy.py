"""What an account needs now, and when it needs something next. Pure; times are seconds of the store's clock."""

import math
import zlib
from typing import Literal, TypeAlias

from msgspec import Struct

from pool.account import Record, State, state_of
from supervisor.settings import SupervisorSettings

Need: TypeAlias = Literal["probe", "rotate", "nothing"]

_TRAFFIC_COUNTS = 12
"""So many intervals without a probe are the most that traffic can excuse: a guest's session answers prompts as
well, and only a probe tells it from the account's own."""
_SOON = 0.25
"""Cookies whose rotation failed are tried again after this part of the interval, then twice as late each time."""


class Plan(Struct, frozen=True):
    """When the account is probed and rotated next; None where it is not."""

    probe: float | None
    rotate: float | None


NEVER = Plan(None, None)


def plan(record: Record, now: float, settings: SupervisorSettings) -> Plan:
    """The account's next appointments. They may lie in the past: then they are due.

    The jitter follows from the account and its last appointment, so that every replica reckons the same.
    """
    state, _ = state_of(record, now)
    if state in (State.DISABLED, State.DRAINING, State.STARTING):
        return NEVER  # one that never opened is tried by every replica for itself
    if state is State.QUARANTINED:
        since = max(record.quarantined_at, record.probed_at)
        doublings = min(record.probe_failures, 30)
        wait = min(settings.reprobe_max, settings.reprobe_first * 2.0**doublings)
        return Plan(since + wait * _jitter(record.id, since, 0.9, 1.1), None)
    proved = max(record.proved_at, record.probed_at)
    probe = proved + settings.probe_interval * _jitter(record.id, proved, 0.8, 1.0)
    if record.probed_at:
        probe = min(probe, record.probed_at + _TRAFFIC_COUNTS * settings.probe_interval)
    return Plan(probe, _rotation(record, settings))


def need(record: Record, now: float, settings: SupervisorSettings) -> Need:
    """What to do with the account at once. A probe goes first: it tells whether rotating makes sense."""
    appointments = plan(record, now, settings)
    if appointments.probe is not None and appointments.probe <= now:
        return "probe"
    if appointments.rotate is not None and appointments.rotate <= now:
        return "rotate"
    return "nothing"


def _rotation(record: Record, settings: SupervisorSettings) -> float:
    due = record.cookies_at + settings.rotate_interval * _jitter(record.id, record.cookies_at, 0.8, 0.95)
    if not record.rotation_failures:
        return due
    gap = settings.rotate_interval * min(1.0, _SOON * 2.0 ** min(record.rotation_failures - 1, 30))
    return max(due, record.rotation_tried_at + gap)


def _jitter(account: str, at: float, least: float, most: float) -> float:
    """A factor between `least` and `most`, the same wherever it is asked for."""
    part = zlib.crc32(f"{account} {math.floor(at * 1000)}".encode()) / 2**32
    return least + (most - least) * part
