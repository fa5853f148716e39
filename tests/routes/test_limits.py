"""What callers see of their limits and of what their keys extend to, over the wire."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from access import OFF, NamedKey, Rate, hashed
from core.secret import Secret
from fetch import Fetcher, FetchSettings
from routes import EdgeSettings
from routes.quota import duration, in_words
from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses

CHAT = "/v1/chat/completions"
GOOGLE = "/v1beta/models/gemini-2.5-pro:generateContent"
HOURLY, SPACED = Rate(60, 3600.0), Rate(1, 5.0)
HEADERS = ("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests")


def ask(edge: Edge, key: str = "one", **options: Any) -> httpx.Response:
    body = {"model": "gemini-2.5-pro", "messages": [{"role": "user", "content": "hi"}], **options}
    return edge.http.post(CHAT, json=body, headers={"x-api-key": key})


def told(response: httpx.Response) -> tuple[str, ...]:
    return tuple(response.headers.get(name, "") for name in HEADERS)


def seconds(text: str) -> int:
    found = re.fullmatch(r"(?:(\d+)h)?(?:(\d+)m)?(\d+)s", text)
    assert found, text
    hours, minutes, rest = (int(part or 0) for part in found.groups())
    return hours * 3600 + minutes * 60 + rest


@pytest.fixture
def shipped(empty_valkey: str) -> Iterator[Edge]:
    """The shipped limits, three keys and the operator's."""
    with edge(api_key="one,two,three", admin_key="root", limits=(empty_valkey, HOURLY, SPACED)) as found:
        yield found


def test_an_admitted_answer_tells_what_is_left(shipped: Edge) -> None:
    """Of the limit over all models, in OpenAI's headers, on whole answers, streams and errors that come later."""
    assert told(ask(shipped)) == ("60", "59", "1h0m0s")
    streamed = ask(shipped, model="gemini-3-flash-preview", stream=True)
    assert streamed.status_code == 200
    assert told(streamed)[:2] == ("60", "58")
    assert 3590 <= seconds(told(streamed)[2]) <= 3600
    google = shipped.http.post(
        "/v1beta/models/vendor/odd:name:generateContent",
        json={"contents": [{"parts": [{"text": "hi"}]}]},
        headers={"x-goog-api-key": "one"},
    )
    assert google.status_code == 200
    assert told(google)[:2] == ("60", "57")


def test_a_refusal_tells_the_wait_everywhere(shipped: Edge) -> None:
    """429 with Retry-After, the limit's headers, the sentence, the code; and the engine is not asked."""
    assert ask(shipped).status_code == 200
    asked = len(shipped.chat.asks)
    refused = ask(shipped)
    assert refused.status_code == 429
    assert 4 <= int(refused.headers["retry-after"]) <= 5
    assert told(refused)[:2] == ("1", "0")
    assert seconds(told(refused)[2]) == int(refused.headers["retry-after"])
    assert "x-should-retry" not in refused.headers
    error = refused.json()["error"]
    assert (error["type"], error["code"]) == ("rate_limit_error", "rate_limit_exceeded")
    assert "1 request per 5 seconds of the model 'gemini-2.5-pro'" in error["message"]
    assert f"in {refused.headers['retry-after']}s" in error["message"]
    assert len(shipped.chat.asks) == asked
    assert shipped.metric("gempool_rate_limited_total", scope="caller_and_model") == 1
    labels = {"route": CHAT, "model": "gemini-2.5-pro", "kind": "text", "outcome": "rate_limit_exceeded"}
    assert shipped.metric("gempool_requests_total", **labels) == 1


def test_a_refused_stream_is_an_ordinary_refusal(shipped: Edge) -> None:
    """The status is not yet sent, so it tells."""
    ask(shipped)
    refused = ask(shipped, stream=True)
    assert (refused.status_code, refused.headers["content-type"]) == (429, "application/json")


