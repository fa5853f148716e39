"""The way to the store: one connection, shared by all who call.

Commands are written as they come, answers arrive in the same order. That costs a tenth of what a client
with a pool of connections costs per call, and a caller that is cancelled neither closes a connection nor
gets lost in one (redis-py 8.1 did both; see the decision records).
"""

import asyncio
import hashlib
import os
import re
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, Sequence
from typing import Any, cast
from urllib.parse import parse_qs, unquote, urlsplit

import hiredis

from core.errors import StoreUnavailable

_RECONNECT = 0.05
_NO_ROOM = 1.0
"""Seconds for which a command is offered again to a store that cannot write to its disk: it takes none then, and has done nothing."""
_IN_VAIN = 10.0
"""Seconds after one was offered for so long in vain, for which none is: an ill store is not asked twenty times over."""
_OFFER_EVERY = 0.05
_ERRNO = re.compile(r"\[Errno (\d+)\]")


class WireError(Exception):
    """The store cannot be reached, was lost, or did not answer in time."""


class ServerError(Exception):
    """The store refused the command; the text is its own."""


class Address:
    """Where the store is, from a `redis://`, `rediss://` or `unix://` URL.

    The URL may carry a user, a password and a database (as path, or as `?db=`); `rediss://` knows
    `?ssl_ca_certs=FILE` and `?ssl_cert_reqs=none`. Raises ValueError, which never shows the URL, and OSError where the CA's file
    cannot be read.
    """

    def __init__(self, url: str) -> None:
        try:
            parts = urlsplit(url)
            self.port = parts.port or 6379
        except ValueError:
            # Python's words show what it took for the port, which may be a part of the password.
            raise ValueError(
                "the store's URL cannot be read: its password must be escaped (`/` as %2F, `#` as %23, `?` as %3F)"
            ) from None
        query = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if parts.scheme not in ("redis", "rediss", "unix"):
            raise ValueError("the store's URL must begin with redis://, rediss:// or unix://")
        self.path = unquote(parts.path) if parts.scheme == "unix" else None
        self.host = parts.hostname or "localhost"
        self.user = unquote(parts.username) if parts.username else None
        self.password = unquote(parts.password) if parts.password else query.get("password")
        database = query.get("db") or ("" if self.path is not None else parts.path.strip("/")) or "0"
        if not database.isdecimal():
            raise ValueError("the database in the store's URL must be a number")
        self.database = int(database)
        self.tls: ssl.SSLContext | None = None
        if parts.scheme == "rediss":
            self.tls = ssl.create_default_context(cafile=query.get("ssl_ca_certs"))
            if query.get("ssl_cert_reqs") == "none":
                self.tls.check_hostname = False
                self.tls.verify_mode = ssl.CERT_NONE

    async def connect(self) -> "_Link":
        loop = asyncio.get_running_loop()
        if self.path is not None:
            _, link = await loop.create_unix_connection(_Link, self.path)
        else:
            _, link = await loop.create_connection(_Link, self.host, self.port, ssl=self.tls)
        try:
            if self.password is not None:
                await link.send("AUTH", *([self.user] if self.user else []), self.password)
            if self.database:
                await link.send("SELECT", self.database)
        except BaseException:
            link.abort()
            raise
        return link


