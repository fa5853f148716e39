"""The balancer of compose.yaml, as it is written, in front of two real gateways on one real store."""

import http.client
import itertools
import json
import re
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.deploy.composing import ROOT, make_secrets, read
from tests.support.balancer import PROGRAMS, Names, balancing
from tests.support.ports import free_ports
from tests.support.processes import Gateway, Gateways, Web, simulating, wait_for

HOST = "gateway.example.com"
HOSTS = ("127.0.0.1", "127.0.0.2")
BUCKET = "pictures"
QUESTION = {"messages": [{"role": "user", "content": "Hello"}]}


@pytest.fixture(scope="module")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with simulating(tmp_path_factory.mktemp("web"), accounts=4) as web:
        yield web


@pytest.fixture(scope="module")
def object_store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The object store with the command line and the keys that compose.yaml gives it: its address, and the secrets."""
    directory = tmp_path_factory.mktemp("s3")
    secrets = make_secrets(directory)
    (directory / "data").mkdir()
    master, volume, filer, port, admin = free_ports(5, beside=10_000)
    put = {
        "-dir": directory / "data",
        "-ip": "127.0.0.1",
        "-ip.bind": "127.0.0.1",
        "-s3.config": secrets / "s3.json",
    }
    command: list[str] = read()["services"]["s3"]["command"]
    options = dict(word.split("=", 1) for word in command[1:]) | {
        name: str(value) for name, value in put.items()
    }
    options |= {"-master.port": str(master), "-volume.port": str(volume), "-filer.port": str(filer)}
    options |= {"-s3.port": str(port), "-admin.port": str(admin)}
    with (directory / "log").open("wb") as log:
        server = subprocess.Popen(
            [str(PROGRAMS / "weed"), command[0], *(f"{name}={value}" for name, value in options.items())],
            stdout=log,
            stderr=log,
            cwd=directory,
        )
    url = f"http://127.0.0.1:{port}"
    try:
        wait_for(lambda: _is_well(f"{url}/healthz"), what=(directory / "log").read_text(errors="replace"))
        yield url, secrets
    finally:
        server.kill()
        server.wait()


def _is_well(url: str) -> bool:
    try:
        return httpx.get(url).status_code == 200
    except httpx.HTTPError:
        return False


class Front:
    """The balancer and what stands behind it."""

    def __init__(self, port: int, replicas: list[Gateway], names: Names, log: Path) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.replicas = replicas
        self.names = names
        self.log = log

    def ask(self, **options: Any) -> httpx.Response:
        return httpx.post(f"{self.url}/v1/chat/completions", json=QUESTION, timeout=30, **options)

    def served(self) -> list[int]:
        """How many requests for an answer each replica has seen."""
        return [sum(gateway.get("/health").json()["task_stats"][key] for key in ("completed", "failed"))
                for gateway in self.replicas]  # fmt: skip


def test_the_configuration_is_as_caddy_writes_it() -> None:
    """`caddy fmt` would change nothing."""
    file = ROOT / "deploy/caddy/Caddyfile"
    done = subprocess.run([str(PROGRAMS / "caddy"), "fmt", str(file)], capture_output=True, check=False)
    assert done.stdout == file.read_bytes()


@pytest.fixture
def front(
    tmp_path: Path, upstream: Web, empty_valkey: str, object_store: tuple[str, Path]
) -> Iterator[Front]:
    s3, secrets = object_store
    outer, inner = free_ports(2)
    names = Names(*HOSTS)
    group = Gateways(tmp_path, upstream)
    try:
        with balancing(tmp_path, outer, inner, names, s3):
            settings = {
                "REDIS_URL": empty_valkey,
                "GEMPOOL_ALLOW_ANONYMOUS": "true",
                "GEMPOOL__SERVER__TRUSTED_PROXIES": "127.0.0.1",
                "GEMPOOL__SERVER__METRICS_OPEN": "true",
                "GEMPOOL__POOL__LEASE_TTL": "1s",
                "S3_ENDPOINT": s3,
                "S3_ACCESS_KEY_FILE": str(secrets / "s3_access_key"),
                "S3_SECRET_KEY_FILE": str(secrets / "s3_secret_key"),
                "S3_BUCKET": BUCKET,
                "S3_PUBLIC_URL": f"http://127.0.0.1:{outer}/{BUCKET}",
            }
            replicas = [group.start(HOST=host, PORT=str(inner), **settings) for host in HOSTS]
            for replica in replicas:
                replica.ready()
            yield Front(outer, replicas, names, tmp_path / "caddy.log")
            group.end()
    finally:
        group.end()
        names.close()


def test_callers_come_through(front: Front, upstream: Web) -> None:
    """Requests are spread over the replicas; streams arrive as they are made; callers and links are the outer ones; what
    is for the inside stays there; and a caller that goes away frees its account."""
    for _ in range(6):
        assert front.ask().status_code == 200
    assert front.served() == [3, 3]

    _links_carry_the_outer_host(front)
    _pictures_are_read_and_nothing_else(front)
    _addresses_are_the_callers_own(front)
    _metrics_stay_inside(front)
    assert httpx.get(f"{front.url}/ready").json() == {"ready": True}

    upstream.defaults(frames=12, words=48, frame_delay=0.1)
    arrived = [when for when, _ in _streamed(front)]
    assert arrived[-1] - arrived[0] > 0.8
    assert max(later - sooner for sooner, later in itertools.pairwise(arrived)) < 0.6

    upstream.defaults(frames=500, words=600, frame_delay=0.05)
    with httpx.stream("POST", f"{front.url}/v1/chat/completions", json=QUESTION | {"stream": True}) as answer:
        next(answer.iter_bytes())
    wait_for(lambda: not any(upstream.account(n + 1)["running"] for n in range(4)), seconds=5)


def test_replicas_come_and_go_without_a_caller_noticing(front: Front, upstream: Web) -> None:
    """One is killed, its name stays for a while: nobody is refused. Then both are gone: callers are told so in JSON,
    with a time to come back, and no key of theirs is in the balancer's log."""
    upstream.defaults(frames=2, words=4)
    doomed, other = front.replicas
    doomed.kill()
    assert [front.ask().status_code for _ in range(8)] == [200] * 8

    front.names.addresses = HOSTS[1:]
    assert [front.ask().status_code for _ in range(4)] == [200] * 4

    other.kill()
    refused = front.ask(
        params={"key": "hush-1"}, headers={"x-api-key": "hush-2", "authorization": "Bearer hush-3"}
    )
    assert refused.status_code == 503
    assert refused.headers["retry-after"] == "2"
    assert "server" not in refused.headers
    assert re.fullmatch(r"req_[0-9a-f-]{36}", refused.headers["x-request-id"])
    assert refused.json()["error"]["code"] == "unavailable"
    assert refused.json()["error"]["message"].startswith("No replica of the gateway")
    for path in ("/v1beta/models", "/gemini/v1/models", "/v1/models/gemini-2.5-pro:generateContent"):
        answer = httpx.get(front.url + path, headers={"x-request-id": "mine-1"}, timeout=30)
        assert (answer.status_code, answer.headers["x-request-id"]) == (503, "mine-1")
        assert (answer.json()["error"]["status"], answer.json()["error"]["code"]) == ("UNAVAILABLE", 503)
    wait_for(lambda: "/v1/chat/completions" in front.log.read_text(encoding="utf-8"))
    assert "hush" not in front.log.read_text(encoding="utf-8")