def test_google_routes_carry_retry_info(shipped: Edge) -> None:
    """RESOURCE_EXHAUSTED with google.rpc.RetryInfo, which gemini-cli reads; the limit is the same for both families."""
    body = {"contents": [{"parts": [{"text": "hi"}]}]}
    assert ask(shipped).status_code == 200
    for path in (GOOGLE, "/gemini" + GOOGLE, "/v1/models/gemini-2.5-pro:generateContent"):
        refused = shipped.http.post(path, json=body, headers={"x-goog-api-key": "one"})
        assert refused.status_code == 429
        error = refused.json()["error"]
        wait = refused.headers["retry-after"]
        assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
        assert {
            "@type": "type.googleapis.com/google.rpc.RetryInfo",
            "retryDelay": f"{wait}s",
        } in error["details"]


def test_a_wait_that_is_too_long_for_a_program_says_so(empty_valkey: str) -> None:
    """Beyond two minutes `x-should-retry: false` stops the SDKs from sitting it out."""
    with edge(api_key="one", limits=(empty_valkey, Rate(1, 3600.0), OFF)) as found:
        assert ask(found).status_code == 200
        refused = ask(found)
        assert refused.headers["x-should-retry"] == "false"
        assert 3590 <= int(refused.headers["retry-after"]) <= 3600
        assert told(refused)[:2] == ("1", "0")
        assert "1 request per hour over all models" in refused.json()["error"]["message"]


def test_callers_have_limits_of_their_own(shipped: Edge) -> None:
    """Each key; the operator's has none and is told of none."""
    assert [ask(shipped, key).status_code for key in ("one", "two", "one", "two")] == [200, 200, 429, 429]
    answers = [ask(shipped, "root") for _ in range(5)]
    assert [answer.status_code for answer in answers] == [200] * 5
    assert told(answers[0]) == ("", "", "")


def test_without_a_key_the_address_is_the_caller(empty_valkey: str) -> None:
    """What else the caller sends makes no difference, its request id included."""
    with edge(limits=(empty_valkey, HOURLY, SPACED)) as found:
        for header, status in ((), 200), (("x-request-id", "same"), 429), (("x-request-id", "other"), 429):
            headers = dict([header]) if header else {}
            body = {"prompt": "hi"}
            assert found.http.post("/v1/generate", json=body, headers=headers).status_code == status


def test_a_site_shares_its_limits_and_nothing_else(empty_valkey: str) -> None:
    """Whoever has one address of an IPv6 network has all of them, so they count together; but each address is a caller
    of its own, who goes on in no other's conversation."""
    settings = EdgeSettings(trusted_proxies=("127.0.0.1",), allow_anonymous=True)
    with edge(settings=settings, limits=(empty_valkey, HOURLY, SPACED)) as found:
        answers = [
            found.http.post("/v1/generate", json={"prompt": "hi"}, headers={"x-forwarded-for": address})
            for address in ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1")
        ]
        assert [answer.status_code for answer in answers] == [200, 429, 200]
        assert [ask.caller for ask in found.chat.asks] == ["ip:2001:db8:1:2::1", "ip:2001:db8:1:3::1"]


def test_one_request_id_for_all_requests_counts_them_all(empty_valkey: str) -> None:
    """The id that a caller sends is for the logs; two requests with the same one are two."""
    with edge(limits=(empty_valkey, Rate(2, 60.0), OFF)) as found:
        headers = {"x-request-id": "always-the-same"}
        codes = [
            found.http.post("/v1/generate", json={"prompt": "hi"}, headers=headers).status_code
            for _ in range(3)
        ]
        assert codes == [200, 200, 429]


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (CHAT, {"model": "gemini-2.5-pro", "messages": []}),
        (CHAT, {"model": "gemini-2.5-pro"}),
        (CHAT, {"model": "gpt-9", "messages": [{"role": "user", "content": "hi"}]}),
        (CHAT, {"model": "", "messages": [{"role": "user", "content": "hi"}]}),
        (CHAT, {"model": "gemini-2.5-pro", "n": 99, "messages": [{"role": "user", "content": "hi"}]}),
        (
            CHAT,
            {
                "messages": [{"role": "user", "content": "hi"}],
                "modalities": ["image"],
                "image_config": {"image_size": "9K"},
            },
        ),
        (CHAT, {"messages": [{"role": "user", "content": "hi"}], "tools": [{"type": "function"}]}),
        ("/v1/responses", {"model": "gpt-9", "input": "hi"}),
        ("/v1/responses", {"input": []}),
        (
            GOOGLE,
            {
                "contents": [{"parts": [{"text": "hi"}]}],
                "generationConfig": {"responseModalities": ["IMAGE"], "imageConfig": {"imageSize": "9K"}},
            },
        ),
        ("/v1/generate?watermark=blue", {"prompt": "hi"}),
        ("/v1/generate", {"prompt": ""}),
        ("/v1/generate", {"prompt": "hi", "model": "gpt-9"}),
        ("/v1/images/generations", {"prompt": "a cat", "n": 0}),
        ("/v1/images/generations", {"prompt": "a cat", "size": "x"}),
        (GOOGLE, {"contents": []}),
        ("/v1beta/models/gpt-9:generateContent", {"contents": [{"parts": [{"text": "hi"}]}]}),
    ],
)
def test_what_is_not_understood_is_not_counted(shipped: Edge, path: str, body: dict[str, Any]) -> None:
    """A malformed request and an unknown model are refused before the limits are asked."""
    for _ in range(2):
        refused = shipped.http.post(path, json=body, headers={"x-api-key": "one"})
        assert refused.status_code in (400, 404)
        assert told(refused) == ("", "", "")
    assert told(ask(shipped))[:2] == ("60", "59")


