"""The real google-genai SDK against a running edge that asks for a key, by each of the addresses that it may call."""

from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import pytest
from google import genai
from google.genai import types

from routes import EdgeSettings
from tests.fakes.edge import Edge, edge

KEY = "good"
CASES = [("", None), ("", "v1beta"), ("/gemini", None), ("/gemini", "v1beta")]
Connect: TypeAlias = Callable[..., genai.Client]


@pytest.fixture(scope="module")
def served() -> Iterator[Edge]:
    """An edge that asks for a key and is quick to show life."""
    with edge(api_key=KEY, settings=EdgeSettings(keepalive_after=0.1, keepalive_every=0.1)) as found:
        yield found


@pytest.fixture
def connect(gate: Edge) -> Connect:
    """Makes a client; whoever asks for it closes it."""

    def client(prefix: str = "", version: str | None = None, key: str = KEY) -> genai.Client:
        options: dict[str, Any] = {"base_url": gate.url + prefix}
        if version:
            options["api_version"] = version
        return genai.Client(api_key=key, http_options=types.HttpOptions(**options))

    return client


@pytest.fixture(params=CASES, ids=["root", "root-v1beta", "prefix", "prefix-v1beta"])
def client(request: pytest.FixtureRequest, connect: Connect) -> Iterator[genai.Client]:
    with connect(*request.param) as found:
        yield found
