from collections.abc import AsyncIterator

import pytest

from tests.support.journals import Written, written


@pytest.fixture
async def book(empty_valkey: str) -> AsyncIterator[Written]:
    """Journals on one empty store, whose time is the test's."""
    async with written(empty_valkey) as found:
        yield found