def test_each_part_that_is_away_is_named(tmp_path: Path) -> None:
    """The object store, Grafana, the gateway: in OpenAI's shape, without a word about what answers."""
    outer, inner, away = free_ports(3)
    names = Names()
    try:
        with balancing(tmp_path, outer, inner, names, f"http://127.0.0.1:{away}"):
            for path, part in (
                ("/pictures/a.png", "The object store"),
                ("/grafana/d/x", "Grafana"),
                ("/v1/models", "No replica of the gateway"),
            ):
                answer = httpx.get(
                    f"http://127.0.0.1:{outer}{path}", headers={"x-request-id": "a b"}, timeout=30
                )
                assert (answer.status_code, answer.headers["retry-after"]) == (503, "2")
                assert answer.headers["content-type"] == "application/json"
                assert answer.headers["x-request-id"].startswith("req_")
                assert "server" not in answer.headers
                assert answer.json()["error"]["message"].startswith(part)
    finally:
        names.close()


def test_a_replica_that_stops_ends_its_streams(front: Front, upstream: Web) -> None:
    """A rolling upgrade: SIGTERM to one replica lets its stream end, while new requests go to the other."""
    upstream.defaults(frames=20, words=60, frame_delay=0.1)
    ended: list[str] = []
    streams = [
        threading.Thread(target=lambda: ended.append("".join(text for _, text in _streamed(front))))
        for _ in range(2)
    ]
    for stream in streams:
        stream.start()
    wait_for(lambda: sum(upstream.account(n + 1)["running"] for n in range(4)) == 2)
    stopping = threading.Thread(target=front.replicas[0].stop)
    stopping.start()
    upstream.defaults(frames=2, words=4, frame_delay=0)
    assert [front.ask().status_code for _ in range(4)] == [200] * 4
    for thread in (*streams, stopping):
        thread.join(30)
    assert [text.count("data: [DONE]") for text in ended] == [1, 1]
    assert front.replicas[0].process.returncode == 0


