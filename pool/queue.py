"""Requests that wait for an account, first come, first served."""

import asyncio
import bisect
import itertools
import math
from collections.abc import Hashable, Iterator
from contextlib import contextmanager


class Waiter:
    """A place in a line. Only the head of a line may ask the store."""

    __slots__ = ("line", "ticket", "wake")

    def __init__(self, line: "Line", ticket: int) -> None:
        self.line = line
        self.ticket = ticket
        self.wake = asyncio.Event()
        """Set when it is worth asking again, and when the waiter becomes the head."""

    @property
    def is_head(self) -> bool:
        return self.line.waiters[0] is self

    async def woken(self, seconds: float) -> None:
        """Wait for the wake, but not longer than that; forget the wake."""
        if seconds > 0 and not self.wake.is_set():
            timer = asyncio.get_running_loop().call_later(seconds, self.wake.set)
            try:
                await self.wake.wait()
            finally:
                timer.cancel()
        self.wake.clear()


class Line:
    """Those who want the same. `free_at` is the monotonic second at which the store said that an account
    returns, 0.0 where it told none."""

    __slots__ = ("free_at", "key", "waiters")

    def __init__(self, key: Hashable) -> None:
        self.key = key
        self.waiters: list[Waiter] = []
        self.free_at = 0.0


class Queue:
    """One line for every set of wishes, so that nobody waits behind someone who wants something else.

    The number of waiters is bounded over all lines.
    """

    def __init__(self, size: float = math.inf) -> None:
        self._size = size
        self._lines: dict[Hashable, Line] = {}
        self._waiting = 0
        self._tickets = itertools.count()

    def __len__(self) -> int:
        return self._waiting

    @property
    def full(self) -> bool:
        return self._waiting >= self._size

    def ticket(self) -> int:
        """A number that keeps the order of arrival, to be drawn before the first `await`."""
        return next(self._tickets)

    def line(self, key: Hashable) -> Line | None:
        """The line for these wishes, if anyone stands in it."""
        return self._lines.get(key)

    @contextmanager
    def stand(self, key: Hashable, ticket: int) -> Iterator[Waiter]:
        """Stand in line, at the place of the ticket."""
        line = self._lines.setdefault(key, Line(key))
        waiter = Waiter(line, ticket)
        bisect.insort(line.waiters, waiter, key=lambda w: w.ticket)
        self._waiting += 1
        try:
            yield waiter
        finally:
            self._waiting -= 1
            line.waiters.remove(waiter)
            if line.waiters:
                line.waiters[0].wake.set()
            else:
                del self._lines[key]

    def wake_heads(self) -> None:
        """An account may be free: every line's head asks, in the order of arrival."""
        if len(self._lines) == 1:
            for line in self._lines.values():
                line.waiters[0].wake.set()
            return
        for waiter in sorted((line.waiters[0] for line in self._lines.values()), key=lambda w: w.ticket):
            waiter.wake.set()

    def wake_all(self) -> None:
        for line in self._lines.values():
            for waiter in line.waiters:
                waiter.wake.set()


class Queues:
    """The live requests that wait in this replica, and the background ones, each of which comes after all of those.

    size: of the live queue. Whoever sends background requests bounds them.
    """

    def __init__(self, size: int) -> None:
        self.live = Queue(size)
        self.behind = Queue()

    @contextmanager
    def stand(self, key: Hashable, ticket: int, *, background: bool) -> Iterator[Waiter]:
        """Stand in line in one of the queues, at the place of its ticket."""
        try:
            with (self.behind if background else self.live).stand(key, ticket) as waiter:
                yield waiter
        finally:
            if not background and not len(self.live):
                self.behind.wake_heads()

    def wake(self) -> None:
        """An account may be free: those ask whose turn it is."""
        (self.live if len(self.live) else self.behind).wake_heads()

    def wake_all(self) -> None:
        self.live.wake_all()
        self.behind.wake_all()
