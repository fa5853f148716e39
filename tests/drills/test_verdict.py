"""The judges convict: what leaks is named, and so is an answer that the contract does not allow."""

import json
import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import redis
from msgspec.structs import replace

from tests.drills.callers import Answered, Callers, Question, fault, faults
from tests.drills.conftest import House
from tests.drills.verdict import Measured, environment, leaks, store_url
from tests.support.processes import wait_for

RIGHT = Answered(question=Question("q1"), began=0, status=200, text=Question("q1").answer(), ended=True)
STREAMED = Question("q1", stream=True)


def frames(*texts: str, end: bool = True) -> str:
    parts: list[object] = [
        {"choices": [{"delta": {"content": text}, "finish_reason": None}]} for text in texts
    ]
    if end:
        parts.append({"choices": [{"delta": {}, "finish_reason": "stop"}]})
    return "".join(f"data: {json.dumps(part)}\n\n" for part in parts) + ("data: [DONE]\n\n" if end else "")


def read(body: str) -> Answered:
    one = Answered(question=STREAMED, began=0, status=200)
    one.read(body)
    return one


def test_right_answers_are_let_go() -> None:
    """Whole ones, streamed ones, and whoever left."""
    right = STREAMED.answer()
    assert faults([RIGHT, read(frames(right[:5], right[5:])), replace(RIGHT, text="", left=True)]) == []


@pytest.mark.parametrize(
    ("one", "says"),
    [
        (replace(RIGHT, text=Question("q2").answer()), "text of no answer to it"),
        (replace(RIGHT, text=RIGHT.text + "!"), "text of no answer to it"),
        (replace(RIGHT, text=RIGHT.text[:-1]), "breaks off"),
        (replace(RIGHT, ended=False), "breaks off"),
        (replace(RIGHT, text="", status=503, code="no_account_available", again=5), "503 no_account"),
        (replace(RIGHT, text="", status=0, lost="ReadError", ended=False), "connection lost"),
        (read(frames("You said: ", end=False)), "breaks off"),
        (read(frames(STREAMED.answer()).replace("data: [DONE]\n\n", "")), "breaks off"),
        (
            read(frames("You said: ", end=False) + 'data: {"error": {"code": "upstream_failed"}}\n\n'),
            "200 up",
        ),
    ],
)
def test_any_other_answer_is_convicted(one: Answered, says: str) -> None:
    """Somebody else's words, a word too many or too few, a stream without its end, an error, a lost connection."""
    assert says in fault(one)


def test_an_allowed_error_must_say_when_to_come_back() -> None:
    """Where a scene allows 503, one without Retry-After is still a fault."""
    busy = replace(RIGHT, text="", status=503, code="no_account_available", ended=False)
    assert fault(replace(busy, again=2), {"no_account_available"}) == ""
    assert "without Retry-After" in fault(busy, {"no_account_available"})


@pytest.mark.parametrize(
    "now",
    [
        Measured(leases={"r": 1}),
        Measured(held={"account-1": 1}),
        Measured(running={"account-1": 1}),
        Measured(fds={"callers": 1}),
        Measured(fds={"upstream": 11}),
        Measured(fds={"file": 4}),
        Measured(fds={"pipe": 1}),
        Measured(tasks=21),
        Measured(memory=1051),
        Measured(requests=1),
        Measured(waiting=1),
        Measured(temporary=("x.part",)),
        Measured(anomalies=("x",)),
    ],
    ids=lambda now: next(
        name for name in Measured.__struct_fields__ if getattr(now, name) != getattr(Measured(), name)
    ),
)
def test_each_kind_of_leak_is_named(now: Measured) -> None:
    """One more than there was, or 5 % more memory, and nothing that stands for another."""
    before = Measured(fds={"file": 3, "upstream": 10}, tasks=20, memory=1000)
    assert leaks(before, replace(before, leases={"r": 0}, memory=1050), memory=True) == []
    assert len(leaks(before, now, memory=True)) == 1


def test_a_real_gateway_that_leaks_is_convicted(house: House, tmp_path: Path) -> None:
    """A lease that nobody holds, a generation that the store counts and nobody runs, a caller's connection that stays, an answer that
    takes for ever, an unfinished file, an anomaly: each is told by name, and once it is taken away all is sound."""
    gateway = house.start()
    sound = house.warm(gateway, answers=50)
    sound.holds()
    with redis.Redis.from_url(store_url(gateway)) as store:
        [replica] = [key.decode() for key in store.zrange("{gempool}:replicas", 0, -1)]
        store.hset(f"{{gempool}}:leases:{replica}", "ghost", json.dumps(["account-1", "default", 1]))
        assert [leak for leak in sound.leaks() if "holds 1 leases" in leak]
        store.hdel(f"{{gempool}}:leases:{replica}", "ghost")
        store.hincrby("{gempool}:a:account-2", "inf", 1)
        assert sound.leaks() == ["account-2 is counted as running 1"]
        with pytest.raises(AssertionError, match="account-2 is counted as running 1"):
            sound.holds(0.5)
        store.hincrby("{gempool}:a:account-2", "inf", -1)
    with socket.create_connection(("127.0.0.1", httpx.URL(gateway.url).port or 0)):
        wait_for(lambda: "1 open descriptors of kind callers, 0 may stay" in sound.leaks())
    (Path(environment(gateway.process.pid)["TMPDIR"]) / "left").touch()
    assert [leak for leak in sound.leaks() if leak.endswith("/left")]
    (Path(environment(gateway.process.pid)["TMPDIR"]) / "left").unlink()
    sound.holds()


def test_an_answer_that_does_not_end_is_convicted(house: House) -> None:
    """What an answer takes while it runs - a lease, a task, a connection, a generation at the simulator - is seen in each of those places."""
    gateway = house.start()
    sound = house.warm(gateway, answers=50)
    house.web.defaults(first_delay=30)
    with ThreadPoolExecutor(1) as callers:
        running = callers.submit(gateway.ask, "for ever", stream=True)
        wait_for(lambda: sum(sound.measure().running.values()) == 1)
        found = "\n".join(sound.leaks())
        for kind in (
            "holds 1 leases",
            "is counted as running 1",
            "runs 1 at the",
            "callers",
            "asyncio tasks",
            "1 requests",
        ):
            assert kind in found
        house.web.defaults(first_delay=0)
        gateway.kill()
        assert running.exception() is not None


def test_a_load_convicts_a_gateway_that_fails_its_callers(house: House) -> None:
    """All cookies dead: every caller is told so, and that is a fault unless the scene allows it."""
    gateway = house.start()
    for account in house.web.accounts:
        house.web.fault(account["id"], "expired")
    with Callers(gateway.url, many=4) as callers:
        callers.go_on(20)
    assert faults(callers.answers)
    assert faults(callers.answers, ("no_account_available", "UNAVAILABLE")) == []
