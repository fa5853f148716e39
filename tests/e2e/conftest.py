from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.processes import Gateways, Web, simulating
from tests.support.sdks import Sdks, sdks_to_close


@pytest.fixture(scope="session")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with simulating(tmp_path_factory.mktemp("web"), accounts=5) as web:
        yield web


@pytest.fixture
def upstream(shared_web: Web) -> Iterator[Web]:
    """A simulator with five accounts, as new; at the end it must have nothing to complain of."""
    shared_web.reset()
    yield shared_web
    assert shared_web.anomalies() == []


@pytest.fixture
def gateways(tmp_path: Path, upstream: Web) -> Iterator[Gateways]:
    group = Gateways(tmp_path, upstream)
    yield group
    group.end()


@pytest.fixture
def sdks(gateways: Gateways) -> Iterator[Sdks]:
    """Real clients, closed before their gateways end."""
    with sdks_to_close() as found:
        yield found
