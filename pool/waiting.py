"""How a request comes to its account: at once, after a wait in line, or not at all, and what it is told then."""

import math
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeAlias, TypeVar

from core.clock import Clock
from core.errors import DeadlineExceeded, NoAccount, PoolBusy, ShuttingDown
from core.metrics import Metrics
from pool.members import Members
from pool.queue import Queues
from pool.settings import PoolSettings
from pool.store import Refused

_POLL = 2.0
"""Seconds after which a waiting head asks again though nobody woke it: the net under a lost wake."""
_BUSY = "All accounts are busy."
_BEHIND = {
    "live": "Live requests wait for accounts and come first.",
    "kept": "The accounts that are free are kept for live requests.",
}
"""Why a background request waits, by the reasons that no live one meets."""


class Wish(NamedTuple):
    """What a request wants of an account; those with the same wish wait in one line."""

    lanes: tuple[str, ...]
    exclude: frozenset[str]
    only: str = ""
    background: bool = False


class AllTried(PoolBusy):
    """Only accounts that the caller left out could serve; `retry_after` says when the first is free again."""


class NotWell(PoolBusy):
    """The one account that was wanted cannot serve now, and it is not just busy."""


Granted = TypeVar("Granted")
Asked: TypeAlias = Callable[[Wish, int, bool], Awaitable[Granted | Refused]]
"""Asks the store once: the wish, `soft` and `be_woken` as `Store.pick` knows them."""


class Waiting:
    """The turns of one replica's requests.

    capacity: the pool's, as the store told last. It is what an expected wait is reckoned from.
    """

    def __init__(
        self, queues: Queues, members: Members, settings: PoolSettings, metrics: Metrics, clock: Clock
    ) -> None:
        self._queues = queues
        self._members = members
        self._settings = settings
        self._metrics = metrics
        self._now = clock.monotonic
        self._hold_seconds = 1.0
        self._closing = False
        self.capacity = 0

    def held(self, seconds: float) -> None:
        """A lease has ended after so long."""
        self._hold_seconds += (seconds - self._hold_seconds) * 0.1

    def refuse(self) -> None:
        """From now on nobody gets a turn; who waits for one is told that we are shutting down."""
        self._closing = True
        self._queues.wake_all()

    async def turn(self, wish: Wish, ask: Asked[Granted], deadline: float, patience: float | None) -> Granted:
        """What `ask` grants when it is the wish's turn. Raises what `Leasing.lease` raises."""
        self._unless_closing()
        queue = self._queues.behind if wish.background else self._queues.live
        ticket = queue.ticket()
        line = queue.line(wish)
        if line is None and deadline <= self._now():
            raise _too_late()
        if wish.background:
            return await self._wait(wish, ask, ticket, deadline, patience)
        refused: Refused | None = None
        if line is None:
            answer = await ask(wish, 1, False)
            if not isinstance(answer, Refused):
                return answer
            refused = answer
            self._refuse(refused, wish)
        if queue.full:
            free_at = line.free_at if line is not None else 0.0
            seconds = max(0.0, free_at - self._now()) if free_at else None
            raise self._busy(refused.seconds if refused is not None else seconds, refused)
        started = self._now()
        self._metrics.queue_depth.inc()
        try:
            return await self._wait(wish, ask, ticket, deadline, patience)
        finally:
            self._metrics.queue_depth.dec()
            self._metrics.queue_wait_seconds.observe(self._now() - started)

    async def _wait(
        self, wish: Wish, ask: Asked[Granted], ticket: int, deadline: float, patience: float | None
    ) -> Granted:
        now = self._now
        bound = min(deadline, now() + (self._settings.queue_timeout if patience is None else patience))
        with self._queues.stand(wish, ticket, background=wish.background) as waiter:
            refused: Refused | None = None
            while True:
                left = bound - now()
                self._unless_closing()
                if waiter.is_head and not self._stands_back(wish):
                    waiter.wake.clear()
                    # Nothing else is left within the bound: then a cooling account is better than none.
                    last_try = left <= 0 or _hopeless(refused, left)
                    answer = await ask(wish, 2 if last_try else 1, True)
                    if not isinstance(answer, Refused):
                        return answer
                    refused = answer
                    waiter.line.free_at = now() + refused.seconds if refused.seconds else 0.0
                    self._refuse(refused, wish)
                    left = bound - now()
                    if _hopeless(refused, left):
                        if not last_try and not wish.background:
                            continue
                        left = 0.0
                if left <= 0:
                    if bound == deadline and now() >= deadline:
                        raise _too_late()
                    if self._stands_back(wish):
                        refused = Refused("busy", None, "live")
                    raise self._busy(refused.seconds if refused is not None else None, refused)
                wait = left
                if waiter.is_head:
                    told = refused.seconds if refused is not None and refused.seconds is not None else _POLL
                    wait = min(left, told, _POLL)
                await waiter.woken(wait)

    def _stands_back(self, wish: Wish) -> bool:
        """A live request of this replica waits, so that the store need not be asked."""
        return wish.background and len(self._queues.live) > 0

    def _unless_closing(self) -> None:
        if self._closing:
            raise ShuttingDown("The gateway is shutting down. Please try again.", retry_after=1.0)

    def _refuse(self, refused: Refused, wish: Wish) -> None:
        """Raise where waiting makes no sense."""
        if wish.only and refused.verdict in ("none", "tried"):
            raise NotWell("The conversation's account cannot go on now. Please try again.")
        if refused.verdict == "tried":
            raise AllTried(
                "No further account can take this request now. Please try again.",
                retry_after=refused.seconds if refused.seconds is not None else self._expected_wait(),
            )
        if refused.verdict == "none":
            raise self._no_account()

    def _no_account(self) -> NoAccount:
        wait = self._members.next_try()
        seconds = max(1, math.ceil(self._settings.reprobe_first if wait is None else wait))
        if not len(self._members):
            message = "No account is configured. Add accounts to the accounts file."
        else:
            message = f"No account can serve this model now. Please try again in {seconds} seconds."
        return NoAccount(message, retry_after=float(seconds))

    def _busy(self, seconds: float | None, refused: Refused | None) -> PoolBusy:
        wait = max(1, math.ceil(self._expected_wait() if seconds is None else seconds))
        reason = refused.reason if refused is not None else ""
        return PoolBusy(
            f"{_BEHIND.get(reason, _BUSY)} Please try again in {wait} seconds.",
            retry_after=float(wait),
            reason=reason if seconds is not None else "",
        )

    def _expected_wait(self) -> float:
        """Seconds until a newcomer's turn, from how long leases were held lately: nobody knows how long the
        running ones still take."""
        return min(120.0, self._hold_seconds * (len(self._queues.live) + 1) / max(1, self.capacity))


def _hopeless(refused: Refused | None, left: float) -> bool:
    """Sure to be refused until the bound: nothing is just busy, and the first cooldown ends too late."""
    return (
        refused is not None
        and refused.verdict == "wait"
        and refused.seconds is not None
        and refused.seconds > left
    )


def _too_late() -> DeadlineExceeded:
    return DeadlineExceeded("No account was free before the request's deadline. Please try again.")
