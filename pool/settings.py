"""What an operator may set about the pool."""

from msgspec import Struct

from pool.account import Policy


class PoolSettings(Struct, frozen=True):
    """Durations are in seconds.

    queue_size: how many requests may wait for an account in this replica.
    queue_timeout: how long one waits at most.
    lease_ttl: a replica that gives no sign of life for so long loses its leases.
    requests_per_minute: at most so many generations an account, in any 60 s; 0 for no limit.
    open_timeout, probe_timeout: bounds for opening a session and for one probe.
    open_parallel: how many sessions are opened side by side; open_per_address: how many of them over one way out.
    reprobe_first, reprobe_max: how soon an account without a session is tried again; the wait doubles.
    suspect_retry: the same for a probe that decided nothing, at first.
    """

    queue_size: int = 256
    queue_timeout: float = 30.0
    lease_ttl: float = 15.0
    requests_per_minute: int = 0
    open_timeout: float = 30.0
    probe_timeout: float = 10.0
    open_parallel: int = 64
    open_per_address: int = 8
    reprobe_first: float = 30.0
    reprobe_max: float = 1800.0
    suspect_retry: float = 5.0
    policy: Policy = Policy()
