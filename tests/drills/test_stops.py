"""Gateways are stopped as they should be, by SIGTERM, while callers are being answered, and others take their place."""

import asyncio
import functools
import signal
import ssl
import threading
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest
import redis

from tests.drills.callers import Answered, Callers, Question, ask, faults
from tests.drills.conftest import House, Scale
from tests.drills.verdict import P
from tests.e2e.test_batches import ended, named, prompt_of, take_in
from tests.support.balancer import Names, balancing
from tests.support.ports import free_ports
from tests.support.processes import Gateway, Gateways, Web, simulating, wait_for

_LIMITS = httpx.Limits(max_connections=None)
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
HOSTS = ("127.0.0.1", "127.0.0.2", "127.0.0.3")
AT_ONCE = 120
"""Answers that are asked for together."""
EACH = 8
"""The most that one account may do at a time."""


class Crowd:
    """So many callers who ask at the same moment, three of four for a stream, while the block lasts; `answers` has all at its end."""

    def __init__(self, url: str, words: int) -> None:
        self.answers: list[Answered] = []
        self._url = url
        self._questions = [Question(f"c{n}", n % 2 == 0, n % 4 < 3, words) for n in range(AT_ONCE)]
        self._thread = threading.Thread(target=lambda: asyncio.run(self._all()))

    def __enter__(self) -> "Crowd":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(120)
        assert not self._thread.is_alive(), "somebody is not answered"

    async def _all(self) -> None:
        async with httpx.AsyncClient(timeout=60, verify=_NO_TLS, limits=_LIMITS) as client:
            self.answers += await asyncio.gather(
                *(ask(client, self._url, question) for question in self._questions)
            )


def running(web: Web) -> int:
    return sum(int(web.account(n + 1)["running"]) for n in range(len(web.accounts)))


def refused(gateway: Gateway) -> bool:
    try:
        gateway.get("/health")
    except httpx.TransportError:
        return True
    return False


def leases(url: str) -> int:
    with redis.Redis.from_url(url) as store:
        return sum(int(store.hlen(key)) for key in store.keys(f"{P}leases:*"))


def test_a_stop_under_a_hundred_streams(tmp_path: Path, scale: Scale, empty_valkey: str) -> None:
    """SIGTERM while more than a hundred answers are under way, most of them streams: every one comes whole, to the last character; nobody
    new is let in; the process ends with code 0 within its grace, and nothing of it stays in the store or at the upstream."""
    place = tmp_path / "web"
    place.mkdir()
    with ExitStack() as stack:
        web = stack.enter_context(simulating(place, AT_ONCE // EACH))
        gateways = Gateways(tmp_path, web)
        stack.callback(gateways.end)
        accounts = gateways.accounts_file(max_concurrency=EACH)
        for _ in range(scale.of(1, 10)):
            gateway = House(tmp_path, web, gateways).start(accounts, REDIS_URL=empty_valkey)
            web.defaults(words=120, frames=6, frame_delay=scale.of(900, 1500) / 1000)
            with Crowd(gateway.url, words=120) as crowd:
                wait_for(lambda: running(web) >= 100)
                gateway.process.send_signal(signal.SIGTERM)
                began = time.monotonic()
                wait_for(functools.partial(refused, gateway))
                assert running(web) > 0, "the stop came after the answers"
            assert gateway.process.wait(30) == 0
            assert time.monotonic() - began < 30
            assert faults(crowd.answers) == []
            assert (leases(empty_valkey), running(web)) == (0, 0)
            assert web.anomalies() == []


@pytest.mark.long
@pytest.mark.timeout(900)
def test_three_replicas_are_started_anew_one_after_the_other(
    house: House, empty_valkey: str, tmp_path: Path
) -> None:
    """Behind the balancer, under load and with a batch under way: no caller sees an error, a stream that breaks off or a wrong
    answer; each task of the batch is answered once, and was sent once."""
    outer, inner = free_ports(2)
    settings = {
        "REDIS_URL": empty_valkey,
        "GEMPOOL_ALLOW_ANONYMOUS": "true",
        "GEMPOOL__SERVER__TRUSTED_PROXIES": "127.0.0.1",
        "GEMPOOL__BATCHES__SHARE": "20",
        "PORT": str(inner),
    }
    tasks = 600
    house.web.defaults(words=40, frame_delay=0.01)
    names = Names(*HOSTS)
    try:
        with balancing(tmp_path, outer, inner, names):
            replicas = [house.start(HOST=host, **settings) for host in HOSTS]
            url = f"http://127.0.0.1:{outer}"
            with Callers(url, many=12, words=40) as callers:
                batch = take_in(replicas[0], named(tasks))
                for turn in range(12):
                    place = turn % len(replicas)
                    callers.go_on(30)
                    assert replicas[place].stop() == 0, replicas[place].log[-3000:]
                    callers.go_on(10)
                    replicas[place] = house.start(HOST=HOSTS[place], **settings)
                callers.go_on(30)
            status = ended(replicas[0], batch)
            assert [gateway.stop() for gateway in replicas] == [0, 0, 0]
    finally:
        names.close()
    assert faults(callers.answers) == []
    assert (status["completed"], status["failed"]) == (tasks, 0)
    assert Counter(prompt_of(result["text"]) for result in status["results"]) == Counter(named(tasks))
    sent = Counter(one["text"] for one in house.web.call("GET", "/journal") if "task " in one["text"])
    assert max(sent.values()) == 1
    assert (leases(empty_valkey), running(house.web)) == (0, 0)
