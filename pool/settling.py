"""This replica's books of leases, and how they are kept in step with the store's, whatever gets lost between."""

import uuid
from collections.abc import Callable

from core.errors import StoreUnavailable
from core.tasks import Tasks
from pool.account import NO_EFFECT, Effect
from pool.store import Store


class Settling:
    """Names the leases of one replica and ends each of them exactly once.

    ended: called with the account ('' where it is not known) and the effect after each end.
    """

    def __init__(
        self, replica: str, store: Store, tasks: Tasks, ended: Callable[[str, Effect], None]
    ) -> None:
        self._replica = replica
        self._store = store
        self._tasks = tasks
        self._ended = ended
        self._boot = uuid.uuid4().hex[:6]
        self._number = 0
        self._asked: set[str] = set()
        """Leases that are asked for or held here."""
        self._held: dict[str, tuple[str, str]] = {}
        """Leases that are held here, with account and lane."""
        self._unsettled: dict[str, tuple[str, Effect]] = {}
        """Leases whose end the store has not confirmed, with account and effect."""
        self._ownerless: set[str] = set()
        """Leases that the store held for us at the last look though nobody here has them."""
        self.closing = False
        """The replica is about to hand all leases back at once: nothing is ended in the background any more."""

    def ask(self) -> str:
        """The name of a lease that is about to be asked for."""
        self._number += 1
        lease = f"{self._boot}-{self._number:x}"
        self._asked.add(lease)
        return lease

    def refused(self, lease: str) -> None:
        """The store has not granted it."""
        self._asked.discard(lease)

    def unanswered(self, lease: str) -> None:
        """Nobody knows whether the store has granted it: it is given back once the store can be asked."""
        self._asked.discard(lease)
        self._unsettled[lease] = ("", NO_EFFECT)

    def granted(self, lease: str, account: str, lane: str) -> None:
        self._held[lease] = (account, lane)

    async def end(self, lease: str, account: str, effect: Effect) -> None:
        """Give the lease back with its effect; later, where the store is away. Goes on in the background where
        it is cancelled."""
        self._asked.discard(lease)
        self._held.pop(lease, None)
        try:
            await self._store.release(self._replica, lease, effect)
        except StoreUnavailable:
            self._unsettled[lease] = (account, effect)
        except BaseException:
            # Released twice is released once: the store knows the lease no more.
            self.end_soon(lease, account, effect)
            raise
        self._ended(account, effect)

    def end_soon(self, lease: str, account: str, effect: Effect) -> None:
        if not self.closing:
            self._tasks.spawn(self.end(lease, account, effect), "settle")

    async def reconcile(self) -> None:
        """Finish what an absent store missed, give back leases that a slow one granted after we had stopped
        waiting for its answer, and count those again that it took for a dead replica's, or has lost with its
        data. Raises StoreUnavailable."""
        unsettled, self._unsettled = self._unsettled, {}
        for lease, (account, effect) in unsettled.items():
            await self.end(lease, account, effect)
        stored = await self._store.leases(self._replica)
        for lease in [lease for lease in self._held if lease not in stored]:
            if (held := self._held.get(lease)) is not None:
                await self._store.reclaim(self._replica, lease, *held)
        ownerless = stored - self._asked
        for lease in ownerless & self._ownerless:
            await self.end(lease, "", NO_EFFECT)
        self._ownerless = ownerless
