from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.replicas import Replicas


@pytest.fixture
async def replicas(empty_valkey: str, tmp_path: Path) -> AsyncIterator[Replicas]:
    """Starts replicas on one empty store."""
    group = Replicas(empty_valkey, tmp_path)
    yield group
    await group.stop()
