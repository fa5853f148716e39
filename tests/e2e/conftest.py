from collections.abc import Iterator

import pytest

from tests.support.processes import Gateways
from tests.support.sdks import Sdks, sdks_to_close


@pytest.fixture
def sdks(gateways: Gateways) -> Iterator[Sdks]:
    """Real clients, closed before their gateways end."""
    with sdks_to_close() as found:
        yield found
