from collections.abc import AsyncIterator

import pytest

from tests.support.pools import Bench


@pytest.fixture
async def bench(empty_valkey: str) -> AsyncIterator[Bench]:
    bench = Bench(empty_valkey)
    yield bench
    await bench.close()
