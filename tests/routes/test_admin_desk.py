"""What the page reads and does, over a real socket."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
import pytest

from core.errors import NoAccount, ShuttingDown, StoreUnavailable
from engine.service import Turn
from tests.fakes.edge import Edge, edge
from tests.fakes.operator import END, VIEW, FakeOperator, now
from tests.fakes.server import until
from tests.routes.conftest import QUICK
from tests.support.browser import Told, browser, cookie, given, signed_in, token, told
from tests.support.openapi import ConformingClient, contract

LIVE = "/admin/api/live"
ACCOUNT = "/admin/api/accounts/"
ACTIONS = ("probe", "enable", "disable", "clear")
OPERATOR = FakeOperator()


@pytest.fixture(scope="module")
def desk() -> Iterator[Edge]:
    """An edge with short waits, an API key and an admin key."""
    with edge(settings=QUICK, api_key="one", admin_key="root", operator=OPERATOR) as found:
        yield found


@pytest.fixture
def page(desk: Edge) -> Iterator[ConformingClient]:
    """Somebody who is signed in; the desk is as new."""
    OPERATOR.reset()
    with signed_in(desk) as found:
        yield found


@contextmanager
def watching(page: ConformingClient, **headers: str) -> Iterator[Iterator[Told]]:
    """The events as they come, each held to what the document says of it."""
    with page.stream("GET", LIVE, headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        assert response.headers["x-accel-buffering"] == "no"
        yield checked(told(response.iter_lines()))


def checked(events: Iterator[Told]) -> Iterator[Told]:
    operation = contract().operation("get", LIVE)
    assert operation is not None
    schema = operation["responses"]["200"]["content"]["text/event-stream"]["schema"]
    said = schema["properties"]["data"]["contentSchema"]
    for event in events:
        assert contract().faults(said, event.data) == []
        yield event


@contextmanager
def connected(desk: Edge, *headers: str, version: str = "1.1") -> Iterator[socket.socket]:
    """A raw connection that has asked for events."""
    head = [f"GET {LIVE} HTTP/{version}", "Host: localhost", "x-admin-key: root", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", desk.port), timeout=5) as connection:
        connection.sendall("\r\n".join(head).encode())
        yield connection


def receive_until(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def test_the_view_is_the_services(page: ConformingClient) -> None:
    """Field by field, and kept by nobody on the way."""
    answer = page.get("/admin/api/view")
    assert answer.json() == json.loads(msgspec.json.encode(VIEW))
    assert answer.headers["cache-control"] == "no-store"


def test_a_view_that_cannot_be_had_is_an_error(page: ConformingClient) -> None:
    """503 with a wait, in the envelope."""
    OPERATOR.shown = StoreUnavailable("The store does not answer.", retry_after=2)
    answer = page.get("/admin/api/view")
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "store_unavailable")
    assert answer.headers["retry-after"] == "2"


def test_one_account_comes_with_its_history(page: ConformingClient) -> None:
    """And with nobody else's."""
    found = page.get(f"{ACCOUNT}alice").json()
    assert found["account"]["id"] == "alice"
    assert [entry["account"] for entry in found["history"]] == ["alice"]
    assert page.get(f"{ACCOUNT}bob").json()["history"] == []


@pytest.mark.parametrize("action", ACTIONS)
def test_an_action_is_done_and_answers_how_the_account_stands(page: ConformingClient, action: str) -> None:
    """Once, in the name of whoever is signed in; no body is needed, and none is minded."""
    answer = page.post(f"{ACCOUNT}alice/{action}")
    assert answer.status_code == 200
    assert answer.json()["account"]["id"] == "alice"
    assert answer.json()["outcome"] == ("well" if action == "probe" else "")
    assert OPERATOR.done == [(action, "alice", "admin:page")]
    assert page.post(f"{ACCOUNT}alice/{action}", json={"any": 1}).status_code == 200


