"""Every request leaves one line, and one entry in the journal where it asked for a model."""

import io
import json
import logging
import re
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import httpx
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from access import NamedKey, Rate, hashed
from core.chat import Ask, Delta, Finish, Trace, Tried, Usage
from core.errors import PoolBusy, UpstreamFailed
from core.secret import Secret
from gateway import logs
from routes import EdgeSettings
from routes.exchange import Exchange
from routes.recording import stages_of
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until
from tests.fakes.service import Fail, Pause, Step
from tests.support.files import PNG

KEY, ADMIN = "sk-line-caller-1", "sk-line-admin-1"
MODEL = "gemini-3-flash-preview"
CALLER = "admin:" + hashed(Secret(ADMIN)).removeprefix("sha256:")[:8]
STAGES = ("ms_read", "ms_queue", "ms_upstream", "ms_pictures", "ms_send", "ms_own")
ORDER = (
    "request_id", "caller", "method", "route", "status", "outcome", "path", "param", "limit", "model", "upstream_model", "account",
    "accounts", "attempts", "bytes", "ms", "ms_first_content", *STAGES, "trace_id",
)  # fmt: skip
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


class Lines:
    """What a gateway writes, in one form."""

    def __init__(self, form: str) -> None:
        self.form = form
        self.stream = io.StringIO()
        logs.set_up(form, "info", self.stream)

    def of(self, answer: httpx.Response) -> list[dict[str, Any]]:
        """The lines of the answer's request, once it is over."""
        id = answer.headers["x-request-id"]

        def found() -> list[dict[str, Any]]:
            lines = map(json.loads, self.stream.getvalue().splitlines())
            return [line for line in lines if line["event"] == "request" and line.get("request_id") == id]

        until(lambda: bool(found()))
        return found()

    def one(self, answer: httpx.Response) -> dict[str, Any]:
        (line,) = self.of(answer)
        return line


@pytest.fixture(autouse=True)
def put_back() -> Iterator[None]:
    """Logging is one per process: leave it as it was."""
    root = logging.getLogger()
    handlers, level, configured = root.handlers, root.level, structlog.get_config()
    yield
    root.handlers, root.level = handlers, level
    logging.captureWarnings(False)
    structlog.configure(**configured)


@pytest.fixture
def lines() -> Lines:
    return Lines("json")


@pytest.fixture(scope="module")
def served(valkey_url: str) -> Iterator[Edge]:
    named = (NamedKey("team-a", hashed(Secret(KEY))),)
    limits = (valkey_url, Rate(1000, 3600.0), Rate(1, 3600.0))
    settings = EdgeSettings(body_limit=20_000, default_model=MODEL)
    with edge(settings=settings, named=named, admin_key=ADMIN, limits=limits) as found:
        yield found


@pytest.fixture
def gate(served: Edge) -> Edge:
    served.chat.reset()
    served.noted.clear()
    return served


def ask(gate: Edge, key: str = ADMIN, headers: Mapping[str, str] = {}, **fields: Any) -> httpx.Response:
    body = {"model": MODEL, "messages": [{"role": "user", "content": "Hello"}], **fields}
    return gate.http.post(
        "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {key}", **headers}
    )


def going(
    *steps: Step,
    tried: tuple[Tried, ...] = (),
    queued: float = 0.0,
    upstream: float = 0.0,
    pictures: float = 0.0,
) -> Callable[[Ask], list[Step]]:
    """A script that leaves such a trace."""

    def script(asked: Ask) -> list[Step]:
        trace = asked.trace
        trace.attempts, trace.tried = max(1, len(tried)), list(tried)
        trace.queued, trace.waited, trace.pictures = queued, queued + upstream, pictures
        return [Pause(queued + upstream + pictures), *steps]

    return script


WELL: tuple[Step, ...] = (Delta("Hello"), Finish(Usage(1, 1), "gemini-flash"))


def adds_up(line: Mapping[str, Any]) -> bool:
    return bool(sum(line.get(stage, 0) for stage in STAGES) == pytest.approx(line["ms"], abs=0.011))


