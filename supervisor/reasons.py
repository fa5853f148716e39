"""Why an account is in its state, in a sentence, and what to do where a person must: the one table of them.

Whoever translates the sentences goes by the same keys: state and reason. What has no sentence is well.
"""

from collections.abc import Mapping

LAST_RESORT = "last_resort"
"""Stands for a reason where an active account fails but is asked when nothing else is left."""
UNREADABLE = "cookies_unreadable"

WHY: Mapping[tuple[str, str], str] = {
    ("starting", ""): (
        "Its session is not open yet. Where this lasts, look at its proxy and at what the log says of it."
    ),
    ("starting", UNREADABLE): (
        "Its stored cookies cannot be read. Start the gateway with the GEMPOOL_STATE_KEY that they were written with, or"
        " export the account's cookies again and paste them here."
    ),
    ("active", LAST_RESORT): (
        "It keeps failing, and too many others are out: it is asked only when nothing else is left."
    ),
    (
        "cooling",
        "throttled",
    ): "Google said that it asks too much. It rests for a moment and returns by itself.",
    ("cooling", "ip_blocked"): (
        "Google has blocked the address that it goes out by, so every account behind it rests. Give it another proxy, or"
        " ask less."
    ),
    (
        "cooling",
        "unstable",
    ): "It failed several times in a row. It rests and returns by itself, or once a probe is well.",
    (
        "cooling",
        "suspect",
    ): "Google refused a request of it. A probe finds out whether its session still stands.",
    ("quarantined", "expired"): (
        "Google has ended its session. Export the account's cookies again and paste them here."
    ),
    ("quarantined", "rejected"): (
        "Google refuses the account. Sign in to gemini.google.com with it, do what the page asks, and paste its cookies here."
    ),
    ("quarantined", "untrusted"): (
        "Google does not trust the account's sign-in. Sign in to gemini.google.com with it from the same address as the"
        " gateway, and paste its cookies here."
    ),
    ("quarantined", "terms_pending"): (
        "Google wants its terms accepted. Sign in to gemini.google.com with the account and accept them; then probe it."
    ),
    ("quarantined", "guardian"): (
        "A guardian must allow Gemini for the account. Use an account of an adult, or have it allowed; then probe it."
    ),
    ("quarantined", "location"): (
        "Gemini is not offered where the account's requests come from. Give it a proxy in a country that has it."
    ),
    ("quarantined", "unavailable"): (
        "Gemini is not available to the account. Sign in to gemini.google.com with it to see why; then probe it."
    ),
    ("quarantined", "by hand"): "Somebody has put it into quarantine. Probe it to let it serve again.",
    ("disabled", "by hand"): "Somebody has disabled it. Enable it to let it serve again.",
    ("disabled", "by configuration"): (
        "The accounts file says enabled: false. Change it there to let the account serve again."
    ),
    (
        "draining",
        "removed",
    ): "It was removed from the accounts file. What it is asked now ends, then it is gone.",
}
"""By state and reason."""

_OTHERWISE: Mapping[str, str] = {
    "quarantined": "It cannot serve: {reason}. Sign in to gemini.google.com with it to see why; then probe it.",
    "cooling": "It rests for now ({reason}) and returns by itself.",
}


def why_of(state: str, reason: str, *, last_resort: bool = False) -> str:
    """The sentence; '' where all is well."""
    if state == "active":
        return WHY["active", LAST_RESORT] if last_resort else ""
    found = WHY.get((state, reason))
    return found if found is not None else _OTHERWISE.get(state, "").format(reason=reason)
