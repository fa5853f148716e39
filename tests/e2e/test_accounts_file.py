"""The accounts file and its commands, on a gateway that is under load the whole time."""

import json
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.support.metrics import metric
from tests.support.processes import GEMPOOL, Gateway, Gateways, Web, wait_for

LIVE = 6.0
"""Seconds. Two are promised; a machine that other tests keep busy may take longer."""


class Load:
    """Callers that ask again and again; every answer's status is kept."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._ended = threading.Event()
        self.statuses: list[int | str] = []

    def ask_until_the_end(self) -> None:
        with httpx.Client(timeout=30) as http:
            while not self._ended.is_set():
                body = {
                    "messages": [{"role": "user", "content": "load"}],
                    "stream": len(self.statuses) % 2 == 0,
                }
                try:
                    answer = http.post(f"{self._gateway.url}/v1/chat/completions", json=body)
                except httpx.HTTPError as error:
                    self.statuses.append(type(error).__name__)
                else:
                    whole = not body["stream"] or answer.text.endswith("data: [DONE]\n\n")
                    self.statuses.append(answer.status_code if whole else "cut")

    @contextmanager
    def running(self, callers: int = 3) -> Iterator["Load"]:
        threads = [threading.Thread(target=self.ask_until_the_end) for _ in range(callers)]
        for thread in threads:
            thread.start()
        try:
            yield self
        finally:
            self._ended.set()
            for thread in threads:
                thread.join()


def gempool(
    *arguments: str, accounts: Path, told: str = "", **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [GEMPOOL, "accounts", *arguments],
        env={"PATH": "/usr/bin:/bin", "GEMPOOL_ACCOUNTS_FILE": str(accounts), **environ},
        input=told,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def entry(account: dict[str, str], more: str = "") -> str:
    return (
        f"  # {account['id']} is kept\n  - id: {account['id']}\n    secure_1psid: {account['secure_1psid']}\n"
        f"    secure_1psidts: {account['secure_1psidts']}\n    proxy: {account['proxy']}\n{more}"
    )


def save(path: Path, *entries: str) -> None:
    new = path.with_suffix(".new")
    new.write_text("accounts:\n" + "".join(entries))
    new.chmod(0o600)
    new.replace(path)


def states(gateway: Gateway) -> dict[str, int]:
    found: dict[str, int] = gateway.get("/health").json()["accounts"]
    return found


def soon(condition: Callable[[], Any], what: str) -> None:
    began = time.monotonic()
    wait_for(condition, seconds=LIVE, what=what)
    assert time.monotonic() - began < LIVE


def test_every_edit_is_live_without_a_failed_request(
    upstream: Web, gateways: Gateways, tmp_path: Path
) -> None:
    """Add, limit, disable, enable, break, mend, import, remove, each live soon, while callers ask
    all the time and see nothing of it."""
    one, two, three, four, five = upstream.accounts
    path = tmp_path / "live.yaml"
    save(path, entry(one), entry(two))
    upstream.defaults(frames=3, words=5, frame_delay=0.01)
    gateway = gateways.start(path, ADMIN_KEY="adm").ready()
    wait_for(lambda: states(gateway).get("active") == 2)
    with Load(gateway).running() as load:
        save(path, entry(one), entry(two), entry(three))
        soon(lambda: states(gateway).get("active") == 3, "three is not live")
        wait_for(lambda: upstream.account(3)["prompts"], what="three was never asked")

        opened = len(gateway.lines("session opened"))
        save(path, entry(one, "    max_concurrency: 1\n"), entry(two), entry(three))
        soon(lambda: len(gateway.lines("accounts file applied")) == 2, "the limit is not live")
        assert len(gateway.lines("session opened")) == opened

        done = gempool("disable", two["id"], accounts=path)
        assert done.returncode == 0, done.stderr
        soon(lambda: states(gateway).get("disabled") == 1, "two is not disabled")
        wait_for(lambda: not upstream.account(2)["running"])
        before = upstream.account(2)["prompts"]
        asked = len(load.statuses)
        wait_for(lambda: len(load.statuses) > asked + 20)
        assert upstream.account(2)["prompts"] == before
        assert gempool("enable", two["id"], accounts=path).returncode == 0
        soon(lambda: states(gateway).get("active") == 3, "two is not back")

        good = path.read_text()
        path.write_text(good + "  - id: broken\n    secure_1psid: [\n")
        soon(lambda: _broken(gateway, path) == 1, "the broken file was not noticed")
        assert states(gateway).get("active") == 3
        (line,) = gateway.lines("the accounts file is broken; the running accounts are kept")
        assert line["line"] >= len(good.splitlines())
        path.write_text(good)
        soon(lambda: _broken(gateway, path) == 0, "the mended file was not noticed")

        assert gempool("remove", one["id"], accounts=path).returncode == 0
        soon(lambda: sum(states(gateway).values()) == 2, "one is not gone")
        wait_for(lambda: not upstream.account(1)["running"])

        save(path, entry(four), entry(five))
        soon(lambda: len(gateway.lines("accounts file applied")) >= 6, "not replaced")
        wait_for(lambda: states(gateway) == {"active": 2})
        assert "is kept" in path.read_text()
        listed = gempool("list", "--json", "--url", gateway.url, "--key", "adm", accounts=path)
        assert [row["state"] for row in json.loads(listed.stdout)] == ["active", "active"]
    assert set(load.statuses) == {200}
    assert len(load.statuses) > 100
    assert upstream.account(4)["prompts"] > 0


def _broken(gateway: Gateway, path: Path) -> float:
    value = metric(gateway.get("/metrics").text, "gempool_config_broken", file=str(path))
    assert value is not None
    return value


def as_json(psid: str, psidts: str) -> str:
    return json.dumps(
        [
            {"name": "__Secure-1PSID", "value": psid, "domain": ".google.com", "expirationDate": 4e9},
            {"name": "__Secure-1PSIDTS", "value": psidts, "domain": ".google.com", "expirationDate": 4e9},
            {"name": "NID", "value": "5=x", "domain": ".google.com", "session": True},
        ]
    )


def as_netscape(psid: str, psidts: str) -> str:
    line = "#HttpOnly_.google.com\tTRUE\t/\tTRUE\t4000000000\t{}\t{}\n"
    return (
        "# Netscape HTTP Cookie File\n\n"
        + line.format("__Secure-1PSID", psid)
        + line.format("__Secure-1PSIDTS", psidts)
    )


def as_header(psid: str, psidts: str) -> str:
    return f"Cookie: NID=5=x; __Secure-1PSID={psid}; __Secure-1PSIDTS={psidts}\n"


@pytest.mark.parametrize("written", [as_json, as_netscape, as_header])
def test_new_cookies_bring_an_expired_account_back(
    upstream: Web, gateways: Gateways, tmp_path: Path, written: Callable[[str, str], str]
) -> None:
    """The cookies die; an export of new ones in any format is imported, and the account serves again within
    three seconds, without a restart and with the file's comments."""
    one = upstream.accounts[0]
    path = tmp_path / "renewed.yaml"
    save(path, entry(one))
    gateway = gateways.start(path, gempool__pool__queue_timeout="1s").ready()
    fresh = upstream.call("POST", f"/accounts/{one['id']}/cookies")
    one |= {name: fresh[name] for name in ("secure_1psid", "secure_1psidts")}  # for the tests after this one
    assert gateway.ask("dead").status_code in (429, 503)
    wait_for(lambda: states(gateway).get("quarantined") == 1)
    done = gempool(
        "import",
        "-",
        "--id",
        one["id"],
        accounts=path,
        told=written(one["secure_1psid"], one["secure_1psidts"]),
    )
    assert done.returncode == 0, done.stderr
    assert one["secure_1psid"] not in done.stdout + done.stderr
    wait_for(lambda: states(gateway).get("active") == 1, seconds=3, what="not back")
    assert gateway.ask("alive").status_code == 200
    assert "# account-1 is kept" in path.read_text()
    assert path.stat().st_mode & 0o777 == 0o600


