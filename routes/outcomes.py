"""How the requests for answers ended since the start."""

from msgspec import Struct


class Outcomes(Struct):
    """completed: answered in whole. failed: refused or broken off. Callers who left count in neither."""

    completed: int = 0
    failed: int = 0

    def count(self, outcome: str) -> None:
        """Count one request that ended with `outcome`: `ok`, `cancelled`, or an error's code."""
        if outcome == "ok":
            self.completed += 1
        elif outcome != "cancelled":
            self.failed += 1
