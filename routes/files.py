"""Stored pictures under `/files/`: read by whoever has the link, a key is not asked for."""

import asyncio
import os
import re
import threading
from email.utils import formatdate, parsedate_to_datetime
from pathlib import Path
from urllib.parse import quote

from litestar.enums import HttpMethod
from litestar.handlers import HTTPRouteHandler

from core.errors import NotFound
from routes.exchange import Exchange, Headers
from routes.presence import Presence
from routes.routing import below, route
from storage import Found, Local

PIECE = 256 * 1024
"""Bytes that are read at a time, in a thread."""

_RANGE = re.compile(r"bytes=(\d*)-(\d*)", re.ASCII)
_SAFE: Headers = [
    # The name is made of chance, so what stands under it never changes; only its owner's browser keeps it.
    (b"cache-control", b"private, max-age=86400, immutable"),
    (b"x-content-type-options", b"nosniff"),
    (b"content-security-policy", b"default-src 'none'; sandbox"),
    (b"cross-origin-resource-policy", b"cross-origin"),
    (b"referrer-policy", b"no-referrer"),
]


def handlers(files: Local) -> list[HTTPRouteHandler]:
    return [route("/files/{name:path}", HttpMethod.GET, FileHandlers(files).read)]


class FileHandlers:
    """One folder of pictures."""

    def __init__(self, files: Local) -> None:
        self._files = files

    async def read(self, exchange: Exchange) -> None:
        """The whole picture, one range of it, or nothing where the caller has it already."""
        name = below(exchange, "/files/")
        found = await self._files.find(name)
        if found is None:
            raise _no_file()
        tag = b'"%s-%x"' % (found.path.stem.rpartition("_")[2].encode(), found.size)
        headers: Headers = [
            *_SAFE,
            (b"etag", tag),
            (b"last-modified", formatdate(found.modified, usegmt=True).encode()),
        ]
        if is_known(exchange.headers, tag, found.modified):
            await exchange.start(304, headers)
            await exchange.send(b"", more=False)
            return
        headers += [
            (b"accept-ranges", b"bytes"),
            (b"content-disposition", f"inline; filename*=UTF-8''{quote(name, safe='')}".encode()),
        ]
        wanted = None if exchange.head_only else range_of(exchange.headers, tag, found)
        if wanted == ():
            headers += [(b"content-range", b"bytes */%d" % found.size), (b"content-length", b"0")]
            await exchange.start(416, headers)
            await exchange.send(b"", more=False)
            return
        first, last = wanted or (0, found.size - 1)
        headers += [
            (b"content-type", found.content_type.encode()),
            (b"content-length", b"%d" % (last - first + 1)),
        ]
        if wanted:
            headers.append((b"content-range", b"bytes %d-%d/%d" % (first, last, found.size)))
        await self._send(exchange, found, 206 if wanted else 200, headers, first, last)

    async def _send(
        self, exchange: Exchange, found: Found, status: int, headers: Headers, first: int, last: int
    ) -> None:
        try:
            file = await asyncio.to_thread(_Open, found.path)
        except OSError:
            raise _no_file() from None  # swept just now
        try:
            await exchange.start(status, headers)
            if not exchange.head_only:
                async with Presence(exchange.receive):
                    while first <= last:
                        piece = await asyncio.to_thread(file.read, first, min(PIECE, last - first + 1))
                        if not piece:
                            # Cut the connection: the length is promised already.
                            raise RuntimeError("a stored picture has become shorter")
                        first += len(piece)
                        await exchange.send(piece)
            await exchange.send(b"", more=False)
        finally:
            file.close()


class _Open:
    """A file that is read in threads and may be closed while one still reads."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
        self._closed = False
        self._lock = threading.Lock()

    def read(self, at: int, size: int) -> bytes:
        with self._lock:
            return b"" if self._closed else os.pread(self._file, size, at)

    def close(self) -> None:
        with self._lock:
            self._closed = True
            os.close(self._file)


def _no_file() -> NotFound:
    return NotFound("There is no file of that name, or it has been swept. Ask for the picture again.")


def is_known(headers: dict[bytes, bytes], tag: bytes, modified: float) -> bool:
    """Whether the caller's copy is the same. A tag decides where one is sent, else the date."""
    if (tags := headers.get(b"if-none-match")) is not None:
        given = [given.strip().removeprefix(b"W/") for given in tags.split(b",")]
        return tag in given or given == [b"*"]
    since = _date(headers.get(b"if-modified-since"))
    return since is not None and int(modified) <= since


def range_of(headers: dict[bytes, bytes], tag: bytes, found: Found) -> tuple[int, int] | tuple[()] | None:
    """First and last byte of the range that is asked for; () where it lies beyond the file, None for the whole file: also
    where several ranges are asked for, what is asked for is no range, or the caller's copy is another."""
    asked = headers.get(b"range")
    if asked is None:
        return None
    if (copy := headers.get(b"if-range")) is not None:
        same = copy == tag if b'"' in copy else _date(copy) == int(found.modified)
        if not same:
            return None
    match = _RANGE.fullmatch(asked.decode("latin-1").replace(" ", ""))
    if match is None or not (match[1] or match[2]) or len(asked) > 60:
        return None
    if not match[1]:
        length = min(int(match[2]), found.size)
        return (found.size - length, found.size - 1) if length else ()
    first = int(match[1])
    last = min(int(match[2]), found.size - 1) if match[2] else found.size - 1
    if match[2] and int(match[2]) < first:
        return None
    return (first, last) if first < found.size else ()


def _date(text: bytes | None) -> int | None:
    if text is None:
        return None
    try:
        return int(parsedate_to_datetime(text.decode("latin-1")).timestamp())
    except (ValueError, TypeError, OverflowError):
        return None
