"""Connections to addresses that were checked first: the only way out for what callers name."""

import asyncio
import contextlib
import ipaddress
import socket
import threading
from collections.abc import Iterable, Sequence
from typing import Protocol

import httpcore

from fetch.addresses import Address, Networks, is_open, literal


class Resolver(Protocol):
    """Finds a host's addresses. Raises OSError where it has none."""

    async def __call__(self, host: str, port: int) -> Sequence[str]: ...


class Closed(Exception):
    """The host has no address that may be connected to. What it has is not told."""


class Unreachable(Exception):
    """No connection to any of its addresses came about."""


class SystemResolver:
    """The system's answer, in its order of preference.

    Each look-up has a thread of its own, `at_once` at most. The loop's look-ups share a handful of threads, and a few names
    whose servers never answer would hold up all others of this process, the store's and the push service's among them.
    """

    def __init__(self, at_once: int = 64) -> None:
        self._free = asyncio.Semaphore(at_once)

    async def __call__(self, host: str, port: int) -> Sequence[str]:
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[list[str]] = loop.create_future()

        def ended(found: list[str] | Exception) -> None:
            # Only now, since a thread that nobody waits for any more runs on all the same.
            self._free.release()
            if answer.done():
                return
            if isinstance(found, Exception):
                answer.set_exception(found)
            else:
                answer.set_result(found)

        def look() -> None:
            found: list[str] | Exception
            try:
                found = _look_up(host, port)
            except (OSError, ValueError) as error:
                found = error
            with contextlib.suppress(RuntimeError):  # the loop has ended
                loop.call_soon_threadsafe(ended, found)

        await self._free.acquire()
        # A daemon, so that no name holds up the end of the process.
        threading.Thread(target=look, name="look-up", daemon=True).start()
        return await answer


def _look_up(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP)
    return list(dict.fromkeys(str(sockaddr[0]) for _, _, _, _, sockaddr in found))


class Dialer(httpcore.AsyncNetworkBackend):
    """Connects to a host only where every address that it has is open, and to one of those very addresses, so
    that no second look-up can change where the connection goes. TLS and the Host header keep the name."""

    def __init__(self, resolver: Resolver, allow: Networks) -> None:
        self._resolver = resolver
        self._allow = allow
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Raises `Closed` or `Unreachable`."""
        for address in await self._addresses(host, port):
            try:
                return await self._network.connect_tcp(
                    str(address), port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        raise Unreachable

    async def connect_unix_socket(
        self,
        path: str,
        timeout: float | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        raise Closed

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)

    async def _addresses(self, host: str, port: int) -> list[Address]:
        try:
            address = literal(host)
            texts = [str(address)] if address is not None else await self._resolver(host, port)
            found = [ipaddress.ip_address(text) for text in texts]
        except (OSError, ValueError):
            # UnicodeError, for a name that cannot be one, is a ValueError.
            raise Closed from None
        if not found or not all(is_open(address, self._allow) for address in found):
            raise Closed
        return found
