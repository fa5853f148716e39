"""Pages in browsers."""

from collections.abc import Iterator

import pytest

from core.errors import PoolBusy
from routes import EdgeSettings
from tests.fakes.edge import Edge, edge
from tests.fakes.service import Fail

PAGE = "https://app.example"
KEY = {"authorization": "Bearer one", "origin": PAGE}


@pytest.fixture(scope="module")
def anywhere() -> Iterator[Edge]:
    """Any page may call."""
    with edge(api_key="one", settings=EdgeSettings(body_limit=1000)) as found:
        yield found


def test_a_preflight_needs_no_key_and_is_echoed(anywhere: Edge) -> None:
    """`*` does not cover Authorization, so the very names are repeated."""
    headers = {
        "origin": PAGE,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization,content-type,x-stainless-lang",
    }
    response = anywhere.http.options("/v1/chat/completions", headers=headers)
    assert response.status_code == 204
    assert response.content == b""
    assert response.headers["access-control-allow-origin"] == "*"
    assert response.headers["access-control-allow-methods"] == "POST"
    assert response.headers["access-control-allow-headers"] == headers["access-control-request-headers"]


def test_errors_can_be_read_by_the_page(anywhere: Edge) -> None:
    """401, 404, 405, 413, 429 and 500 carry the headers too, and the useful ones are exposed."""
    http, chat = anywhere.http, {"messages": [{"role": "user", "content": "hi"}]}
    anywhere.chat.say(Fail(PoolBusy("Busy.", retry_after=1)))
    responses = [
        http.get("/v1/models", headers={"origin": PAGE}),
        http.get("/nope", headers=KEY),
        http.put("/v1/models", headers=KEY),
        http.post("/v1/generate", json={"prompt": "x" * 2000}, headers=KEY),
        http.post("/v1/chat/completions", json=chat, headers=KEY),
    ]
    anywhere.chat.say(Fail(RuntimeError()))
    responses.append(http.post("/v1/chat/completions", json=chat, headers=KEY))
    assert [response.status_code for response in responses] == [401, 404, 405, 413, 429, 500]
    for response in responses:
        assert response.headers["access-control-allow-origin"] == "*"
        exposed = response.headers["access-control-expose-headers"]
        assert all(
            name in exposed for name in ("x-request-id", "retry-after", "x-ratelimit-remaining-requests")
        )


def test_only_listed_origins_are_let_in_where_there_is_a_list() -> None:
    """The listed origin is echoed and caches are told that the answer depends on it."""
    with edge(api_key="one", settings=EdgeSettings(cors_origins=(PAGE,))) as found:
        listed = found.http.get("/v1/models", headers=KEY)
        assert listed.headers["access-control-allow-origin"] == PAGE
        assert "Origin" in listed.headers["vary"]
        other = found.http.get("/v1/models", headers={**KEY, "origin": "https://other.example"})
        assert "access-control-allow-origin" not in other.headers
        assert other.headers["vary"] == "Origin"
