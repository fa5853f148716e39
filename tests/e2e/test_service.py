"""The whole service as real processes: what its users and operators see."""

import json
import socket
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import openai
import pytest
import redis

from tests.support.processes import Gateway, Gateways, Web, wait_for
from tests.support.sdks import Sdks


def test_six_each_in_strict_rotation_over_two_replicas(
    upstream: Web, gateways: Gateways, empty_valkey: str
) -> None:
    """30 requests one after the other, in turn to two gateways on one store: five accounts, six each,
    always the same order."""
    pair = [gateways.start(REDIS_URL=empty_valkey), gateways.start(REDIS_URL=empty_valkey)]
    for gateway in pair:
        gateway.ready()
        wait_for(lambda g=gateway: len(g.lines("session opened")) == 5)
    for n in range(30):
        assert pair[n % 2].ask(f"n{n}").status_code == 200
    order = upstream.order()
    assert len(order) == 30
    assert len(set(order[:5])) == 5
    assert all(order[n] == order[n % 5] for n in range(30))


def test_forty_at_once_keep_to_the_accounts_concurrency(upstream: Web, gateways: Gateways) -> None:
    """No account ever runs more than it may; everyone is answered."""
    gateway = gateways.start(gateways.accounts_file(max_concurrency=2)).ready()
    upstream.defaults(first_delay=0.1)
    with ThreadPoolExecutor(40) as callers:
        answers = list(callers.map(lambda n: gateway.ask(f"n{n}", stream=n % 2 == 0), range(40)))
    assert [a.status_code for a in answers] == [200] * 40
    assert max(upstream.account(n + 1)["max_running"] for n in range(5)) == 2


@pytest.mark.parametrize("stream", [True, False])
def test_a_caller_who_hangs_up_stops_the_upstream(upstream: Web, gateways: Gateways, stream: bool) -> None:
    """The account is free at once, though its answer would have taken 25 seconds."""
    gateway = gateways.start(gateways.accounts_file(1, max_concurrency=1)).ready()
    upstream.defaults(frames=500, words=600, frame_delay=0.05)
    port = int(gateway.url.rpartition(":")[2])
    body = json.dumps({"stream": stream, "messages": [{"role": "user", "content": "long"}]}).encode()
    with socket.create_connection(("127.0.0.1", port)) as caller:
        head = f"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-length: {len(body)}\r\n\r\n"
        caller.sendall(head.encode() + body)
        wait_for(lambda: upstream.account(1)["running"] == 1)
        if stream:
            assert caller.recv(100).startswith(b"HTTP/1.1 200")
    started = time.monotonic()
    wait_for(lambda: upstream.account(1)["running"] == 0, seconds=5)
    upstream.defaults(frames=2, words=0, frame_delay=0)
    assert gateway.ask("next").status_code == 200
    assert time.monotonic() - started < 10


def test_a_killed_replica_gives_its_accounts_back(
    upstream: Web, gateways: Gateways, empty_valkey: str
) -> None:
    """kill -9 in the middle of streams: within the lease's life the other replica has the accounts."""
    accounts = gateways.accounts_file(1, max_concurrency=1)
    settings = {"REDIS_URL": empty_valkey, "gempool__pool__lease_ttl": "1s"}
    doomed = gateways.start(accounts, **settings).ready()
    other = gateways.start(accounts, **settings).ready()
    upstream.defaults(frames=500, words=600, frame_delay=0.05)
    caller = threading.Thread(target=_ignore_errors, args=(doomed,))
    caller.start()
    wait_for(lambda: upstream.account(1)["running"] == 1)
    doomed.kill()
    caller.join(10)
    upstream.defaults(frames=2, words=0, frame_delay=0)
    started = time.monotonic()
    assert other.ask("mine now").status_code == 200
    assert time.monotonic() - started < 12


def _ignore_errors(gateway: Gateway) -> None:
    try:
        gateway.ask("doomed", stream=True)
    except httpx.HTTPError:
        return


def test_a_stop_ends_long_streams_with_an_error_event(upstream: Web, gateways: Gateways) -> None:
    """What does not end within the grace is told so in the dialect of the route, not cut off."""
    gateway = gateways.start(gempool__server__shutdown_grace="300ms").ready()
    upstream.defaults(frames=500, words=600, frame_delay=0.1)
    with ThreadPoolExecutor(1) as callers:
        running = callers.submit(gateway.ask, "too long", stream=True)
        wait_for(lambda: sum(upstream.account(n + 1)["running"] for n in range(5)) == 1)
        assert gateway.stop() == 0
        text = running.result().text
    assert "[DONE]" not in text
    assert '"error"' in text.rstrip().rpartition("data: ")[2]


