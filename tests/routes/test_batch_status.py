"""How a batch is told: results and errors, in parts, as links or data, in memory that does not grow with them."""

import asyncio
import base64
import json
import socket
import threading
import time
import tracemalloc
from collections.abc import AsyncGenerator, Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from access import Keys
from core.clock import SystemClock
from core.errors import StoreUnavailable
from core.metrics import Metrics
from engine.service import Batch, BatchForm, BatchKind, Outcome
from routes import EdgeSettings, RouteServices, create_app
from tests.fakes.batches import HERE, FakeBatches, failed, said, well
from tests.fakes.edge import Edge, edge
from tests.fakes.server import until
from tests.fakes.service import FakeChat
from tests.support.files import PNG
from tests.support.openapi import contract

DATA_URL = f"data:image/png;base64,{base64.b64encode(PNG).decode()}"
MEGABYTE = 1024 * 1024


class Many(FakeBatches):
    """Ten thousand texts of ten kilobytes, or as many pictures of four megabytes as are asked for, none of them in memory
    before it is wanted. breaks_at: the text at which the store is gone."""

    breaks_at = -1

    async def outcomes(
        self, batch: Batch, *, ok: bool, offset: int = 0, limit: int | None = None
    ) -> AsyncGenerator[list[Outcome], None]:
        if not ok:
            return
        for at in range(offset, min(batch.total, offset + (limit or batch.total)), 50):
            if at == self.breaks_at:
                raise StoreUnavailable("The store does not answer.")
            self.taken += 50
            indexes = range(at, at + 50)
            yield [well(i) if batch.kind == "images" else said(i, f"{i} " + "\u00fc" * 5000) for i in indexes]

    async def picture(self, outcome: Outcome) -> bytes | None:
        return bytes(4 * MEGABYTE)


def of_pictures(many: Many) -> str:
    many.reset()
    id = many.add(1000, owner=HERE, form="base64")
    many.change(id, completed=1000, state="completed")
    return id


@contextmanager
def asking(gate: Edge, line: str, *headers: str) -> Iterator[socket.socket]:
    """A raw connection that has sent a request of that first line."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=5) as connection:
        connection.sendall(
            "\r\n".join([line, "Host: localhost", *headers, "Connection: close", "", ""]).encode()
        )
        yield connection


def whole(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    data = bytearray()
    while piece := connection.recv(65536):
        data += piece
    return bytes(data)


@pytest.fixture(scope="module")
def batches() -> FakeBatches:
    return FakeBatches()


@pytest.fixture(scope="module")
def working(batches: FakeBatches) -> Iterator[Edge]:
    with edge(settings=EdgeSettings(), batches=batches) as found:
        yield found


@pytest.fixture
def gate(working: Edge, batches: FakeBatches) -> Edge:
    """The edge, open to this machine, with batches as new."""
    batches.reset()
    return working


@pytest.fixture(scope="module")
def many() -> Many:
    return Many()


@pytest.fixture(scope="module")
def vast(many: Many) -> Iterator[Edge]:
    """An edge whose batches are large."""
    with edge(batches=many) as found:
        yield found


def of_texts(many: Many) -> str:
    many.reset()
    many.breaks_at = -1
    id = many.add(10_000, owner=HERE, kind="chat", form="text")
    many.change(id, completed=10_000, state="completed")
    return id


def test_a_batch_on_its_way_tells_everything(gate: Edge, batches: FakeBatches) -> None:
    """Counts that add up, what ended in the prompts' order, and why the rest waits."""
    id = batches.add(5, owner=HERE)
    for outcome in (well(3, tries=2), failed(4), well(0, width=0, watermark="")):
        batches.end(id, outcome)
    batches.change(id, running=1, why="Every account rests until 12:00.")
    found = gate.http.get(f"/v1/batch/{id}/status").json()
    link = f"{gate.url}/files/20261121T000000Z"
    assert found == {
        "batch_id": id,
        "object": "batch",
        "kind": "images",
        "model": "gemini-3-pro-image-preview",
        "total": 5,
        "completed": 2,
        "failed": 1,
        "cancelled": 0,
        "pending": 2,
        "running": 1,
        "progress": "3/5",
        "status": "running",
        "concurrency": 2,
        "created_at": "2025-11-22T08:26:42.000Z",
        "started_at": "2025-11-22T08:26:40.000Z",
        "ended_at": None,
        "expires_at": None,
        "why": "Every account rests until 12:00.",
        "results": [
            {"task_id": f"{id}-0", "index": 0, "tries": 1, "url": f"{link}_0_00.png"},
            {
                "task_id": f"{id}-3",
                "index": 3,
                "tries": 2,
                "url": f"{link}_3_00.png",
                "size": "4x3",
                "watermark": "removed",
            },
        ],
        "errors": [
            {
                "task_id": f"{id}-4",
                "index": 4,
                "message": "No account answered.",
                "code": "upstream_failed",
                "tries": 6,
            }
        ],
    }
    assert gate.http.get(f"/v1/batch/{id}").json() == found


