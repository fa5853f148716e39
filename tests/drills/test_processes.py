"""Gateways, their store and the upstream are killed, stopped and woken again while callers ask."""

import functools
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
import redis

from tests.drills.callers import Answered, Callers, faults
from tests.drills.conftest import House, Scale
from tests.drills.test_faults import QUICK
from tests.drills.verdict import P
from tests.support.processes import Gateway, Gateways, alive, simulating, wait_for
from tests.support.store import valkey

STORE_AWAY = ("store_unavailable", "UNAVAILABLE")
NOBODY_WELL = ("upstream_failed", "no_account_available", "pool_busy", "UNAVAILABLE", "RESOURCE_EXHAUSTED")


@contextmanager
def stopped(process: int) -> Iterator[None]:
    """It stands still while the block lasts."""
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


def gone(process: int) -> bool:
    return not alive(process)


def leases(url: str) -> int:
    with redis.Redis.from_url(url) as store:
        return sum(int(store.hlen(key)) for key in store.keys(f"{P}leases:*"))


def began_after(answers: list[Answered], moment: float) -> list[Answered]:
    return [one for one in answers if one.began > moment]


@pytest.mark.timeout(1800)
def test_replicas_are_killed_and_stopped(house: House, scale: Scale, empty_valkey: str) -> None:
    """One of two replicas is killed, one is stopped for longer than its leases live and wakes up: callers of the other see nothing, those
    of the stopped one are answered when it wakes, all the accounts come back."""
    house.web.defaults(words=40, frame_delay=0.01)
    settings = {"REDIS_URL": empty_valkey, "gempool__pool__lease_ttl": "1s"}
    stays = house.start(**settings)
    sound = house.warm(stays, words=40, answers=100)
    with Callers(stays.url, many=4, words=40) as callers:
        for _ in range(scale.of(1, 20)):
            other = house.start(**settings)
            with Callers(other.url, many=4, words=40) as doomed:
                doomed.go_on(20)
                with stopped(other.process.pid):
                    time.sleep(2)  # twice the life of its leases
                    callers.go_on(10)
                doomed.go_on(20)
                awake = len(doomed.answers)
                other.kill()
                callers.go_on(10)
            assert faults(doomed.answers[:awake]) == []
            assert faults(doomed.answers, ("lost",)) == []
            wait_for(lambda: leases(empty_valkey) <= 10)
    assert faults(callers.answers) == []
    sound.holds(memory=scale.long)


@pytest.mark.timeout(1800)
def test_the_store_is_stopped_and_killed(house: House, scale: Scale) -> None:
    """The gateway's own store stands still for longer than the gateway waits for it, then it is killed: callers are answered or told to come back,
    nothing else, and soon all are answered again without a restart."""
    gateway = house.start()
    sound = house.warm(gateway, answers=100)
    for kill in (False, True) * scale.of(1, 15):
        [store] = _children(gateway)
        with Callers(gateway.url, many=6, pause=0.02) as callers:
            callers.go_on(20)
            if kill:
                os.kill(store, signal.SIGKILL)
                wait_for(functools.partial(gone, store))
                wait_for(lambda: gateway.ask().status_code == 200)
            else:
                with stopped(store):
                    time.sleep(4)  # twice what it is waited for
                wait_for(lambda: gateway.ask().status_code == 200)
            well = time.monotonic()
            callers.go_on(50)
        assert faults(callers.answers, STORE_AWAY) == []
        assert faults(began_after(callers.answers, well)) == []
        assert began_after(callers.answers, well)
    sound.holds(memory=scale.long)


def _children(gateway: Gateway) -> list[int]:
    found = subprocess.run(
        ["/usr/bin/env", "pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True, check=True
    )
    return [int(word) for word in found.stdout.split()]


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_shared_store_is_gone_and_comes_back_empty(house: House, scale: Scale, tmp_path: Path) -> None:
    """The shared store is killed and a new one without any data takes its place after a while: meanwhile callers are told to come back, and then
    all are answered, by a gateway that did not restart."""
    place = tmp_path / "store"
    place.mkdir()
    with valkey(place) as (first, url):
        gateway = house.start(REDIS_URL=url)
        sound = house.warm(gateway, answers=100)
        with Callers(gateway.url, many=6, pause=0.02) as callers:
            callers.go_on(20)
            first.kill()
            first.wait()
            (place / "s").unlink(missing_ok=True)
            callers.go_on(20)
            time.sleep(scale.of(1, 30))
            with valkey(place):
                wait_for(lambda: gateway.ask().status_code == 200)
                well = time.monotonic()
                callers.go_on(50)
                callers.stop()
                sound.holds()
        assert faults(callers.answers, STORE_AWAY) == []
        assert faults(began_after(callers.answers, well)) == []


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_the_upstream_is_stopped_and_killed(tmp_path: Path, scale: Scale) -> None:
    """The whole upstream stands still for less than a request waits: nobody sees it. For longer, or where it is killed and comes
    back: callers are told so, and are answered again soon after."""
    place = tmp_path / "web"
    place.mkdir()
    with ExitStack() as stack:
        web = stack.enter_context(simulating(place, 3))
        gateways = Gateways(tmp_path, web)
        stack.callback(gateways.end)
        gateway = House(tmp_path, web, gateways).start(**QUICK)
        sound = House(tmp_path, web, gateways).warm(gateway, answers=60)
        with Callers(gateway.url, many=6, pause=0.02) as callers:
            callers.go_on(20)
            with stopped(_pid(place)):
                time.sleep(0.5)  # half of what a request waits for it
            callers.go_on(20)
        assert faults(callers.answers) == []
        for kill in (False, True) * scale.of(1, 15):
            with Callers(gateway.url, many=6, pause=0.02) as callers:
                callers.go_on(10)
                if kill:
                    os.kill(_pid(place), signal.SIGKILL)
                    wait_for(functools.partial(gone, _pid(place)))
                    (place / "simulator.json").unlink()
                    callers.go_on(10)
                    web = stack.enter_context(simulating(place, 3))
                    sound.moved(web)
                else:
                    with stopped(_pid(place)):
                        time.sleep(3)
                wait_for(lambda: gateway.get("/health").json()["accounts"].get("active") == 3)
                wait_for(lambda: gateway.ask().status_code == 200)
                well = time.monotonic()
                callers.go_on(30)
            assert faults(callers.answers, NOBODY_WELL) == []
            assert faults(began_after(callers.answers, well)) == []
        sound.holds(memory=scale.long)


def _pid(place: Path) -> int:
    return int(json.loads((place / "simulator.json").read_text())["pid"])
