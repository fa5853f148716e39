"""A server that answers anything, in any cuts: a picture, or the caller's error, in bounded time and memory."""

import asyncio
import gzip
import ssl
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.chat import Blob
from core.errors import InvalidRequest
from core.pictures import sniff
from fetch import Fetcher, FetchSettings, networks
from tests.support.files import PNG
from tests.support.hostile import bounded, changed, examples, octets
from tests.support.web import moved, response

FIELD = "image"
MOST = 100_000
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
WHOLE = (
    response(PNG),
    response(PNG, length=False),
    CHUNKED + b"%x;x=y\r\n%s\r\n5\r\nhello\r\n0\r\nTrailer: x\r\n\r\n" % (len(PNG), PNG),
    b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n" + response(PNG),
    response(gzip.compress(PNG + bytes(3 * MOST)), "Content-Encoding: gzip"),
    response(zlib.compress(PNG), "Content-Encoding: deflate"),
    response(gzip.compress(PNG) + gzip.compress(PNG), "Content-Encoding: gzip"),
    moved("/next"),
    moved("//127.0.0.1/next?a=b#c"),
    b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (MOST + 1) + PNG,
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n" + PNG,
    PNG + bytes(2 * MOST),
)
ATOMS = (
    b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 302 Found\r\n", b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.0 200 OK\r\n", b"HTTP/1.1 204 No Content\r\n",
    b"HTTP/1.1 999 x\r\n", b"HTTP/1.1 000\r\n", b"HTTP/2 200\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"Location: ", b"Location: /\r\n", b"Location: http://[\r\n",
    b"Location: http://a\xff\r\n", b"Location: \xe2\x80\xae\r\n", b"Location: ///\r\n", b"Location: ?\r\n", b"Location: http://127.0.0.1:99999/\r\n",
    b"Content-Length: ", b"Content-Length: 5\r\n", b"Content-Length: -1\r\n", b"Content-Length: 0\r\n", b"9" * 30, b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: gzip\r\n",
    b"Content-Encoding: gzip\r\n", b"Content-Encoding: x-gzip\r\n", b"Content-Encoding: deflate\r\n", b"Content-Encoding: gzip, gzip\r\n", b"Set-Cookie: a=b\r\n",
    b"ffffffffffffffffffff\r\n", b"5\r\nhello\r\n", b"0\r\n\r\n", b" folded\r\n", b"x\r\n", PNG, b"\x1f\x8b\x08", b"secret",
)  # fmt: skip
ANSWERS = st.lists(
    st.one_of(
        st.sampled_from(WHOLE),
        st.sampled_from(WHOLE).flatmap(changed),
        octets(*ATOMS),
        octets(*ATOMS).map(lambda body: b"HTTP/1.1 200 OK\r\n" + body),
        octets(*ATOMS).map(lambda body: b"HTTP/1.1 302 Found\r\nLocation: " + body + b"\r\n\r\n"),
    ),
    min_size=1,
    max_size=8,
)
PIECE = st.integers(1, 50) | st.just(100_000)
ENDING = st.sampled_from(("closes", "closes", "closes", "closes", "resets", "stays"))


class Place:
    """A fetcher and a site whose every connection has the next answer, the last one again and again."""

    def __init__(self, timeout: float) -> None:
        self.runner = asyncio.Runner()
        self.faults: list[dict[str, Any]] = []
        self.open = 0
        allowed = FetchSettings(
            allow=networks(["127.0.0.0/8"]),
            max_bytes=MOST,
            timeout=timeout,
            at_once=2,
            small=1000,
            large_at_once=2,
        )
        self.fetcher = Fetcher(allowed, tls=ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            await reader.readuntil(b"\r\n\r\n")
            answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
            for at in range(0, len(answer), max(self.piece, len(answer) // 50)):
                writer.write(answer[at : at + max(self.piece, len(answer) // 50)])
                await writer.drain()
                await asyncio.sleep(0)
            if self.ending == "stays":
                await reader.read()  # until the other side has had enough
            elif self.ending == "resets":
                writer.transport.abort()
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()
            self.open -= 1

    async def begin(self) -> None:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: self.faults.append(context))
        self.server = await asyncio.start_server(self.serve, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{self.server.sockets[0].getsockname()[1]}/a.png"

    async def fetch(self, answers: list[bytes], piece: int, ending: str) -> Blob | InvalidRequest:
        self.answers, self.piece, self.ending = answers, piece, ending
        try:
            # Far beyond its own bound: the machine may be busy.
            found: Blob | InvalidRequest = await asyncio.wait_for(self.fetcher.picture(self.url, FIELD), 60)
        except InvalidRequest as refused:
            found = refused
        async with asyncio.timeout(60):
            while self.open:  # noqa: ASYNC110  the other end of a connection has no event for us
                await asyncio.sleep(0.001)
        return found

    def close(self) -> None:
        self.server.close()
        self.runner.close()


@contextmanager
def placed(timeout: float) -> Iterator[Place]:
    found = Place(timeout)
    found.runner.run(found.begin())
    yield found
    found.close()


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with placed(0.2) as found:  # one who stays costs as much
        yield found


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(ANSWERS, PIECE, ENDING)
def test_any_answer_is_a_picture_or_the_callers_error(
    place: Place, answers: list[bytes], piece: int, ending: str
) -> None:
    """Never more than the bound, nothing of what the other side wrote in the words, no connection left open, and no fault that
    nobody heard of. Its slots come back: there are two, and every example needs one."""
    with bounded(4.0):
        found = place.runner.run(place.fetch(list(answers), piece, ending))
    if isinstance(found, Blob):
        assert len(found.data) <= MOST
        assert (sniff(found.data) or "").startswith("image/")
    else:
        assert found.param == FIELD
        assert found.message.endswith("as a data URL (data:image/png;base64,...).")
        assert "secret" not in found.message
    assert not place.faults


def test_a_whole_picture_is_fetched_in_pieces_of_any_size() -> None:
    """The place above is one that pictures come from, where there is time."""
    with placed(60.0) as place:
        for answer in WHOLE[:4]:
            for piece in (1, 100_000):
                found = place.runner.run(place.fetch([answer], piece, "closes"))
                assert isinstance(found, Blob)
                assert found.data.startswith(PNG)
