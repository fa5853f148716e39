"""`gempool health`, which container engines ask whether the gateway lives."""

import json
from typing import Any

import pytest

from gateway.client import Reply
from gateway.health import Health, Kind, Ready, address_of, health, judged
from gateway.settings import load
from tests.fakes.server import serving
from tests.support.ports import free_ports


class Answers:
    """Tells of two accounts at /health, and at /ready that none can serve."""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        ready = scope["path"] == "/ready"
        told: dict[str, Any] = {
            "status": "degraded",
            "version": "1.2.3",
            "client_ready": True,
            "accounts": {"active": 1, "cooling": 1},
        }
        if ready:
            told = {"ready": False, "why": "No account can serve."}
        headers = [(b"content-type", b"application/json")]
        await send({"type": "http.response.start", "status": 503 if ready else 200, "headers": headers})
        await send({"type": "http.response.body", "body": json.dumps(told).encode()})


def test_one_that_answers_is_well() -> None:
    """Whatever its accounts are like: to start it anew would not mend them. --ready asks for more."""
    with serving(Answers()) as url:
        options = {"server.host": "127.0.0.1", "server.port": url.rpartition(":")[2]}
        assert health(options, ready=False) == ("degraded: version 1.2.3, accounts: 1 active, 1 cooling", "")
        assert health(options, ready=True) == ("", f"{url} has answered HTTP 503. No account can serve.")


def test_one_that_does_not_answer_is_not() -> None:
    """Nothing listens there; or the settings are such that it cannot have started."""
    port = str(free_ports(1)[0])
    text, problem = health({"server.port": port}, ready=False)
    assert text == ""
    assert problem.startswith(f"Nothing answers on http://127.0.0.1:{port}: ")
    assert health({"server.port": "eighty"}, ready=False)[1].startswith("--port: 'eighty' is not")
    assert judged(Reply(200, b'{"ready":true}'), "http://x", Ready) == ("http://x is ready", "")


ELSE = (
    b"<html></html>",
    b"",
    b"[]",
    b"null",
    b'"ok"',
    b"{}",
    b'{"status":"down"}',
    b'{"status":"ok","accounts":3}',
    b'{"accounts":null}',
    b'{"status":"ok","version":"1","client_ready":true,"accounts":{"active":"many"}}',
    b'{"status":"UP","version":"1","client_ready":true,"accounts":{"active":1}}',
    b'{"error":"no such page"}',
    b"\xff",
)


@pytest.mark.parametrize("body", ELSE)
@pytest.mark.parametrize("status", [200, 404])
@pytest.mark.parametrize("kind", [Health, Ready])
def test_what_is_no_gateway_is_not_taken_for_one(body: bytes, status: int, kind: Kind) -> None:
    """Whatever another program on that port answers, it is told as that."""
    problem = f"Something else answers on http://x (HTTP {status}): it is no gateway"
    assert judged(Reply(status, body), "http://x", kind) == ("", problem)


def test_a_gateway_that_fails_says_so() -> None:
    """Its errors have OpenAI's shape; an answer of the other route is none."""
    failed = b'{"error":{"message":"It broke.","type":"server_error","param":null,"code":"internal"}}'
    assert judged(Reply(500, failed), "http://x") == ("", "http://x has answered HTTP 500. It broke.")
    assert "Something else" in judged(Reply(200, b'{"ready":true}'), "http://x")[1]


def test_settings_that_nobody_may_serve_with_are_no_hindrance() -> None:
    """An image's HOST=0.0.0.0 without API_KEY: nothing listens here, so nothing is open."""
    port = str(free_ports(1)[0])
    assert "Nothing answers" in health({"server.host": "0.0.0.0", "server.port": port}, ready=False)[1]


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("0.0.0.0", "http://127.0.0.1:8100"),
        ("::", "http://[::1]:8100"),
        ("[::1]", "http://[::1]:8100"),
        ("10.0.0.7", "http://10.0.0.7:8100"),
    ],
)
def test_where_one_is_reached_that_listens_everywhere(host: str, url: str) -> None:
    """On loopback, as a container's check reaches its own."""
    assert address_of(load({"HOST": host, "API_KEY": "x"})) == url
