"""So many requests that a few bytes kept of each would show."""

import pytest

from tests.drills.callers import Callers, faults
from tests.drills.conftest import House
from tests.drills.verdict import resident

MANY = 24
REQUESTS = 100_000
WARM = 8_000
"""Before these the process fills what it keeps on purpose: caches of a fixed size, connections, the allocator's arenas."""


@pytest.mark.long
@pytest.mark.timeout(3600)
def test_a_hundred_thousand_requests(house: House) -> None:
    """In both dialects, streamed and whole, some of which are left: every answer is right, and the process holds no more memory than after
    the first thousands, within 5 %."""
    gateway = house.start(house.gateways.accounts_file(max_concurrency=8))
    sound = house.warm(gateway, many=MANY, answers=WARM, seconds=600)
    told = [resident(gateway.process.pid)]
    with Callers(gateway.url, many=MANY, leave=0.02, within=0.05) as callers:
        for _ in range(10):
            callers.go_on(REQUESTS // 10, 900)
            told.append(resident(gateway.process.pid))
            assert faults(callers.answers) == []
            print("KiB after each tenth:", *told, flush=True)
            del callers.answers[:-MANY]  # what was right is not looked at again
    sound.holds(60, memory=True)
