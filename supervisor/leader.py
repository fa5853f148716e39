"""Which replica looks after the accounts: one at a time, by a lease in the store."""

from collections.abc import Callable, Iterable
from contextlib import suppress

import structlog

from core.clock import Clock
from core.errors import StoreUnavailable
from pool import Shared

log = structlog.get_logger("gempool.supervisor")


class Leader:
    """Runs for the lease `name` as `holder`.

    ttl: seconds that the lease lives without a sign of life; renewed after a third of it.
    changed: called with True when this replica begins to lead, with False when it ends.
    """

    def __init__(
        self,
        shared: Shared,
        name: str,
        holder: str,
        ttl: float,
        clock: Clock,
        changed: Callable[[bool], None],
    ) -> None:
        self._shared = shared
        self._name = name
        self._holder = holder
        self._ttl = ttl
        self._clock = clock
        self._changed = changed
        self._until = 0.0
        self._leading = False

    @property
    def is_leader(self) -> bool:
        """False as soon as the lease may have run out, also where the store cannot be asked: a process that was
        stopped for a while must not act on what it was before."""
        return self._leading and self._clock.monotonic() < self._until

    async def run(self, predecessors: Iterable[str] = ()) -> None:
        """Take or renew the lease until cancelled. predecessors: holders that are known to be dead."""
        with suppress(StoreUnavailable):
            for holder in predecessors:
                await self._shared.resign(self._name, holder)
        while True:
            await self.step()
            await self._clock.sleep(self._ttl / 3)

    async def step(self) -> None:
        """Ask for the lease once."""
        asked = self._clock.monotonic()
        try:
            if await self._shared.lead(self._name, self._holder, self._ttl):
                self._until = asked + self._ttl
                self._set(True)
            else:
                self._set(False)
        except StoreUnavailable:
            if asked >= self._until:
                self._set(False)

    async def resign(self) -> None:
        """Let another replica lead at once. Raises StoreUnavailable."""
        if self._leading:
            self._set(False)
            await self._shared.resign(self._name, self._holder)

    def _set(self, leading: bool) -> None:
        if leading != self._leading:
            self._leading = leading
            log.info("leads" if leading else "leads no more", lease=self._name)
            self._changed(leading)
