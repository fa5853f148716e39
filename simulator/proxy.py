"""The CONNECT proxy: checks the credential, ends the TLS itself and hands the connection to the web app."""

import asyncio
import base64
import binascii
import hmac
import ssl
from collections.abc import Callable
from functools import partial

from core.tasks import Tasks
from simulator.accounts import Egress
from simulator.http import Connection, reset_transport
from simulator.visitors import World
from simulator.web import HOSTS, WebApp

MAX_HEAD = 16 * 1024


class Proxy:
    """Makes a protocol per connection and knows which connections are open through which egress."""

    def __init__(self, world: World, web: WebApp, context: ssl.SSLContext, tasks: Tasks) -> None:
        self._world = world
        self._web = web
        self._context = context
        self._tasks = tasks
        self._open: dict[Connection, Egress] = {}
        self._tunnels: set[_Tunnel] = set()

    def protocol(self) -> asyncio.Protocol:
        tunnel = _Tunnel(self, self._tunnels.discard)
        self._tunnels.add(tunnel)
        return tunnel

    def admit(self, head: bytes) -> tuple[str, Egress] | bytes:
        """(host, egress) for a CONNECT request, or the answer that refuses it."""
        lines = head.decode("latin-1").split("\r\n")
        method, target, *_ = [*lines[0].split(" "), ""]
        host, _, port = target.rpartition(":")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])
        }
        journal = self._world.journal
        if method != "CONNECT":
            journal.anomaly("", "bad_proxy_use", f"{method} instead of CONNECT")
            return _answer(405, "Method Not Allowed")
        credential = headers.get("proxy-authorization", "")
        egress = self._egress(credential)
        if egress is None:
            journal.anomaly(
                "", "proxy_auth", f"the proxy credential is {'wrong' if credential else 'missing'}"
            )
            return _answer(
                407, "Proxy Authentication Required", 'Proxy-Authenticate: Basic realm="simulator"'
            )
        if host not in HOSTS or port != "443":
            journal.anomaly(egress.name, "unknown_host", target)
            return _answer(403, "Forbidden")
        return host, egress

    def _egress(self, credential: str) -> Egress | None:
        scheme, _, encoded = credential.partition(" ")
        try:
            name, _, password = base64.b64decode(encoded, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            return None
        egress = self._world.accounts.egresses.get(name)
        if scheme.lower() != "basic" or egress is None:
            return None
        return egress if hmac.compare_digest(password.encode(), egress.password.encode()) else None

    def faults(self, egress: Egress) -> frozenset[str]:
        """Connection faults that fire for a new connection."""
        return frozenset(egress.faults.hits("connect"))

    def upgrade(self, transport: asyncio.Transport, host: str, egress: Egress) -> None:
        self._tasks.spawn(self._upgrade(transport, host, egress), "tls")

    async def _upgrade(self, transport: asyncio.Transport, host: str, egress: Egress) -> None:
        handler = partial(self._web.handle, host=host, egress=egress)
        connection = Connection(handler, self._tasks, self._lost)
        loop = asyncio.get_running_loop()
        try:
            secured = await loop.start_tls(transport, connection, self._context, server_side=True)
        except (OSError, ssl.SSLError):
            transport.abort()
            return
        if secured is None or connection.lost:
            return
        self._open[connection] = egress
        egress.open_connections += 1
        connection.attach(secured)

    def _lost(self, connection: Connection) -> None:
        egress = self._open.pop(connection, None)
        if egress is not None:
            egress.open_connections -= 1

    def hang_up(self, egress: Egress | None = None) -> None:
        """Reset the open connections of an egress, or all."""
        for connection, through in list(self._open.items()):
            if egress is None or through is egress:
                connection.reset()
        if egress is None:
            for tunnel in list(self._tunnels):
                tunnel.close()


class _Tunnel(asyncio.Protocol):
    """A connection until its CONNECT request is answered."""

    def __init__(self, proxy: Proxy, ended: Callable[["_Tunnel"], None]) -> None:
        self._proxy = proxy
        self._ended = ended
        self._transport: asyncio.Transport | None = None
        self._head = b""
        self._hello_breaks = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # TCP only

    def connection_lost(self, error: Exception | None) -> None:
        self._ended(self)

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def data_received(self, data: bytes) -> None:
        transport = self._transport
        if transport is None:
            return
        if self._hello_breaks:
            reset_transport(transport)
            return
        self._head += data
        head, end, early = self._head.partition(b"\r\n\r\n")
        if not end and len(self._head) < MAX_HEAD:
            return
        admitted = self._proxy.admit(head) if end and not early else _answer(400, "Bad Request")
        if isinstance(admitted, bytes):
            transport.write(admitted)
            transport.close()
            return
        host, egress = admitted
        faults = self._proxy.faults(egress)
        if "refuse_connect" in faults:
            transport.write(_answer(502, "Bad Gateway"))
            transport.close()
            return
        transport.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        if "tls_broken" in faults:
            self._hello_breaks = True
            return
        self._transport = None
        self._ended(self)
        self._proxy.upgrade(transport, host, egress)


def _answer(status: int, reason: str, header: str = "") -> bytes:
    lines = [
        f"HTTP/1.1 {status} {reason}",
        *([header] if header else []),
        "Content-Length: 0",
        "Connection: close",
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()