@pytest.mark.parametrize("stream", [False, True])
def test_a_line_tells_the_whole_request(gate: Edge, lines: Lines, stream: bool) -> None:
    """Who asked for what, which accounts were asked, how it ended, and what the time went into; streamed and whole."""
    gate.chat.script = going(
        *WELL,
        tried=(Tried("alice", "throttled", 0.01), Tried("bob", "ok", 0.02)),
        queued=0.01,
        upstream=0.03,
        pictures=0.02,
    )
    answer = ask(gate, stream=stream, headers={"traceparent": f"00-{TRACE}-00f067aa0ba902b7-01"})
    line = lines.one(answer)
    assert answer.status_code == 200
    assert {key: line[key] for key in ORDER if key in line and not key.startswith("ms")} == {
        "request_id": answer.headers["x-request-id"],
        "caller": CALLER,
        "method": "POST",
        "route": "/v1/chat/completions",
        "status": 200,
        "outcome": "ok",
        "model": MODEL,
        "upstream_model": "gemini-flash",
        "account": "bob",
        "accounts": "alice:throttled bob:ok",
        "attempts": 2,
        "bytes": len(answer.content),
        "trace_id": TRACE,
    }
    assert (line["ms_queue"], line["ms_upstream"], line["ms_pictures"]) == (10.0, 30.0, 20.0)
    assert 0 < line["ms_own"] < line["ms"]
    assert 60 <= line["ms_first_content"] <= line["ms"]
    assert adds_up(line)


def test_the_order_of_facts_is_fixed(gate: Edge, lines: Lines) -> None:
    """Whoever reads many lines finds everything in its place."""
    gate.chat.script = going(*WELL, tried=(Tried("a", "ok", 0.1),), queued=0.01)
    for answer in (
        ask(gate),
        ask(gate, stream=True),
        ask(gate, key="sk-wrong"),
        ask(gate, n="many"),
        gate.http.get("/health"),
    ):
        line = lines.one(answer)
        assert list(line)[:4] == ["timestamp", "level", "logger", "event"]
        facts = list(line)[4:]
        assert facts == [key for key in ORDER if key in facts]


def test_the_page_tells_the_facts_in_their_order() -> None:
    """docs/logs.md has each of them once, as they come."""
    page = Path(__file__).parents[2] / "docs" / "logs.md"
    told = page.read_text(encoding="utf-8").partition("| fact | meaning |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \|", told, re.MULTILINE)
    assert [name for cell in cells for name in re.findall(r"`(\w+)`", cell)] == list(ORDER)


def test_a_request_without_a_model_has_a_short_line(gate: Edge, lines: Lines) -> None:
    """No model, no accounts; its time is the gateway's own and what it took to send."""
    line = lines.one(gate.http.get("/health"))
    assert not {"model", "account", "attempts", "ms_queue", "ms_upstream", "ms_pictures"} & line.keys()
    assert adds_up(line)
    assert gate.noted == []


def test_a_line_tells_the_method_that_was_sent(gate: Edge, lines: Lines) -> None:
    """HEAD is answered as GET is, and is no GET."""
    assert lines.one(gate.http.head("/health"))["method"] == "HEAD"
    assert lines.one(gate.http.get("/health"))["method"] == "GET"


def test_waiting_for_the_rest_of_a_refused_body_is_no_time_of_ours(gate: Edge, lines: Lines) -> None:
    """The answer is sent at once; what the caller still sends is thrown away while it takes it."""
    head = "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999\r\n"
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        began = time.monotonic()
        connection.sendall(
            f"{head}Authorization: Bearer {ADMIN}\r\nX-Request-Id: req-lingers\r\n\r\n".encode()
        )
        assert connection.recv(1000).startswith(b"HTTP/1.1 413")
        assert time.monotonic() - began < 1.5
        until(lambda: "req-lingers" in lines.stream.getvalue())
    (line,) = map(json.loads, lines.stream.getvalue().splitlines())
    assert (line["status"], line["outcome"]) == (413, "request_too_large")
    assert line["ms_send"] > 1500
    assert line["ms_own"] < 500
    assert adds_up(line)


