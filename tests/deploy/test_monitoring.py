"""Dashboards and alerts at work: two gateways and a simulator with traffic and faults, and a real Prometheus that scrapes them.

Time runs faster for the rules: tests/support/prometheus.py says how.
"""

import hashlib
import json
import re
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.grafana.build import dashboards
from tests.fakes.bark import FakeBark, bark_server
from tests.support.debian import debian
from tests.support.ports import free_ports
from tests.support.processes import Gateway, Gateways, Web, simulating, wait_for
from tests.support.prometheus import LEAST, NO_TLS, SCRAPE, Prometheus, scraping
from tests.support.store import valkey

pytestmark = pytest.mark.timeout(300)  # faults and alerts take their time, and more of it on a busy machine

CALLER, LIMITED, ADMIN = "sk-a-caller", "sk-a-limited-caller", "sk-the-operator"
PHONE = "phone4Key"
THRESHOLDS = {
    "GempoolFirstContentSlow": ("> 30", "> 1"),
    "GempoolAnswersSlow": ("> 120", "> 1"),
    "GempoolCookiesOld": ("> 3600", "> 8"),
}
"""Seconds that faults of this test can bring about."""
SETTINGS = {
    "API_KEY": CALLER,
    "ADMIN_KEY": ADMIN,
    "BARK_KEYS": PHONE,
    "gempool__access__keys": json.dumps(
        [
            {
                "name": "limited",
                "key": f"sha256:{hashlib.sha256(LIMITED.encode()).hexdigest()}",
                "per_caller": "1/hour",
            }
        ]
    ),
    "gempool__limits__enabled": "true",
    "gempool__limits__per_caller": "off",
    "gempool__limits__per_caller_and_model": "off",
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "300ms",
    "gempool__supervisor__reprobe_max": "1s",
    "gempool__supervisor__rotate_interval": "2s",
    "gempool__pool__queue_size": "2",
    "gempool__pool__throttle_base": "50ms",
    "gempool__alerts__min_interval": "1s",
}
CHAT = "gemini-3-flash-preview"
PICTURE = "gemini-2.5-flash-image"


class Crowd:
    """Callers that ask over and over, each in a thread of its own; what becomes of it is nothing to them."""

    def __init__(self, callers: int, pause: float, urls: Callable[[int], str], stream: bool = False) -> None:
        self._over = threading.Event()
        self._pause = pause
        self._urls = urls
        self._stream = stream
        self._threads = [threading.Thread(target=self._ask, args=(number,)) for number in range(callers)]

    def __enter__(self) -> "Crowd":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _ask(self, turn: int) -> None:
        with httpx.Client(timeout=30, verify=NO_TLS, headers={"authorization": f"Bearer {CALLER}"}) as client:
            while not self._over.wait(self._pause):
                turn += 1
                with suppress(httpx.HTTPError):
                    client.post(
                        f"{self._urls(turn)}/v1/chat/completions",
                        json={"messages": [{"role": "user", "content": "Hi"}], "stream": turn % 3 == 0},
                    )


class Service:
    """All of it. Replicas keep their ports when they are started anew."""

    def __init__(self, directory: Path, web: Web, bark: FakeBark, store_url: str) -> None:
        self.web = web
        self.bark = bark
        self.gateways = Gateways(directory, web)
        self.accounts = self.gateways.accounts_file(max_concurrency=2, min_interval="0s")
        self.pictures = directory / "pictures"
        self.ports = free_ports(2)
        self._settings = SETTINGS | {
            "REDIS_URL": store_url,
            "BARK_URL": bark.url,
            "GEMPOOL__STORAGE__DIRECTORY": str(self.pictures),
        }
        self._directory = directory
        self.replicas: list[Gateway] = []
        self.start_all()

    def start_all(self) -> None:
        self.replicas = [self.start(number) for number in range(2)]
        for replica in self.replicas:
            replica.ready()

    def start(self, number: int) -> Gateway:
        return self.gateways.start(
            self.accounts,
            PORT=str(self.ports[number]),
            GEMPOOL_DATA_DIR=str(self._directory / f"data-{number}"),
            **self._settings,
        )

    @property
    def targets(self) -> list[str]:
        return [f"127.0.0.1:{port}" for port in self.ports]

    def url(self, turn: int) -> str:
        return f"http://{self.targets[turn % 2]}"

    def post(self, path: str, body: dict[str, Any], key: str = CALLER, turn: int = 0) -> httpx.Response:
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(self.url(turn) + path, json=body, headers=headers, timeout=60, verify=NO_TLS)

    def draw(self, turn: int = 0) -> httpx.Response:
        body = {"model": PICTURE, "prompt": f"a red kite {turn}", "response_format": "url"}
        return self.post("/v1/images/generations", body, turn=turn)

    def batch(self, kind: str, count: int) -> None:
        """Take in a batch."""
        body = {"prompts": [f"a boat {number}" for number in range(count)], "concurrency": 4}
        assert self.post(f"/v1/batch/{kind}", body).status_code == 202

    def expire(self, *numbers: int) -> None:
        for number in numbers:
            self.web.fault(f"account-{number}", "expired")

    def mend(self) -> None:
        """The accounts and the web app are as at first."""
        self.web.reset()
        self.web.defaults(full_pixels=1024)

    def leave(self, turn: int) -> None:
        """Ask for a stream, and go before it is over."""
        body = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
        headers = {"authorization": f"Bearer {CALLER}"}
        with suppress(httpx.HTTPError):
            httpx.post(
                f"{self.url(turn)}/v1/chat/completions",
                json=body,
                headers=headers,
                timeout=0.3,
                verify=NO_TLS,
            )


