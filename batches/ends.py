"""The ends of tasks that a worker has told the store of late."""

from collections.abc import Callable

from msgspec import Struct

from batches.books import Task
from engine.service import Outcome

REMEMBERED = 5.0
"""Seconds. A store that is killed may come back without what it was told in the last two of its life."""


class End(Struct, frozen=True):
    """at: when the store took it, in seconds of a clock that never goes back."""

    at: float
    task: Task
    outcome: Outcome


class Ends:
    """monotonic: where time comes from."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self._now = monotonic
        self._ends: dict[tuple[str, int], End] = {}

    def add(self, task: Task, outcome: Outcome) -> None:
        self._forget()
        self._ends[task.batch, task.index] = End(self._now(), task, outcome)

    def of(self, task: Task) -> Outcome | None:
        """What this task has ended with, whichever claim it was."""
        end = self._ends.get((task.batch, task.index))
        return None if end is None else end.outcome

    def of_late(self) -> list[End]:
        """Oldest first."""
        self._forget()
        return list(self._ends.values())

    def _forget(self) -> None:
        since = self._now() - REMEMBERED
        while self._ends and (oldest := next(iter(self._ends.items())))[1].at < since:
            del self._ends[oldest[0]]