class _Link(asyncio.Protocol):
    """One connection. `pushed` takes over what comes in where it is set (after a SUBSCRIBE)."""

    def __init__(self) -> None:
        self._reader = hiredis.Reader(encoding="utf-8", replyError=ServerError)
        self._waiting: deque[tuple[asyncio.Future[Any], float]] = deque()
        self._loop = asyncio.get_running_loop()
        self.pushed: asyncio.Queue[Any] | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's are none by name

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        while (reply := self._reader.gets()) is not False:
            if self.pushed is not None:
                self.pushed.put_nowait(reply)
                continue
            future, _ = self._waiting.popleft()
            if future.done():
                continue
            if isinstance(reply, ServerError):
                future.set_exception(reply)
            else:
                future.set_result(reply)

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        while self._waiting:
            future, _ = self._waiting.popleft()
            if not future.done():
                future.set_exception(WireError("the connection to the store was lost"))
        if self.pushed is not None:
            self.pushed.put_nowait(None)

    def send(self, *arguments: str | int | float) -> asyncio.Future[Any]:
        future = self._loop.create_future()
        if self.lost:
            future.set_exception(WireError("the connection to the store was lost"))
            return future
        self._waiting.append((future, self._loop.time()))
        self._transport.write(hiredis.pack_command(arguments))  # type: ignore[arg-type]  # its stub allows one
        return future

    def subscribe(self, channel: str) -> "asyncio.Queue[Any]":
        """From now on everything that comes in goes to the queue; None when the connection is lost."""
        self.pushed = asyncio.Queue()
        self._transport.write(hiredis.pack_command(("SUBSCRIBE", channel)))  # type: ignore[arg-type]
        return self.pushed

    def waits_since(self) -> float | None:
        """When the oldest command that has no answer yet was sent, in the loop's seconds."""
        return self._waiting[0][1] if self._waiting else None

    def abort(self) -> None:
        self._transport.abort()


class Wire:
    """Calls the store. Connects when first needed, and again after a loss.

    timeout: seconds for connecting, and for an answer.
    """

    def __init__(self, address: Address, timeout: float) -> None:
        self._address = address
        self._timeout = timeout
        self._link: _Link | None = None
        self._connecting: asyncio.Task[_Link] | None = None
        self._watch: asyncio.TimerHandle | None = None
        self._refused_until = 0.0
        self._in_vain_until = 0.0
        self._closed = False

    async def call(self, *arguments: str | int | float) -> Any:
        """One command, one answer. A command whose connection is lost is sent once more, so it must be
        harmless when repeated. Raises WireError or ServerError."""
        try:
            return await self._call(*arguments)
        except ServerError as error:
            now = asyncio.get_running_loop().time()
            if not _no_room(error) or now < self._in_vain_until:
                raise
            until = now + _NO_ROOM
        while True:
            await asyncio.sleep(_OFFER_EVERY)
            try:
                return await self._call(*arguments)
            except ServerError as error:
                now = asyncio.get_running_loop().time()
                if _no_room(error) and now <= until:
                    continue
                if _no_room(error):
                    self._in_vain_until = now + _IN_VAIN
                raise

    async def _call(self, *arguments: str | int | float) -> Any:
        link = self._link
        if link is None or link.lost:
            link = await self._connect()
        try:
            return await link.send(*arguments)
        except WireError:
            if not link.lost or self._closed:
                raise
        link = await self._connect()
        return await link.send(*arguments)

    @property
    def database(self) -> int:
        return self._address.database

    async def publish(self, channel: str, text: str) -> None:
        """Tell all who listen now, in this database. Raises WireError or ServerError."""
        await self.call("PUBLISH", self._own(channel), text)

    async def listen(self, channel: str) -> AsyncGenerator[str, None]:
        """What is published on the channel in this database, over a connection of its own; '' at first, once it listens.
        Raises WireError when the connection is lost."""
        try:
            async with asyncio.timeout(self._timeout):
                link = await self._address.connect()
        except (OSError, TimeoutError, ServerError) as error:
            raise WireError(f"no connection to the store: {_why(error)}") from error
        try:
            pushed = link.subscribe(self._own(channel))
            while (message := await pushed.get()) is not None:
                if isinstance(message, ServerError):
                    raise WireError(str(message))
                yield "" if message[0] == "subscribe" else str(message[2])
            raise WireError("the connection to the store was lost")
        finally:
            link.abort()

    def _own(self, channel: str) -> str:
        """The store has its channels for all of its databases together: each database's have names of their own."""
        return channel + channel_suffix(self.database)

    async def close(self) -> None:
        self._closed = True
        if self._watch is not None:
            self._watch.cancel()
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait({self._connecting})
        if self._link is not None:
            self._link.abort()
            await asyncio.sleep(0)

    async def _connect(self) -> _Link:
        if self._link is not None and not self._link.lost:
            return self._link
        loop = asyncio.get_running_loop()
        if self._closed:
            raise WireError("the connection to the store is closed")
        if self._connecting is None:
            if loop.time() < self._refused_until:
                raise WireError("the store cannot be reached")
            self._connecting = loop.create_task(self._try_to_connect())
            # When all who asked have gone, nobody else will look at its error.
            self._connecting.add_done_callback(lambda task: task.cancelled() or task.exception())
        return await asyncio.shield(self._connecting)

    async def _try_to_connect(self) -> _Link:
        """For a while: a store that is being restarted is back within a moment."""
        reason = "no answer"
        try:
            async with asyncio.timeout(self._timeout):
                while True:
                    try:
                        self._link = await self._address.connect()
                        break
                    except (OSError, WireError) as error:
                        reason = _why(error)
                        await asyncio.sleep(_RECONNECT)
        except TimeoutError:
            self._refused_until = asyncio.get_running_loop().time() + self._timeout / 4
            raise WireError(f"no connection to the store: {reason}") from None
        finally:
            self._connecting = None
        self._look()
        return self._link

    def _look(self) -> None:
        """Abort the connection when the oldest command has waited too long. One timer serves all."""
        loop = asyncio.get_running_loop()
        link = self._link
        if link is None or link.lost or self._closed:
            return
        since = link.waits_since()
        if since is not None and loop.time() - since > self._timeout:
            link.abort()
            return
        self._watch = loop.call_later(self._timeout / 4, self._look)