def test_kill_and_start_again(upstream: Web, gateways: Gateways) -> None:
    """After kill -9 nothing is left running, and the next start answers within seconds."""
    first = gateways.start().ready()
    assert first.ask("one").status_code == 200
    children = subprocess.run(
        ["/usr/bin/env", "pgrep", "-P", str(first.process.pid)], capture_output=True, text=True, check=False
    ).stdout.split()
    assert children, "the embedded store is a child of the gateway"
    first.kill()
    wait_for(lambda: not any(Path(f"/proc/{pid}").exists() for pid in children))
    started = time.monotonic()
    assert gateways.start().ready().ask("two").status_code == 200
    assert time.monotonic() - started < 25


def test_a_kill_in_mid_stream_blocks_no_account(upstream: Web, gateways: Gateways) -> None:
    """kill -9 while the only account is in use: the next start serves with it at once and looks after it, however
    long leases live."""
    accounts = gateways.accounts_file(1, max_concurrency=1)
    first = gateways.start(accounts, gempool__pool__lease_ttl="10m").ready()
    upstream.defaults(frames=500, words=600, frame_delay=0.05)
    caller = threading.Thread(target=_ignore_errors, args=(first,))
    caller.start()
    wait_for(lambda: upstream.account(1)["running"] == 1)
    first.kill()
    caller.join(10)
    upstream.defaults(frames=2, words=0, frame_delay=0)
    second = gateways.start(accounts, gempool__pool__lease_ttl="10m").ready()
    started = time.monotonic()
    assert second.ask("mine now").status_code == 200
    assert time.monotonic() - started < 20
    assert second.lines("leases of a dead replica handed back")
    wait_for(lambda: second.lines("leads"))


def test_the_store_is_emptied_under_load(upstream: Web, gateways: Gateways, empty_valkey: str) -> None:
    """FLUSHALL while callers ask: nobody sees it."""
    gateway = gateways.start(REDIS_URL=empty_valkey).ready()
    stop = threading.Event()

    def ask() -> set[int]:
        seen = set()
        while not stop.is_set():
            seen.add(gateway.ask().status_code)
        return seen

    with ThreadPoolExecutor(4) as callers:
        running = [callers.submit(ask) for _ in range(4)]
        try:
            with redis.Redis.from_url(empty_valkey) as client:
                for _ in range(3):
                    before = len(upstream.order())
                    client.flushall()
                    wait_for(lambda b=before: len(upstream.order()) > b + 20)
        finally:
            stop.set()
    assert [one.result() for one in running] == [{200}] * 4
    assert gateway.lines("the store has lost its data; it is told the accounts again")


def test_all_accounts_die_under_one_request(upstream: Web, gateways: Gateways) -> None:
    """Every cookie dies at once: the request that finds out is refused in seconds, not after the queue's timeout."""
    gateway = gateways.start().ready()
    wait_for(lambda: len(gateway.lines("session opened")) == 5)
    for n in range(5):
        upstream.fault(f"account-{n + 1}", "expired")
    started = time.monotonic()
    refused = gateway.ask("x")
    assert refused.status_code == 503, refused.text + gateway.log
    assert time.monotonic() - started < 15, "half of the queue's timeout"


def test_the_store_dies_and_comes_back(upstream: Web, gateways: Gateways) -> None:
    """The embedded store is started again, and the gateway serves on without a restart."""
    gateway = gateways.start().ready()
    store = subprocess.run(
        ["/usr/bin/env", "pgrep", "-P", str(gateway.process.pid)], capture_output=True, text=True, check=True
    ).stdout.split()
    subprocess.run(["/usr/bin/env", "kill", "-9", *store], check=True)
    wait_for(lambda: gateway.ask("again").status_code == 200)


