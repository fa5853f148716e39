"""What an operator may set about the care for the accounts."""

from msgspec import Struct


class SupervisorSettings(Struct, frozen=True):
    """Durations are in seconds.

    probe_interval: an account that nobody proved well for so long is probed.
    rotate_interval: the age that cookies do not reach; they are rotated before.
    reprobe_first, reprobe_max: how soon an account in quarantine is probed again; the wait doubles.
    lease_ttl: a leader that gives no sign of life for so long is replaced.
    probe_timeout: bound for one call to the upstream.
    parallel: how many accounts are cared for side by side.
    """

    probe_interval: float = 300.0
    rotate_interval: float = 600.0
    reprobe_first: float = 30.0
    reprobe_max: float = 1800.0
    lease_ttl: float = 15.0
    probe_timeout: float = 10.0
    parallel: int = 8
