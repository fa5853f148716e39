"""Batches that another version wrote: what is not understood is told to nobody, and holds nobody up."""

import json

import pytest

from batches.books import Idle, Task
from core.chat import PictureWish
from core.errors import UnknownBatch
from tests.support.books import PREFIX, TTL, Kept, order

NUMBERS = ("conc", "done", "bad", "dead", "run", "next", "cr", "st", "en", "ex", "hold", "turn", "can")
WORDS = ("kind", "model", "form", "why", "key", "owner", "caller")


@pytest.mark.parametrize("field", [*NUMBERS, *WORDS, "wish"])
@pytest.mark.parametrize("value", ["", "another", "-1", "1.5", '{"x": 1}', None])
async def test_a_batch_that_is_not_understood_holds_nobody_up(
    books: Kept, field: str, value: str | None
) -> None:
    """It is listed or left out, its tasks run or do not, and the batch beside it goes on as if it were not there."""
    odd, _ = await books.books.create(order(3, wish=PictureWish()))
    fine = await books.batch(2, owner="bob")
    key = f"{PREFIX}b:{odd.id}"
    await (books.store.hdel(key, field) if value is None else books.store.hset(key, field, value))
    listed = await books.books.listed(None, limit=10)
    assert fine.id in [batch.id for batch in listed.batches]
    for id in (odd.id, fine.id):
        try:
            assert (await books.books.find(id, None)).id == id
        except UnknownBatch:
            assert id == odd.id
    done = []
    for _ in range(10):
        task = await books.books.claim("w", TTL, 1000)
        if isinstance(task, Idle):
            break
        done.append(task.batch)
        assert await books.finish(task)
    assert done.count(fine.id) == 2
    assert (await books.books.find(fine.id, None)).completed == 2


@pytest.mark.parametrize("wish", ["{", "[]", json.dumps({"pixels": "many"})])
async def test_a_picture_that_is_wanted_in_an_unknown_way_fails_alone(books: Kept, wish: str) -> None:
    """Its task comes without a prompt, as one does that cannot be decrypted, and so it ends."""
    odd, _ = await books.books.create(order(1, wish=PictureWish()))
    await books.store.hset(f"{PREFIX}b:{odd.id}", "wish", wish)
    task = await books.books.claim("w", TTL, 1000)
    assert isinstance(task, Task)
    assert task.prompt is None