def test_check_says_what_it_found(upstream: Web, gateways: Gateways, tmp_path: Path) -> None:
    """A session for each account; what is wrong in plain words with the remedy, no cookie, exit code 1."""
    one, two, three, four, five = upstream.accounts
    path = tmp_path / "checked.yaml"
    save(path, entry(one), entry(two), entry(three), entry(four), entry(five, "    enabled: false\n"))
    environ = {"GEMPOOL_UPSTREAM_CA_FILE": upstream.ca_file, "GEMPOOL__POOL__OPEN_TIMEOUT": "5s"}
    upstream.fault(two["id"], "expired")
    upstream.fault(three["id"], "status", code=1040)
    upstream.fault(four["id"], "refuse_connect")
    done = gempool("check", accounts=path, **environ)
    assert done.returncode == 1
    lines = dict(line.split(": ", 1) for line in done.stdout.splitlines())
    assert lines[one["id"]].startswith("signed in; offers ")
    assert "have expired" in lines[two["id"]]
    assert "accept" in lines[three["id"]]
    assert "cannot be reached through its proxy" in lines[four["id"]]
    assert "disabled" in lines[five["id"]]
    assert "3 of 5" in done.stderr
    for account in upstream.accounts:
        assert account["secure_1psid"] not in done.stdout + done.stderr
        assert account["proxy"] not in done.stdout + done.stderr
    upstream.reset()
    well = gempool("check", "--json", accounts=path, **environ)
    assert well.returncode == 0, well.stderr
    found = {finding["id"]: finding["found"] for finding in json.loads(well.stdout)}
    assert found == {account["id"]: "ok" for account in upstream.accounts[:4]} | {five["id"]: "disabled"}
