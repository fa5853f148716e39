"""Log lines: their shape, and that nothing in them looks like a cookie or a key."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core.masking import hiding, mask, mask_values
from core.secret import Secret
from gateway import logs
from tests.fakes.edge import Edge, edge
from tests.fakes.responses import FakeResponses
from tests.fakes.server import until

PSID = "g.a000zwi9xQ7-abc_DEF"
PSIDTS = "sidts-CjIB5H03P-abc_DEF"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging is one per process: leave it as it was."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.configure(**configured)


def test_a_line_is_one_json_object() -> None:
    """Away from a terminal every event is one line of JSON with time, level, logger and facts."""
    stream = io.StringIO()
    logs.set_up("auto", "info", stream)
    structlog.get_logger("gempool.pool").info("lease taken", account="alice", ms=1.5)
    line = json.loads(stream.getvalue())
    assert line.pop("timestamp").endswith("Z")
    assert line == {
        "level": "info",
        "logger": "gempool.pool",
        "event": "lease taken",
        "account": "alice",
        "ms": 1.5,
    }


def test_libraries_lines_go_the_same_way() -> None:
    """A warning of uvicorn is JSON as well; what libraries say below warning is left out."""
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    logging.getLogger("uvicorn.error").info("Started server process")
    logging.getLogger("uvicorn.error").warning("Cancel %d tasks", 2)
    line = json.loads(stream.getvalue())
    assert (line["logger"], line["level"], line["event"]) == ("uvicorn.error", "warning", "Cancel 2 tasks")


def test_what_is_logged_elsewhere_is_not_logged_twice() -> None:
    """Twice a second the scheduler would warn while the store hangs, and uvicorn of each request that is refused before it is
    one: both have lines of ours. Other warnings of theirs, and errors, stay."""
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    logging.getLogger("apscheduler.scheduler").warning(
        "Execution of job %s skipped: maximum number of running instances reached (%d)", "beat", 1
    )
    logging.getLogger("apscheduler.scheduler").error("a job failed")
    logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    logging.getLogger("uvicorn.error").warning("Unsupported upgrade request.")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == [
        "a job failed",
        "Unsupported upgrade request.",
    ]


def test_events_below_the_level_are_left_out() -> None:
    """`server.log_level` bounds our own lines."""
    stream = io.StringIO()
    logs.set_up("json", "warning", stream)
    structlog.get_logger("gempool.x").info("quiet")
    structlog.get_logger("gempool.x").warning("loud")
    assert [json.loads(line)["event"] for line in stream.getvalue().splitlines()] == ["loud"]


@pytest.mark.parametrize("log_format", ["json", "text"])
def test_no_secret_passes_in_any_place(log_format: str) -> None:
    """Events, values, nested values, named fields, exception texts and tracebacks are all masked."""
    stream = io.StringIO()
    logs.set_up(log_format, "info", stream)
    log = structlog.get_logger("gempool.x")
    log.info(f"cookie {PSID}", note=f"got {PSIDTS}", headers={"Authorization": "Bearer tok-1"})
    log.info("call", url="/v1/models?key=AIzaSyKey-2&alt=sse", proxy="http://user:pass-3@10.0.0.5:3128")
    log.info(
        "cookies", line="__Secure-1PSIDCC=AKEy-4; SID=g-5; NAME=ok", cookie="opaque-6", api_key="opaque-7"
    )
    log.info("wrapped", value=Secret("opaque-8"), raw=b"Bearer tok-9")
    try:
        raise ValueError(f"bad cookie {PSID}")
    except ValueError:
        log.exception("failed")
    logging.getLogger("lib").warning("Cookie: __Secure-1PSID=%s", PSID)
    written = stream.getvalue()
    leaked = [
        word
        for word in (PSID, PSIDTS, "tok-1", "Key-2", "pass-3", "AKEy-4", "g-5", "opaque-", "tok-9")
        if word in written
    ]
    assert not leaked, written
    assert "NAME=ok" in written
    assert "alt=sse" in written
    assert "10.0.0.5:3128" in written


def test_a_traceback_shows_no_local_variables() -> None:
    """Pretty tracebacks print the values of variables, and those may be anything."""
    stream = io.StringIO()
    logs.set_up("text", "info", stream)
    innocent_name = "opaque-local"
    try:
        raise RuntimeError(f"{len(innocent_name)} characters")
    except RuntimeError:
        structlog.get_logger("gempool.x").exception("failed")
    assert "RuntimeError: 12 characters" in stream.getvalue()
    assert "opaque-local" not in stream.getvalue().replace('innocent_name = "opaque-local"', "")


@given(st.text(st.characters(categories=["L", "N"]), min_size=1, max_size=40), st.text(max_size=20))
def test_a_cookie_value_is_masked_whatever_stands_around_it(inside: str, around: str) -> None:
    """Google's values are found by their own look."""
    cookie = f"sidts-{inside}"
    assert cookie not in mask(f"{around} {cookie} {around}".replace(cookie, f" {cookie} "))


