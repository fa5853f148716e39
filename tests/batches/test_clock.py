"""The store's clock is set back by an hour, or ahead: no task waits for the old time, and none is given out twice."""

import pytest

from tests.support.books import TTL, Kept

HOUR = 3600


async def test_what_is_tried_again_later_keeps_its_distance(books: Kept) -> None:
    """A task that was to wait for ten seconds waits for ten seconds, and is then the same."""
    await books.batch(1)
    task = await books.claim()
    assert await books.books.again("w", task, 10.0, counted=True)
    await books.pass_(-HOUR)
    await books.books.beat("w", TTL)
    idle = await books.idle()
    assert idle.seconds is not None
    assert 0 < idle.seconds <= 10
    await books.pass_(10)
    assert (await books.claim()).index == task.index


@pytest.mark.parametrize("jump", [HOUR, -HOUR])
async def test_nobody_is_dead_for_a_clock_that_jumps(books: Kept, jump: int) -> None:
    """Neither is a task taken from a worker that lives, nor does one that falls silent keep its own for an hour."""
    await books.batch(2)
    kept = await books.claim("lives")
    lost = await books.claim("dies")
    await books.pass_(jump)
    for _ in range(5):
        await books.books.beat("lives", TTL)
        await books.pass_(TTL / 4)
    again = await books.claim("lives")
    assert again.index == lost.index
    assert await books.finish(kept, "lives")
    assert not await books.finish(lost, "dies")
    assert await books.finish(again, "lives")
