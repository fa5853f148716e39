"""Two installations in two databases of one store, which has its channels for all of them together."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import redis

from core.metrics import Metrics
from core.secret import Secret
from pool import AccountConfig, Policy, Shared, Store
from tests.support.adapter import until

ACCOUNT = AccountConfig(id="alice", secure_1psid=Secret("g.a000x"))


@pytest.fixture
async def urls(empty_valkey: str) -> AsyncIterator[tuple[str, str]]:
    """Of the first two databases."""
    yield empty_valkey, f"{empty_valkey}?db=1"
    with redis.Redis.from_url(f"{empty_valkey}?db=1") as client:
        client.flushdb()


async def test_an_account_of_one_database_is_no_news_in_the_other(urls: tuple[str, str]) -> None:
    """Each hears of its own accounts, though they may have the same names."""
    stores = [Store(url, Metrics(), Policy()) for url in urls]
    heard: list[list[str]] = [[], []]

    async def listen(number: int) -> None:
        async with aclosing(stores[number].wakes()) as messages:
            async for message in messages:
                heard[number].append(message)

    listening = [asyncio.create_task(listen(number)) for number in (0, 1)]
    await until(lambda: all(heard))
    for store in stores:
        await store.upsert(ACCOUNT, 0)
    await stores[1].disable("alice")
    await until(lambda: any("disabled" in message for message in heard[1]))
    await stores[0].quarantine("alice", "expired")
    await until(lambda: any("quarantined" in message for message in heard[0]))
    assert not any("disabled" in message for message in heard[0])
    assert not any("quarantined" in message for message in heard[1])
    for task in listening:
        task.cancel()
    await asyncio.gather(*listening, return_exceptions=True)
    for store in stores:
        await store.close()


async def test_a_message_stays_in_its_database(urls: tuple[str, str]) -> None:
    """What is published in one is heard there, and not in the other."""
    here, there = (Shared(url) for url in urls)
    async with aclosing(here.listen("c")) as messages:
        assert await anext(messages) == ""
        await there.publish("c", "theirs")
        await here.publish("c", "ours")
        assert await anext(messages) == "ours"
    await here.close()
    await there.close()
