from collections.abc import AsyncIterator

import pytest

from tests.support.caring import Ward


@pytest.fixture
async def ward(empty_valkey: str) -> AsyncIterator[Ward]:
    """Starts replicas on one empty store and ends them."""
    ward = Ward(empty_valkey)
    yield ward
    await ward.close()
