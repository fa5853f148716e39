from collections.abc import AsyncIterator

import pytest

from tests.support.books import Kept, kept


@pytest.fixture
async def books(empty_valkey: str) -> AsyncIterator[Kept]:
    """Books whose time is the test's."""
    async with kept(empty_valkey) as found:
        yield found