@given(st.text(st.characters(codec="ascii", exclude_characters="=:@"), max_size=60))
def test_words_without_a_secret_are_left_alone(text: str) -> None:
    """The mask is for what looks like a secret; ordinary words stay readable."""
    if not any(sign in text.lower() for sign in ("sidts-", "g.a000", "aiza", "bearer", "basic")):
        assert mask(text) == text


KEY = "Team-key.of-somebody_0123456789abcdefghijklmnop"
"""A key as people make them up: nothing in it tells that it is one."""
CHAT, GEMINI = "/v1/chat/completions", "/v1beta/models/{}:generateContent"
HI = [{"role": "user", "content": "hi"}]
CONTENTS = {"contents": [{"parts": [{"text": "hi"}]}]}


def _misplaced(found: Edge, **how: Any) -> list[httpx.Response]:
    """The key in every field that an error repeats."""
    post, get = found.http.post, found.http.get
    return [
        get("/health", headers={**how.get("headers", {}), "x-request-id": KEY}, params=how.get("params")),
        get(f"/v1/{KEY}", **how),
        get(f"/v1beta/{KEY}", **how),
        get(f"/v1/models/{KEY}", **how),
        post(CHAT, json={"model": KEY, "messages": HI}, **how),
        post(CHAT, json={"messages": [{"role": KEY, "content": "hi"}]}, **how),
        post(CHAT, json={"messages": HI, "tools": [{"type": KEY}]}, **how),
        post(CHAT, json={"messages": HI, "n": KEY}, **how),
        post("/v1/responses", json={"input": "hi", "previous_response_id": KEY}, **how),
        post("/v1/responses", json={"input": [{"type": "item_reference", "id": KEY}]}, **how),
        post("/v1/images/generations", json={"prompt": "a cat", "size": KEY}, **how),
        post(GEMINI.format(KEY), json=CONTENTS, **how),
        post(f"/v1beta/models/gemini-2.5-pro:{KEY}", json=CONTENTS, **how),
        post(
            GEMINI.format("gemini-2.5-pro"),
            json={**CONTENTS, "generationConfig": {"responseModalities": [KEY], "responseMimeType": KEY}},
            **how,
        ),
    ]


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize(
    "how",
    [
        {"headers": {"authorization": f"Bearer {KEY}"}},
        {"headers": {"authorization": KEY}},
        {"headers": {"x-api-key": KEY}},
        {"headers": {"x-goog-api-key": KEY}},
        {"params": {"key": KEY}},
    ],
)
def test_a_key_that_was_sent_comes_back_nowhere(how: dict[str, Any], known: bool) -> None:
    """Whoever pastes the key into the wrong field as well does not find it in the error, in either dialect, and nobody
    finds it in the log; whether it is a key of this gateway or of another."""
    stream = io.StringIO()
    logs.set_up("json", "info", stream)
    with edge(
        api_key=KEY if known and how != {"headers": {"authorization": KEY}} else "", responses=FakeResponses()
    ) as found:
        answers = _misplaced(found, **how)
        until(lambda: stream.getvalue().count('"event":"request"') == len(answers))
    assert {answer.status_code for answer in answers} >= {200, 400, 404}
    for answer in answers:
        assert KEY[:12].lower() not in f"{answer.headers}{answer.text}".lower(), answer.request.url
    assert KEY[:12].lower() not in stream.getvalue().lower()


def test_a_request_id_that_looks_like_a_secret_is_not_taken() -> None:
    """It would stand in the answer and in every line of the log; another one is made up. A key of this gateway is
    one too, whether the request shows it as a key or not."""
    with edge(api_key=KEY) as found:
        for id in (KEY, PSIDTS.replace("_", "-"), f"gp-{'a' * 43}", "AIzaSyKey-0123456789"):
            given = found.http.get("/health", headers={"x-request-id": id}).headers["x-request-id"]
            assert given.startswith("req_")
        own = {"x-request-id": "my-id.1_2", "x-api-key": "short"}
        assert found.http.get("/health", headers=own).headers["x-request-id"] == "my-id.1_2"


def test_hidden_words_are_hidden_while_it_lasts() -> None:
    """Whole, in any case, and cut off where enough of it is left to tell; short words are not hidden."""
    with hiding(["correct-horse-battery", "short", "horse-12"]):
        for hide in (mask, mask_values):
            assert hide("'correct-horse-battery' and 'CORRECT-HORSE-BAT'.") == "'***' and '***'."
            assert hide("correct-horse-battery-correct-horse-battery2") == "***-***2"
            assert hide("correct, short, horse-1, horse-12") == "correct, short, horse-1, ***"
            assert hide("\u0130 correct-horse-b") == "\u0130 ***"
    assert mask("correct-horse-battery") == "correct-horse-battery"
