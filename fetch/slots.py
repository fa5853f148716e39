"""Shares of what there is only so much of, such that one caller's slow fetches do not hold up another's."""

import asyncio
from collections.abc import AsyncIterator, Collection
from contextlib import AsyncExitStack, asynccontextmanager


class _Share:
    """One caller's. users: those who have a slot or wait for one."""

    def __init__(self, slots: int) -> None:
        self.slots = asyncio.Semaphore(slots)
        self.users = 0


class Slots:
    """At most `total` at once, and at most `each` of them for one caller. Whoever is beyond that waits in line."""

    def __init__(self, total: int, each: int) -> None:
        self._all = asyncio.Semaphore(total)
        self._each = each
        self._shares: dict[str, _Share] = {}

    @property
    def callers(self) -> Collection[str]:
        """Those who have a slot or wait for one."""
        return self._shares.keys()

    @asynccontextmanager
    async def taken(self, caller: str) -> AsyncIterator[None]:
        """One slot, for as long as the block lasts."""
        share = self._shares.setdefault(caller, _Share(self._each))
        share.users += 1
        try:
            # The own share first: who waits for it takes nothing from others.
            async with share.slots, self._all:
                yield
        finally:
            share.users -= 1
            if not share.users:
                del self._shares[caller]


class Room:
    """What one fetch may hold in memory: `small` bytes freely, and any more once it has one of the `large` slots.

    held: gives the slot back in the end. bound: the fetch's time, which stands still while it waits for a slot.
    """

    def __init__(
        self, large: Slots, caller: str, small: int, held: AsyncExitStack, bound: asyncio.Timeout
    ) -> None:
        self._large = large
        self._caller = caller
        self._free = small
        self._held = held
        self._bound = bound

    async def needed(self, size: int) -> None:
        """Returns once that many bytes may be held."""
        if size <= self._free:
            return
        now = asyncio.get_running_loop().time
        end = self._bound.when()
        left = None if end is None else end - now()
        self._bound.reschedule(None)
        await self._held.enter_async_context(self._large.taken(self._caller))
        self._free = 1 << 62
        self._bound.reschedule(None if left is None else now() + left)
