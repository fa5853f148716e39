"""Connections to addresses that were checked first: the only way out for what callers name."""

import asyncio
import ipaddress
import socket
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


async def resolve(host: str, port: int) -> Sequence[str]:
    """The system's answer, in its order of preference."""
    found = await asyncio.get_running_loop().getaddrinfo(
        host, port, type=socket.SOCK_STREAM, proto=socket.IPPROTO_TCP
    )
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
