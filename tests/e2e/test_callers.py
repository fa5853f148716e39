"""Who may call and how often, as real processes over a real store."""

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx

from tests.support.processes import GEMPOOL, Gateways, Web, wait_for


def new_key(name: str) -> tuple[str, dict[str, str]]:
    """What `gempool keys new` prints: the key, and its entry in the configuration."""
    done = subprocess.run(
        [GEMPOOL, "keys", "new", "--name", name], capture_output=True, text=True, check=True
    )
    lines = done.stdout.splitlines()
    digest = next(line.split()[-1] for line in lines if "key: sha256:" in line)
    return lines[0], {"name": name, "key": digest}


def test_two_replicas_admit_exactly_the_limit(upstream: Web, gateways: Gateways, empty_valkey: str) -> None:
    """Sixty requests at once over two gateways with one store, on a limit of twenty for the key and of none for
    another: twenty are answered, forty are told the wait, and the other key is not touched."""
    alice, entry = new_key("alice")
    bob, other = new_key("bob")
    settings = {
        "REDIS_URL": empty_valkey,
        "gempool__limits__enabled": "true",
        "gempool__limits__per_caller": "20/hour",
        "gempool__limits__per_caller_and_model": "off",
        "gempool__access__keys": json.dumps([entry, {**other, "per_caller": "off"}]),
    }
    pair = [gateways.start(gateways.accounts_file(max_concurrency=8), **settings) for _ in range(2)]
    for gateway in pair:
        gateway.ready()
    assert pair[0].get("/health").json()["rate_limiter"] is True

    def ask(n: int, key: str = alice) -> httpx.Response:
        return httpx.post(
            f"{pair[n % 2].url}/v1/chat/completions",
            json={"messages": [{"role": "user", "content": f"n{n}"}], "stream": n % 3 == 0},
            headers={"authorization": f"Bearer {key}"},
            timeout=60,
        )

    with ThreadPoolExecutor(16) as callers:
        answers = list(callers.map(ask, range(60)))
    assert sorted(answer.status_code for answer in answers) == [200] * 20 + [429] * 40
    left = sorted(int(a.headers["x-ratelimit-remaining-requests"]) for a in answers if a.status_code == 200)
    assert left == list(range(20))
    refused = [answer for answer in answers if answer.status_code == 429]
    assert all(3500 < int(answer.headers["retry-after"]) <= 3600 for answer in refused)
    assert all(answer.headers["x-should-retry"] == "false" for answer in refused)
    assert ask(0, bob).status_code == 200
    assert len(upstream.order()) == 21
    assert {line["caller"] for gateway in pair for line in gateway.lines("request")} >= {"alice", "bob"}


def test_a_lost_store_limits_nobody_away_and_lets_nobody_in(
    upstream: Web, gateways: Gateways, tmp_path: Path
) -> None:
    """The store is killed under a limited gateway: requests are refused with 503 until it is back, then limits go on."""
    gateway = gateways.start(
        gempool__limits__enabled="true", gempool__limits__per_caller_and_model="off"
    ).ready()
    assert gateway.ask().headers["x-ratelimit-remaining-requests"] == "59"
    store = wait_for(lambda: _store_of(tmp_path), what="no store found")
    subprocess.run(["kill", "-STOP", store], check=True)
    try:
        refused = gateway.ask()
        assert refused.status_code == 503
        assert refused.json()["error"]["code"] == "store_unavailable"
        assert refused.headers["retry-after"]
    finally:
        subprocess.run(["kill", "-CONT", store], check=True)
    wait_for(lambda: gateway.ask().status_code == 200, what=gateway.log[-2000:])
    assert int(gateway.ask().headers["x-ratelimit-remaining-requests"]) < 59


def _store_of(tmp_path: Path) -> str:
    """The process id of the embedded store below that folder."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            command = file.read_bytes()
        except OSError:
            continue
        if b"valkey" in command and str(tmp_path).encode() in command:
            return file.parent.name
    return ""


def test_a_public_address_without_a_key_is_refused_at_the_start(gateways: Gateways, tmp_path: Path) -> None:
    """Unless the operator says otherwise; a key of the file is enough, and then nobody gets in without."""
    environ = {
        "PATH": "/usr/bin:/bin",
        "HOST": "0.0.0.0",
        "PORT": "0",
        "GEMPOOL_DATA_DIR": str(tmp_path / "x"),
    }
    done = subprocess.run(
        [GEMPOOL, "serve"], env=environ, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    assert "API_KEY" in done.stderr
    key, entry = new_key("alice")
    gateway = gateways.start(
        HOST="0.0.0.0", gempool__access__keys=json.dumps([entry]), ADMIN_KEY="root"
    ).ready()
    for path in ("/v1/models", "/metrics", "/api/cookies/status", "/admin/api/view"):
        assert httpx.get(f"{gateway.url}{path}").status_code == 401
        assert httpx.get(f"{gateway.url}{path}", headers={"x-forwarded-for": "127.0.0.1"}).status_code == 401
        assert httpx.get(f"{gateway.url}{path}", headers={"host": "localhost"}).status_code == 401
    health = gateway.get("/health").json()
    assert "why" not in health
    assert all(isinstance(count, int) for count in health["accounts"].values())
    assert gateway.get("/v1/models", headers={"x-api-key": key}).status_code == 200
    body = {"account": "account-1", "secure_1psid": "g.a000x"}
    refused = httpx.post(f"{gateway.url}/api/cookies", json=body, headers={"x-api-key": key})
    assert refused.status_code == 403


def test_without_a_key_only_this_machine_gets_in(upstream: Web, gateways: Gateways) -> None:
    """Not by a name that resolves to loopback, not from a web page, not through a proxy here, trusted or not."""
    gateway = gateways.start(gempool__server__trusted_proxies="127.0.0.1").ready()
    assert gateway.ask().status_code == 200
    for headers in (
        {"host": "evil.example"},
        {"origin": "https://evil.example"},
        {"x-forwarded-for": "203.0.113.9"},
        {"x-forwarded-for": "127.0.0.1, 203.0.113.9"},
        {"forwarded": "for=203.0.113.9"},
    ):
        for path in ("/v1/models", "/metrics", "/api/cookies/status"):
            assert httpx.get(f"{gateway.url}{path}", headers=headers).status_code == 403
        body = {"account": "account-1", "secure_1psid": "g.a000x"}
        assert httpx.post(f"{gateway.url}/api/cookies", json=body, headers=headers).status_code == 403
        assert gateway.get("/health", headers=headers).status_code == 200
