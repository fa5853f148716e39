"""`gempool health`, which container engines ask whether the gateway lives."""

import json
from typing import Any

import pytest

from gateway.client import Reply
from gateway.health import address_of, health, judged
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
    assert judged(Reply(200, b'{"ready":true}'), "http://x") == ("http://x is ready", "")


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
