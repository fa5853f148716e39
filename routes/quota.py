"""How callers are told where they stand with their limits. Pure."""

import math

from access import Rate, Standing
from core.errors import RateLimited

_UNITS = ((86400, "day"), (3600, "hour"), (60, "minute"), (1, "second"))


def headers(standing: Standing) -> list[tuple[bytes, bytes]]:
    """OpenAI's headers, of the window that the standing is about."""
    return [
        (b"x-ratelimit-limit-requests", b"%d" % standing.rate.count),
        (b"x-ratelimit-remaining-requests", b"%d" % standing.remaining),
        (b"x-ratelimit-reset-requests", duration(standing.reset).encode()),
    ]


def refusal(standing: Standing, model: str) -> RateLimited:
    """What a caller is told who has reached a limit; with the wait that is the true one."""
    whole = "over all models" if standing.scope == "caller" else f"of the model '{model[:80]}'"
    return RateLimited(
        f"You have reached your limit of {in_words(standing.rate)} {whole}.", retry_after=standing.reset
    )


def in_words(rate: Rate) -> str:
    """`60 requests per hour`, `1 request per 5 seconds`."""
    size, unit = next(
        ((size, unit) for size, unit in _UNITS if rate.seconds >= size and rate.seconds % size == 0),
        (1, "second"),
    )
    times = rate.seconds / size
    period = unit if times == 1 else f"{times:g} {unit}s"
    return f"{rate.count} request{'s' if rate.count > 1 else ''} per {period}"


def duration(seconds: float) -> str:
    """Whole seconds, rounded up, as OpenAI writes them: `1s`, `6m0s`, `1h0m0s`."""
    minutes, rest = divmod(math.ceil(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours}h{minutes}m{rest}s"
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
