"""The store's clock jumps while callers ask: nothing sticks, and nothing bursts."""

import time
from collections import Counter
from pathlib import Path

import pytest
import redis

from tests.drills.callers import Callers, faults
from tests.drills.conftest import House
from tests.e2e.test_batches import answered, ended, named, take_in
from tests.support.debian import library
from tests.support.processes import wait_for
from tests.support.store import valkey

HOUR = 3600
TASKS = 60


class Clock:
    """A process's wall clock, that can be set; its monotonic one runs on."""

    def __init__(self, place: Path) -> None:
        self._file = place
        self.set(0)
        self.environment = {
            "LD_PRELOAD": str(library("faketime/libfaketimeMT.so.1", "libfaketime")),
            "FAKETIME_TIMESTAMP_FILE": str(place),
            "FAKETIME_CACHE_DURATION": "1",
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "DONT_FAKE_MONOTONIC": "1",
        }

    def set(self, seconds: int) -> None:
        """So far ahead of the true time; behind it where negative."""
        self._file.write_text(f"{seconds:+d}")


def time_of(url: str) -> float:
    """The store's wall clock, in seconds."""
    with redis.Redis.from_url(url) as store:
        return float(store.time()[0])


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
def test_the_stores_clock_jumps_and_comes_right_again(house: House, tmp_path: Path, jump: int) -> None:
    """By an hour, under callers and a batch, with accounts that are spaced: callers see nothing, nobody waits longer than ever, each task is
    answered once, and all is given back."""
    place = tmp_path / "store"
    place.mkdir()
    clock = Clock(tmp_path / "clock")
    with valkey(place, **clock.environment) as (_, url):
        gateway = house.start(house.gateways.accounts_file(min_interval="100ms"), REDIS_URL=url)
        sound = house.warm(gateway, many=4, answers=60)
        # So few that the batch has room beside them.
        with Callers(gateway.url, many=4, pause=0.3) as callers:
            batch = take_in(gateway, named(TASKS))
            for seconds in (jump, 0):
                callers.go_on(30)
                clock.set(seconds)
                wait_for(lambda s=seconds: abs(time_of(url) - time.time() - s) < 30)
                callers.go_on(60, 120)
            status = ended(gateway, batch)
            callers.go_on(20)
        assert faults(callers.answers) == []
        assert max(one.seconds for one in callers.answers) < 20
        assert Counter(answered(status).values()) == Counter(named(TASKS))
        sent = Counter(one["text"] for one in house.web.call("GET", "/journal") if "task " in one["text"])
        assert max(sent.values()) == 1
        sound.holds(40)
