"""Batches that another version wrote: what is not understood is told to nobody, and holds nobody up."""

import json
from contextlib import suppress

import pytest

from batches.books import Idle, Task
from core.chat import PictureWish
from core.errors import UnknownBatch
from tests.support.books import PREFIX, TTL, Kept, order

NUMBERS = ("conc", "done", "bad", "dead", "run", "next", "cr", "st", "en", "ex", "hold", "turn", "can")
WORDS = ("kind", "model", "form", "why", "key", "owner", "caller")
VALUES = ("", "another", "-1", "1.5", '{"x": 1}', None)


@pytest.mark.parametrize("field", [*NUMBERS, *WORDS, "wish"])
async def test_batches_that_are_not_understood_hold_nobody_up(books: Kept, field: str) -> None:
    """They are listed or left out, their tasks run or do not, and the batch beside them goes on as if they were not there."""
    odd = []
    for value in VALUES:
        batch, _ = await books.books.create(order(2, wish=PictureWish()))
        key = f"{PREFIX}b:{batch.id}"
        await (books.store.hdel(key, field) if value is None else books.store.hset(key, field, value))
        odd.append(batch.id)
    fine = await books.batch(2, owner="bob")
    listed = await books.books.listed(None, limit=10)
    assert fine.id in [batch.id for batch in listed.batches]
    for id in odd:
        with suppress(UnknownBatch):
            assert (await books.books.find(id, None)).id == id
    done = []
    for _ in range(2 * len(VALUES) + 10):
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
