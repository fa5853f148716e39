"""Accounts that look after themselves, as operators and callers see it: real processes, a simulated upstream."""

import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest
import redis

from tests.support.metrics import metric
from tests.support.processes import Gateway, Gateways, Web, wait_for

CARE = {
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "300ms",
    "gempool__supervisor__reprobe_max": "1s",
    "gempool__supervisor__rotate_interval": "1h",
    "gempool__pool__lease_ttl": "1s",
}


def status(gateway: Gateway, number: int) -> dict[str, Any]:
    accounts = gateway.get("/api/cookies/status").json()["accounts"]
    found: dict[str, Any] = next(a for a in accounts if a["id"] == f"account-{number}")
    return found


def is_(gateway: Gateway, number: int, state: str) -> bool:
    return bool(status(gateway, number)["state"] == state)


def ready(gateways: Gateways, count: int, **environment: str) -> Gateway:
    gateway = gateways.start(gateways.accounts_file(5), **{**CARE, **environment}).ready()
    wait_for(lambda: len(gateway.lines("session opened")) >= count, what=gateway.log)
    return gateway


def test_an_expired_cookie_is_found_and_shown_and_the_account_returns(
    upstream: Web, gateways: Gateways
) -> None:
    """No traffic: quarantined within two intervals, shown everywhere, back by itself, and no cookie in the log."""
    gateway = ready(gateways, 5)
    upstream.fault("account-2", "expired")
    wait_for(lambda: is_(gateway, 2, "quarantined"), seconds=1.0 + 0.5)
    found = status(gateway, 2)
    assert found["reason"] == "expired"
    assert found["last_probe_outcome"] == "expired"
    assert found["next_probe"] > found["last_probe"]
    wait_for(
        lambda: metric(
            gateway.get("/metrics").text, "gempool_account_state", account="account-2", state="quarantined"
        ),
        seconds=6,
    )
    metrics = gateway.get("/metrics").text
    assert metric(metrics, "gempool_probes_total", account="account-2", outcome="expired")
    assert metric(metrics, "gempool_cookie_age_seconds", account="account-1") is not None
    assert gateway.lines("account is not usable")
    upstream.fault("account-2", "ok")
    wait_for(lambda: is_(gateway, 2, "active"))
    for account in upstream.accounts:
        assert account["secure_1psid"] not in gateway.log + metrics
        assert account["secure_1psidts"] not in gateway.log + metrics


@pytest.mark.parametrize("kind", ["expired", "guest"])
def test_with_traffic_nobody_notices(upstream: Web, gateways: Gateways, kind: str) -> None:
    """While an account expires under load every caller is answered, and two requests at most reach it. Once it is
    well it has its share of the requests again."""
    gateway = ready(gateways, 5)
    before = upstream.account(3)["prompts"]
    stop = threading.Event()
    answers: list[int] = []

    def ask() -> None:
        while not stop.is_set():
            answers.append(gateway.ask().status_code)

    with ThreadPoolExecutor(4) as callers:
        running = [callers.submit(ask) for _ in range(4)]
        time.sleep(0.5)
        try:
            upstream.fault("account-3", kind)
            good = upstream.account(3)["prompts"]
            wait_for(lambda: is_(gateway, 3, "quarantined"))
            time.sleep(1.5)
            bad = upstream.account(3)["prompts"]
            upstream.fault("account-3", "ok")
            wait_for(lambda: is_(gateway, 3, "active"))
            wait_for(lambda: upstream.account(3)["prompts"] > bad + 10)
        finally:
            stop.set()
        for one in running:
            one.result()
    assert set(answers) == {200}
    assert good > before
    assert bad - good <= 2
    assert status(gateway, 3)["cooling_models"] == {}


def test_a_guest_in_mid_life_counts_as_expired(upstream: Web, gateways: Gateways) -> None:
    """A session that silently fell back to a guest's is found by a probe."""
    gateway = ready(gateways, 5)
    upstream.fault("account-4", "guest")
    wait_for(lambda: is_(gateway, 4, "quarantined"))
    assert status(gateway, 4)["reason"] == "expired"
    upstream.fault("account-4", "ok")
    wait_for(lambda: is_(gateway, 4, "active"))


def test_a_dead_way_out_is_no_dead_account(upstream: Web, gateways: Gateways) -> None:
    """The proxy refuses every connection of an account for several intervals: it is never quarantined."""
    gateway = ready(gateways, 5)
    upstream.fault("account-1", "refuse_connect")
    wait_for(lambda: status(gateway, 1)["last_probe_outcome"] == "network")
    time.sleep(1.2)
    assert status(gateway, 1)["state"] != "quarantined"
    upstream.fault("account-1", "ok")
    wait_for(lambda: status(gateway, 1)["last_probe_outcome"] == "well")