def test_real_sdks_see_no_fault(upstream: Web, gateways: Gateways, sdks: Sdks) -> None:
    """OpenAI's and Google's own clients, whole and streamed, while two of five accounts fail."""
    gateway = gateways.start(API_KEY="sk-one,sk-two").ready()
    upstream.fault("account-1", "expired")
    upstream.fault("account-2", "http_429")
    ours = sdks.openai(gateway, "sk-one")
    for n in range(4):
        whole = ours.chat.completions.create(
            model="gemini-3-flash-preview", messages=[{"role": "user", "content": f"o{n}"}]
        )
        assert f"o{n}" in str(whole.choices[0].message.content)
        stream = ours.chat.completions.create(
            model="gemini-2.5-pro", messages=[{"role": "user", "content": f"s{n}"}], stream=True
        )
        assert f"s{n}" in "".join(chunk.choices[0].delta.content or "" for chunk in stream)
    with pytest.raises(openai.NotFoundError, match="gemini-3-flash-preview"):
        ours.chat.completions.create(model="gpt-7", messages=[{"role": "user", "content": "x"}])
    with pytest.raises(openai.AuthenticationError):
        sdks.openai(gateway, "wrong").models.list()
    theirs = sdks.google(gateway, "sk-two")
    for n in range(4):
        answer = theirs.models.generate_content(model="gemini-3-flash-preview", contents=f"g{n}")
        assert f"g{n}" in str(answer.text)
        parts = theirs.models.generate_content_stream(model="gemini-3-flash-preview", contents=f"t{n}")
        assert f"t{n}" in "".join(str(part.text) for part in parts)


def test_no_cookie_and_no_key_in_log_or_answer(upstream: Web, gateways: Gateways) -> None:
    """After a day of faults neither the log nor `/metrics` nor `/health` holds one."""
    gateway = gateways.start(API_KEY="sk-very-secret-key", ADMIN_KEY="adm-very-secret").ready()
    key = {"authorization": "Bearer sk-very-secret-key"}
    seen = ""
    for kind in ("expired", "http_500", "garbage", "drop_before_first", "refuse_connect", "guest"):
        for n in range(5):
            upstream.fault(f"account-{n + 1}", kind, times=2)
        for stream in (True, False):
            body = {"messages": [{"role": "user", "content": "x"}], "stream": stream}
            seen += httpx.post(f"{gateway.url}/v1/chat/completions", json=body, headers=key, timeout=30).text
    for path in ("/metrics", "/health", "/api/info", "/v1/models", "/ready"):
        seen += httpx.get(gateway.url + path, headers=key).text
    secrets = ["sk-very-secret-key", "adm-very-secret"]
    for account in upstream.accounts:
        secrets += [account["secure_1psid"], account["secure_1psidts"], account["proxy"].split("@")[0]]
    for secret in secrets:
        assert secret not in seen
        assert secret not in gateway.log
    upstream.call("DELETE", "/anomalies")  # a guest in mid-life asks for models that a guest has not


def test_without_a_usable_account_it_starts_and_says_why(upstream: Web, gateways: Gateways) -> None:
    """All cookies dead: it listens, `/ready` is 503 with the reason, a request 503 with a wait."""
    for n in range(5):
        upstream.fault(f"account-{n + 1}", "expired")
    gateway = gateways.start().listening()
    wait_for(lambda: gateway.get("/health").json()["accounts"].get("quarantined") == 5)
    ready = gateway.get("/ready")
    assert ready.status_code == 503
    why = "No account can serve: 5 are quarantined (expired)."
    wait_for(lambda: gateway.get("/ready").json()["why"] == why)
    refused = gateway.ask("x")
    assert refused.status_code == 503
    assert "expired" not in refused.text  # the operator's affair
    assert int(refused.headers["retry-after"]) >= 1
    assert gateway.get("/health").json()["status"] == "down"


def test_without_any_account_it_starts(upstream: Web, gateways: Gateways, tmp_path: Path) -> None:
    """An empty accounts file is no error."""
    empty = tmp_path / "none.yaml"
    empty.write_text("accounts: []\n")
    gateway = gateways.start(empty).listening()
    ready = gateway.get("/ready")
    assert ready.status_code == 503
    assert "No account is configured" in ready.json()["why"]


def test_a_broken_accounts_file_stops_the_start(upstream: Web, gateways: Gateways, tmp_path: Path) -> None:
    """One line with file, line, field and remedy; no traceback, no cookie."""
    broken = tmp_path / "broken.yaml"
    broken.write_text(
        "accounts:\n  - id: one\n    secure_1psid: g.a000/../../secret\n    max_concurrency: 99\n"
    )
    gateway = gateways.start(broken)
    assert gateway.process.wait(60) == 1
    assert "broken.yaml" in gateway.log
    assert "secure_1psid" in gateway.log
    assert "3" in gateway.log
    assert "Traceback" not in gateway.log
    assert "secret" not in gateway.log
