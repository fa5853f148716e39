"""The service as its users run it: real processes, ended by whoever started them."""

import json
import os
import signal
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
GEMPOOL = Path(sys.executable).with_name("gempool")
_NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no CA: to read them anew for each request costs more than the request."""


def wait_for(condition: Callable[[], Any], seconds: float = 40, what: str = "") -> Any:
    """Poll what another process brings about; its value once it is true."""
    deadline = time.monotonic() + seconds
    while not (value := condition()):
        assert time.monotonic() < deadline, what or "waited too long"
        time.sleep(0.01)  # another process has no event for us
    return value


def alive(pid: int) -> bool:
    """Whether such a process runs. One that has ended and that nobody has asked for its end yet does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except (
        FileNotFoundError,
        ProcessLookupError,
    ):  # the second where it goes between the opening and the reading
        return False
    return status.rpartition(")")[2].split()[0] != "Z"


class Web:
    """A simulator in a process of its own, through its control API."""

    def __init__(self, told: dict[str, Any]) -> None:
        self.accounts: list[dict[str, str]] = told["accounts"]
        self.ca_file: str = told["ca_file"]
        self._http = httpx.Client(base_url=told["control_url"], timeout=30, verify=_NO_TLS)

    def call(self, method: str, path: str, body: Any = None) -> Any:
        answer = self._http.request(method, path, json=body)
        assert answer.status_code < 300, answer.text
        return answer.json() if answer.content else None

    def fault(self, account: str, kind: str, **fields: Any) -> None:
        self.call("PUT", f"/accounts/{account}/fault", {"kind": kind, **fields})

    def defaults(self, **fields: Any) -> None:
        self.call("PUT", "/defaults", fields)

    def reset(self) -> None:
        self.call("POST", "/reset")
        found = self.call("GET", "/accounts")  # the last test may have rotated or replaced their cookies
        self.accounts = found["accounts"] if isinstance(found, dict) else found
        for account in self.accounts:
            self.call("DELETE", f"/accounts/{account['id']}/chats")

    def account(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = self.call("GET", f"/accounts/account-{number}")
        return found

    def order(self) -> list[str]:
        """The accounts in the order in which prompts reached them."""
        journal = self.call("GET", "/journal")
        prompts = journal["prompts"] if isinstance(journal, dict) else journal
        return [prompt["account"] for prompt in prompts]

    def anomalies(self) -> list[Any]:
        found = self.call("GET", "/anomalies")
        listed: list[Any] = found["anomalies"] if isinstance(found, dict) else found
        return listed

    def close(self) -> None:
        self._http.close()


@contextmanager
def simulating(directory: Path, accounts: int) -> Iterator[Web]:
    process = subprocess.Popen(
        [
            *(sys.executable, "-m", "simulator", "--die-with-parent", "--accounts", str(accounts)),
            *("--proxy-port", "0", "--control-port", "0", "--directory", str(directory)),
        ],
        cwd=ROOT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    told = directory / "simulator.json"
    try:
        wait_for(told.exists, what="the simulator did not start")
        web = Web(json.loads(told.read_text()))
        yield web
        web.close()
    finally:
        process.terminate()
        process.wait(10)


class Gateway:
    """One `gempool serve`. `url` is where it answers; `log` is what it wrote so far."""

    def __init__(self, directory: Path, environment: dict[str, str]) -> None:
        self._file = directory / f"gateway-{time.monotonic_ns()}.log"
        with self._file.open("wb") as out:
            self.process = subprocess.Popen(
                [GEMPOOL, "serve"],
                cwd=ROOT,
                env=environment,
                stdout=out,
                stderr=subprocess.STDOUT,
            )
        self.url = ""

    @property
    def log(self) -> str:
        return self._file.read_text()

    def lines(self, event: str) -> list[dict[str, Any]]:
        """The log's lines with that event; the last may still be in the making."""
        whole = self.log.rpartition("\n")[0]
        lines = [json.loads(line) for line in whole.splitlines() if line.startswith("{")]
        return [line for line in lines if line.get("event") == event]

    def listening(self) -> "Gateway":
        found = wait_for(
            lambda: self.lines("listening") or self.process.poll() is not None, what="it does not listen"
        )
        assert found is not True, self.log
        self.url = found[0]["url"]
        return self

    def ready(self) -> "Gateway":
        self.listening()
        wait_for(lambda: self.get("/ready").status_code == 200, what=self.log)
        return self

    def ask(self, text: str = "Hello", **options: Any) -> httpx.Response:
        body = {"messages": [{"role": "user", "content": text}], **options}
        return httpx.post(f"{self.url}/v1/chat/completions", json=body, timeout=30, verify=_NO_TLS)

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.url + path, **{"timeout": 30, "verify": _NO_TLS} | options)

    def stop(self) -> int:
        """End it in good order; its exit code."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(10)


class Gateways:
    """Starts gateways over one simulator and ends what is left of them."""

    def __init__(self, directory: Path, web: Web) -> None:
        self._directory = directory
        self._web = web
        self._started: list[Gateway] = []

    def accounts_file(self, count: int | None = None, **fields: Any) -> Path:
        path = self._directory / "accounts.yaml"
        accounts = [
            {key: account[key] for key in ("id", "secure_1psid", "secure_1psidts", "proxy")} | fields
            for account in self._web.accounts[:count]
        ]
        path.write_text(json.dumps({"accounts": accounts}))
        path.chmod(0o600)
        return path

    def start(self, accounts: Path | None = None, **environment: str) -> Gateway:
        """A gateway on a free port. Names with two underscores may be given in lower case."""
        given = {
            "PATH": os.environ["PATH"],
            "HOST": "127.0.0.1",
            "PORT": "0",
            "GEMPOOL_ACCOUNTS_FILE": str(accounts or self.accounts_file()),
            "GEMPOOL_DATA_DIR": str(self._directory / "data"),
            "GEMPOOL_UPSTREAM_CA_FILE": self._web.ca_file,
            "GEMPOOL__LIMITS__ENABLED": "false",
            "GEMPOOL__SERVER__LOG_FORMAT": "json",
            **{key.upper() if "__" in key else key: value for key, value in environment.items()},
        }
        gateway = Gateway(self._directory, given)
        self._started.append(gateway)
        return gateway

    def end(self) -> None:
        for gateway in reversed(self._started):
            if gateway.process.poll() is None:
                gateway.stop()
