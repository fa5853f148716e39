"""Whatever bytes a caller sends, in whatever cuts and however slowly: each connection is answered in HTTP, and ends."""

import asyncio
import logging
import re
import selectors
from collections.abc import Iterator
from typing import Any

import pytest
import uvicorn
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from uvicorn.server import ServerState

from gateway.protocol import HEAD_SECONDS, BoundedProtocol
from tests.support.hostile import bounded, changed, examples, octets

BODY_SECONDS = 60.0
KEEP_ALIVE = 5.0
LONGEST = 2000.0
"""Seconds until the end of any connection below: its cuts' pauses, then what bounds a head, a body, and an idle connection."""

WHOLE = (
    b"POST /all HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST /all HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3;a=b\r\nabc\r\n0\r\nTrailer: x\r\n\r\n",
    b"POST /all HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 5\r\nConnection: close\r\n\r\nhello",
    b"GET /none HTTP/1.1\r\nHost: a\r\n\r\nGET /pieces HTTP/1.1\r\nHost: b\r\n\r\nHEAD /pieces HTTP/1.1\r\nHost: b\r\n\r\n",
    b"POST /none HTTP/1.1\r\nHost: a\r\nContent-Length: 50\r\n\r\nno more",
    b"GET http://h:1/v1beta/models HTTP/1.0\r\nConnection: keep-alive\r\nX-Goog-Api-Key: a\r\n\r\n",
    b"GET /all HTTP/1.1\r\nHost: a\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AA\r\n\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(32),
)
ATOMS = (
    b"GET ", b"POST ", b"OPTIONS ", b"PUNCH ", b"/all", b"/none", b"/pieces", b"/v1beta/models/m:generateContent", b"*", b"?a=%zz", b" HTTP/1.1\r\n",
    b" HTTP/1.0\r\n", b" HTTP/9.9\r\n", b"\r\n", b"\r\n\r\n", b"\n\n", b"\r", b"Host: a\r\n", b"Host:\r\n", b": \r\n", b" folded\r\n", b"Content-Length: ",
    b"Content-Length: 5\r\n\r\nhello", b"-1", b"+5", b"0x5", b"5, 5", b"9" * 30, b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: chunked, identity\r\n",
    b"Expect: 100-continue\r\n", b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n", b"Origin: http://a\r\n",
    b"5\r\nhello\r\n", b"0\r\n\r\n", b"ffffffffffffffffff\r\n", b"-1\r\n", b"x: y\r\n", b"\x00\r\n",
)  # fmt: skip

SENT = st.one_of(
    st.lists(st.sampled_from(WHOLE), min_size=1, max_size=4).map(b"".join),
    st.sampled_from(WHOLE).flatmap(changed),
    octets(*ATOMS),
    st.tuples(st.sampled_from(WHOLE), octets(*ATOMS)).map(b"".join),
)
CUTS = st.lists(
    st.tuples(st.integers(1, 40) | st.integers(41, 80_000), st.sampled_from((0, 0, 0, 0.01, 3, 40))),
    max_size=6,
)
"""Pieces of so many bytes, and the seconds until the next."""
ENDING = st.sampled_from(("stays", "stays", "leaves", "says all", "resets"))


OPEN = {
    WHOLE[0]: [b"200 end"],
    WHOLE[1]: [b"200 end"],
    WHOLE[3]: [b"200 end", b"200 piecepiecepieceend", b"200 "],
}
"""Requests that are whole and leave the connection open, and what each is answered."""
LAST = {b"": [], WHOLE[2]: [b"100 ", b"200 end"], WHOLE[5]: [b"200 end"], WHOLE[6]: [b"200 end"]}
"""Those behind which nothing is read."""
SOON = st.lists(st.tuples(st.integers(1, 200), st.sampled_from((0, 0, 0.01))), max_size=8)


class Instant(selectors.DefaultSelector):
    """Waits for nothing, but a moment for what is on its way: `ahead` tells how far the waiting would have taken the clock."""

    ahead = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if (found := super().select(0)) or not timeout:
            return found if found or timeout == 0 else super().select(timeout)
        if found := super().select(min(timeout, 0.001)):
            return found
        self.ahead += timeout
        return []


class Loop(asyncio.SelectorEventLoop):
    """Its time passes where nothing happens, so that minutes of silence take none."""

    def __init__(self) -> None:
        self.instant = Instant()
        super().__init__(self.instant)

    def time(self) -> float:
        return super().time() + self.instant.ahead


