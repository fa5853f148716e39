"""How much in how long."""

from typing import Final

from msgspec import Struct

MOST: Final = 100_000
"""The largest count of a rate: the store keeps the time of each admission, up to 80 bytes, for the rate's length."""
LONGEST: Final = 31 * 86400.0
"""Seconds; a rate's longest time."""


class Rate(Struct, frozen=True):
    """At most `count` in any `seconds`. A count of 0 sets no bound."""

    count: int
    seconds: float


OFF: Final = Rate(0, 1.0)
"""No bound."""
