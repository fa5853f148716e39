"""The real openai SDK against a running edge that asks for a key and keeps responses."""

from collections.abc import Iterator

import openai
import pytest

from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses

KEY = "sk-good"


@pytest.fixture(scope="module")
def served(kept: FakeResponses) -> Iterator[Edge]:
    """An edge that asks for a key."""
    with edge(api_key=KEY, responses=kept) as found:
        yield found


@pytest.fixture
def client(gate: Edge) -> Iterator[openai.OpenAI]:
    """A client that does not repeat what fails."""
    with openai.OpenAI(base_url=f"{gate.url}/v1", api_key=KEY, max_retries=0) as found:
        yield found
