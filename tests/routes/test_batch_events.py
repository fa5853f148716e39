"""A batch as server-sent events, read by an unmodified HTTP client and over a raw socket."""

import asyncio
import json
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest
from msgspec import Struct

from core.errors import NotFound, ShuttingDown
from tests.fakes.batches import HERE, FakeBatches, failed, said, well
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until
from tests.routes.conftest import QUICK
from tests.support.openapi import contract


class Told(Struct):
    """One event as a client sees it."""

    name: str
    id: str
    data: dict[str, Any]


@pytest.fixture(scope="module")
def batches() -> FakeBatches:
    return FakeBatches()


@pytest.fixture(scope="module")
def working(batches: FakeBatches) -> Iterator[Edge]:
    with edge(settings=QUICK, batches=batches) as found:
        yield found


@pytest.fixture
def gate(working: Edge, batches: FakeBatches) -> Edge:
    """The edge with short waits, open to this machine, with batches as new."""
    batches.reset()
    return working


def parsed(lines: Iterator[str]) -> Iterator[Told]:
    """What the specification makes of lines: an event is what stands before an empty line, and has data."""
    name, id, data = "message", "", ""
    for line in lines:
        field, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if not line:
            if data:
                yield Told(name, id, json.loads(data))
            name, data = "message", ""
        elif field == "event":
            name = value
        elif field == "id":
            id = value
        elif field == "data":
            data += value


@contextmanager
def watching(gate: Edge, id: str, query: str = "", **headers: str) -> Iterator[Iterator[Told]]:
    """The events of a batch as they come."""
    with gate.http.stream("GET", f"/v1/batch/{id}/events{query}", headers=headers) as response:
        assert response.status_code == 200
        assert response.headers["content-type"] == "text/event-stream; charset=utf-8"
        yield parsed(response.iter_lines())


@contextmanager
def connected(gate: Edge, id: str, version: str = "1.1", *headers: str) -> Iterator[socket.socket]:
    """A raw connection that has asked for events."""
    head = [f"GET /v1/batch/{id}/events HTTP/{version}", "Host: localhost", *headers, "", ""]
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        connection.sendall("\r\n".join(head).encode())
        yield connection


def receive_until(connection: socket.socket, mark: bytes) -> bytes:
    data = b""
    while mark not in data:
        piece = connection.recv(65536)
        assert piece, data
        data += piece
    return data


def test_a_batch_is_watched_from_its_beginning_to_its_end(gate: Edge, batches: FakeBatches) -> None:
    """How it stands at once, each task as it ends with its number, how it stands then, and the end."""
    id = batches.add(3, owner=HERE)
    with watching(gate, id) as events:
        first = next(events)
        assert (first.name, first.data["progress"], first.data["status"]) == ("progress", "0/3", "queued")
        assert "results" not in first.data
        batches.end(id, well(2))
        assert next(events) == Told(
            "result",
            "1",
            {
                "task_id": f"{id}-2",
                "index": 2,
                "tries": 1,
                "url": f"{gate.url}{well(2).link}",
                "size": "4x3",
                "watermark": "removed",
            },
        )
        assert next(events).data["progress"] == "1/3"
        batches.end(id, failed(0))
        error = next(events)
        assert (error.name, error.id, error.data["code"]) == ("problem", "2", "upstream_failed")
        assert next(events).data["failed"] == 1
        batches.change(id, why="Every account rests until 12:00.")
        assert next(events).data["why"] == "Every account rests until 12:00."
        batches.end(id, well(1))
        assert (next(events).data["index"], (done := next(events)).name) == (1, "done")
        assert (done.data["status"], done.data["progress"], "results" in done.data) == (
            "completed",
            "3/3",
            False,
        )
        assert [*events] == []
    until(lambda: batches.watching == 0)


def test_the_stream_is_as_browsers_want_it(gate: Edge, batches: FakeBatches) -> None:
    """Not buffered, with the wait before a new connection at its head, tasks numbered, no other end than `done`, and no event
    called `error`, which is what `EventSource` calls a broken connection."""
    id = batches.add(2, owner=HERE, outcomes=[well(0), failed(1)])
    batches.change(id, state="completed")
    response = gate.http.get(f"/v1/batch/{id}/events")
    assert response.text.startswith("retry: 2000\n\nevent: progress\ndata: {")
    assert "\n\nevent: result\nid: 1\ndata: {" in response.text
    assert "\n\nevent: problem\nid: 2\ndata: {" in response.text
    assert "event: error" not in response.text
    assert response.text.count("event: done\n") == 1
    assert response.text.endswith("\n\n")
    assert "[DONE]" not in response.text
    assert response.headers["cache-control"] == "no-cache"
    assert response.headers["x-accel-buffering"] == "no"


