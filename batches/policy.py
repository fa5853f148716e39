"""What a failed task comes to, and how much may run. Pure."""

from typing import TypeAlias

from msgspec import Struct

from batches.settings import BatchSettings
from core.errors import (
    CallerError,
    GatewayError,
    NoAccount,
    PoolBusy,
    SessionSuspect,
    ShuttingDown,
    StoreUnavailable,
    UnknownModel,
    UpstreamError,
    UpstreamFailed,
)

LONGEST_HOLD = 2.0
SHORTEST_HOLD = 0.5
"""Seconds for which a batch is let alone for which nothing was free: it is to go on soon after something is."""
_DOUBLED = 4
"""How often the wait between tries doubles."""

UNSTORED = "The picture was made and could not be stored. The operator finds the reason in the gateway's log."
_UNEXPECTED = (
    "The gateway failed at this task through a fault of its own. The operator finds it in the gateway's log."
)


UNREACHABLE = "The gateway does not reach the upstream: the accounts' network or proxy fails."
TRIED_AGAIN = "A task failed, and waits for its next try."
_WHY = {
    "throttled": "The upstream throttles the accounts: they rest for a moment.",
    "unstable": "The accounts rest after failures of the upstream.",
    "suspect": "The accounts are being looked at after a failure.",
    "ip_blocked": "The upstream blocks the accounts' address.",
    "model_unavailable": "The accounts are not given this model at present.",
    "starting": "The accounts are being opened.",
}
"""What a batch waits for, by the reason of the refusal where its own words are too general."""


class Able(Struct, frozen=True):
    """capacity: what all accounts that can serve do at once, 0 where this replica cannot serve. demand: the most live requests
    that had an account in this replica at once, of late."""

    capacity: int = 0
    demand: int = 0


class Fail(Struct, frozen=True):
    """No repeat helps, or all are used up. Both words are for the caller."""

    code: str
    message: str


WORKER_LOST = Fail(
    "worker_lost",
    "The gateway was stopped each time while it worked on this task, and all its tries are used up. Ask for it again in a"
    " new batch.",
)
UNREADABLE = Fail(
    "prompt_unreadable",
    "The gateway cannot read this task's prompt any more: its key for what is stored was changed. Ask for it again in a new"
    " batch.",
)


class Again(Struct, frozen=True):
    """It may be well next time: try again after so many seconds; counted as a try."""

    seconds: float


class Back(Struct, frozen=True):
    """It was not the task's fault, and counts as no try. Its batch is let alone so many seconds, and shows why."""

    seconds: float
    why: str


Verdict: TypeAlias = Fail | Again | Back


def verdict(error: Exception, tries: int, failed: int, settings: BatchSettings, jitter: float) -> Verdict:
    """What a run that raised `error` comes to. tries: the counted ones, this run included. failed: accounts that it was tried
    on, and that failed though they are well. jitter: 0 to 1."""
    if isinstance(error, ShuttingDown):
        return Back(0.0, "")  # another replica may have it at once
    if isinstance(error, (StoreUnavailable, NoAccount)):
        return _back(error)
    if isinstance(error, PoolBusy):
        # Of accounts that are being probed it is not known yet whose fault it was.
        if not failed or error.reason == SessionSuspect.reason:
            return _back(error)
        # The accounts rest because of this very run.
        error = UpstreamFailed()
    elif isinstance(error, UpstreamFailed) and not failed:
        return Back(LONGEST_HOLD, UNREACHABLE)
    # A model that only some accounts offer is unknown until one of them is open.
    heals = isinstance(error, UnknownModel) or not isinstance(error, CallerError)
    if heals and tries < settings.tries:
        return Again(pause(tries, settings.backoff, jitter))
    return Fail(*_told(error))


def _back(error: GatewayError) -> Back:
    wait = LONGEST_HOLD if error.retry_after is None else error.retry_after
    reason = error.reason if isinstance(error, PoolBusy) else ""
    # Nobody is there who could try again.
    why = _WHY.get(reason) or error.message.partition(" Please try again")[0]
    return Back(min(max(wait, SHORTEST_HOLD), LONGEST_HOLD), why)


def pause(tries: int, backoff: float, jitter: float) -> float:
    """Seconds before the next try, after so many (1 or more)."""
    doubled: float = backoff * 2 ** min(tries - 1, _DOUBLED)
    return doubled * (0.8 + 0.4 * jitter)


def places(capacity: int, demand: int, settings: BatchSettings) -> int:
    """Most tasks that may run over all replicas. capacity: what all accounts that can serve do at once. demand: the most of it
    that live requests have used of late; so much is left to them, and one more. One task may always run: it finds out that
    nothing can."""
    share = min(capacity * settings.share // 100, capacity - demand - 1)
    return min(settings.concurrency, max(1, share))


def _told(error: Exception) -> tuple[str, str]:
    if isinstance(error, UpstreamError):
        error = UpstreamFailed()
    if isinstance(error, GatewayError):
        return error.code, error.message
    return GatewayError.code, _UNEXPECTED
