"""Callers who do not read their answers."""

import socket
import time
from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.server import serving, until

SIZE = 30_000_000
"""Bytes: more than the kernel keeps for a connection."""
LIFE = 0.3
"""Seconds that an answer may lie unread here."""


class Giver:
    """Answers everything with pieces of so many bytes; the last carries `end`, and with it all is said. `ended` tells how it came
    to an end."""

    def __init__(self, *pieces: int, end: bytes = b"") -> None:
        self._pieces = pieces
        self._end = end
        self.ended = ""

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        length = str(sum(self._pieces) + len(self._end)).encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", length)]})
        for number, size in enumerate(self._pieces, 1):
            last = number == len(self._pieces)
            body = bytes(size) + (self._end if last else b"")
            await send({"type": "http.response.body", "body": body, "more_body": not last})
        self.ended = (await receive())["type"]


def asking(url: str) -> socket.socket:
    caller = socket.socket()
    caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    caller.settimeout(10)
    caller.connect(("127.0.0.1", int(url.rpartition(":")[2])))
    caller.sendall(b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n")
    return caller


def gone(caller: socket.socket) -> Callable[[], bool]:
    """Whether the server has dropped the connection, as far as a caller sees who reads nothing."""

    def found() -> bool:
        try:
            caller.send(b"\r\n")
        except OSError:
            return True
        return False

    return found


@pytest.mark.parametrize("pieces", [[1_000_000] * 30, [SIZE]], ids=["still to be written", "written"])
def test_who_reads_nothing_is_cut_off(pieces: list[int]) -> None:
    """Whether the application waits to write its answer, or has done so and the answer waits in a buffer."""
    giver = Giver(*pieces)
    with serving(giver, unread_seconds=LIFE) as url, asking(url) as caller:
        began = time.monotonic()
        until(gone(caller))
        assert time.monotonic() - began >= LIFE
        until(lambda: giver.ended == "http.disconnect")


def test_who_reads_slowly_has_it_all() -> None:
    """Many times the bound, as long as something was read within each."""
    giver = Giver(*[1_000_000] * 30, end=b"the end")
    with serving(giver, unread_seconds=LIFE) as url, asking(url) as caller:
        received, began, end = 0, time.monotonic(), b""
        while not end.endswith(b"the end"):
            some = caller.recv(65536)
            assert some, f"cut off after {received} bytes"
            received += len(some)
            end = (end + some)[-7:]
            ahead = received / SIZE * 8 * LIFE - (time.monotonic() - began)
            time.sleep(max(0.0, ahead))  # slow is what it is about
        assert received > SIZE
        assert time.monotonic() - began > 5 * LIFE