@pytest.mark.parametrize(
    ("request_", "method", "status", "outcome"),
    [
        (b"BREW /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", "BREW", 405, "method_not_allowed"),
        (b"sk-123456789-a-key /pot HTTP/1.1\r\nHost: localhost\r\n\r\n", "***", 405, "method_not_allowed"),
        (b"nonsense\r\n\r\n", "", 400, "invalid_request"),
        (b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n", "GET", 400, "invalid_request"),
        (
            b"POST /v1/generate HTTP/1.1\r\nHost: a\r\nContent-Length: many\r\n\r\n",
            "POST",
            400,
            "invalid_request",
        ),
        (
            b"GET /ready HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 200_000 + b"\r\n\r\n",
            "GET",
            431,
            "request_head_too_large",
        ),
    ],
)
def test_what_the_protocol_refuses_leaves_a_line_and_is_counted(
    gate: Edge, lines: Lines, request_: bytes, method: str, status: int, outcome: str
) -> None:
    """A request that no route ever sees is in the log under the id that its caller was told, in the metrics as unrouted, and
    in no other line."""
    name, labels = (
        "gempool_requests_total",
        {"route": "unrouted", "model": "none", "kind": "none", "outcome": outcome},
    )
    before = gate.metric(name, **labels)
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        with suppress(ConnectionError):
            connection.sendall(request_)
        answer = b""
        while more := connection.recv(65536):
            answer += more
    head, _, body = answer.partition(b"\r\n\r\n")
    (id,) = re.findall(rb"x-request-id: (\S+)", head)
    until(lambda: id.decode() in lines.stream.getvalue())
    (line,) = map(json.loads, lines.stream.getvalue().splitlines())
    assert [key for key in ORDER if key in line] == list(line)[4:]
    assert (line["level"], line["logger"], line["event"]) == ("info", "gempool.access", "request")
    assert (line["request_id"], line["caller"], line["route"]) == (id.decode(), "ip:127.0.0.1", "unrouted")
    assert (line["method"], line["status"], line["outcome"]) == (method, status, outcome)
    assert line["bytes"] == len(body)
    assert adds_up(line)
    assert gate.metric(name, **labels) == before + 1


BROKEN = b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\nZZZ\r\n"


@pytest.mark.parametrize("apart", [False, True])
def test_a_broken_body_is_one_request(gate: Edge, lines: Lines, apart: bool) -> None:
    """One line under the id that the caller was told, with the caller's name and the route; one count, and nobody left."""
    name, route = "gempool_requests_total", "/v1/chat/completions"
    before = gate.metric(name, route=route, model="none", kind="none", outcome="invalid_request")
    left = gate.metric("gempool_cancelled_total")
    head = f"POST {route} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {KEY}\r\nX-Request-Id: req-1\r\n".encode()
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        if apart:
            start, _, rest = BROKEN.partition(b"5\r\n")
            connection.sendall(head + start)
            time.sleep(0.05)  # so that the route waits for the body
            connection.sendall(b"5\r\n" + rest)
        else:
            connection.sendall(head + BROKEN)
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert b"x-request-id: req-1\r\n" in answer
    assert b"connection: close" in answer
    until(lambda: "req-1" in lines.stream.getvalue())
    until(lambda: gate.metric("gempool_requests_in_flight") == 0)
    (line,) = map(json.loads, lines.stream.getvalue().splitlines())
    assert (line["request_id"], line["caller"], line["route"]) == ("req-1", "team-a", route)
    assert (line["status"], line["outcome"]) == (400, "invalid_request")
    assert adds_up(line)
    assert gate.metric(name, route=route, model="none", kind="none", outcome="invalid_request") == before + 1
    assert gate.metric("gempool_cancelled_total") == left


@pytest.mark.parametrize(
    ("method", "path", "key", "status", "route"),
    [
        ("POST", "/v1/chat/completions", "sk-wrong", 401, "/v1/chat/completions"),
        ("POST", "/v1beta/models/a/b:countTokens", "sk-wrong", 401, "/v1beta/models/{model}:countTokens"),
        ("POST", "/v1beta/models/a:dance", "sk-wrong", 401, "/v1beta/models/{model}"),
        ("GET", "/v1/chat/completions", ADMIN, 405, "/v1/chat/completions"),
        ("DELETE", "/v1/models/one", ADMIN, 405, "/v1/models/{model}"),
    ],
)
def test_a_request_that_does_not_come_to_its_route_tells_it(
    gate: Edge, lines: Lines, method: str, path: str, key: str, status: int, route: str
) -> None:
    """Whoever looks for a wrong key or a wrong method sees where it came; the metric says the same."""
    outcome = "invalid_api_key" if status == 401 else "method_not_allowed"
    name, labels = (
        "gempool_requests_total",
        {"route": route, "model": "none", "kind": "none", "outcome": outcome},
    )
    before = gate.metric(name, **labels)
    answer = gate.http.request(method, path, headers={"authorization": f"Bearer {key}"})
    line = lines.one(answer)
    assert (line["status"], line["outcome"], line["route"]) == (status, outcome, route)
    assert "path" not in line
    assert gate.metric(name, **labels) == before + 1


def test_a_path_without_a_route_is_told_in_the_line_alone(gate: Edge, lines: Lines) -> None:
    """As far as it is no secret, and no more of it than eighty characters; the metric stays bounded."""
    for key, status in ((ADMIN, 404), ("sk-wrong", 401)):
        answer = gate.http.get(f"/v9/chat/{ADMIN}/{'x' * 200}", headers={"authorization": f"Bearer {key}"})
        line = lines.one(answer)
        assert (line["status"], line["route"]) == (status, "unrouted")
        assert line["path"] == f"/v9/chat/***/{'x' * 200}"[:80]
    answer = gate.http.get("/v9/AIzaSyA-0123456789abcdefg", headers={"authorization": f"Bearer {ADMIN}"})
    assert lines.one(answer)["path"] == "/v9/***"
    assert "/v9" not in gate.http.get("/metrics", headers={"authorization": f"Bearer {ADMIN}"}).text


def test_refused_requests_leave_a_line_too(gate: Edge, lines: Lines) -> None:
    """A wrong key, a field that will not do, and a limit that was reached, which is named."""
    refused = lines.one(ask(gate, key="sk-wrong"))
    assert (refused["status"], refused["outcome"], refused["caller"]) == (401, "invalid_api_key", "")
    bad = lines.one(ask(gate, n="many"))
    assert (bad["status"], bad["outcome"], bad["param"]) == (400, "invalid_request", "n")
    assert "model" not in bad
    ask(gate, key=KEY)
    limited = lines.one(ask(gate, key=KEY))
    assert (limited["status"], limited["outcome"]) == (429, "rate_limit_exceeded")
    assert (limited["caller"], limited["limit"], limited["attempts"]) == ("team-a", "caller_and_model", 0)
    unknown = lines.one(ask(gate, model="gpt-4"))
    assert (unknown["status"], unknown["model"]) == (404, "gpt-4")
    assert all(map(adds_up, (refused, bad, limited, unknown)))


@pytest.mark.parametrize("stream", [False, True])
def test_a_failure_keeps_what_was_tried(gate: Edge, lines: Lines, stream: bool) -> None:
    """The accounts and the time that they took are told, though nobody answered."""
    tried = (Tried("alice", "network", 0.02), Tried("bob", "unstable", 0.01))
    gate.chat.script = going(Fail(UpstreamFailed()), tried=tried, upstream=0.03)
    line = lines.one(ask(gate, stream=stream))
    assert (line["status"], line["outcome"]) == (503, "upstream_failed")
    assert (line["account"], line["accounts"]) == ("bob", "alice:network bob:unstable")
    assert line["ms_upstream"] == 30.0
    assert adds_up(line)


def test_a_stream_that_breaks_is_told_as_it_ended(gate: Edge, lines: Lines) -> None:
    """The status was 200 by then; the outcome is the failure's."""
    gate.chat.script = going(Delta("One"), Fail(UpstreamFailed()), tried=(Tried("a", "unstable", 0.01),))
    line = lines.one(ask(gate, stream=True))
    assert (line["status"], line["outcome"]) == (200, "upstream_failed")
    assert adds_up(line)


def test_side_by_side_choices_tell_of_the_slowest(gate: Edge, lines: Lines) -> None:
    """All accounts are named; their times passed at once, so that only the longest is told."""
    numbers = iter(range(3))

    def script(asked: Ask) -> list[Step]:
        n = next(numbers)
        return going(*WELL, tried=(Tried(f"a{n}", "ok", 0.02 * n),), upstream=0.02 * n)(asked)

    gate.chat.script = script
    line = lines.one(ask(gate, n=3))
    assert line["accounts"] == "a0:ok a1:ok a2:ok"
    assert line["attempts"] == 3
    assert line["ms_upstream"] == 40.0
    assert adds_up(line)


def test_a_caller_who_leaves_is_told_as_one(gate: Edge, lines: Lines) -> None:
    """Nobody's fault, and not answered: nginx's 499 where no status was sent."""
    gate.chat.script = going(Pause(20), *WELL)
    with pytest.raises(httpx.ReadTimeout):
        gate.http.post(
            "/v1/chat/completions",
            json={"model": MODEL, "messages": [{"role": "user", "content": "Hello"}]},
            headers={"authorization": f"Bearer {ADMIN}", "x-request-id": "req-who-leaves"},
            timeout=0.3,
        )
    until(lambda: "req-who-leaves" in lines.stream.getvalue())
    (line,) = (
        line
        for line in map(json.loads, lines.stream.getvalue().splitlines())
        if line.get("request_id") == "req-who-leaves" and line["event"] == "request"
    )
    assert (line["outcome"], line["status"]) == ("cancelled", 499)
    assert adds_up(line)
    assert gate.noted[0].outcome == "cancelled"


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "garbage",
        f"00-{TRACE}",
        f"00-{TRACE.upper()}-00f067aa0ba902b7-01",
        f"ff-{TRACE}-00f067aa0ba902b7-01",
        f"00-{'0' * 32}-00f067aa0ba902b7-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-00f067aa0ba902b7-01{'x' * 100}",
    ],
)
def test_a_traceparent_that_is_none_is_left_alone(gate: Edge, lines: Lines, parent: str) -> None:
    """Only what W3C Trace Context allows reaches the log."""
    assert "trace_id" not in lines.one(ask(gate, headers={"traceparent": parent}))


