"""Why no account can serve, in one plain sentence. Pure."""

from collections import Counter
from collections.abc import Iterable, Mapping

from pool.account import State

_SAID = (
    (State.QUARANTINED, "is quarantined", "are quarantined"),
    (State.DISABLED, "is disabled", "are disabled"),
    (State.STARTING, "has not been opened yet", "have not been opened yet"),
    (State.ACTIVE, "has no open session here", "have no open session here"),
    (State.COOLING, "rests and has no open session here", "rest and have no open session here"),
)


def outage(
    states: Mapping[str, int], known: Iterable[tuple[State, str]], *, open_here: int, opening: bool
) -> str:
    """`No account can serve: 2 are quarantined (expired), 1 is disabled (by hand).`

    states: how many accounts are in each, as the store counted them last. known: each account's state and reason as this
    replica learnt them; reasons are told where the two agree. open_here: accounts with a session in this replica.
    opening: some account's first session is still being opened.
    """
    counted = {state: states.get(state, 0) for state, _, _ in _SAID}
    if opening and not any(count for state, count in counted.items() if state != State.STARTING):
        return "The accounts are being opened."
    reasons: dict[State, Counter[str]] = {}
    for state, reason in known:
        reasons.setdefault(state, Counter())[reason] += 1
    parts = []
    for state, one, several in _SAID:
        count = counted[state]
        if not count or (open_here and state in (State.ACTIVE, State.COOLING)):
            continue
        words = one if count == 1 else several
        if opening and state == State.STARTING:
            words = "is being opened" if count == 1 else "are being opened"
        parts.append(f"{count} {words}{_why(count, reasons.get(state, Counter()))}")
    return f"No account can serve: {', '.join(parts)}." if parts else "No account can serve."


def _why(count: int, reasons: Counter[str]) -> str:
    if reasons.total() != count or not all(reasons):
        return ""
    words = [(reason.replace("_", " "), number) for reason, number in sorted(reasons.items())]
    if len(words) == 1:
        return f" ({words[0][0]})"
    return f" ({', '.join(f'{number} {word}' for word, number in words)})"