def test_a_batch_that_has_ended_says_when_it_is_forgotten(gate: Edge, batches: FakeBatches) -> None:
    """And waits for nothing."""
    id = batches.add(1, owner=HERE)
    batches.end(id, well(0))
    response = gate.http.get(f"/v1/batch/{id}/status")
    found = response.json()
    assert (found["status"], found["progress"], found["pending"]) == ("completed", "1/1", 0)
    assert (found["ended_at"], found["expires_at"]) == (
        "2025-11-22T08:26:49.000Z",
        "2025-11-22T08:28:19.000Z",
    )
    assert "why" not in found
    assert response.headers["cache-control"] == "no-store"


def test_texts_are_told_as_they_are(gate: Edge, batches: FakeBatches) -> None:
    """Whatever they hold."""
    text = '"\\\n\u2028 \U0001f98a </script>'
    id = batches.add(2, owner=HERE, kind="chat", form="text", outcomes=[said(1, text)])
    assert gate.http.get(f"/v1/batch/{id}").json()["results"] == [
        {"task_id": f"{id}-1", "index": 1, "tries": 1, "text": text}
    ]


def test_links_are_renewed_when_they_are_told(gate: Edge, batches: FakeBatches) -> None:
    """A whole address stays as it is, a path of ours goes behind this very request's Host."""
    batches.renewed[well(0).link] = "https://pictures.example/a.png?signed=now"
    id = batches.add(2, owner=HERE, outcomes=[well(0), well(1)])
    first, second = gate.http.get(f"/v1/batch/{id}", headers={"host": "localhost:8100"}).json()["results"]
    assert first["url"] == "https://pictures.example/a.png?signed=now"
    assert second["url"] == f"http://localhost:8100{well(1).link}"


def test_pictures_are_told_as_data_where_that_was_asked_for(gate: Edge, batches: FakeBatches) -> None:
    """One that cannot be read any more is told by its link, with a sentence, and takes no other with it."""
    batches.pictures = {well(0).link: PNG, well(2).link: PNG}
    id = batches.add(3, owner=HERE, form="base64", outcomes=[well(0), well(1), well(2)])
    first, lost, last = gate.http.get(f"/v1/batch/{id}").json()["results"]
    assert first["image"] == last["image"] == DATA_URL
    assert "url" not in first
    assert lost["image"] is None
    assert lost["url"] == f"{gate.url}{well(1).link}"
    assert "cannot be read any more" in lost["message"]


@pytest.mark.parametrize("form", ["url", "base64", "text"])
def test_a_result_that_cannot_be_read_any_more_stays_a_result(
    gate: Edge, batches: FakeBatches, form: BatchForm
) -> None:
    """With a sentence where its picture or text would be: the counts say that it went well. The document has all of its
    fields."""
    kind: BatchKind = "chat" if form == "text" else "images"
    id = batches.add(3, owner=HERE, kind=kind, form=form, outcomes=[said(0, "x"), well(1), failed(2)])
    batches.unreadable = {1, 2}
    found = gate.http.get(f"/v1/batch/{id}").json()
    assert found["results"][1] == {
        "task_id": f"{id}-1",
        "index": 1,
        "tries": 0,
        "message": "It cannot be read any more.",
    }
    [error] = found["errors"]
    assert (error["index"], error["code"]) == (2, "unreadable")
    described = contract().document["components"]["schemas"]["BatchResult"]["properties"]
    assert all(result.keys() <= described.keys() for result in found["results"])