def test_a_later_version_of_traceparent_is_understood(gate: Edge, lines: Lines) -> None:
    """It may have more behind it; the trace id stands where it always did."""
    parent = f"01-{TRACE}-00f067aa0ba902b7-01-more"
    assert lines.one(ask(gate, headers={"traceparent": parent}))["trace_id"] == TRACE


def test_no_key_is_in_a_line_or_in_the_journal(gate: Edge, lines: Lines) -> None:
    """Not even where the caller wrote it into the wrong field."""
    for answer in (
        ask(gate, model=ADMIN),
        ask(gate, key="sk-wrong-and-long-enough", model="sk-wrong-and-long-enough"),
    ):
        lines.one(answer)
    assert ADMIN not in lines.stream.getvalue()
    assert "sk-wrong-and-long-enough" not in lines.stream.getvalue()
    assert gate.noted
    assert ADMIN not in repr(gate.noted)


def test_the_journal_is_told_what_the_line_tells(gate: Edge, lines: Lines) -> None:
    """The same facts, in seconds, with the replica's name and the time."""
    gate.chat.script = going(
        *WELL,
        tried=(Tried("alice", "throttled", 0.01), Tried("bob", "ok", 0.02)),
        queued=0.01,
        upstream=0.03,
        pictures=0.02,
    )
    before = time.time()
    line = lines.one(ask(gate))
    (entry,) = gate.noted
    assert before <= entry.at <= time.time()
    assert (entry.id, entry.replica, entry.caller) == (line["request_id"], "replica-1", CALLER)
    assert (entry.route, entry.model, entry.status, entry.outcome) == (
        "/v1/chat/completions", MODEL, 200, "ok",
    )  # fmt: skip
    assert [(one.account, one.outcome, one.seconds) for one in entry.asked] == [
        ("alice", "throttled", 0.01),
        ("bob", "ok", 0.02),
    ]
    assert (entry.queued, entry.upstream, entry.pictures) == pytest.approx((0.01, 0.03, 0.02))
    assert entry.seconds * 1000 == pytest.approx(line["ms"], abs=0.01)
    assert entry.first_content is not None
    assert entry.first_content * 1000 == pytest.approx(line["ms_first_content"], abs=0.01)