@pytest.mark.parametrize("id", ["nobody", "alice.", "%20", "a%2Fb", "..", "x" * 300, "alice%00"])
def test_an_account_that_is_gone_is_404(page: ConformingClient, id: str) -> None:
    """Read or acted on, such as one that was deleted under an open page."""
    for answer in (page.get(ACCOUNT + id), page.post(f"{ACCOUNT}{id}/probe")):
        assert answer.status_code in (404, 405), answer.url
        assert answer.json()["error"]["code"] in ("not_found", "method_not_allowed")
    assert OPERATOR.done == []


def test_a_known_account_that_went_says_which(page: ConformingClient) -> None:
    """The page can tell its reader."""
    OPERATOR.remove("alice")
    for answer in (page.get(f"{ACCOUNT}alice"), page.post(f"{ACCOUNT}alice/enable")):
        assert answer.status_code == 404
        assert "'alice'" in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "/admin/api/view"), ("GET", LIVE), ("GET", f"{ACCOUNT}alice")]
    + [("POST", f"{ACCOUNT}alice/{action}") for action in ACTIONS],
)
def test_all_of_it_is_the_operators_alone(desk: Edge, method: str, path: str) -> None:
    """No key is 401, an API key 403, the admin key and a session are let in."""
    OPERATOR.reset()
    with browser(desk) as page:
        for headers, status in (
            ({}, 401),
            ({"x-api-key": "one"}, 403),
            ({"x-admin-key": "root"}, 200),
            (cookie(token()), 200),
        ):
            with page.stream(method, path, headers=headers) as answer:
                assert answer.status_code == status
                if status != 200:
                    assert json.loads(answer.read())["error"]["message"]


def test_the_page_is_told_how_everything_stands_and_what_changes(page: ConformingClient) -> None:
    """First the view, then each turn as it comes."""
    with watching(page) as events:
        first = next(events)
        assert (first.name, first.data) == ("view", json.loads(msgspec.json.encode(VIEW)))
        OPERATOR.change("bob", state="quarantined", reason="expired")
        turn = next(events)
        assert turn.name == "turn"
        assert [(one["id"], one["state"]) for one in turn.data["accounts"]] == [("bob", "quarantined")]
        OPERATOR.remove("bob")
        assert next(events).data["gone"] == ["bob"]
        OPERATOR.tell(Turn(now(store_ok=False, why="The store is away.")), VIEW)
        assert next(events).data["now"]["store_ok"] is False
        assert next(events).name == "view"


def test_a_browser_comes_back_after_a_second(desk: Edge) -> None:
    """As the stream's first line tells it."""
    OPERATOR.reset()
    with connected(desk) as connection:
        data = receive_until(connection, b"event: view")
    body = data.partition(b"\r\n\r\n")[2].partition(b"\r\n")[2]
    assert body.startswith(b"retry: 1000\n\nevent: view\ndata: {")


def test_several_look_at_once(page: ConformingClient, desk: Edge) -> None:
    """Each has a stream of their own, and is told the same."""
    with watching(page) as one, signed_in(desk) as other, watching(other) as two:
        assert next(one) == next(two)
        OPERATOR.change("alice", in_flight=1)
        assert next(one) == next(two)


def test_silence_is_filled_with_signs_of_life(desk: Edge) -> None:
    """Comments, which every client passes over."""
    OPERATOR.reset()
    with connected(desk) as connection:
        receive_until(connection, b": keep-alive\n\n")


@pytest.mark.parametrize("last", [END, ShuttingDown("The gateway is shutting down.")])
def test_a_gateway_that_stops_says_good_bye(page: ConformingClient, last: ShuttingDown | None) -> None:
    """So that the page knows that it is worth asking again."""
    with watching(page) as events:
        next(events)
        OPERATOR.tell(last)
        bye = next(events)
        assert (bye.name, bye.data["code"]) == ("bye", "shutting_down")
        assert next(events, None) is None


def test_a_stream_that_fails_says_so(page: ConformingClient) -> None:
    """In the envelope, once the head is out; before that it is an answer like any other."""
    with watching(page) as events:
        next(events)
        OPERATOR.tell(StoreUnavailable("The store does not answer."))
        failure = next(events)
        assert (failure.name, failure.data["error"]["code"]) == ("failure", "store_unavailable")
        assert next(events, None) is None
    OPERATOR.shown = NoAccount("There is none.")
    assert page.get(LIVE).status_code == 503


