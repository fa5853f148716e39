"""The upstream fails in every way it can, and the network before it, while one account is well: callers see nothing."""

import functools
import json
import random
import time
from pathlib import Path
from typing import Any

import pytest

from tests.drills.callers import Answered, Callers, fault
from tests.drills.conftest import House, Scale
from tests.drills.relay import Relay
from tests.support.processes import Gateway, wait_for

QUICK = {
    "gempool__engine__connect_timeout": "1s",
    "gempool__engine__first_content_timeout": "1s",
    "gempool__engine__silence_timeout": "1s",
    "gempool__pool__open_timeout": "3s",
    "gempool__pool__suspect_park": "1s",
    "gempool__pool__throttle_base": "100ms",
    "gempool__pool__eject_base": "1s",
    "gempool__supervisor__reprobe_first": "500ms",
    "gempool__supervisor__reprobe_max": "2s",
}
"""Bounds that a scene can wait for."""

BEFORE: list[dict[str, Any]] = [
    {"kind": "expired"},
    {"kind": "expired", "form": "401"},
    {"kind": "expired", "form": "redirect"},
    {"kind": "http_429"},
    {"kind": "http_500"},
    {"kind": "http_503", "on": ["all"]},
    {"kind": "error_1013"},
    {"kind": "error_1037", "resets_in": 2},
    {"kind": "slow_first_token", "seconds": 5},
    {"kind": "drop_before_first"},
    {"kind": "empty"},
    {"kind": "empty", "form": "bare"},
    {"kind": "garbage"},
    {"kind": "garbage", "form": "frame"},
    {"kind": "garbage", "form": "bytes"},
    {"kind": "rpc_fail", "on": ["rpc"]},
    {"kind": "latency", "seconds": 3},
    {"kind": "status", "code": 1040, "status": 403},
    {"kind": "rotate_empty"},
    {"kind": "ip_block"},
    {"kind": "refuse_connect"},
    {"kind": "tls_broken"},
]
"""Failures before an answer's first content: another account can cure each. (A guest is left out: that one of its kind asks for more than
it may have is what a guest's session is known by, and the simulator objects to it.)"""
WITHIN: list[dict[str, Any]] = [
    {"kind": kind, "frames": frames} for kind in ("drop_mid", "truncate", "stall") for frames in (1, 4)
]
"""Failures after it: a stream is told so, and whoever waits for a whole answer sees nothing."""


def broke_since(relay: Relay, count: int) -> bool:
    return relay.broken > count


def active(gateway: Gateway) -> list[str]:
    """Who serves: one that was signed out a moment ago is well again only once it has been tried."""
    accounts = gateway.get("/api/cookies/status").json()["accounts"]
    return [account["id"] for account in accounts if account["state"] == "active"]


def unjust(answers: list[Answered]) -> list[str]:
    """Faults, where streams may break off with the error that says so."""
    return [
        found
        for one in answers
        if (
            found := fault(
                one, ("upstream_failed", "UNAVAILABLE") if one.question.stream and one.text else ()
            )
        )
    ]


@pytest.mark.timeout(1800)
def test_every_fault_at_all_accounts_but_one(house: House, scale: Scale) -> None:
    """Each kind in turn befalls all accounts but one that the gateway has for well, under load, and passes: no caller sees an error
    before content, and none in a whole answer; all is given back."""
    gateway = house.start(**QUICK)
    house.web.defaults(words=40)
    sound = house.warm(gateway, words=40)
    chance = random.Random(5)  # noqa: S311  # the same faults in every run
    faults = BEFORE + WITHIN
    with Callers(gateway.url, many=scale.of(6, 10), words=40, pause=0.01) as callers:
        for _ in range(scale.of(1, 10)):
            chance.shuffle(faults)
            for each in faults[: scale.of(9, len(faults))]:
                well = chance.choice(active(gateway))
                for account in house.web.accounts:
                    if account["id"] == well:
                        house.web.call("DELETE", f"/accounts/{well}/fault")
                    else:
                        house.web.fault(account["id"], **each)
                callers.go_on(scale.of(8, 100))
                for account in house.web.accounts:
                    house.web.call("DELETE", f"/accounts/{account['id']}/fault")
                callers.settle()  # then it is known who failed
    assert unjust(callers.answers) == []
    sound.holds(40, memory=scale.long)


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("how", [pytest.param("silent", marks=pytest.mark.long), "reset"])
def test_the_network_before_two_accounts_breaks_in_every_phase(
    house: House, scale: Scale, tmp_path: Path, how: Any
) -> None:
    """Two of five accounts reach the upstream by way of a relay that goes silent, or resets, after some bytes: within the proxy's answer,
    the handshake, the head, the content. Callers see nothing but streams that break off with an error."""
    house.web.defaults(words=40)
    proxy = int(house.web.accounts[0]["proxy"].rpartition(":")[2])
    with Relay(proxy) as relay:
        path = house.gateways.accounts_file()
        told = json.loads(path.read_text())
        for account in told["accounts"][:2]:
            account["proxy"] = account["proxy"].replace(f":{proxy}", f":{relay.port}")
        path.write_text(json.dumps(told))
        gateway = house.start(path, **QUICK)
        sound = house.warm(gateway, words=40, relay=relay.port)
        chance = random.Random(6)  # noqa: S311  # as above
        with Callers(gateway.url, many=6, words=40, pause=0.01) as callers:
            for phase in (60, 3000, *(chance.randrange(6000) for _ in range(scale.of(0, 40)))):
                broken = relay.broken
                relay.break_(phase, how)
                wait_for(functools.partial(broke_since, relay, broken))
                callers.go_on(10)
                relay.mend()
                callers.go_on(10)
        assert unjust(callers.answers) == []
        before = time.monotonic()
        wait_for(lambda: gateway.get("/health").json()["accounts"].get("active") == 5, 60)
        assert time.monotonic() - before < 60
        sound.holds(40, memory=scale.long)