def test_the_journal_hears_of_what_was_refused(gate: Edge) -> None:
    """A model was named and nobody was asked."""
    gate.chat.script = going(Fail(PoolBusy("All accounts are busy.", retry_after=3)))
    assert ask(gate).status_code == 429
    assert ask(gate, model="gpt-4").status_code == 404
    until(lambda: len(gate.noted) == 2)
    assert [(one.outcome, one.status, one.asked) for one in gate.noted] == [
        ("pool_busy", 429, ()),
        ("model_not_found", 404, ()),
    ]


def test_pictures_are_told_as_well(gate: Edge, lines: Lines) -> None:
    """Each picture is asked for by itself; the line is one."""
    answer = gate.http.post(
        "/v1/images/generations",
        json={"prompt": "a lantern", "n": 2},
        headers={"authorization": f"Bearer {ADMIN}"},
    )
    assert answer.status_code == 200
    line = lines.one(answer)
    assert (line["route"], line["attempts"]) == ("/v1/images/generations", 2)
    assert line["bytes"] > len(PNG)
    assert adds_up(line)


def test_stages_are_measured(gate: Edge, lines: Lines) -> None:
    """`gempool_stage_duration_seconds` has the same, for requests that reached the engine."""
    name = "gempool_stage_duration_seconds_sum"
    before = {stage: gate.metric(name, stage=stage) for stage in ("queue", "upstream", "pictures", "own")}
    gate.chat.script = going(*WELL, queued=0.01, upstream=0.03)
    lines.one(ask(gate))
    until(lambda: gate.metric(name, stage="own") > before["own"])
    grown = {stage: gate.metric(name, stage=stage) - was for stage, was in before.items()}
    assert grown["queue"] == pytest.approx(0.01)
    assert grown["upstream"] == pytest.approx(0.03)
    assert grown["pictures"] == 0