PICTURE = "http://{}/a.png"


@pytest.mark.parametrize(
    "url",
    [
        PICTURE.format("example.com:1"),
        PICTURE.format("user:word@example.com"),
        PICTURE.format("127.0.0.1"),
        PICTURE.format("10.0.0.1:8080"),
        PICTURE.format("[::1]"),
        PICTURE.format("[fe80::1]"),
        PICTURE.format("2130706433"),
        "http:///a.png",
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_an_address_that_is_never_fetched_is_not_counted(empty_valkey: str, url: str, enabled: bool) -> None:
    """What can be told from the text of a picture's address alone is told before the limits are asked, on every route;
    and where the gateway fetches none, every address."""
    url = url if enabled else "http://example.com/a.png"
    image = {"type": "image_url", "image_url": {"url": url}}
    requests: list[tuple[str, dict[str, Any]]] = [
        (CHAT, {"messages": [{"role": "user", "content": [image]}]}),
        (GOOGLE, {"contents": [{"parts": [{"fileData": {"fileUri": url, "mimeType": "image/png"}}]}]}),
        ("/v1beta/models/gemini-2.5-flash-image:editImage", {"prompt": "a cat", "image": url}),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_image", "image_url": url}]}]},
        ),
        ("/v1/images/edits", {"prompt": "a cat", "image": url}),
        ("/v1/images/edit", {"prompt": "a cat", "image": url}),
    ]
    fetcher = Fetcher(FetchSettings(enabled=enabled))
    with edge(limits=(empty_valkey, HOURLY, OFF), fetch=fetcher, responses=FakeResponses()) as found:
        for path, body in requests:
            refused = found.http.post(path, json=body)
            assert (refused.status_code, told(refused)) == (400, ("", "", "")), path
            assert "a data URL" in refused.json()["error"]["message"]
        assert told(ask(found))[:2] == ("60", "59")


def test_what_is_gone_on_with_and_not_known_is_not_counted(empty_valkey: str) -> None:
    """A response or an item that is not kept, or another caller's, is refused before the limits are asked; one that is
    kept counts once."""
    with edge(api_key="one,two", limits=(empty_valkey, HOURLY, OFF), responses=FakeResponses()) as found:

        def respond(key: str, **body: Any) -> httpx.Response:
            return found.http.post("/v1/responses", json={"input": "hi", **body}, headers={"x-api-key": key})

        first = respond("one").json()["id"]
        for refused in (
            respond("two", previous_response_id=first),
            respond("two", previous_response_id="resp_0"),
            respond("two", input=[{"type": "item_reference", "id": "msg_0"}]),
        ):
            assert (refused.status_code, told(refused)) == (400, ("", "", ""))
        assert told(respond("one", previous_response_id=first))[:2] == ("60", "58")
        assert told(respond("two"))[:2] == ("60", "59")


def test_what_asks_no_model_is_not_limited(shipped: Edge) -> None:
    """Lists, counting and looking around, as often as one likes."""
    key = {"x-api-key": "one"}
    for _ in range(3):
        for path in (
            "/v1/models",
            "/v1/models/gemini-2.5-pro",
            "/v1beta/models",
            "/api/models",
            "/metrics",
            "/health",
        ):
            answer = shipped.http.get(path, headers=key)
            assert (answer.status_code, told(answer)) == (200, ("", "", ""))
        counted = shipped.http.post(
            "/v1beta/models/gemini-2.5-pro:countTokens",
            json={"contents": [{"parts": [{"text": "hi"}]}]},
            headers=key,
        )
        assert counted.status_code == 200
    assert told(ask(shipped))[:2] == ("60", "59")


def test_several_answers_to_one_request_are_one_request(shipped: Edge) -> None:
    """Choices, candidates and pictures."""
    key = {"x-api-key": "one"}
    assert told(ask(shipped, n=3))[1] == "59"
    pictures = shipped.http.post("/v1/images/generations", json={"prompt": "a cat", "n": 4}, headers=key)
    assert len(pictures.json()["data"]) == 4
    assert told(pictures)[1] == "58"


def test_a_store_that_is_away_refuses_as_elsewhere(tmp_path: Path) -> None:
    """503 with a wait in either dialect; nobody gets round the limits meanwhile."""
    nobody = f"unix://{tmp_path / 'nobody'}"
    with edge(api_key="one", limits=(nobody, HOURLY, SPACED)) as found:
        refused = ask(found)
        assert (refused.status_code, refused.json()["error"]["code"]) == (503, "store_unavailable")
        assert refused.headers["retry-after"]
        assert found.chat.asks == []


ALICE = NamedKey("alice", hashed(Secret("one")), ("gemini-2.5-*",), Rate(2, 60.0), OFF)
BOB = NamedKey("bob", hashed(Secret("two")))


@pytest.fixture(scope="module")
def named() -> Iterator[Edge]:
    """Two keys with names, one of them for some models only."""
    with edge(named=(ALICE, BOB), admin_key="root") as found:
        yield found


def test_a_key_may_be_for_some_models_only(named: Edge) -> None:
    """403 in the route's dialect, naming those that it is for; whether there is such a model is not told."""
    key = {"x-api-key": "one"}
    assert ask(named, "one").status_code == 200
    for model in ("gemini-3-flash-preview", "gpt-9", "vendor/odd:name", "gemini-3-pro-image-preview"):
        refused = ask(named, "one", model=model)
        assert refused.status_code == 403
        error = refused.json()["error"]
        assert (error["type"], error["param"]) == ("permission_error", "model")
        assert "gemini-2.5-pro, gemini-2.5-flash-image" in error["message"]
        google = named.http.post(
            f"/v1beta/models/{model}:generateContent",
            json={"contents": [{"parts": [{"text": "hi"}]}]},
            headers=key,
        )
        assert (google.status_code, google.json()["error"]["status"]) == (403, "PERMISSION_DENIED")
        assert named.http.get(f"/v1/models/{model}", headers=key).status_code == 403
        counted = named.http.post(
            f"/v1beta/models/{model}:countTokens",
            json={"contents": [{"parts": [{"text": "hi"}]}]},
            headers=key,
        )
        assert counted.status_code == 403
    # What is asked for without a name is the default, which is not alice's either.
    assert named.http.post("/v1/generate", json={"prompt": "hi"}, headers=key).status_code == 403
    unknown = ask(named, "one", model="gemini-2.5-nonsense")
    assert unknown.status_code == 404
    assert "gemini-3" not in unknown.json()["error"]["message"]


def test_lists_show_what_the_key_is_for(named: Edge) -> None:
    """In every dialect; all models for a key without such terms and for the operator."""
    for key, count in (("one", 2), ("two", 5), ("root", 5)):
        headers = {"x-api-key": key}
        openai = [model["id"] for model in named.http.get("/v1/models", headers=headers).json()["data"]]
        google = [
            model["name"] for model in named.http.get("/v1beta/models", headers=headers).json()["models"]
        ]
        plain = [model["id"] for model in named.http.get("/api/models", headers=headers).json()["models"]]
        assert [len(found) for found in (openai, google, plain)] == [count] * 3


@pytest.mark.parametrize(
    ("patterns", "default", "default_image"),
    [
        (("*",), "gemini-3-flash-preview", "gemini-3-pro-image-preview"),
        (("gemini-3-*",), "gemini-3-flash-preview", "gemini-3-pro-image-preview"),
        (("gemini-2.5-*",), "gemini-2.5-pro", "gemini-2.5-flash-image"),
        (("gemini-2.5-pro",), "gemini-2.5-pro", None),
        (("*-image",), None, "gemini-2.5-flash-image"),
        (("nothing",), None, None),
    ],
)
def test_the_defaults_that_are_told_are_for_the_key(
    patterns: tuple[str, ...], default: str | None, default_image: str | None
) -> None:
    """Where a key is not for a default, the first of that kind that it may ask is told, or none; and a request without
    a model is refused with the names of those that it may ask."""
    key = {"x-api-key": "one"}
    with edge(named=(NamedKey("alice", hashed(Secret("one")), patterns),)) as found:
        listed = found.http.get("/api/models", headers=key).json()
        assert (listed["default"], listed["default_image"]) == (default, default_image)
        chat = {"messages": [{"role": "user", "content": "hi"}]}
        for path, body, meant, told_default in (
            (CHAT, chat, "gemini-3-flash-preview", default),
            ("/v1/responses", {"input": "hi"}, "gemini-3-flash-preview", default),
            ("/v1/generate", {"prompt": "hi"}, "gemini-3-flash-preview", default),
            ("/v1/images/generations", {"prompt": "hi"}, "gemini-3-pro-image-preview", default_image),
            ("/v1/generate-images", {"prompt": "hi"}, "gemini-3-pro-image-preview", default_image),
        ):
            answer = found.http.post(path, json=body, headers=key)
            if told_default == meant:
                assert answer.status_code == 200
            else:
                assert answer.status_code == 403
                assert (told_default or default or default_image or patterns[0]) in answer.json()["error"][
                    "message"
                ]


def test_the_tool_for_pictures_draws_with_the_model_that_was_asked(named: Edge) -> None:
    """OpenAI's `image_generation` names no model that counts: a key gets no further with it than without."""
    tool = {"type": "image_generation", "model": "gemini-3-pro-image-preview", "size": "1024x1024"}
    body = {"input": "a cat", "tools": [tool], "tool_choice": {"type": "image_generation"}}
    key = {"x-api-key": "one"}
    drawn = named.http.post("/v1/responses", json={**body, "model": "gemini-2.5-pro"}, headers=key)
    assert (drawn.status_code, drawn.json()["model"]) == (200, "gemini-2.5-pro")
    assert (named.chat.asks[-1].model, named.chat.asks[-1].picture is not None) == ("gemini-2.5-pro", True)
    for model in ({"model": "gemini-3-pro-image-preview"}, {}):
        assert named.http.post("/v1/responses", json={**body, **model}, headers=key).status_code == 403


def test_a_caller_is_called_by_the_keys_name(named: Edge) -> None:
    """What is remembered and logged for a caller hangs on the name."""
    ask(named, "two")
    assert named.chat.asks[-1].caller == "bob"


def test_a_key_may_have_limits_of_its_own(empty_valkey: str) -> None:
    """They stand in place of everybody's; the other keys keep those."""
    with edge(named=(ALICE, BOB), limits=(empty_valkey, HOURLY, SPACED)) as found:
        assert [told(ask(found, "one"))[:2] for _ in range(3)] == [("2", "1"), ("2", "0"), ("2", "0")]
        assert [told(ask(found, "two"))[:2] for _ in range(2)] == [("60", "59"), ("1", "0")]


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (0, "0s"),
        (0.001, "1s"),
        (1, "1s"),
        (59.5, "1m0s"),
        (360, "6m0s"),
        (3600, "1h0m0s"),
        (90061, "25h1m1s"),
    ],
)
def test_durations_are_written_as_openai_does(given: float, text: str) -> None:
    """Whole seconds, never less than the wait."""
    assert duration(given) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [
        (Rate(60, 3600.0), "60 requests per hour"),
        (Rate(1, 5.0), "1 request per 5 seconds"),
        (Rate(10, 90.0), "10 requests per 90 seconds"),
        (Rate(3, 0.5), "3 requests per 0.5 seconds"),
        (Rate(100, 172800.0), "100 requests per 2 days"),
    ],
)
def test_rates_are_told_in_words(rate: Rate, text: str) -> None:
    """As a person says them."""
    assert in_words(rate) == text