def test_an_ended_batch_tells_all_of_its_tasks_before_its_end(gate: Edge, batches: FakeBatches) -> None:
    """Though it had ended when the watch began."""
    id = batches.add(3, owner=HERE, outcomes=[well(1), well(0), failed(2)])
    batches.change(id, state="completed")
    with watching(gate, id) as events:
        names = [(event.name, event.data.get("index")) for event in events]
    assert names == [("progress", None), ("result", 1), ("result", 0), ("problem", 2), ("done", None)]


@pytest.mark.parametrize(
    ("query", "headers", "first"),
    [
        ("", {}, 1),
        ("?after=2", {}, 3),
        ("", {"last-event-id": "2"}, 3),
        ("?after=1", {"last-event-id": "3"}, 4),
        ("?after=1", {"last-event-id": ""}, 2),
        ("?after=0", {}, 1),
        ("?after=900", {}, None),
    ],
)
def test_a_watch_goes_on_where_it_was(
    gate: Edge, batches: FakeBatches, query: str, headers: dict[str, str], first: int | None
) -> None:
    """Behind the number that the header names, or else the address; nothing is told twice or left out."""
    id = batches.add(5, owner=HERE, outcomes=[well(index) for index in range(4)])
    batches.end(id, well(4))
    with watching(gate, id, query, **headers) as events:
        told = [*events]
    expected = [] if first is None else [*range(first, 6)]
    assert [int(event.id) for event in told if event.name == "result"] == expected
    assert (told[0].name, told[-1].name) == ("progress", "done")


@pytest.mark.parametrize(
    ("query", "headers", "param"),
    [
        ("", {"last-event-id": "batch_1-4"}, "Last-Event-ID"),
        ("", {"last-event-id": "-1"}, "Last-Event-ID"),
        ("?after=4", {"last-event-id": "9" * 40}, "Last-Event-ID"),
        ("?after=four", {}, "after"),
        ("?after=-1", {}, "after"),
    ],
)
def test_a_place_that_is_no_number_is_refused(
    gate: Edge, query: str, headers: dict[str, str], param: str
) -> None:
    """By the name that it was sent under."""
    response = gate.http.get(f"/v1/batch/batch_1/events{query}", headers=headers)
    assert response.status_code == 400
    assert response.json()["error"]["param"] == param
    assert "whole number" in response.json()["error"]["message"]


def test_pictures_ordered_as_data_are_told_as_links(gate: Edge, batches: FakeBatches) -> None:
    """Renewed ones; the status has the data."""
    batches.renewed[well(0).link] = "https://pictures.example/a.png?signed=now"
    id = batches.add(1, owner=HERE, form="base64")
    batches.end(id, well(0))
    with watching(gate, id) as events:
        [result] = [event for event in events if event.name == "result"]
    assert result.data["url"] == "https://pictures.example/a.png?signed=now"
    assert "image" not in result.data


def test_a_text_is_one_line(gate: Edge, batches: FakeBatches) -> None:
    """Whatever ends a line for whom."""
    text = "a\nb\r\nc\u2028d\u0085e\x0bf"
    id = batches.add(1, owner=HERE, kind="chat", form="text")
    batches.end(id, said(0, text))
    with watching(gate, id) as events:
        [result] = [event for event in events if event.name == "result"]
    assert result.data["text"] == text


def test_a_quiet_batch_gives_signs_of_life(gate: Edge, batches: FakeBatches) -> None:
    """Comments, while nothing changes; the watch goes on afterwards."""
    id = batches.add(1, owner=HERE)
    with connected(gate, id) as connection:
        data = receive_until(connection, b": keep-alive\n\n")
        data += receive_until(connection, b": keep-alive\n\n")
        assert data.index(b"event: progress") < data.index(b": keep-alive")
        batches.end(id, well(0))
        assert b"event: result" in receive_until(connection, b"event: done")


def test_a_caller_who_leaves_ends_the_watch(gate: Edge, batches: FakeBatches) -> None:
    """Within a second, though nothing changes; the batch goes on. How long they watched is no measure of the gateway."""
    id = batches.add(2, owner=HERE)
    route = "/v1/batch/{id}/events"
    before = gate.metric("gempool_cancelled_total")
    timed = gate.metric("gempool_request_duration_seconds_count", route=route, kind="none")
    with connected(gate, id) as connection:
        receive_until(connection, b"event: progress")
        assert batches.watching == 1
    until(lambda: batches.watching == 0, within=1.0)
    until(lambda: gate.metric("gempool_requests_in_flight") == 0, within=1.0)
    assert gate.metric("gempool_cancelled_total") == before
    assert (
        gate.metric("gempool_requests_total", route=route, model="none", kind="none", outcome="cancelled")
        >= 1
    )
    assert gate.metric("gempool_request_duration_seconds_count", route=route, kind="none") == timed
    assert gate.http.get(f"/v1/batch/{id}").json()["status"] == "queued"


