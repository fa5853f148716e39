"""Ports for servers that must be told one. One that can listen on port 0 and say where is better."""

import socket
import time

_FIRST, _LAST = 12_000, 22_000
"""Below the ports that the kernel gives to connections, also with 10,000 added, so that none of those takes one meanwhile."""


def free_ports(count: int, *, beside: int = 0) -> list[int]:
    """Free on loopback; beside: and so are those so many numbers higher."""
    found: list[int] = []
    port = _FIRST + (time.monotonic_ns() // 1000) % (_LAST - _FIRST)
    while len(found) < count:
        port = port + 1 if port < _LAST else _FIRST
        try:
            for number in {port, port + beside}:
                with socket.socket() as probe:
                    probe.bind(("127.0.0.1", number))
        except OSError:
            continue
        found.append(port)
    return found
