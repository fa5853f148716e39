"""What an operator sees of real requests: the log's lines and the metrics of a running gateway."""

import json
import time
from typing import Any

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.support.processes import Gateway, Gateways, Web, wait_for

STAGES = ("ms_read", "ms_queue", "ms_upstream", "ms_pictures", "ms_send", "ms_own")
MODEL = "gemini-3-flash-preview"


def line_of(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    id = answer.headers["x-request-id"]
    found: list[dict[str, Any]] = wait_for(
        lambda: [line for line in gateway.lines("request") if line["request_id"] == id]
    )
    (line,) = found
    assert sum(line.get(stage, 0) for stage in STAGES) == pytest.approx(line["ms"], abs=0.02)
    return line


def metrics(gateway: Gateway) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    answer = gateway.get("/metrics")
    assert answer.headers["content-type"].startswith("text/plain")
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def value(gateway: Gateway, name: str, **labels: str) -> float | None:
    return metrics(gateway).get((name, frozenset(labels.items())))


def test_a_request_is_told_with_all_that_became_of_it(gateways: Gateways, upstream: Web) -> None:
    """Accounts that failed, the one that answered, and where the time went: in the upstream, mostly."""
    gateway = gateways.start().ready()
    upstream.defaults(first_delay=0.2)
    for number in (1, 2, 3, 4):
        upstream.fault(f"account-{number}", "http_500")
    answer = gateway.ask(model=MODEL)
    assert answer.status_code == 200
    line = line_of(gateway, answer)
    *failed, last = line["accounts"].split() if "accounts" in line else [f"{line['account']}:ok"]
    assert last == "account-5:ok"
    assert {word.rpartition(":")[2] for word in failed} <= {"unstable"}
    assert (line["account"], line["attempts"], line["upstream_model"] != "") == (
        "account-5",
        len(failed) + 1,
        True,
    )
    assert line["ms_upstream"] >= 200
    assert line["ms_own"] < line["ms_upstream"]
    streamed = line_of(gateway, gateway.ask(model=MODEL, stream=True))
    assert streamed["ms_upstream"] >= 200
    assert streamed["ms_first_content"] <= streamed["ms"]
    moved = [
        one for one in gateway.lines("moved on to another account") if one["request_id"] == line["request_id"]
    ]
    assert len(moved) == len(failed)
    assert value(gateway, "gempool_failovers_total", reason="unstable") == len(
        gateway.lines("moved on to another account")
    )


def test_who_waits_for_an_account_is_told_so(gateways: Gateways, upstream: Web) -> None:
    """One account that does one thing at a time: the second request's wait is the queue's."""
    gateway = gateways.start(gateways.accounts_file(1, max_concurrency=1, min_interval="300ms")).ready()
    first, second = gateway.ask(), gateway.ask()
    assert line_of(gateway, first)["outcome"] == "ok"
    line = line_of(gateway, second)
    assert line["ms_queue"] >= 100
    assert line["ms_queue"] > line.get("ms_upstream", 0) or line["ms_queue"] >= 200


def test_pictures_have_a_stage_of_their_own(gateways: Gateways, upstream: Web) -> None:
    """The logo's removal and what else is done to a picture."""
    gateway = gateways.start().ready()
    answer = httpx.post(
        f"{gateway.url}/v1/images/generations", json={"prompt": "a lantern", "n": 2}, timeout=60
    )
    assert answer.status_code == 200
    line = line_of(gateway, answer)
    assert line["ms_pictures"] > 0
    assert line["attempts"] == 2


def test_an_account_is_shown_while_it_is_there(gateways: Gateways, upstream: Web) -> None:
    """Its state, its session, when it was used, proved and is probed next; all of it is gone with it."""
    accounts = gateways.accounts_file(3)
    gateway = gateways.start(accounts).ready()
    wait_for(lambda: value(gateway, "gempool_sessions_open") == 3)
    for _ in range(3):
        assert gateway.ask(model=MODEL).status_code == 200
    wait_for(lambda: value(gateway, "gempool_account_last_used_timestamp_seconds", account="account-3"))
    now = time.time()
    shown = metrics(gateway)

    def of(name: str, **labels: str) -> float:
        return shown[name, frozenset(labels.items())]

    assert of("gempool_store_up") == of("gempool_leader") == of("gempool_replicas") == 1
    assert of("gempool_capacity") == 6
    for n in (1, 2, 3):
        account = f"account-{n}"
        assert of("gempool_account_state", account=account, state="active") == 1
        assert now - 60 < of("gempool_account_last_used_timestamp_seconds", account=account) <= now + 1
        assert now - 60 < of("gempool_account_proved_timestamp_seconds", account=account) <= now + 1
        assert of("gempool_upstream_calls_total", account=account, outcome="ok") == 1
        assert of("gempool_upstream_call_duration_seconds_count", account=account) == 1
    wait_for(
        lambda: (
            (value(gateway, "gempool_account_next_probe_timestamp_seconds", account="account-1") or 0) > now
        )
    )
    upstream.fault("account-2", "expired")
    assert [gateway.ask().status_code for _ in range(3)] == [200] * 3
    wait_for(lambda: value(gateway, "gempool_account_reason", account="account-2", reason="expired") == 1)
    changed = [line for line in gateway.lines("account changed") if line["account"] == "account-2"]
    assert (changed[-1]["after"], changed[-1]["reason"]) == ("quarantined", "expired")
    kept = json.loads(accounts.read_text())["accounts"]
    accounts.write_text(json.dumps({"accounts": [one for one in kept if one["id"] != "account-2"]}))
    wait_for(lambda: not any(("account", "account-2") in labels for _, labels in metrics(gateway)))
    assert value(gateway, "gempool_account_state", account="account-1", state="active") == 1
