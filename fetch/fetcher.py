"""Fetches one picture from a web address that a caller named, within bounds."""

import asyncio
import ssl
import zlib
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import NoReturn

import certifi
import httpcore
import httpx
import structlog
from msgspec import Struct

from core.chat import Blob
from core.errors import InvalidRequest
from core.pictures import sniff
from fetch.addresses import Networks, is_open, literal
from fetch.dial import Closed, Dialer, Resolver, SystemResolver, Unreachable
from fetch.slots import Room, Slots

log = structlog.get_logger("gempool.fetch")

LONGEST_URL = 8192
_HEAD = 32
"""Bytes that tell whether it is a picture at all."""
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_BLOCKED_PORTS = frozenset(
    {1719, 1720, 1723, 2049, 3659, 4045, 4190, 5060, 5061, 6000, 6379, 6566, 6665, 6666, 6667, 6668, 6669}
    | {6679, 6697, 10080, 11211}
)
"""Above 1023: what browsers do not speak HTTP to either, and two stores that take commands line by line."""


class FetchSettings(Struct, frozen=True, kw_only=True):
    """Times in seconds, sizes in bytes.

    enabled: False refuses every web address. allow: networks that are open besides the public internet.
    timeout: for one picture as a whole, redirects included. at_once: fetches under way in all, of which one caller
    has `per_caller` at most. What is larger than `small` further needs one of the `large_at_once` slots, of which one
    caller has half, so that no more than `at_once * small + large_at_once * max_bytes` are held.
    """

    enabled: bool = True
    allow: Networks = ()
    timeout: float = 10.0
    connect_timeout: float = 4.0
    max_bytes: int = 20 * 1024 * 1024
    redirects: int = 5
    at_once: int = 128
    per_caller: int = 32
    small: int = 512 * 1024
    large_at_once: int = 12


_CLOSED = "names a host that has no address on the public internet. Check the address"


class _Refused(Exception):
    """Why there is no picture, in words that follow the field's name."""


class Fetcher:
    """Fetches pictures for callers. It keeps nothing between two fetches: no connection, no cookie.

    version: of the gateway, for the User-Agent. resolver, tls: the system's and certifi's where None.
    """

    def __init__(
        self,
        settings: FetchSettings | None = None,
        *,
        version: str = "",
        resolver: Resolver | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.settings = settings or FetchSettings()
        self._dialer = Dialer(resolver or SystemResolver(), self.settings.allow)
        self._tls = tls or ssl.create_default_context(cafile=certifi.where())
        self._slots = Slots(self.settings.at_once, self.settings.per_caller)
        large = self.settings.large_at_once
        self._large = Slots(large, (large + 1) // 2)
        self._headers = [
            (b"Accept", b"image/*"),
            (b"Accept-Encoding", b"identity"),
            (b"User-Agent", f"gempool/{version}".rstrip("/").encode()),
            (b"Connection", b"close"),
        ]

    async def picture(self, url: str, field: str, caller: str = "") -> Blob:
        """The picture at `url`, under the type that its bytes prove. Raises `InvalidRequest` naming `field`, the
        caller's own, which tells neither an internal address nor anything that the other side wrote.

        caller: whose share of the fetches it counts towards.
        """
        target = self.check(url, field)
        try:
            async with (
                self._slots.taken(caller),
                AsyncExitStack() as held,
                asyncio.timeout(self.settings.timeout) as bound,
            ):
                room = Room(self._large, caller, self.settings.small, held, bound)
                data = await self._follow(target, room)
        except _Refused as refused:
            why = str(refused)
        except Closed:
            why = _CLOSED
        except Unreachable:
            why = "names a host that cannot be reached. Check the address"
        except TimeoutError:
            why = f"did not arrive within {self.settings.timeout:g} seconds. Try again"
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError):
            # OSError: TLS that breaks in the midst comes as it is.
            why = "could not be read: the connection or its encryption failed, or the answer was no HTTP. Try again"
        else:
            return Blob(data, sniff(data) or "")
        raise _not_fetched(target.host, field, why)

    def check(self, url: str, field: str) -> httpx.URL:
        """What `url` says, once all has been judged that its text alone tells. Raises `InvalidRequest` as `picture`."""
        if not self.settings.enabled:
            raise InvalidRequest(
                f"'{field}' is a web address, and this gateway does not fetch those (server.fetch_remote is off)."
                " Send the picture itself as a data URL (data:image/png;base64,...).",
                param=field,
            )
        host = ""
        try:
            target = parsed(url)
            host = target.host
            address = literal(host)
            if address is not None and not is_open(address, self.settings.allow):
                raise _Refused(_CLOSED)
        except _Refused as refused:
            raise _not_fetched(host, field, str(refused)) from None
        return target

    async def _follow(self, target: httpx.URL, room: Room) -> bytes:
        for _ in range(self.settings.redirects + 1):
            answer = await self._get(target, room)
            if isinstance(answer, bytes):
                return answer
            target = joined(target, answer)
        raise _Refused(f"redirects more than {self.settings.redirects} times. Send the final address")

    async def _get(self, target: httpx.URL, room: Room) -> bytes | str:
        """The picture, or where the answer redirects to."""
        extensions = {
            "timeout": {"connect": self.settings.connect_timeout},
            # No certificate names the dot that may end a host.
            "sni_hostname": target.raw_host.decode().rstrip("."),
        }
        # A pool for one request: what was checked for this address is of no use to another.
        async with httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._dialer) as pool:
            request = httpcore.URL(
                scheme=target.raw_scheme, host=target.raw_host, port=target.port, target=target.raw_path
            )
            headers = [(b"Host", target.netloc), *self._headers]
            async with pool.stream(b"GET", request, headers=headers, extensions=extensions) as response:
                head = {name.lower(): value for name, value in response.headers}
                if response.status in _REDIRECTS and b"location" in head:
                    return head[b"location"].decode(errors="replace")
                if response.status != 200:
                    raise _Refused(f"was answered with HTTP status {response.status}. Check the address")
                return await self._read(response, head, room)

    async def _read(self, response: httpcore.Response, head: dict[bytes, bytes], room: Room) -> bytes:
        limit = self.settings.max_bytes
        declared = head.get(b"content-length", b"")
        if declared.isdigit() and int(declared[:20]) > limit:
            _too_large(limit)
        encoding = head.get(b"content-encoding", b"")
        inflate = _inflater(encoding, limit)
        if encoding:
            await room.needed(limit)  # one piece may become as much
        data = bytearray()
        known = False
        async for piece in response.aiter_stream():
            data += inflate(piece, len(data))
            if len(data) > limit:
                _too_large(limit)
            if not known and len(data) >= _HEAD:
                known = _must_be_picture(data)
            await room.needed(len(data))
        if not known:
            _must_be_picture(data)
        return bytes(data)