@pytest.fixture(scope="module")
def bark() -> Iterator[FakeBark]:
    with bark_server(PHONE) as server:
        yield server


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator["Store"]:
    found = Store(tmp_path_factory.mktemp("store"))
    found.start()
    yield found
    found.close()


class Store:
    """A Valkey that dies and comes back, empty."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._running = ExitStack()
        self._process: subprocess.Popen[bytes] | None = None
        self.url = ""

    def start(self) -> None:
        (self._directory / "s").unlink(missing_ok=True)
        self._process, self.url = self._running.enter_context(valkey(self._directory))

    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(10)

    def close(self) -> None:
        self._running.close()


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, bark: FakeBark, store: Store) -> Iterator[Service]:
    debian("prometheus")
    with simulating(tmp_path_factory.mktemp("web"), accounts=5) as web:
        web.defaults(full_pixels=1024)
        found = Service(tmp_path_factory.mktemp("service"), web, bark, store.url)
        try:
            with Crowd(3, 0.5, found.url):
                yield found
        finally:
            found.gateways.end()


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, service: Service) -> Iterator[Prometheus]:
    with scraping(tmp_path_factory.mktemp("prometheus"), service.targets, ADMIN, THRESHOLDS) as found:
        wait_for(
            lambda: found.instant('sum(up{job="gempool"})') == [2.0], what="the gateways are not scraped"
        )
        yield found


def fire(prometheus: Prometheus, *names: str) -> None:
    """Wait until all of these fire, and look at what they tell."""
    missing = set(names)

    def found() -> bool:
        time.sleep(SCRAPE / 4)  # rules are evaluated no more often than once in a scrape
        for name, told in prometheus.firing().items():
            missing.discard(name)
            assert not re.search(r"<error|<no value>|\{\{", str(told)), told
        return not missing

    try:
        wait_for(found, seconds=60)
    except AssertionError:
        raise AssertionError(
            f"do not fire: {sorted(missing)}; ill: {prometheus.ill()}; {prometheus.alerts()}"
        ) from None


def resolve(prometheus: Prometheus, *names: str, busy: Callable[[], object] = lambda: None) -> None:
    """Wait until none of these fires. busy: what is done all the time."""

    def still() -> set[str]:
        busy()
        time.sleep(SCRAPE / 4)
        return set(names) & set(prometheus.firing())

    wait_for(lambda: not still(), seconds=60, what=f"still firing of {names}: {prometheus.alerts()}")


def filled_in(expr: str) -> str:
    """As Grafana would, with all replicas and accounts chosen."""
    values = {"$__rate_interval": "4s", "$__range": "1m", "$instance": ".*", "$account": ".*"}
    return re.sub(r"\$\w+", lambda found: values[found[0]], expr)


def asked() -> Iterator[tuple[str, str, bool]]:
    """The place, the query and whether it is an instant one, of every panel and annotation."""
    for name, text in dashboards().items():
        board = json.loads(text)
        for annotation in board["annotations"]["list"]:
            yield f"{name}: {annotation['name']}", annotation["expr"], False
        for panel in board["panels"]:
            for target in panel.get("targets", ()):
                # Without the 0 that stands for what never happened: here it does.
                expr = target["expr"].partition(" or on() ")[0]
                yield f"{name}: {panel['title']} {target['refId']}", expr, target["instant"]


def test_nothing_fires_while_all_is_well(service: Service, prometheus: Prometheus) -> None:
    """For longer than any alert waits, under traffic of all kinds; and every rule can be evaluated."""
    wait_for(lambda: not prometheus.firing())
    began = time.time()
    service.batch("chat", 4)
    service.batch("images", 2)
    while time.time() - began < 2 * LEAST:
        assert service.draw().status_code == 200
        time.sleep(2)  # rules wait, and so does this
    assert prometheus.fired(began) == set()
    assert prometheus.ill() == []


def test_every_panel_shows_something(service: Service, prometheus: Prometheus) -> None:
    """Every query of every panel finds numbers while accounts are ill, limits refuse, callers leave and requests wait."""
    began = time.time()
    service.expire(1)
    service.web.fault("account-2", "http_429", probability=0.5)
    service.web.defaults(first_delay=0.6, full_pixels=1024)
    service.batch("chat", 4)
    service.batch("images", 2)
    missing = list(asked())
    turn = 0

    def all_found() -> bool:
        nonlocal missing, turn
        turn += 1
        service.leave(turn)
        service.draw(turn)
        service.post("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}, LIMITED)
        missing = [
            (place, expr, instant)
            for place, expr, instant in missing
            if not (
                prometheus.instant(filled_in(expr))
                if instant
                else prometheus.over_time(filled_in(expr), began)
            )
        ]
        return not missing

    with Crowd(16, 0.2, service.url):
        try:
            wait_for(all_found, seconds=40)
        except AssertionError:
            raise AssertionError(f"no data: {missing}") from None
    service.mend()


def test_alerts_on_accounts_and_work(service: Service, prometheus: Prometheus) -> None:
    """Accounts expire, their cookies are not rotated, the phone is not reached, the accounts file is broken, pictures keep their logo and
    are not stored, batches fail and then wait: each has its alert, which goes when it is mended."""
    at_first = (
        "GempoolFewAccounts", "GempoolAccountQuarantined", "GempoolCookiesOld", "GempoolAlertsUndelivered",
        "GempoolConfigBroken", "GempoolWatermarkStays", "GempoolPicturesNotStored", "GempoolBatchTasksFail",
    )  # fmt: skip
    in_the_end = ("GempoolNoAccountCanServe", "GempoolBatchesStuck")
    good = service.accounts.read_text()
    service.bark.answer_with = (500, "out of order")
    service.expire(1, 2, 3)
    service.web.fault("account-5", "rotate_empty")
    service.accounts.write_text(good.replace('"proxy"', '"proxi"', 1))
    aside = service.pictures.rename(service.pictures.with_name("aside"))
    service.pictures.write_text("in the way of the folder")
    service.web.defaults(logo="none", full_pixels=1024)
    for turn in range(12):
        assert service.draw(turn).status_code == 200
    service.web.defaults(picture_reply="refusal", full_pixels=1024)
    service.batch("images", 6)
    fire(prometheus, *at_first)

    service.expire(4, 5)
    service.batch("chat", 2)
    fire(prometheus, *in_the_end)

    service.accounts.write_text(good)
    service.pictures.unlink()
    aside.rename(service.pictures)
    service.bark.answer_with = None
    service.mend()
    resolve(prometheus, *in_the_end)
    resolve(prometheus, *at_first, busy=service.draw)  # pictures without a logo any more outweigh the others


def test_alerts_on_what_callers_notice(service: Service, prometheus: Prometheus) -> None:
    """More callers than the accounts can serve, answers that come late, and a Google that says 'too much': callers are turned
    away, requests fail, budgets burn; all of it is over when it is over."""
    names = (
        "GempoolCallersTurnedAway", "GempoolRequestsFail", "GempoolErrorBudgetBurnsFast", "GempoolErrorBudgetBurnsSlowly",
        "GempoolFirstContentSlow", "GempoolAnswersSlow", "GempoolUpstreamThrottles",
    )  # fmt: skip
    service.web.defaults(first_delay=1.5, full_pixels=1024)
    for number in (1, 2, 3):
        service.web.fault(f"account-{number}", "http_429", probability=0.8)
    with Crowd(16, 0.4, service.url):
        fire(prometheus, *names)
        service.mend()
    with Crowd(2, 0.1, service.url):
        resolve(prometheus, *names)


def test_alerts_on_replicas_and_store(service: Service, prometheus: Prometheus, store: Store) -> None:
    """A replica and the store are killed, then the other replica; each is noticed, and so is its return."""
    names = ("GempoolReplicaDown", "GempoolStoreDown", "GempoolNoLeader", "GempoolDown")
    first, second = service.replicas
    second.kill()
    store.kill()
    fire(prometheus, "GempoolReplicaDown", "GempoolStoreDown", "GempoolNoLeader")
    first.kill()
    fire(prometheus, "GempoolDown")
    store.start()
    service.start_all()
    resolve(prometheus, *names)
