"""What replicas share beside the accounts, over a real store."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from core.errors import StoreUnavailable
from pool.shared import Shared
from tests.support.adapter import until_so


@pytest.fixture
async def shared(empty_valkey: str) -> AsyncIterator[Shared]:
    shared = Shared(empty_valkey)
    yield shared
    await shared.close()


async def test_one_holder_leads_until_its_time_is_over(shared: Shared) -> None:
    """A lease is renewed by its holder, refused to others, and free again when it was not renewed in time."""
    assert await shared.lead("x", "a", 0.3)
    assert not await shared.lead("x", "b", 0.3)
    assert await shared.lead("x", "a", 0.1)
    await until_so(lambda: shared.lead("x", "b", 5), 1)
    assert not await shared.lead("x", "a", 5)


async def test_only_the_holder_resigns(shared: Shared) -> None:
    """A lease given back is free at once; somebody else cannot give it back."""
    await shared.lead("x", "a", 5)
    await shared.resign("x", "b")
    assert not await shared.lead("x", "b", 5)
    await shared.resign("x", "a")
    assert await shared.lead("x", "b", 5)


async def test_once_is_once(shared: Shared) -> None:
    """Of many who ask at the same time one is told True, and after the time again one."""
    answers = await asyncio.gather(*(shared.take_once("k", 0.2) for _ in range(20)))
    assert sorted(answers) == [False] * 19 + [True]
    await until_so(lambda: shared.take_once("k", 5), 1)


async def test_what_a_clock_set_back_left_does_not_count(shared: Shared) -> None:
    """The server's clock was set back by an hour: a claim and a lead that nobody renewed end an hour later than they were meant to."""
    await shared.put("k", "before", 3602)
    await shared.put("lead:x", "gone", 3602)
    assert await shared.take_once("k", 2)
    assert not await shared.take_once("k", 2)
    assert await shared.lead("x", "a", 5)
    assert not await shared.lead("x", "b", 5)


async def test_values(shared: Shared) -> None:
    """A value stays until it is deleted or its time is over; a swap needs the value that it replaces."""
    assert await shared.get("k") is None
    assert await shared.swap("k", None, "one")
    assert not await shared.swap("k", None, "two")
    assert await shared.swap("k", "one", "two")
    assert await shared.get("k") == "two"
    await shared.delete("k")
    await shared.put("k", "short", ttl=0.05)

    async def gone() -> bool:
        return await shared.get("k") is None

    await until_so(gone, 1)
    assert await shared.swap("k", None, "one", ttl=0.05)
    await until_so(gone, 1)


async def test_messages_reach_who_listens(shared: Shared) -> None:
    """The first word says that it listens; then everything published arrives in order."""
    async with aclosing(shared.listen("c")) as heard:
        assert await anext(heard) == ""
        for text in ("one", "two words"):
            await shared.publish("c", text)
        assert [await anext(heard), await anext(heard)] == ["one", "two words"]


async def test_without_a_store() -> None:
    """Every call says that the store is unavailable, soon."""
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        shared = Shared(f"redis://127.0.0.1:{nobody.getsockname()[1]}", timeout=0.1)
        with pytest.raises(StoreUnavailable):
            await shared.get("k")
        with pytest.raises(StoreUnavailable):
            await shared.lead("x", "a", 1)
        with pytest.raises(StoreUnavailable):
            await anext(shared.listen("c"))
        await shared.close()