def test_a_terminal_shows_a_line_that_is_read_from_left_to_right(gate: Edge) -> None:
    """Time, level, logger, status, route and milliseconds first, the facts in their order, the id last."""
    shown = Lines("text")
    gate.chat.script = going(
        *WELL, tried=(Tried("alice", "throttled", 0.01), Tried("bob", "ok", 0.02)), queued=0.01, upstream=0.03
    )
    id = ask(gate).headers["x-request-id"]
    until(lambda: id in shown.stream.getvalue())
    (line,) = [line for line in shown.stream.getvalue().splitlines() if " access " in line]
    assert re.fullmatch(
        r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ info    access     200 POST /v1/chat/completions [\d.]+ ms"
        rf" caller={CALLER} model={MODEL} upstream_model=gemini-flash account=bob accounts='alice:throttled bob:ok' attempts=2 bytes=\d+"
        r" ms_first_content=[\d.]+ (ms_read=[\d.]+ )?ms_queue=10.0 ms_upstream=30.0 (ms_send=[\d.]+ )?ms_own=[\d.]+"
        rf" request_id={id}",
        line,
    )
    id = ask(gate, n="many").headers["x-request-id"]
    until(lambda: id in shown.stream.getvalue())
    assert re.search(
        rf" 400 POST /v1/chat/completions invalid_request [\d.]+ ms caller={CALLER} param=n ",
        shown.stream.getvalue(),
    )


SECONDS = st.floats(0, 100)
TRACES = st.lists(
    st.builds(
        lambda queued, upstream, pictures: Trace(waited=queued + upstream, queued=queued, pictures=pictures),
        SECONDS, SECONDS, SECONDS,
    ),
    max_size=4,
)  # fmt: skip


@given(TRACES, SECONDS, SECONDS, SECONDS)
def test_stages_add_up(traces: list[Trace], total: float, read: float, send: float) -> None:
    """Whatever was measured, and though it may have passed at once: no stage is negative, and together they are the whole."""
    exchange = exchanged()
    exchange.traces, exchange.read_seconds, exchange.send_seconds = traces, read, send
    stages = stages_of(exchange, total)
    parts = [stages.read, stages.queue, stages.upstream, stages.pictures, stages.send, stages.own]
    assert min(parts) >= 0
    assert sum(parts) == pytest.approx(total)
    slowest = max((trace.waited + trace.pictures for trace in traces), default=0.0)
    if read + slowest + send <= total:
        assert stages.queue + stages.upstream + stages.pictures == pytest.approx(slowest)
        assert stages.own == pytest.approx(total - read - slowest - send, abs=1e-9)


def exchanged() -> Exchange:
    async def nothing(*_: Any) -> Any:
        raise AssertionError

    scope: Any = {"type": "http", "method": "GET", "path": "/", "query_string": b"", "headers": []}
    return Exchange(
        scope, nothing, nothing, request_id="r", settings=EdgeSettings(), monotonic=time.monotonic
    )


def test_the_journal_leaves_out_what_no_account_answers(gate: Edge, lines: Lines) -> None:
    """Tokens are counted here: that serves nobody and fails nobody."""
    counted = gate.http.post(
        f"/v1beta/models/{MODEL}:countTokens",
        json={"contents": [{"parts": [{"text": "How many?"}]}]},
        headers={"authorization": f"Bearer {ADMIN}"},
    )
    assert counted.status_code == 200
    assert lines.one(counted)["model"] == MODEL
    assert gate.noted == []
