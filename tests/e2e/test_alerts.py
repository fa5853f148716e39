"""From a dead cookie to the operator's phone, over whole processes."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.bark import FakeBark, bark_server
from tests.support.metrics import metric
from tests.support.processes import Gateway, Gateways, Web, wait_for

PHONE = "phone4Key"
QUICK = {
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "300ms",
    "gempool__supervisor__reprobe_max": "1s",
    "gempool__alerts__admin_url": "https://pool.example.com",
}


@pytest.fixture
def bark() -> Iterator[FakeBark]:
    with bark_server(PHONE) as server:
        yield server


def pair(gateways: Gateways, accounts: Path, store: str, bark: FakeBark) -> list[Gateway]:
    settings = {"REDIS_URL": store, "BARK_URL": bark.url, "BARK_KEYS": PHONE, **QUICK}
    return [gateways.start(accounts, **settings).ready() for _ in range(2)]


def titles(bark: FakeBark) -> list[str]:
    return [received["title"].removeprefix("gempool: ") for received in bark.of(PHONE)]


def told(gateway: Gateway, kind: str) -> float:
    return metric(gateway.get("/metrics").text, "gempool_alerts_total", kind=kind, outcome="told") or 0.0


def test_an_account_that_expires_is_told_once_and_so_is_its_return(
    upstream: Web, gateways: Gateways, empty_valkey: str, bark: FakeBark
) -> None:
    """Two replicas, no traffic: one alert without a cookie in it, with a link; new cookies in the file and
    one all-clear in its place."""
    accounts = gateways.accounts_file()
    running = pair(gateways, accounts, empty_valkey, bark)
    old = accounts.read_text()
    values = [account[name] for account in upstream.accounts for name in ("secure_1psid", "secure_1psidts")]
    upstream.fault("account-2", "expired", times=None)
    wait_for(lambda: titles(bark), seconds=10, what=running[0].log)
    assert titles(bark) == ["account-2 is signed out"]
    assert bark.received[0][1]["url"] == "https://pool.example.com/admin#account-account-2"
    assert sum(told(gateway, "expired") for gateway in running) == 1

    fresh = upstream.call("POST", "/accounts/account-2/cookies")
    upstream.call("DELETE", "/accounts/account-2/fault")
    second = upstream.accounts[1]
    accounts.write_text(
        old.replace(second["secure_1psid"], fresh["secure_1psid"]).replace(
            second["secure_1psidts"], fresh["secure_1psidts"]
        )
    )
    wait_for(lambda: len(titles(bark)) == 2, seconds=10, what=running[0].log)
    time.sleep(1)  # for what must not come
    assert titles(bark) == ["account-2 is signed out", "account-2 is back"]
    assert len({received["id"] for received in bark.of(PHONE)}) == 1
    assert not [
        value
        for value in [*values, fresh["secure_1psid"], fresh["secure_1psidts"]]
        if value in str(bark.requests)
    ]


def test_an_empty_pool_rings_and_a_dead_server_delays_nobody(
    upstream: Web, gateways: Gateways, empty_valkey: str, bark: FakeBark
) -> None:
    """The Bark server fails at first; requests are answered as fast as ever, and the alerts come through."""
    running = pair(gateways, gateways.accounts_file(2), empty_valkey, bark)
    bark.delay = 3.0
    upstream.fault("account-1", "expired", times=None)
    wait_for(lambda: _expired(running[0]))
    began = time.monotonic()
    assert all(gateway.ask(f"n{n}").status_code == 200 for n in range(5) for gateway in running)
    assert time.monotonic() - began < 15  # one push alone hangs for three
    bark.delay = 0.0
    upstream.fault("account-2", "expired", times=None)
    wait_for(lambda: "no account can serve" in titles(bark), seconds=10, what=running[0].log)
    (ringing,) = [received for received in bark.of(PHONE) if "no account" in received["title"]]
    assert (ringing["level"], ringing["call"]) == ("critical", "1")


def test_a_broken_accounts_file_is_told(
    upstream: Web, gateways: Gateways, empty_valkey: str, bark: FakeBark
) -> None:
    """With line and field, once over both replicas; mended, it is told so."""
    accounts = gateways.accounts_file()
    running = pair(gateways, accounts, empty_valkey, bark)
    good = accounts.read_text()
    accounts.write_text(good.replace('"proxy"', '"proxi"', 1))
    wait_for(lambda: titles(bark), seconds=10, what=running[0].log)
    accounts.write_text(good)
    wait_for(lambda: len(titles(bark)) == 2, seconds=10, what=running[0].log)
    assert titles(bark) == ["configuration broken", "configuration mended"]
    assert "proxi" in bark.received[0][1]["body"]
    assert running[0].ask().status_code == 200


def _expired(gateway: Gateway) -> bool:
    page = gateway.get("/metrics").text
    return metric(page, "gempool_account_state", account="account-1", state="quarantined") == 1