def _metrics_stay_inside(front: Front) -> None:
    """However the path is written that the gateway takes for it; from inside it is read."""
    for replica in front.replicas:
        assert replica.get("/metrics/").text.startswith("# ")
    targets = [
        "/metrics",
        "/metrics/",
        "//metrics",
        "/metrics%2f",
        "/metrics%2F%2f",
        "/metrics//",
        "/metrics?x",
    ]
    targets += [
        "/%6detrics",
        "/./metrics",
        "/v1/../metrics",
        "/metrics/?x=1",
        "/metrics;x",
        f"{front.url}/metrics/",
    ]
    for target in targets:
        for method in ("GET", "HEAD"):
            connection = http.client.HTTPConnection("127.0.0.1", front.port)
            connection.request(method, target)
            answer = connection.getresponse()
            said = answer.read()
            connection.close()
            # A path that has to be cleaned first may be answered with where it then leads.
            assert answer.status in (301, 308, 404), (method, target)
            assert b"gempool_" not in said, (method, target)


def _streamed(front: Front) -> list[tuple[float, str]]:
    """Each piece of a streamed answer, and when it arrived."""
    with httpx.stream(
        "POST", f"{front.url}/v1/chat/completions", json=QUESTION | {"stream": True}, timeout=30
    ) as answer:
        return [(time.monotonic(), line) for line in answer.iter_lines() if line.startswith("data: ")]


def _links_carry_the_outer_host(front: Front) -> None:
    """A batch's links are made of what the caller asked for, though the gateway sees the balancer."""
    order = {"prompts": ["a fox"], "response_type": "url"}
    answer = httpx.post(f"{front.url}/v1/batch/images", json=order, headers={"host": HOST}, timeout=30)
    assert answer.status_code == 202
    told = json.dumps(answer.json()) + answer.headers.get("location", "")
    assert "127.0.0." not in told


def _pictures_are_read_and_nothing_else(front: Front) -> None:
    """A link of the object store's public address gives the picture; the bucket is neither listed nor written to."""
    wish = {"prompt": "a red fox", "response_type": "url"}
    (link,) = httpx.post(f"{front.url}/v1/generate-images", json=wish, timeout=30).json()["images"]
    assert link.startswith(f"{front.url}/{BUCKET}/")
    picture = httpx.get(f"{link}?acl", headers={"host": HOST, "authorization": "Bearer nobody's"})
    assert picture.status_code == 200
    assert picture.headers["content-type"] == "image/png"
    assert picture.headers["x-content-type-options"] == "nosniff"
    assert picture.content.startswith(b"\x89PNG")
    for path in (f"/{BUCKET}/", f"/{BUCKET}", f"/{BUCKET}/?list-type=2"):
        assert httpx.get(front.url + path).status_code == 404
    for method in ("PUT", "DELETE", "POST"):
        assert httpx.request(method, link, content=b"x").status_code in (404, 405)
    assert httpx.get(link).content == picture.content


def _addresses_are_the_callers_own(front: Front) -> None:
    """The gateway's log names the caller's address, whatever the caller says of itself."""
    connection = http.client.HTTPConnection("127.0.0.1", front.port, source_address=("127.0.0.9", 0))
    headers = {
        "content-type": "application/json",
        "x-forwarded-for": "8.8.8.8",
        "x-request-id": "who-am-i-0001",
    }
    connection.request("POST", "/v1/chat/completions", json.dumps(QUESTION), headers)
    assert connection.getresponse().status == 200
    connection.close()
    wait_for(lambda: any("who-am-i-0001" in gateway.log for gateway in front.replicas))
    lines = [
        line for gateway in front.replicas for line in gateway.log.splitlines() if "who-am-i-0001" in line
    ]
    assert any("127.0.0.9" in line for line in lines)
    assert not any("8.8.8.8" in line for line in lines)