def test_a_status_is_told_in_parts(gate: Edge, batches: FakeBatches) -> None:
    """`offset` and `limit` count results and errors alike, and `next_offset` leads on while there are more."""
    id = batches.add(10, owner=HERE, outcomes=[*map(well, range(7)), *map(failed, range(7, 10))])

    def part(query: str) -> tuple[list[int], list[int], int | None]:
        found = gate.http.get(f"/v1/batch/{id}/status?{query}").json()
        assert found["completed"] == 7
        indexes = [[task["index"] for task in found[name]] for name in ("results", "errors")]
        return indexes[0], indexes[1], found.get("next_offset")

    assert part("") == ([*range(7)], [7, 8, 9], None)
    assert part("limit=2") == ([0, 1], [7, 8], 2)
    assert part("limit=2&offset=2") == ([2, 3], [9], 4)
    assert part("limit=3&offset=4") == ([4, 5, 6], [], None)
    assert part("offset=6") == ([6], [], None)
    assert part("limit=0") == ([], [], None)
    assert part("offset=100&limit=5") == ([], [], None)


def test_of_pictures_as_data_twenty_are_told_at_a_time(gate: Edge, batches: FakeBatches) -> None:
    """Where no other number is asked for."""
    batches.pictures = {well(index).link: PNG for index in range(30)}
    id = batches.add(30, owner=HERE, form="base64", outcomes=[*map(well, range(30))])
    found = gate.http.get(f"/v1/batch/{id}").json()
    assert (len(found["results"]), found["next_offset"]) == (20, 20)
    found = gate.http.get(f"/v1/batch/{id}?offset=20").json()
    assert (len(found["results"]), "next_offset" in found) == (10, False)
    assert len(gate.http.get(f"/v1/batch/{id}?limit=30").json()["results"]) == 30


@pytest.mark.parametrize("name", ["offset", "limit"])
@pytest.mark.parametrize("value", ["-1", "x", "1.5", "1e3", "9" * 30])
def test_a_part_that_cannot_be_is_refused(gate: Edge, name: str, value: str) -> None:
    """By the parameter's name and its bounds."""
    response = gate.http.get(f"/v1/batch/batch_1/status?{name}={value}")
    assert response.status_code == 400
    assert response.json()["error"]["param"] == name
    assert "whole number from 0 to 1000000000" in response.json()["error"]["message"]


def test_ten_thousand_results_arrive_whole(vast: Edge, many: Many) -> None:
    """A hundred megabytes, as one JSON value."""
    id = of_texts(many)
    with vast.http.stream("GET", f"/v1/batch/{id}/status") as response:
        assert response.headers["transfer-encoding"] == "chunked"
        body = response.read()
    found = json.loads(body)
    assert [task["index"] for task in found["results"]] == [*range(10_000)]
    assert found["results"][-1]["text"] == "9999 " + "\u00fc" * 5000
    assert len(body) > 100_000_000


async def cost_of(many: Many, id: str, query: bytes = b"") -> tuple[int, int, int]:
    """Of a status: its length, its longest piece, and the most memory that was taken meanwhile, all in bytes."""
    app = create_app(
        RouteServices(
            chat=FakeChat(),
            keys=Keys(),
            metrics=Metrics(),
            clock=SystemClock(),
            version="1.2.3",
            started=time.time(),
            batches=many,
        )
    )
    pieces: list[int] = []

    async def receive() -> Any:
        return await asyncio.Event().wait()

    async def send(message: Any) -> None:
        pieces.append(len(message.get("body", b"")))

    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": f"/v1/batch/{id}",
        "raw_path": b"",
        "query_string": query,
        "root_path": "",
        "headers": [(b"host", b"localhost")],
        "client": ("127.0.0.1", 5000),
        "server": ("127.0.0.1", 8100),
        "state": {},
    }
    tracemalloc.start()
    try:
        await app(scope, receive, send)  # type: ignore[arg-type]
        return sum(pieces), max(pieces), tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


