"""Accounts die while a batch runs and nobody can be told."""

from collections import Counter

import pytest

from tests.drills.callers import Callers, faults
from tests.drills.conftest import House
from tests.drills.test_faults import QUICK, active
from tests.e2e.test_batches import answered, ended, named, take_in
from tests.fakes.bark import bark_server
from tests.support.processes import wait_for

PHONE = "phone4Key"
TASKS = 400


@pytest.mark.long
@pytest.mark.timeout(900)
def test_accounts_die_while_nobody_can_be_told(house: House, empty_valkey: str) -> None:
    """Three of five accounts expire one after the other under load, with a batch under way, over two replicas, while the push server is away:
    callers see nothing, each task is answered once, and once it is back each death is told once, and so is each return."""
    with bark_server(PHONE) as bark:
        bark.turn_away = (503, "away")
        settings = {"REDIS_URL": empty_valkey, "BARK_URL": bark.url, "BARK_KEYS": PHONE, **QUICK}
        settings |= {"gempool__supervisor__probe_interval": "500ms", "GEMPOOL__BATCHES__SHARE": "50"}
        one, other = house.start(**settings), house.start(**settings)
        # The connection to the push server stays for the next alert, as those to the upstream do.
        sound = house.warm(one, answers=100, relay=int(bark.url.rpartition(":")[2]))
        with Callers(one.url, other.url, many=6, pause=0.01) as callers:
            batch = take_in(one, named(TASKS))
            dead = [f"account-{n}" for n in (1, 2, 3)]
            for account in dead:
                callers.go_on(30)
                house.web.fault(account, "expired", times=None)
                wait_for(lambda gone=account: gone not in active(one))
            callers.go_on(60)
            assert bark.received == []
            bark.turn_away = None
            wait_for(lambda: len(bark.received) >= len(dead), 120)
            callers.go_on(60)
            titles = Counter(push["title"].removeprefix("gempool: ") for push in bark.of(PHONE))
            assert titles == Counter(f"{account} is signed out" for account in dead)
            for account in dead:
                house.web.call("DELETE", f"/accounts/{account}/fault")
            wait_for(lambda: len(active(one)) == len(house.web.accounts), 60)
            wait_for(lambda: len(bark.received) >= 2 * len(dead), 120)
            status = ended(one, batch)
            callers.go_on(30)
        titles = Counter(push["title"].removeprefix("gempool: ") for push in bark.of(PHONE))
        assert titles == Counter(
            f"{account} is {word}" for account in dead for word in ("signed out", "back")
        )
    assert faults(callers.answers) == []
    assert (status["completed"], status["failed"]) == (TASKS, 0)
    assert Counter(answered(status).values()) == Counter(named(TASKS))
    sound.holds(40)
