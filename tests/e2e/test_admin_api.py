"""The operator's desk over HTTP: real processes, two replicas over one store, a simulated upstream."""

import json
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from supervisor.reasons import WHY
from tests.support.processes import Gateway, Gateways, Web, wait_for
from tests.support.store import freeze, valkey

SESSION = "/admin/api/session"
CARE = {
    "gempool__supervisor__probe_interval": "500ms",
    "gempool__supervisor__reprobe_first": "300ms",
    "gempool__supervisor__reprobe_max": "1s",
    "gempool__supervisor__rotate_interval": "1h",
    "gempool__pool__lease_ttl": "1s",
}


class Page:
    """What a page knows that applies everything that the desk tells."""

    def __init__(self, lines: Iterator[str]) -> None:
        self._lines = lines
        self.accounts: dict[str, dict[str, Any]] = {}
        self.minutes: dict[int, dict[str, Any]] = {}
        self.served: list[dict[str, Any]] = []
        self.happened: list[dict[str, Any]] = []
        self.now: dict[str, Any] = {}
        self.events: list[str] = []

    def next(self) -> str:
        """Apply the next event; its name."""
        name = ""
        for line in self._lines:
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                self._apply(name, json.loads(line.removeprefix("data: ")))
                return name
        return ""

    def until(self, condition: Any) -> None:
        """Look until that is true; the stream's own silence ends it otherwise."""
        while not condition():
            assert self.next(), "the stream has ended"

    def _apply(self, name: str, data: dict[str, Any]) -> None:
        self.events.append(name)
        if name not in ("view", "turn"):
            return
        if name == "view":
            self.accounts, self.minutes, self.served, self.happened = {}, {}, [], []
        self.now = data["now"]
        self.accounts.update((account["id"], account) for account in data["accounts"])
        for id in data.get("gone", ()):
            self.accounts.pop(id, None)
        self.minutes.update((minute["start"], minute) for minute in data["minutes"])
        self.served = data["served"] + self.served
        self.happened = data["happened"] + self.happened

    def told(self, kind: str, account: str = "") -> list[dict[str, Any]]:
        """Happenings of a kind, newest first."""
        return [entry for entry in self.happened if (entry["kind"], entry["account"]) == (kind, account)]

    def counted(self) -> int:
        return sum(number for minute in self.minutes.values() for number in minute["served"].values())


@contextmanager
def looking(gateway: Gateway) -> Iterator[Page]:
    timeout = httpx.Timeout(30, read=15)
    with httpx.stream("GET", f"{gateway.url}/admin/api/live", timeout=timeout) as answer:
        assert answer.status_code == 200
        page = Page(answer.iter_lines())
        assert page.next() == "view"
        yield page


@pytest.fixture
def two(gateways: Gateways, tmp_path: Path) -> Iterator[list[Gateway]]:
    """Two replicas over one store, each with a data directory of its own."""
    (tmp_path / "store").mkdir()
    with valkey(tmp_path / "store") as (_, url):
        file = gateways.accounts_file(5)
        started = [
            gateways.start(file, REDIS_URL=url, GEMPOOL_DATA_DIR=str(tmp_path / name), **CARE)
            for name in ("data-1", "data-2")
        ]
        for gateway in started:
            gateway.ready()
        for gateway in started:
            wait_for(lambda g=gateway: len(g.lines("session opened")) >= 5, what=gateway.log)
        yield started
        gateways.end()


def post(gateway: Gateway, path: str) -> httpx.Response:
    return httpx.post(gateway.url + path, timeout=30)


def test_an_account_that_expires_is_seen_at_once_and_so_is_its_return(
    upstream: Web, gateways: Gateways
) -> None:
    """A turn tells that it expired, why, what to do and when it is tried again; the view says the same; then it is back."""
    gateway = gateways.start(gateways.accounts_file(5), **CARE).ready()
    wait_for(lambda: len(gateway.lines("session opened")) >= 5, what=gateway.log)
    with looking(gateway) as page:
        assert {account["state"] for account in page.accounts.values()} == {"active"}
        upstream.fault("account-2", "expired")
        page.until(lambda: page.accounts["account-2"]["state"] == "quarantined")
        page.until(lambda: page.accounts["account-2"]["probe_outcome"] == "expired")
        found = page.accounts["account-2"]
        assert (found["reason"], found["order"], found["next"]) == ("expired", 0, "probe")
        assert found["why"] == WHY["quarantined", "expired"]
        assert found["next_at"] > found["since"]
        assert page.now["accounts"] == {"active": 4, "quarantined": 1}
        assert page.told("state", "account-2")[0]["outcome"] == "expired"
        view = gateway.get("/admin/api/view").json()
        seen = next(account for account in view["accounts"] if account["id"] == "account-2")
        assert (seen["state"], seen["reason"], seen["why"]) == ("quarantined", "expired", found["why"])
        answer = post(gateway, "/admin/api/accounts/account-2/probe")
        assert (answer.status_code, answer.json()["outcome"]) == (200, "expired")
        upstream.fault("account-2", "ok")
        page.until(lambda: page.accounts["account-2"]["state"] == "active")
        page.until(lambda: page.told("operator", "account-2"))
    detail = gateway.get("/admin/api/accounts/account-2").json()
    assert detail["account"]["state"] == "active"
    kinds = {(entry["kind"], entry["outcome"]) for entry in detail["history"]}
    assert {("state", "expired"), ("probe", "expired"), ("operator", "probe")} <= kinds
    assert post(gateway, "/admin/api/accounts/nobody/probe").status_code == 404
    shown = json.dumps([view, detail]) + gateway.log
    for account in upstream.accounts:
        assert account["secure_1psid"] not in shown
        assert account["secure_1psidts"] not in shown


