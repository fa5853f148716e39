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
    assert response.headers["access-control-allow-methods"] == "POST, OPTIONS"
    assert response.headers["access-control-allow-headers"] == headers["access-control-request-headers"]


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        ("/v1/chat/completions", "POST"),
        ("/v1/generate", "POST"),
        ("/v1/models", "GET, HEAD"),
        ("/v1/models/gemini-2.5-pro", "GET, HEAD"),
        ("/v1/models/gemini-2.5-pro:generateContent", "POST"),
        ("/v1beta/models/gemini-2.5-pro", "GET, HEAD"),
        ("/v1beta/models/vendor/odd:name:countTokens", "POST"),
        ("/gemini/v1beta/models/gemini-2.5-pro:streamGenerateContent", "POST"),
        ("/health", "GET, HEAD"),
        ("/", "GET, HEAD"),
    ],
)
@pytest.mark.parametrize("asked", ["POST", "DELETE", None])
def test_a_preflight_lists_what_the_route_has(
    anywhere: Edge, path: str, methods: str, asked: str | None
) -> None:
    """And nothing else, whatever is asked for; what is listed is not answered 405, and what is not listed is."""
    headers = {"origin": PAGE} | ({"access-control-request-method": asked} if asked else {})
    response = anywhere.http.options(path, headers=headers)
    assert response.status_code == 204
    listed = f"{methods}, OPTIONS"
    assert response.headers["allow"] == response.headers["access-control-allow-methods"] == listed
    assert response.headers["access-control-allow-origin"] == "*"
    key = {"x-goog-api-key": "one"} if ":" in path else KEY
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"):
        status = anywhere.http.request(method, path, headers=key).status_code
        assert (status == 405) is (method not in listed), method


@pytest.mark.parametrize(("path", "status"), [("/nope", None), ("/v1beta/nope", "NOT_FOUND")])
def test_a_preflight_for_no_route_is_404(anywhere: Edge, path: str, status: str | None) -> None:
    """In the path's dialect, readable for the page."""
    response = anywhere.http.options(path, headers={"origin": PAGE, "access-control-request-method": "GET"})
    assert response.status_code == 404
    assert response.json()["error"].get("status") == status
    assert response.headers["access-control-allow-origin"] == "*"


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
