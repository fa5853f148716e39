"""Sign-outs from the page, told to all replicas: the store keeps each until its session could not be good any more."""

import asyncio
from collections.abc import Mapping
from contextlib import aclosing, suppress

import structlog

from access.sessions import Ended
from core.clock import Clock
from core.tasks import Tasks
from core.wire import Address, ServerError, Wire, WireError

log = structlog.get_logger("gempool.access")

LOOK = 30.0
"""Seconds after which a replica reads what was signed out, should a message have been lost."""
RETRY = 1.0


class SignOuts:
    """Keeps `ended` the same in all replicas of a store.

    url: `redis://`, `rediss://` or `unix://`. timeout: seconds, for connecting and for each answer. look, retry: seconds. While the
    store is away, each replica goes by what it knows, and what it was told itself is handed on as soon as the store is back.
    """

    def __init__(
        self,
        ended: Ended,
        url: str,
        clock: Clock,
        *,
        prefix: str = "{gempool}:sessions:",
        timeout: float = 2.0,
        look: float = LOOK,
        retry: float = RETRY,
    ) -> None:
        self._ended = ended
        self._wire = Wire(Address(url), timeout)
        self._clock = clock
        self._key = f"{prefix}ended"
        self._look = look
        self._retry = retry
        self._tasks = Tasks("sessions")
        self._untold: dict[str, float] = {}
        self._telling: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Read what was signed out, where the store answers in time, and follow it from now on."""
        with suppress(WireError, ServerError):
            await self._read()
        self._tasks.spawn(self._listen(), "listen")
        self._tasks.spawn(self._keep_looking(), "look")

    async def close(self) -> None:
        await self._tasks.close()
        await self._wire.close()

    async def tell(self, ended: Mapping[str, float]) -> bool:
        """Tell all replicas of sessions: their ids, and until when to remember them in wall clock seconds. False where the
        store does not answer: then it is tried again until it does, as long as this process lives."""
        self._untold.update(ended)
        # A task of our own: whoever signs out may be gone before the store has answered.
        return await asyncio.shield(self._tasks.spawn(self._try_to_tell(), "tell"))

    async def _try_to_tell(self) -> bool:
        try:
            await self._hand_on()
        except (WireError, ServerError) as error:
            log.warning("a sign-out could not be told", error=type(error).__name__, detail=str(error))
            if self._telling is None or self._telling.done():
                self._telling = self._tasks.spawn(self._keep_telling(), "keep telling")
            return False
        return True

    async def _keep_telling(self) -> None:
        while self._untold:
            await self._clock.sleep(self._retry)
            with suppress(WireError, ServerError):
                await self._hand_on()
        log.info("sign-outs were told after all")

    async def _hand_on(self) -> None:
        now = self._clock.now()
        untold = dict(self._untold)
        for id, until in untold.items():
            await self._wire.call("ZADD", self._key, "GT", until, id)
        await self._wire.call("ZREMRANGEBYSCORE", self._key, "-inf", now)
        if last := await self._wire.call("ZRANGE", self._key, -1, -1, "WITHSCORES"):
            await self._wire.call("PEXPIREAT", self._key, int(float(last[1]) * 1000))
        await self._wire.publish(self._key, "more")
        for id in untold:
            self._untold.pop(id, None)

    async def _listen(self) -> None:
        while True:
            with suppress(WireError, ServerError):
                async with aclosing(self._wire.listen(self._key)) as messages:
                    # The first says that it listens: what was missed until then is read as well.
                    async for _ in messages:
                        await self._read()
            await self._clock.sleep(self._retry)

    async def _keep_looking(self) -> None:
        while True:
            await self._clock.sleep(self._look)
            with suppress(WireError, ServerError):
                await self._read()

    async def _read(self) -> None:
        now = self._clock.now()
        found = await self._wire.call("ZRANGEBYSCORE", self._key, now, "+inf", "WITHSCORES")
        self._ended.add(zip(found[::2], map(float, found[1::2]), strict=True), now)
