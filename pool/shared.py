"""Small state that all replicas share beside the accounts: leases by name, values, messages.

Every call is one atomic step in the store, with the server's time, and harmless when it is sent twice (the
wire repeats a command whose connection was lost).
"""

import uuid
from collections.abc import AsyncGenerator
from contextlib import aclosing
from typing import Any

import structlog

from core.errors import StoreUnavailable
from core.wire import Address, ServerError, Wire, WireError, unavailable

log = structlog.get_logger("gempool.pool")

# A key that lives on for far longer than it is given is of a time that the store's clock was set back from: it does not count. (A leader
# with other settings may give it somewhat more.)
_LEAD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] and redis.call('PTTL', KEYS[1]) <= 10 * ARGV[2] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""
_RESIGN = """
if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end
return 0
"""
_ONCE = """
if redis.call('PTTL', KEYS[1]) > 2 * ARGV[2] + 1000 then redis.call('DEL', KEYS[1]) end
if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return redis.call('GET', KEYS[1]) == ARGV[1] and 1 or 0
"""
_SWAP = """
local now = redis.call('GET', KEYS[1])
if now == ARGV[2] then return 1 end
if (now or '') ~= ARGV[1] then return 0 end
if ARGV[3] == '' then redis.call('SET', KEYS[1], ARGV[2]) else redis.call('SET', KEYS[1], ARGV[2], 'PX', ARGV[3]) end
if KEYS[2] then
  redis.call('HSET', KEYS[2], ARGV[4], ARGV[5])
  if ARGV[3] ~= '' then redis.call('PEXPIRE', KEYS[2], ARGV[3]) end
end
return 1
"""


class Shared:
    """Keys and channels under `prefix`. All methods raise `core.errors.StoreUnavailable` and nothing else.

    url: `redis://`, `rediss://` or `unix://`. timeout: seconds, for connecting and for each answer. Times to
    live are in seconds.
    """

    def __init__(self, url: str, prefix: str = "{gempool}:shared:", timeout: float = 2.0) -> None:
        self._prefix = prefix
        self._wire = Wire(Address(url), timeout)

    async def lead(self, name: str, holder: str, ttl: float) -> bool:
        """Take the lease `name` where nobody else holds it, or renew it. False where another holds it."""
        return bool(await self._eval(_LEAD, f"lead:{name}", holder, _ms(ttl)))

    async def resign(self, name: str, holder: str) -> None:
        """Give the lease back where `holder` has it."""
        await self._eval(_RESIGN, f"lead:{name}", holder)

    async def holder(self, name: str) -> str:
        """Who holds the lease `name`; '' where nobody does."""
        return await self.get(f"lead:{name}") or ""

    async def put(self, key: str, value: str, ttl: float | None = None) -> None:
        await self._call("SET", self._prefix + key, value, *(() if ttl is None else ("PX", _ms(ttl))))

    async def get(self, key: str, refresh: float | None = None) -> str | None:
        """refresh: the value lives that long from now on."""
        how = (
            ("GET", self._prefix + key)
            if refresh is None
            else ("GETEX", self._prefix + key, "PX", _ms(refresh))
        )
        found = await self._call(*how)
        return None if found is None else str(found)

    async def head(self, key: str, length: int) -> str:
        """The first `length` bytes of a value that begins in ASCII; '' where there is none."""
        return str(await self._call("GETRANGE", self._prefix + key, 0, length - 1))

    async def swap(
        self,
        key: str,
        old: str | None,
        new: str,
        ttl: float | None = None,
        mark: tuple[str, str] | None = None,
    ) -> bool:
        """Put `new` only where the value still is `old` (None: where there is none).

        mark: a list of marks, and the name in it that gets another one with the new value: see `marks`.
        """
        arguments = (old or "", new, "" if ttl is None else _ms(ttl))
        if mark is None:
            return bool(await self._eval(_SWAP, key, *arguments))
        where, name = self._prefix + mark[0], mark[1]
        keys = (2, self._prefix + key, where)
        return bool(await self._call("EVAL", _SWAP, *keys, *arguments, name, uuid.uuid4().hex[:12]))

    async def marks(self, name: str) -> dict[str, str]:
        """All of one list, by name: whoever remembers them sees what has changed since without reading the values."""
        flat = await self._call("HGETALL", self._prefix + name)
        return dict(zip(flat[::2], flat[1::2], strict=True))

    async def take_once(self, key: str, ttl: float) -> bool:
        """True for the first who asks, False for everybody else until `ttl` has passed."""
        return bool(await self._eval(_ONCE, key, uuid.uuid4().hex, _ms(ttl)))

    async def delete(self, key: str) -> None:
        await self._call("DEL", self._prefix + key)

    async def publish(self, channel: str, text: str) -> None:
        """Tell all who listen now. A message may be lost, and is at worst delivered twice."""
        try:
            await self._wire.publish(self._prefix + channel, text)
        except (WireError, ServerError) as error:
            raise _unavailable("PUBLISH", error) from error

    async def listen(self, channel: str) -> AsyncGenerator[str, None]:
        """What is published on the channel; '' at first, once it listens. Ends with `StoreUnavailable` when
        the connection is lost; who listens again must look for what was missed."""
        try:
            async with aclosing(self._wire.listen(self._prefix + channel)) as messages:
                async for message in messages:
                    yield message
        except WireError as error:
            raise _unavailable("listen", error) from error

    async def close(self) -> None:
        await self._wire.close()

    async def _eval(self, source: str, key: str, *arguments: str | int) -> Any:
        return await self._call("EVAL", source, 1, self._prefix + key, *arguments)

    async def _call(self, *arguments: str | int) -> Any:
        try:
            return await self._wire.call(*arguments)
        except (WireError, ServerError) as error:
            raise _unavailable(str(arguments[0]), error) from error


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _unavailable(command: str, error: Exception) -> StoreUnavailable:
    log.warning("store command failed", operation=command, error=type(error).__name__, detail=str(error))
    return unavailable()