def test_a_reader_of_nothing_holds_only_their_own_watch_back(gate: Edge, batches: FakeBatches) -> None:
    """Others see the batch go on to its end."""
    id = batches.add(2000, owner=HERE, kind="chat", form="text")
    with connected(gate, id) as idle:
        receive_until(idle, b"event: progress")
        with watching(gate, id) as events:
            for index in range(2000):
                batches.end(id, said(index, "x" * 10_000))
            assert [event for event in events if event.name == "result"][-1].id == "2000"
        assert batches.watching == 1
    until(lambda: batches.watching == 0, within=1.0)


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (ShuttingDown("The gateway is shutting down.", retry_after=1), "shutting_down"),
        (NotFound("There is no batch of this id."), "not_found"),
        (RuntimeError("cookie=very-secret"), "internal_error"),
    ],
)
def test_a_failure_is_the_last_event(gate: Edge, batches: FakeBatches, failure: Exception, code: str) -> None:
    """With the error as other routes tell it, no `done`, and a sound connection afterwards."""
    id = batches.add(2, owner=HERE)
    with watching(gate, id) as events:
        next(events)
        batches.error = failure
        batches.wake()
        last = next(events)
        assert (last.name, last.data["error"]["code"]) == ("failure", code)
        assert "secret" not in str(last.data)
        assert contract().faults({"$ref": "#/components/schemas/OpenAIErrorEnvelope"}, last.data) == []
        assert [*events] == []
    batches.error = None
    assert gate.http.get(f"/v1/batch/{id}").status_code == 200


def test_what_fails_before_the_first_event_is_a_plain_error(gate: Edge, batches: FakeBatches) -> None:
    """With its status, so that a browser does not come back for an id that there is none of."""
    for path in ("/v1/batch/batch_99/events", "/v1/batch/no%20id/events"):
        response = gate.http.get(path)
        assert (response.status_code, response.json()["error"]["code"]) == (404, "not_found")
    batches.error = RuntimeError("secret")
    assert gate.http.get("/v1/batch/batch_1/events").status_code == 500


def test_http_1_0_is_told_where_to_look_instead(gate: Edge, batches: FakeBatches) -> None:
    """It knows no chunks, and a batch may take an hour; a proxy that speaks it is given the stream."""
    id = batches.add(1, owner=HERE)
    with connected(gate, id, "1.0") as connection:
        answer = receive_until(connection, b"}}")
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"GET /v1/batch/{id}/status" in answer
    assert batches.watching == 0
    with connected(gate, id, "1.0", "X-Forwarded-For: 127.0.0.1") as connection:
        receive_until(connection, b"event: progress")


def test_head_is_answered_at_once(gate: Edge, batches: FakeBatches) -> None:
    """Without a watch."""
    id = batches.add(1, owner=HERE)
    response = gate.http.head(f"/v1/batch/{id}/events")
    assert (response.status_code, response.content) == (200, b"")
    assert response.headers["content-type"].startswith("text/event-stream")
    assert gate.http.head("/v1/batch/batch_99/events").status_code == 404


def test_the_key_may_stand_in_the_address(batches: FakeBatches) -> None:
    """As browsers' EventSource, which sends no headers of a page's own, has to show it."""
    batches.reset()
    with edge(api_key="one", batches=batches) as found:
        assert found.http.get("/v1/batch/batch_1/events").status_code == 401
        with found.http.stream("GET", "/v1/batch/batch_1/events?key=one") as response:
            assert [event.name for event in parsed(response.iter_lines())][-1] == "done"


async def test_many_watch_at_once(gate: Edge, batches: FakeBatches) -> None:
    """Each is told everything, in the same order."""
    id = batches.add(20, owner=HERE)
    async with httpx.AsyncClient(base_url=gate.url, timeout=10) as client:

        async def watch() -> list[str]:
            response = await client.get(f"/v1/batch/{id}/events")
            return [event.id for event in parsed(iter(response.text.split("\n"))) if event.name == "result"]

        watches = [asyncio.create_task(watch()) for _ in range(20)]
        await asyncio.to_thread(until, lambda: batches.watching == 20)
        for index in range(20):
            batches.end(id, well(index))
        assert await asyncio.gather(*watches) == [[str(number) for number in range(1, 21)]] * 20
