"""Look-ups of names that callers wrote."""

import asyncio
import threading

import pytest

from fetch.dial import SystemResolver


async def test_the_system_is_asked() -> None:
    """This machine's name has this machine's addresses."""
    assert set(await SystemResolver()("localhost", 80)) <= {"127.0.0.1", "::1"}
    assert await SystemResolver()("192.0.2.7", 80) == ["192.0.2.7"]


@pytest.mark.parametrize("name", ["nowhere.invalid", "a" * 64 + ".example", "a..b", "\udcff.example"])
async def test_what_has_no_address_is_an_error(name: str) -> None:
    """Of the two kinds that the dialler takes for no address: names that do not exist, and what cannot be one."""
    with pytest.raises((OSError, ValueError)):
        await SystemResolver()(name, 80)


async def test_look_ups_are_bounded_and_given_back() -> None:
    """One place, many look-ups, some of them given up: each ends, and none keeps the place."""
    resolver = SystemResolver(at_once=1)
    tasks = [asyncio.create_task(resolver("localhost", 80)) for _ in range(12)]
    await asyncio.sleep(0)
    for task in tasks[::3]:
        task.cancel()
    found = await asyncio.gather(*tasks, return_exceptions=True)
    assert sum(isinstance(answer, asyncio.CancelledError) for answer in found) == 4
    assert await asyncio.wait_for(resolver("localhost", 80), 10)
    assert sum(thread.name == "look-up" for thread in threading.enumerate()) <= 1