def _not_fetched(host: str, field: str, why: str) -> InvalidRequest:
    log.info("a remote picture was not fetched", host=host[:255], field=field, why=why)
    return InvalidRequest(
        f"'{field}' {why}, or send the picture itself as a data URL (data:image/png;base64,...).", param=field
    )


def parsed(url: str) -> httpx.URL:
    """The address, if it is one that may be asked for at all. Raises `_Refused`."""
    text = url.strip()
    if len(text) > LONGEST_URL:
        raise _Refused(f"is longer than {LONGEST_URL} characters. Send a shorter address")
    try:
        return _checked(httpx.URL(text))
    except (httpx.InvalidURL, ValueError):
        raise _Refused("is no valid web address. Send one such as https://example.com/a.png") from None


def joined(base: httpx.URL, location: str) -> httpx.URL:
    """Where a redirect leads. Raises `_Refused`."""
    try:
        return _checked(base.join(location))
    except (_Refused, httpx.InvalidURL, ValueError):
        # What the other side wrote is not repeated.
        raise _Refused("redirects to an address that is not fetched. Send the final address") from None


def _checked(url: httpx.URL) -> httpx.URL:
    if url.scheme not in ("http", "https"):
        raise _Refused("is no http or https address. Send one")
    if not url.host:
        raise _Refused("names no host. Check the address")
    if url.userinfo:
        raise _Refused("holds a user name or password, and those are not sent. Leave them out")
    port = url.port
    if (port is not None and port > 65535) or b"%" in url.raw_host:
        raise ValueError("it has no such port, or an escape in its host")
    if port is not None and (port in _BLOCKED_PORTS or (port < 1024 and port not in (80, 443))):
        raise _Refused(f"names port {port}, which is not fetched from. Use 80, 443 or one above 1023")
    literal(url.host)
    return url


def _must_be_picture(data: bytes | bytearray) -> bool:
    if not (sniff(bytes(data[:_HEAD])) or "").startswith("image/"):
        raise _Refused(
            "is no picture that can be read (PNG, JPEG, WebP, GIF, HEIC, AVIF, BMP or TIFF). Check the address"
        )
    return True


def _too_large(limit: int) -> NoReturn:
    raise _Refused(f"is larger than {limit} bytes. Scale the picture down")


def _inflater(encoding: bytes, limit: int) -> Callable[[bytes, int], bytes]:
    """Undoes a compression that nobody asked for, never beyond one byte more than `limit`. Data in an encoding
    that is not known is no picture, which its first bytes tell."""
    if encoding.strip().lower() not in (b"gzip", b"x-gzip", b"deflate"):
        return lambda piece, have: piece
    decoder = zlib.decompressobj(zlib.MAX_WBITS | 32)

    def inflate(piece: bytes, have: int) -> bytes:
        try:
            return decoder.decompress(piece, limit + 1 - have)
        except zlib.error:
            raise _Refused("came damaged. Try again") from None

    return inflate
