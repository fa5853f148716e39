"""A second account for a picture whose original could not be had from the first.

What the web app gives instead is a scaled copy. It is kept while one further account is asked, and
handed out where that one does no better: no request fails for this.
"""

import asyncio
from collections.abc import Collection, Sequence

import structlog

from core.chat import Ask, Picture
from core.clock import Clock
from core.errors import CallerError, GatewayError, UpstreamError, UpstreamUnstable
from engine.accounting import Accounting
from engine.asking import ENOUGH, Asking
from engine.attempt import Attempt
from engine.resting import Resting

log = structlog.get_logger("gempool.engine")

REST = 300.0
"""Seconds for which an account is avoided for pictures after another has done better, and for which copies are taken
as they come after none did."""


class NoFullSize(UpstreamUnstable):
    """A picture came as a copy instead of what the model made. No failure of the account; text is not touched by it."""

    reason = "no_full_size"

    def __init__(self, size: int, wanted: int) -> None:
        super().__init__(f"a picture came as a copy of {size} pixels, {wanted} were asked for", kind="page")


class Originals:
    """Remembers which accounts give copies, and whether it is of any use to ask a second one."""

    def __init__(self, asking: Asking, accounting: Accounting, clock: Clock) -> None:
        self._asking = asking
        self._accounting = accounting
        self._now = clock.monotonic
        self._resting = Resting(clock)
        self._copies_until = 0.0
        self._copies_of = 0
        self._copiers: set[tuple[str, str]] = set()

    def avoided(self, lanes: Collection[str]) -> frozenset[str]:
        """Accounts that lately gave copies where others gave originals."""
        return self._resting.accounts(lanes)

    async def best(
        self, kept: Attempt, lanes: Sequence[str], exclude: frozenset[str], deadline: float
    ) -> Attempt:
        """The attempt whose pictures are handed out: `kept`, or that of a further account. `kept` hands its account
        back before another is asked; the other one still has its account. Raises nothing of its own.

        exclude: accounts that are not to be asked, besides the one that was.
        """
        short = _falls_short(kept)
        if short is None:
            self._seen(kept)
            return kept
        if self._now() < self._copies_until:
            self._copiers.add((kept.lease.account, kept.lease.lane))
            return kept
        if self._now() > deadline - ENOUGH:
            return kept
        ask, first = kept.ask, kept.lease
        self._accounting.settle(kept, None)
        exclude |= self.avoided(lanes) | {first.account}
        patience = self._asking.patience(ask, deadline)
        try:
            lease = await self._asking.lease(ask, lanes, exclude, deadline, patience)
        except GatewayError as error:
            self._taken(ask, first.account, error.code)
            return kept
        self._accounting.failover(ask, first.account, short)
        further = self._asking.attempt(ask, kept.flat, lease, deadline)
        if (failed := await self._run(further, deadline)) is not None:
            self._taken(
                ask, first.account, failed.reason if isinstance(failed, UpstreamError) else failed.code
            )
            return kept
        better = _rank(further.pictures) > _rank(kept.pictures)
        if better and not _copies(further):
            self._resting.rest(first.account, first.lane, REST, NoFullSize.reason)
            log.warning(
                "an account gives no pictures in full size and is avoided",
                account=first.account,
                instead=lease.account,
                seconds=REST,
            )
            return further
        self._copies_until = self._now() + REST
        self._copies_of = max(_rank(kept.pictures)[0], _rank(further.pictures)[0])
        self._copiers = {(a.lease.account, a.lease.lane) for a in (kept, further) if _copies(a)}
        log.warning(
            "a second account gives no larger pictures; copies are taken",
            accounts=[first.account, lease.account],
            seconds=REST,
        )
        if better:
            return further
        self._accounting.settle(further, None)
        return kept

    def _seen(self, attempt: Attempt) -> None:
        """An original that is no smaller than the copies were shows that the web app is well: those who gave them are
        avoided after all."""
        if not self._copiers or _copies(attempt) or _rank(attempt.pictures)[0] < self._copies_of:
            return
        if self._now() < self._copies_until:
            self._copiers.discard((attempt.lease.account, attempt.lease.lane))
            for account, lane in self._copiers:
                self._resting.rest(account, lane, REST, NoFullSize.reason)
            log.warning(
                "accounts give no pictures in full size and are avoided",
                accounts=sorted(account for account, _ in self._copiers),
                instead=attempt.lease.account,
                seconds=REST,
            )
        self._copies_until = 0.0
        self._copiers.clear()

    async def _run(self, attempt: Attempt, deadline: float) -> GatewayError | None:
        """To its end; what went wrong is returned once the account has been handed back with it."""
        events = attempt.run()
        self._asking.begun(attempt)
        whole = False
        try:
            async for _ in events:
                pass  # a picture's answer is held back
            self._accounting.downloaded(attempt.pictures)
            whole = True
        except UpstreamError as error:
            if self._asking.cut_short(error, attempt, deadline):
                self._accounting.settle(attempt, None, cancelled=True)
            else:
                await asyncio.shield(self._accounting.settle(attempt, error))
            return error
        except CallerError as error:
            self._accounting.settle(attempt, error)
            return error
        except GatewayError as error:  # a stop of the gateway
            return error
        finally:
            self._asking.ended(attempt)
            await events.aclose()
            if not whole and not attempt.settled:
                self._accounting.settle(attempt, None, cancelled=True)
        return None

    def _taken(self, ask: Ask, account: str, why: str) -> None:
        log.info("a picture's copy is handed out", request_id=ask.request_id, account=account, why=why)


def _falls_short(attempt: Attempt) -> NoFullSize | None:
    """Why another account might do better, None where the pictures are what was asked for."""
    wish, copies = attempt.ask.picture, _copies(attempt)
    # Large enough or not: a copy is scaled and coded with loss, and the logo is not found in it for sure.
    if wish is None or not copies:
        return None
    return NoFullSize(min(copies), wish.pixels)


def _copies(attempt: Attempt) -> list[int]:
    """Their long sides."""
    return [max(p.width, p.height) for p in attempt.pictures if p.preview]


def _rank(pictures: Sequence[Picture]) -> tuple[int, bool]:
    """The larger is the better; of the same size the original is."""
    return (
        min((max(p.width, p.height) for p in pictures), default=0),
        not any(p.preview for p in pictures),
    )