def channel_suffix(database: int) -> str:
    return f"@{database}" if database else ""


class Script:
    """A Lua script, sent once and called by its digest from then on. Must be harmless when repeated.

    Calls reach the store in the order in which they were made, also while it is being sent. name: what metrics and
    logs call it. database: the store's; the Lua finds it as `CHANNEL`, what the names of its channels end in.
    """

    def __init__(self, name: str, source: str, database: int = 0) -> None:
        self.name = name
        self._source = f"local CHANNEL = '{channel_suffix(database)}'\n{source}"
        self._sha = hashlib.sha1(self._source.encode(), usedforsecurity=False).hexdigest()
        self._sending = asyncio.Lock()
        self._sent = False

    async def run(self, wire: Wire, keys: Sequence[str], *arguments: str | int | float) -> Any:
        """The script's answer. Raises WireError or ServerError."""
        command = ("EVALSHA", self._sha, len(keys), *keys, *arguments)
        if not self._sent or self._sending.locked():
            async with self._sending:
                if not self._sent:
                    await wire.call("SCRIPT", "LOAD", self._source)
                    self._sent = True
        try:
            return await wire.call(*command)
        except ServerError as error:
            if not str(error).startswith("NOSCRIPT"):
                raise
        # The store was restarted and has forgotten it.
        await wire.call("SCRIPT", "LOAD", self._source)
        return await wire.call(*command)


def unavailable() -> StoreUnavailable:
    """What callers are told, whichever command failed."""
    return StoreUnavailable(
        "The gateway cannot reach its store. Please try again in a moment.", retry_after=2.0
    )


def _why(error: Exception) -> str:
    """In plain words: "Connection refused", and not what asyncio makes of it, which tells a number, or one for each of a
    name's addresses."""
    if isinstance(error, OSError) and not isinstance(error, ssl.SSLError):
        if isinstance(error, socket.gaierror) and error.strerror:
            return error.strerror
        if reasons := dict.fromkeys(os.strerror(int(number)) for number in _ERRNO.findall(str(error))):
            return ", ".join(reasons)
    return str(error) or type(error).__name__


def _no_room(error: ServerError) -> bool:
    return "MISCONF" in str(error)