def test_two_replicas_are_one_desk(upstream: Web, two: list[Gateway]) -> None:
    """Requests through both stand in one list and in the minutes' counts; a replica that is killed is told as lost."""
    one, other = two
    with looking(one) as page:
        page.until(lambda: page.now["replicas"] == 2)
        page.until(lambda: page.now["leader"])
        names = {entry["replica"] for entry in page.told("replica")}
        assert len(names) == 2
        for gateway in two:
            for _ in range(3):
                assert gateway.ask().status_code == 200
        assert one.ask(model="no-such-model").status_code == 404
        page.until(lambda: len(page.served) >= 7)
        page.until(lambda: page.counted() == 7)
        assert {entry["replica"] for entry in page.served} == names
        assert sorted(entry["outcome"] for entry in page.served) == ["model_not_found"] + ["ok"] * 6
        asked = [attempt["account"] for entry in page.served for attempt in entry["asked"]]
        counted = {
            account: outcomes["ok"]
            for minute in page.minutes.values()
            for account, outcomes in minute["asked"].items()
        }
        assert sum(counted.values()) == len(asked) == 6
        for gateway in two:
            wait_for(lambda g=gateway: len(g.get("/admin/api/view").json()["served"]) == 7)
        other.kill()
        page.until(lambda: page.now["replicas"] == 1)
        page.until(lambda: page.told("replica")[0]["outcome"] == "lost")
        page.until(lambda: page.now["leader"] == page.now["replica"])


def test_signing_out_ends_the_session_in_every_replica(
    upstream: Web, gateways: Gateways, tmp_path: Path
) -> None:
    """Signed out at one: the other refuses a copy of the cookie, ends a tab's stream with the word for it, and a replica that
    starts later knows too; whoever has signed in apart stays. While the store is frozen the answer says that others do not
    know, and they do when it is back. Another ADMIN_KEY ends all that is left."""
    (tmp_path / "store").mkdir()
    with valkey(tmp_path / "store") as (store, url):
        file = gateways.accounts_file(5)

        def started(name: str, key: str = "admin-key") -> Gateway:
            environment = {"REDIS_URL": url, "GEMPOOL_DATA_DIR": str(tmp_path / name), "ADMIN_KEY": key}
            return gateways.start(file, **environment, **CARE).ready()

        one, other = started("data-1"), started("data-2")

        def session(gateway: Gateway) -> dict[str, str]:
            answer = httpx.post(f"{gateway.url}{SESSION}", json={"key": "admin-key"}, timeout=30)
            assert answer.status_code == 200
            return {"cookie": f"gempool_session={answer.cookies['gempool_session']}"}

        def let_in(gateway: Gateway, shown: dict[str, str]) -> bool:
            answer = gateway.get("/admin/api/view", headers=shown)
            assert answer.status_code == 200 or answer.json()["error"]["code"] == "session_expired"
            return answer.status_code == 200

        shown, apart, late = session(one), session(one), session(other)
        with httpx.stream(
            "GET", f"{other.url}/admin/api/live", headers=shown, timeout=httpx.Timeout(30, read=15)
        ) as answer:
            page = Page(answer.iter_lines())
            assert page.next() == "view"
            assert httpx.delete(f"{one.url}{SESSION}", headers=shown, timeout=30).status_code == 204
            page.until(lambda: "bye" in page.events)
            assert page.next() == ""
        for gateway in (one, other, started("data-3")):
            wait_for(lambda g=gateway: not let_in(g, shown))
            assert let_in(gateway, apart)
        freeze(store)
        gone = httpx.delete(f"{one.url}{SESSION}", headers=late, timeout=30)
        assert (gone.status_code, gone.json()["told"]) == (200, False)
        store.send_signal(signal.SIGCONT)
        wait_for(lambda: not let_in(other, late))
        assert not let_in(one, late)
        assert let_in(other, apart)
        assert not let_in(started("data-4", "another-key"), apart)
        gateways.end()


def test_a_broken_accounts_file_is_told_with_its_line(upstream: Web, gateways: Gateways) -> None:
    """The view names the file and what is wrong with it until it is mended; both stand among what happened."""
    file = gateways.accounts_file(5)
    well = file.read_text()
    gateway = gateways.start(file, **CARE).ready()
    with looking(gateway) as page:
        file.write_text(well + "]")
        page.until(lambda: page.now["broken_files"])
        assert list(page.now["broken_files"]) == [str(file)]
        page.until(lambda: page.told("config"))
        assert page.told("config")[0]["outcome"] == "broken"
        file.write_text(well)
        page.until(lambda: not page.now["broken_files"])
        page.until(lambda: page.told("config")[0]["outcome"] == "mended")
        gateway.process.terminate()
        page.until(lambda: "bye" in page.events)
    assert gateway.stop() == 0
