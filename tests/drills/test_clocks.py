"""Clocks jump, the store's and a gateway's, each for itself, while callers ask: nothing sticks, and nothing bursts."""

import time
from collections import Counter
from email.utils import parsedate_to_datetime
from pathlib import Path

import pytest
import redis

from tests.drills.callers import Callers, faults
from tests.drills.conftest import House
from tests.e2e.test_batches import answered, ended, named, take_in
from tests.support.debian import library
from tests.support.processes import Gateway, wait_for
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


def time_of(whose: str, gateway: Gateway, url: str) -> float:
    """The wall clock of the process, in seconds."""
    if whose == "store":
        with redis.Redis.from_url(url) as store:
            return float(store.time()[0])
    return parsedate_to_datetime(gateway.get("/health").headers["date"]).timestamp()


@pytest.mark.long
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("jump", [HOUR, -HOUR], ids=["ahead", "back"])
@pytest.mark.parametrize("whose", ["store", "gateway"])
def test_a_clock_jumps_and_comes_right_again(house: House, tmp_path: Path, whose: str, jump: int) -> None:
    """By an hour, under callers and a batch, with accounts that are spaced: callers see nothing, nobody waits longer than ever, each task is
    answered once, and all is given back."""
    place = tmp_path / "store"
    place.mkdir()
    clock = Clock(tmp_path / "clock")
    faked = clock.environment
    with valkey(place, **(faked if whose == "store" else {})) as (_, url):
        settings = {"REDIS_URL": url} | (faked if whose == "gateway" else {})
        gateway = house.start(house.gateways.accounts_file(min_interval="100ms"), **settings)
        sound = house.warm(gateway, many=4, answers=60)
        # So few that the batch has room beside them.
        with Callers(gateway.url, many=4, pause=0.3) as callers:
            batch = take_in(gateway, named(TASKS))
            for seconds in (jump, 0):
                callers.go_on(30)
                clock.set(seconds)
                wait_for(lambda s=seconds: abs(time_of(whose, gateway, url) - time.time() - s) < 30)
                callers.go_on(60, 120)
            status = ended(gateway, batch)
            callers.go_on(20)
        assert faults(callers.answers) == []
        assert max(one.seconds for one in callers.answers) < 20
        assert Counter(answered(status).values()) == Counter(named(TASKS))
        sent = Counter(one["text"] for one in house.web.call("GET", "/journal") if "task " in one["text"])
        assert max(sent.values()) == 1
        sound.holds(40)
