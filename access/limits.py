"""What each caller may ask in a time: sliding windows, exact over all replicas."""

import itertools
import secrets
import time
from pathlib import Path
from typing import Literal, TypeAlias

import structlog
from msgspec import Struct

from access.keys import Caller
from access.rates import Rate
from core.metrics import Metrics
from core.wire import Address, Script, ServerError, Wire, WireError, unavailable

log = structlog.get_logger("gempool.access")

Scope: TypeAlias = Literal["caller", "caller_and_model"]

_LUA = Path(__file__).parent / "lua"
CLOCK = (_LUA / "clock.lua").read_text()
"""Lua that sets NOW to the store's time in microseconds."""


class Standing(Struct, frozen=True, gc=False):
    """How a caller stands in the window that matters to them: the one over all models, or where the request is
    refused the one that refuses for longest.

    remaining: requests that are left. reset: seconds until one more is given back, and so, where the request is
    refused, until it would be admitted.
    """

    admitted: bool
    scope: Scope
    rate: Rate
    remaining: int
    reset: float


class Limits:
    """The callers' windows, in the store. A caller's own rates go before these; `OFF` sets no bound.

    url: `redis://`, `rediss://` or `unix://`. timeout: seconds, for connecting and for each answer. clock: Lua that
    sets NOW.
    """

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        per_caller: Rate,
        per_caller_and_model: Rate,
        *,
        prefix: str = "{gempool}:limits:",
        timeout: float = 2.0,
        clock: str = CLOCK,
    ) -> None:
        self._wire = Wire(Address(url), timeout)
        self._metrics = metrics
        self._per_caller = per_caller
        self._per_caller_and_model = per_caller_and_model
        self._prefix = prefix
        self._script = Script("admit", f"{clock}\n{(_LUA / 'admit.lua').read_text()}")
        # Ids of our own: what a caller sends as its request's id may be the same each time.
        self._origin = secrets.token_urlsafe(6)
        self._numbers = itertools.count()
        self._timeout = timeout
        self._seen: tuple[float, int] | None = None
        """The store's time in microseconds when it last told it, and our own in seconds then."""

    async def admit(self, caller: Caller, model: str) -> Standing | None:
        """Count a request where all windows have room, in one step for all replicas. None where nothing limits the
        caller. Raises `core.errors.StoreUnavailable`.

        model: the name that the request is counted under, of a set that is bounded; case makes no difference.
        """
        windows = self._windows(caller, model)
        if not windows:
            return None
        id = f"{self._origin}{next(self._numbers):x}"
        arguments: list[int] = []
        for _, rate, _ in windows:
            arguments += (rate.count, round(rate.seconds * 1_000_000))
        started = time.perf_counter()
        try:
            admitted, *numbers = await self._counted([key for _, _, key in windows], id, arguments)
        except (WireError, ServerError) as error:
            self._metrics.store_errors.labels(self._script.name).inc()
            log.warning("a limit was not checked", error=type(error).__name__, detail=str(error))
            raise unavailable() from error
        self._metrics.store_seconds.labels(self._script.name).observe(time.perf_counter() - started)
        standings = [
            Standing(bool(admitted), scope, rate, max(0, rate.count - used), reset / 1_000_000)
            for (scope, rate, _), used, reset in zip(windows, numbers[::2], numbers[1::2], strict=True)
        ]
        if admitted:
            return standings[0]
        worst = max((s for s in standings if not s.remaining), key=lambda standing: standing.reset)
        self._metrics.rate_limited.labels(worst.scope).inc()
        return worst

    async def _counted(self, keys: list[str], id: str, arguments: list[int]) -> list[int]:
        """What the script says. What the store reads later than `timeout` after it was asked it does not count: the
        caller may have been told by then that the store does not answer."""
        # A command is sent once more where its connection is lost.
        deadline = time.monotonic() + 2 * self._timeout
        while True:
            until = 0
            if self._seen is not None:
                then, store_time = self._seen
                until = store_time + round((time.monotonic() - then + self._timeout) * 1_000_000)
            admitted, now, *numbers = await self._script.run(self._wire, keys, id, until, *arguments)
            self._seen = time.monotonic(), now
            if admitted >= 0:
                return [admitted, *numbers]
            # The store stood still, or its clock was set. Its time is known now.
            if time.monotonic() > deadline:
                raise WireError("the store answered too late")

    async def close(self) -> None:
        await self._wire.close()

    def _windows(self, caller: Caller, model: str) -> list[tuple[Scope, Rate, str]]:
        """Each window's scope, rate and key; the one over all models first."""
        if caller.role == "admin":
            return []
        key = self._prefix + caller.counted_as
        windows: list[tuple[Scope, Rate, str]] = [
            ("caller", caller.per_caller or self._per_caller, key),
            # No caller's name has a bar in it.
            (
                "caller_and_model",
                caller.per_caller_and_model or self._per_caller_and_model,
                f"{key}|{model.lower()}",
            ),
        ]
        return [window for window in windows if window[1].count]
