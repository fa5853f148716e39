"""A number that keeps a JSON Schema. Pure; numbers of any size are reckoned with exactly."""

import math
import sys
from collections.abc import Mapping
from fractions import Fraction
from typing import Any, TypeGuard

LARGEST = int(sys.float_info.max)
"""Farther from zero no bound is taken."""


def number(schema: Mapping[str, Any], said: int | float | None, *, whole: bool) -> int | float | None:
    """said: the number that is best. None where none was found."""
    low, high = _exact(schema.get("minimum")), _exact(schema.get("maximum"))
    step = _exact(schema.get("multipleOf"))
    step = step if step is not None and step > 0 else None
    if whole:
        step = Fraction(step.numerator) if step else Fraction(1)
    gap = step or Fraction(1, 2)
    if (above := _exact(schema.get("exclusiveMinimum"))) is not None:
        low = max(low, above + gap) if low is not None else above + gap
    if (below := _exact(schema.get("exclusiveMaximum"))) is not None:
        high = min(high, below - gap) if high is not None else below - gap
    between = (low + high) / 2 if low is not None and high is not None else None
    for wanted in (_exact(said), Fraction(1), low, high, Fraction(0), between):
        if wanted is None:
            continue
        value = math.ceil(wanted / step) * step if step else wanted
        if (low is None or low <= value) and (high is None or value <= high):
            return int(value) if value.denominator == 1 else float(value)
    return None


def is_number(value: object) -> TypeGuard[int | float]:
    """Whether it is one that can be compared."""
    return isinstance(value, int | float) and not isinstance(value, bool) and value == value


def _exact(value: object) -> Fraction | None:
    """As it is written in decimals, within bounds; None for none."""
    if not is_number(value) or (isinstance(value, float) and not math.isfinite(value)):
        return None
    exact = Fraction(repr(value)) if isinstance(value, float) else Fraction(value)
    return max(min(exact, Fraction(LARGEST)), Fraction(-LARGEST))
