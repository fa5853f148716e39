"""What a caller is told who must wait: why, and until when. Pure."""

from datetime import UTC, datetime, timedelta

from core.errors import FAR, PoolBusy, UsageLimitReached, UsedUp

_WHY = {
    "throttled": "The upstream throttles every account",
    "ip_blocked": "The upstream blocks the accounts' address",
    "model_unavailable": "No account is given '{model}' at present",
}


def busy(error: PoolBusy, model: str, reason: str, now: float) -> PoolBusy:
    """The error in words that fit its wait: a used-up model, or a wait that is longer than anybody is busy.

    reason: what the first account to return waits for. now: wall clock seconds.
    """
    wait = error.retry_after or 0.0
    until = _minute(now + wait)
    if reason == UsageLimitReached.reason:
        message = (
            f"The usage limit of '{model[:80]}' is reached on every account. The first resets at {until}."
        )
        return UsedUp(message, retry_after=error.retry_after, reason=reason)
    if wait <= FAR:
        return error
    why = _WHY.get(reason, "Every account rests after failures").format(model=model[:80])
    return PoolBusy(f"{why}. The first returns at {until}.", retry_after=wait, reason=reason)


def _minute(at: float) -> str:
    """The wall clock time `at` to the minute, rounded up, so that it is never too early."""
    exact = datetime.fromtimestamp(at, UTC)
    rounded = exact.replace(second=0, microsecond=0) + timedelta(
        minutes=bool(exact.second or exact.microsecond)
    )
    return f"{rounded:%H:%M UTC on %Y-%m-%d}"
