"""One server for a module's tests, `served`, which a module may replace by its own; every test begins with the chat
service's own script."""

from collections.abc import Iterator

import pytest

from routes import EdgeSettings
from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses

QUICK = EdgeSettings(body_limit=200_000, body_timeout=1.0, keepalive_after=0.15, keepalive_every=0.1)


@pytest.fixture(scope="module")
def served() -> Iterator[Edge]:
    """The edge with short waits and a small body limit, open to this machine."""
    with edge(settings=QUICK) as found:
        yield found


@pytest.fixture(scope="module")
def kept() -> FakeResponses:
    """What the edge keeps of responses, where it is told to."""
    return FakeResponses()


@pytest.fixture
def gate(served: Edge, kept: FakeResponses) -> Edge:
    """The served edge with its chat service, and what it keeps, as new."""
    served.chat.reset()
    kept.reset()
    return served