async def test_ten_thousand_results_cost_flat_memory(many: Many) -> None:
    """Pieces of some 64 kilobytes leave as they are made, and nothing is kept of them."""
    length, longest, memory = await cost_of(many, of_texts(many))
    assert length > 100_000_000
    assert longest < 100_000
    assert memory < 8 * MEGABYTE


async def test_pictures_as_data_are_in_memory_one_at_a_time(many: Many) -> None:
    """A hundred megabytes of them take no more than two do."""
    id = of_pictures(many)
    length, longest, memory = await cost_of(many, id)
    assert length > 20 * 4 * MEGABYTE * 4 / 3
    assert longest < MEGABYTE
    assert memory < 20 * MEGABYTE


def test_a_slow_reader_holds_the_reading_back(vast: Edge, many: Many) -> None:
    """Results that nobody takes are not read from the store; who leaves ends it."""
    id = of_texts(many)
    with asking(vast, f"GET /v1/batch/{id} HTTP/1.1") as connection:
        until(lambda: many.taken > 0)
        seen = -1
        deadline = time.monotonic() + 5
        while seen != many.taken and time.monotonic() < deadline:
            seen = many.taken
            threading.Event().wait(0.3)
        assert many.taken == seen < 5000
        assert connection.recv(1000).startswith(b"HTTP/1.1 200")
    until(lambda: vast.metric("gempool_requests_in_flight") == 0, within=1.0)


def test_what_breaks_in_the_middle_is_no_whole_answer(vast: Edge, many: Many) -> None:
    """503 while the status can still be chosen; afterwards the connection is cut, so that no client takes it for whole."""
    id = of_texts(many)
    many.breaks_at = 0
    assert vast.http.get(f"/v1/batch/{id}").status_code == 503
    many.breaks_at = 500
    with vast.http.stream("GET", f"/v1/batch/{id}") as response:
        assert response.status_code == 200
        with pytest.raises(httpx.RemoteProtocolError):
            response.read()


def test_http_1_0_is_told_a_length_or_to_ask_for_less(vast: Edge, many: Many) -> None:
    """It knows no chunks; a proxy that speaks it reads them all the same."""
    id = of_texts(many)
    with asking(vast, f"GET /v1/batch/{id}?limit=100 HTTP/1.0") as connection:
        head, _, body = whole(connection).partition(b"\r\n\r\n")
        assert b"transfer-encoding" not in head.lower()
        assert len(json.loads(body)["results"]) == 100
    with asking(vast, f"GET /v1/batch/{id}?limit=1000 HTTP/1.0") as connection:
        answer = whole(connection)
        assert answer.startswith(b"HTTP/1.1 400")
        assert b"8388608 bytes" in answer
        assert b"?offset= and ?limit=" in answer
    with asking(vast, f"GET /v1/batch/{id}?limit=100 HTTP/1.0", "x-real-ip: 127.0.0.1") as connection:
        assert b"transfer-encoding: chunked" in whole(connection).lower()


def test_head_is_answered_without_the_results(vast: Edge, many: Many) -> None:
    """A long status' length is not told, since nobody knows it; a short one's is."""
    id = of_texts(many)
    response = vast.http.head(f"/v1/batch/{id}/status")
    assert (response.status_code, response.content) == (200, b"")
    assert "content-length" not in response.headers
    until(lambda: vast.metric("gempool_requests_in_flight") == 0)
    assert many.taken <= 100
    assert int(vast.http.head(f"/v1/batch/{id}/status?limit=0").headers["content-length"]) > 100
