"""What the tests of `gempool batch` begin with."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.batchcalls import Gateway


@pytest.fixture
def gateway() -> Iterator[Gateway]:
    """The server that speaks the gateway's wire forms."""
    gateway = Gateway()
    yield gateway
    gateway.stop()


@pytest.fixture
def prompts(tmp_path: Path) -> Path:
    """Three prompts, on lines 1, 3 and 4."""
    path = tmp_path / "prompts.jsonl"
    path.write_text(
        '"a fox"\n\n{"prompt": "a hare", "id": "hare/1"}\n{"prompt": "雪地", "id": 7}\n', encoding="utf-8"
    )
    return path