def test_a_session_that_ends_ends_its_stream() -> None:
    """With a good-bye that says so, at the second of its end, though nothing else happens; not so with the admin key."""
    operator = FakeOperator()
    with edge(admin_key="root", operator=operator, session_life=4.0) as found, signed_in(found) as page:
        ends = page.get("/admin/api/session").json()["expires_at"]
        with watching(page) as events, watching(page, **{"x-admin-key": "root"}) as others:
            next(events)
            next(others)
            bye = next(events)
            assert (bye.name, bye.data["code"]) == ("bye", "session_expired")
            assert ends <= time.time() < ends + 3
            assert next(events, None) is None
            until(lambda: operator.looking == 1)
            operator.change("alice", in_flight=1)
            assert next(others).name == "turn"
        over = page.get("/admin/api/view", headers=cookie(token(age=10, life=4.0)))
        assert over.json()["error"]["code"] == "session_expired"


def test_signing_out_ends_the_sessions_streams_and_nobody_elses(page: ConformingClient, desk: Edge) -> None:
    """A second tab is told at once that the session is over, also where its own cookie is an older or a newer one of it."""
    renewed = given(page.get("/admin/api/view", headers=(old := cookie(token(age=2000)))))["value"]
    page.cookies.clear()
    with (
        watching(page, **old) as one,
        watching(page, **cookie(renewed)) as two,
        signed_in(desk) as other,
        watching(other) as others,
    ):
        for events in (one, two, others):
            assert next(events).name == "view"
        assert page.delete("/admin/api/session", headers=cookie(renewed)).status_code == 204
        for events in (one, two):
            bye = next(events)
            assert (bye.name, bye.data["code"]) == ("bye", "session_expired")
            assert next(events, None) is None
        until(lambda: OPERATOR.looking == 1)
        OPERATOR.change("alice", in_flight=1)
        assert next(others).name == "turn"


def test_looking_does_not_keep_a_session_alive(page: ConformingClient) -> None:
    """A browser comes back by itself, so that the stream renews nothing."""
    with page.stream("GET", LIVE, headers=cookie(token(age=3000))) as answer:
        assert answer.status_code == 200
        assert "set-cookie" not in answer.headers


def test_whoever_leaves_is_looked_after_no_more(desk: Edge) -> None:
    """The source is closed at once, and the time of it counts as no request's."""
    OPERATOR.reset()
    until(lambda: OPERATOR.looking == 0)
    route = {"route": LIVE}
    before = desk.metric("gempool_request_duration_seconds_count", kind="none", **route)
    cancelled = desk.metric("gempool_cancelled_total")
    with connected(desk) as connection:
        receive_until(connection, b"event: view")
        assert OPERATOR.looking == 1
    until(lambda: OPERATOR.looking == 0)
    until(lambda: desk.metric("gempool_requests_in_flight") == 0)
    assert desk.metric("gempool_request_duration_seconds_count", kind="none", **route) == before
    assert desk.metric("gempool_cancelled_total") == cancelled


def test_http_1_0_is_told_what_to_do(desk: Edge) -> None:
    """It knows no end of an answer but the connection's, so events would never come."""
    OPERATOR.reset()
    with connected(desk, version="1.0") as connection:
        data = receive_until(connection, b"}}")
    assert b" 400 " in data.splitlines()[0]
    assert b"/admin/api/view" in data
    assert OPERATOR.opened == 0


def test_the_head_of_the_stream_can_be_asked_for(page: ConformingClient) -> None:
    """Without opening it."""
    answer = page.head(LIVE)
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert OPERATOR.opened == 0


def test_the_routes_are_listed_where_they_are(desk: Edge, gate: Edge) -> None:
    """`/api/info` names them, and a gateway without the desk has none of them."""
    listed = desk.http.get("/api/info", headers={"x-admin-key": "root"}).json()["endpoints"]
    assert {"GET /admin", "GET /admin/api/view", f"POST {ACCOUNT}{{id}}/probe"} <= set(listed)
    assert not [entry for entry in gate.http.get("/api/info").json()["endpoints"] if "/admin/api" in entry]
    assert gate.http.get("/admin/api/view").status_code == 404
