"""Log lines: their shape, and that nothing in them looks like a cookie or a key."""

import io
import json
import logging
from collections.abc import Iterator

import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from core.masking import mask
from core.secret import Secret
from gateway import logs

PSID = "g.a000zwi9xQ7-abc_DEF"
PSIDTS = "sidts-CjIB5H03P-abc_DEF"


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging is one per process: leave it as it was."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.reset_defaults()


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