def test_a_killed_leader_is_followed(upstream: Web, gateways: Gateways, empty_valkey: str) -> None:
    """kill -9: the other replica probes on once the lease is over, and finds what happened meanwhile."""
    first = ready(gateways, 5, REDIS_URL=empty_valkey)
    wait_for(lambda: first.lines("leads"))
    other = ready(gateways, 5, REDIS_URL=empty_valkey)
    assert not other.lines("leads")
    first.kill()
    upstream.fault("account-1", "expired")
    wait_for(lambda: other.lines("leads"), seconds=8)
    wait_for(lambda: is_(other, 1, "quarantined"))


def test_rotated_cookies_live_on(upstream: Web, gateways: Gateways, empty_valkey: str) -> None:
    """One replica rotates; the other sends the new value before the next rotation, also when the old one dies soon; a
    restart goes on with it though the file still holds the first; and the store holds nothing readable."""
    upstream.defaults(rotation_grace=1.0)
    settings = {
        "REDIS_URL": empty_valkey,
        "gempool__supervisor__rotate_interval": "4s",
        "GEMPOOL_STATE_KEY": "k" * 20,
    }
    started = time.monotonic()
    pair = [ready(gateways, 5, **settings) for _ in range(2)]

    def taken_up(gateway: Gateway) -> int:
        return len(gateway.lines("newer cookies adopted")) + len(gateway.lines("cookies rotated"))

    # Of what was rotated before the second had opened its sessions, it has the new values without being told.
    before = [taken_up(gateway) for gateway in pair]
    due = [count + 5 for count in before]  # each account once more
    wait_for(lambda: any(taken_up(g) >= count for g, count in zip(pair, due, strict=True)))
    wait_for(lambda: all(taken_up(g) >= count for g, count in zip(pair, due, strict=True)), seconds=3)
    time.sleep(1.2)  # the old values are dead now
    answers = [pair[n % 2].ask(f"n{n}").status_code for n in range(10)]
    assert answers == [200] * 10
    assert {status(pair[0], n + 1)["state"] for n in range(5)} == {"active"}
    rotations = sum(upstream.account(n + 1)["counts"].get("rotate", 0) for n in range(5))
    assert rotations <= 5 * ((time.monotonic() - started) / 4 + 1), "both rotate"
    client = redis.Redis.from_url(empty_valkey)
    stored = [client.get(key) for key in client.scan_iter("*jar:*")]
    assert len(stored) == 5
    assert not any(b"sidts" in (value or b"") for value in stored)
    client.close()
    for gateway in pair:
        assert gateway.stop() == 0
    again = ready(gateways, 5, **{**settings, "gempool__supervisor__rotate_interval": "1h"})
    assert not again.lines("account is not usable")
    assert again.ask().status_code == 200


def test_cookies_are_handed_in_over_the_api(upstream: Web, gateways: Gateways, empty_valkey: str) -> None:
    """The account's cookies died; good ones posted to one replica serve in both at once, and only with the key."""
    settings = {"REDIS_URL": empty_valkey, "ADMIN_KEY": "admin-key-of-the-test"}
    slow = {"gempool__supervisor__reprobe_first": "60s", "gempool__supervisor__reprobe_max": "60s"}
    pair = [ready(gateways, 5, **settings, **slow) for _ in range(2)]
    fresh = upstream.call("POST", "/accounts/account-5/cookies")
    wait_for(lambda: is_(pair[1], 5, "quarantined"))
    url = f"{pair[0].url}/api/cookies"
    body = {
        "account": "account-5",
        "secure_1psid": fresh["secure_1psid"],
        "secure_1psidts": fresh["secure_1psidts"],
    }
    assert httpx.post(url, json=body).status_code == 401
    admin = {"x-admin-key": "admin-key-of-the-test"}
    wrong = httpx.post(url, json={**body, "secure_1psid": "a/b"}, headers=admin)
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "secure_1psid")
    assert httpx.post(url, json={**body, "account": "nobody"}, headers=admin).status_code == 404
    answer = httpx.post(url, json=body, headers=admin, timeout=20)
    assert (answer.status_code, answer.json()["probe"], answer.json()["state"]) == (200, "well", "active")
    assert fresh["secure_1psid"] not in answer.text
    sessions = [len(g.lines("session opened")) for g in pair]
    wait_for(lambda: sessions[1] + len(pair[1].lines("newer cookies adopted")) >= 6, 2)
    for _ in range(10):
        assert pair[1].ask().status_code == 200
    wait_for(lambda: "account-5" in upstream.order(), 1)
