"""Sign-outs in a real Valkey: what replicas tell one another, also after the store was away."""

import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis

from access import Ended, SignOuts
from core.clock import SystemClock
from tests.support.crew import until
from tests.support.store import freeze, valkey

KEY = "{gempool}:sessions:ended"


@asynccontextmanager
async def replica(url: str, look: float = 60.0) -> AsyncIterator[tuple[Ended, SignOuts]]:
    ended = Ended()
    told = SignOuts(ended, url, SystemClock(), timeout=0.3, look=look, retry=0.05)
    await told.start()
    try:
        yield ended, told
    finally:
        await told.close()


def listening(url: str) -> Callable[[], bool]:
    """Whether two replicas hear of news."""
    store = redis.Redis.from_url(url, decode_responses=True)
    return lambda: dict(store.pubsub_numsub(KEY))[KEY] == 2


async def test_other_replicas_hear_of_it_at_once(empty_valkey: str) -> None:
    """Those that listen by a message, and one that starts later by reading."""
    until_then = time.time() + 60
    async with replica(empty_valkey) as (mine, told), replica(empty_valkey) as (others, _):
        await until(listening(empty_valkey))
        assert await told.tell({"one": until_then})
        await until(lambda: "one" in others)
        async with replica(empty_valkey) as (later, _):
            assert "one" in later
        await until(lambda: "one" in mine)


async def test_the_store_forgets_what_is_over(empty_valkey: str) -> None:
    """Each id with the next sign-out, and all of it when the last is over; the later word of one counts."""
    now = time.time()
    async with replica(empty_valkey) as (_, told):
        assert await told.tell({"over": now - 1, "one": now + 60})
        assert await told.tell({"one": now + 30, "two": now + 90})
        store = redis.Redis.from_url(empty_valkey, decode_responses=True)
        assert store.zrange(KEY, 0, -1, withscores=True) == [("one", now + 60), ("two", now + 90)]
        assert now + 88 < store.expiretime(KEY) <= now + 91


async def test_a_message_that_was_lost_is_made_up_for(empty_valkey: str) -> None:
    """A replica looks now and then by itself."""
    async with replica(empty_valkey, look=0.05) as (ended, _):
        redis.Redis.from_url(empty_valkey).zadd(KEY, {"one": time.time() + 60})
        await until(lambda: "one" in ended)


@pytest.mark.parametrize("how", ["gone", "hanging"])
async def test_while_the_store_is_away_it_is_tried_again_until_it_is_back(tmp_path: Path, how: str) -> None:
    """Whoever signs out is told that others do not know; when the store is back they do, without being asked again."""
    until_then = time.time() + 60
    with valkey(tmp_path) as (process, url):
        async with replica(url) as (_, told), replica(url) as (others, _):
            await until(listening(url))
            if how == "gone":
                process.terminate()
                process.wait(10)
            else:
                freeze(process)
            assert not await told.tell({"one": until_then})
            assert not await told.tell({"two": until_then})
            if how == "gone":
                with valkey(tmp_path):
                    await until(lambda: "one" in others and "two" in others)
            else:
                process.send_signal(signal.SIGCONT)
                await until(lambda: "one" in others and "two" in others)


async def test_without_a_store_a_replica_starts_all_the_same(tmp_path: Path) -> None:
    """And reads what it has missed once there is one."""
    async with replica(f"unix://{tmp_path}/s") as (ended, _):
        with valkey(tmp_path) as (_, url):
            redis.Redis.from_url(url).zadd(KEY, {"one": time.time() + 60})
            await until(lambda: "one" in ended)