async def app(scope: Any, receive: Any, send: Any) -> None:
    """/all reads the body first, for a minute at most; /none never does; /pieces answers bit by bit."""
    path = scope["path"]
    try:
        async with asyncio.timeout(BODY_SECONDS):
            message: dict[str, Any] = {"more_body": path == "/all"}
            while message.get("more_body"):
                message = await receive()
                if message["type"] == "http.disconnect":
                    return
        status = 200
    except TimeoutError:
        status = 408
    await send({"type": "http.response.start", "status": status, "headers": []})
    if path == "/pieces":
        for _ in range(3):
            await asyncio.sleep(0.5)
            await send({"type": "http.response.body", "body": b"piece", "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


class House:
    """A server over the application above, in a loop whose waiting takes no time."""

    def __init__(self) -> None:
        self.config = uvicorn.Config(
            app, log_config=None, access_log=False, timeout_keep_alive=int(KEEP_ALIVE), lifespan="off"
        )
        self.state = ServerState()
        self.runner = asyncio.Runner(loop_factory=Loop)
        self.faults: list[dict[str, Any]] = []
        self.port = 0

    async def open(self) -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: self.faults.append(context))
        self.server = await loop.create_server(
            lambda: BoundedProtocol(config=self.config, server_state=self.state, app_state={}), "127.0.0.1", 0
        )
        self.port = self.server.sockets[0].getsockname()[1]

    async def talk(self, data: bytes, cuts: list[tuple[int, float]], ending: str) -> bytes:
        """What came back until the connection ended, which it must do in time."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port, limit=2**26)
        rest = data
        async with asyncio.timeout(LONGEST):
            try:
                for size, pause in (*cuts, (len(data), 0)):
                    writer.write(rest[:size])
                    rest = rest[size:]
                    await writer.drain()
                    await asyncio.sleep(pause)
                if ending == "says all":
                    writer.write_eof()
                answer = await reader.read() if ending in ("stays", "says all") else b""
            except OSError:
                answer = b""  # it was refused, and has gone on
            if ending == "resets":
                writer.transport.abort()
            else:
                writer.close()
            while self.state.connections or self.state.tasks:  # noqa: ASYNC110  uvicorn tells nobody
                await asyncio.sleep(0.5)
        return answer

    def close(self) -> None:
        self.server.close()
        self.runner.close()


@pytest.fixture(scope="module")
def house() -> Iterator[House]:
    found = House()
    found.runner.run(found.open())
    yield found
    found.close()


@settings(max_examples=examples(40), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(SENT, CUTS, ENDING)
def test_any_bytes_in_any_cuts_come_to_an_end(
    house: House, caplog: pytest.LogCaptureFixture, data: bytes, cuts: list[tuple[int, float]], ending: str
) -> None:
    """What comes back is HTTP; the connection ends by itself where the caller stays, and leaves no task, no fault in the loop
    and no error in the log."""
    caplog.clear()
    with bounded(4.0):
        answer = house.runner.run(house.talk(data, cuts, ending))
    assert re.match(rb"HTTP/1\.1 \d{3} |$", answer), answer[:200]
    assert not house.faults
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert len(asyncio.all_tasks(house.runner.get_loop())) == 0


def answers(data: bytes) -> list[bytes]:
    """Status and body of each answer, one after the other; the last one's is empty that ends with its head."""
    found = []
    while data:
        head, _, data = data.partition(b"\r\n\r\n")
        status, body = head[9:12], b""
        if b"chunked" in head and data[:1] not in (b"", b"H"):
            size = -1
            while size:
                line, _, data = data.partition(b"\r\n")
                size = int(line, 16)
                body, data = body + data[:size], data[size + 2 :]
        found.append(status + b" " + body)
    return found


@settings(max_examples=examples(20), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.sampled_from(sorted(OPEN)), min_size=1, max_size=4), st.sampled_from(sorted(LAST)), SOON)
def test_whole_requests_are_answered_in_any_cuts(
    house: House, first: list[bytes], last: bytes, cuts: list[tuple[int, float]]
) -> None:
    """Each of them, in its turn and in full, where the caller stays; however they are cut, one behind the other."""
    data = b"".join((*first, last))
    answer = house.runner.run(house.talk(data, cuts, "stays"))
    assert answers(answer) == [said for each in first for said in OPEN[each]] + LAST[last]


@pytest.mark.parametrize(
    ("data", "seconds"),
    [(b"", HEAD_SECONDS), (b"GET / HT", HEAD_SECONDS), (WHOLE[0], KEEP_ALIVE), (WHOLE[0][:-1], BODY_SECONDS)],
    ids=["nothing", "half a head", "a request", "a body but a byte"],
)
def test_who_says_no_more_is_left(house: House, data: bytes, seconds: float) -> None:
    """Each silence has its own bound."""

    async def took() -> float:
        started = asyncio.get_running_loop().time()
        await house.talk(data, [], "stays")
        return asyncio.get_running_loop().time() - started

    assert seconds <= house.runner.run(took()) < seconds + 20
