"""Pictures that a request names by their web address: fetched before the engine is asked."""

import asyncio
import contextlib
import urllib.parse
from collections.abc import Iterable

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Blob, Message, Part, Remote
from core.errors import InvalidRequest, RequestTooLarge
from fetch import Fetcher
from routes import media
from routes.body import IN_A_THREAD
from routes.exchange import Exchange
from routes.links import absolute
from routes.presence import Presence, all_of
from storage import Local

ROUTE = "/files/"
AT_ONCE = 4
"""Fetches of one request side by side."""


def is_remote(text: str) -> bool:
    """True for an http or https address."""
    start = text[:16].lstrip().lower()
    return start.startswith(("http://", "https://"))


def kept(name: str, field: str) -> Remote:
    """Our own stored picture of that name, or nothing where it is not stored (any more)."""
    return Remote(ROUTE + name, field)


class Source(Struct, frozen=True):
    """Where they come from. fetch: other servers, None refuses their addresses. files: our own stored pictures."""

    fetch: Fetcher | None = None
    files: Local | None = None


def check(exchange: Exchange, source: Source, messages: Iterable[Message]) -> None:
    """Refuse each `Remote` part that its address alone shows not to be fetched. Call it before `asking.admitted`, so that
    the request does not count. Raises `InvalidRequest`."""
    parts = [part for message in messages for part in message.parts if isinstance(part, Remote)]
    own = absolute(exchange, ROUTE) if parts else ""
    for part in parts:
        if not part.url.startswith(ROUTE) and not _is_stored(source, part, own):
            _fetcher(source, part).check(part.url, part.field)


async def fetched(exchange: Exchange, source: Source, messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """The messages with every `Remote` part replaced by the picture: each address fetched once, a few side
    by side, all together bounded like a request's body. Links to our own stored pictures are read from the store; what
    is `kept` no more is left out. The first that fails ends the others.

    Call it once the body is read. Raises `CallerLeft` where the caller hangs up meanwhile.
    """
    wanted: dict[str, Remote] = {}
    for message in messages:
        for part in message.parts:
            if isinstance(part, Remote):
                wanted.setdefault(part.url, part)
    if not wanted:
        return messages
    slots = asyncio.Semaphore(AT_ONCE)
    limit = exchange.settings.body_limit
    total = 0

    async def one(part: Remote) -> Blob | None:
        nonlocal total
        async with slots:
            found = await _picture(exchange, source, part)
        if found is None:
            return None
        total += len(found.data)
        if total > limit:
            raise RequestTooLarge(
                f"'{part.field}' brings the fetched pictures to more than {limit} bytes in all. Scale them"
                " down, or send fewer.",
                param=part.field,
            )
        return found

    before = exchange.monotonic()
    try:
        async with Presence(exchange.receive):
            blobs = dict(zip(wanted, await all_of([one(part) for part in wanted.values()]), strict=True))
    finally:
        # Waiting for the rest of the input is none of the gateway's own work.
        exchange.read_seconds += exchange.monotonic() - before

    def present(parts: tuple[Part, ...]) -> tuple[Part, ...]:
        found = (blobs[part.url] if isinstance(part, Remote) else part for part in parts)
        return tuple(part for part in found if part is not None)

    return tuple(replace(message, parts=present(message.parts)) for message in messages)


async def _picture(exchange: Exchange, source: Source, part: Remote) -> Blob | None:
    if part.url.startswith(ROUTE):
        if source.files is None:
            return None
        # Whoever asks did not choose the picture; without it the text still stands.
        with contextlib.suppress(InvalidRequest):
            return await _stored(source.files, part.url.removeprefix(ROUTE), part.field)
        return None
    own = absolute(exchange, ROUTE)
    if source.files is not None and _is_stored(source, part, own):
        found = await _stored(source.files, urllib.parse.unquote(part.url.removeprefix(own)), part.field)
    else:
        found = await _fetcher(source, part).picture(part.url, part.field, exchange.counted_as)
    if len(found.data) < IN_A_THREAD:
        return media.picture_from_bytes(found.data, part.field, found.mime)
    return await asyncio.to_thread(media.picture_from_bytes, found.data, part.field, found.mime)


def _is_stored(source: Source, part: Remote, own: str) -> bool:
    return source.files is not None and part.url.startswith(own)


def _fetcher(source: Source, part: Remote) -> Fetcher:
    if source.fetch is None:
        raise InvalidRequest(
            f"'{part.field}' is a web address, and this gateway does not fetch those. Send the picture itself as"
            " a data URL (data:image/png;base64,...).",
            param=part.field,
        )
    return source.fetch


async def _stored(files: Local, name: str, field: str) -> Blob:
    found = await files.find(name)
    # It may be swept at any moment.
    with contextlib.suppress(OSError):
        if found is not None:
            return Blob(await asyncio.to_thread(found.path.read_bytes), found.content_type)
    raise InvalidRequest(
        f"'{field}' is a link to a picture that is not stored here (any more). Send the picture itself as a data"
        " URL (data:image/png;base64,...).",
        param=field,
    )
