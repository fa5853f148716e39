"""The embedded store: real processes, killed for real."""

import asyncio
import os
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

import pytest
import redis

from gateway.embedded import EmbeddedStore, EmbeddedStoreError
from tests.support.processes import alive, wait_for

GATEWAY = """
import asyncio, sys
from pathlib import Path
from gateway.embedded import EmbeddedStore

async def main():
    store = EmbeddedStore(Path(sys.argv[1]), watch=sys.argv[2] == "watch")
    print(await store.start(), "owner" if store.owner else "adopter", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.readline)
    await store.stop()

asyncio.run(main())
"""


class Gateways:
    """Starts processes that hold an embedded store, and ends what is left of them."""

    def __init__(self) -> None:
        self.started: list[subprocess.Popen[str]] = []

    def launch(self, directory: Path, mode: str = "") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", GATEWAY, str(directory), mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.started.append(process)
        return process

    def start(self, directory: Path, mode: str = "") -> tuple[subprocess.Popen[str], str, str]:
        """The process, its store's URL, and whether it owns the server or adopted it."""
        process = self.launch(directory, mode)
        return process, *said(process)

    def end(self) -> None:
        for process in self.started:
            process.kill()
            process.wait()
            for pipe in (process.stdin, process.stdout):
                if pipe is not None:
                    pipe.close()


def said(process: subprocess.Popen[str]) -> tuple[str, str]:
    assert process.stdout is not None
    while line := process.stdout.readline():
        if line.startswith("unix://"):
            url, role = line.split()
            return url, role
    raise AssertionError("the process ended before its store was up")


@pytest.fixture
def gateways() -> Iterator[Gateways]:
    gateways = Gateways()
    yield gateways
    gateways.end()


def server_pid(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("server")["process_id"])


def by_hand(url: str, command: bytes) -> bytes:
    """A command's answer where the server may go away: redis-py leaks its socket when one does during its greeting."""
    with socket.socket(socket.AF_UNIX) as line:
        line.settimeout(2)
        line.connect(unquote(url.removeprefix("unix://")))
        line.sendall(command + b"\r\n")
        return line.recv(100)


def answers(url: str) -> bool:
    """Whether the server answers a PING."""
    try:
        return by_hand(url, b"PING").startswith(b"+PONG")
    except OSError:
        return False


async def test_start_and_stop(tmp_path: Path) -> None:
    """It starts on a socket that only its owner may open, with no TCP port, and a stop ends it."""
    store = EmbeddedStore(tmp_path / "store")
    url = await store.start()
    assert store.owner
    assert url == store.url
    pid = server_pid(url)
    with redis.Redis.from_url(url) as client:
        assert client.config_get("port") == {"port": "0"}
        assert client.config_get("appendfsync") == {"appendfsync": "everysec"}
    assert stat.S_IMODE(store.socket.stat().st_mode) == 0o700
    assert stat.S_IMODE((tmp_path / "store").stat().st_mode) == 0o700
    assert os.getsid(pid) != os.getsid(0)
    await store.stop()
    assert not alive(pid)


async def test_a_crashed_server_is_brought_back(tmp_path: Path) -> None:
    """A server that dies by itself is started again, with its data."""
    store = EmbeddedStore(tmp_path / "store")
    url = await store.start()
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    await asyncio.sleep(1.2)  # the file is synced every second
    pid = server_pid(url)
    os.kill(pid, signal.SIGKILL)
    try:
        await asyncio.to_thread(wait_for, lambda: not alive(pid) and answers(url))
        assert by_hand(url, b"GET kept") == b"$3\r\nyes\r\n"
    finally:
        await store.stop()


@pytest.mark.parametrize("mode", ["", "watch"])
def test_a_killed_gateway_leaves_no_orphan(tmp_path: Path, gateways: Gateways, mode: str) -> None:
    """After kill -9 of the gateway its server ends too, and the next start has the data."""
    process, url, role = gateways.start(tmp_path / "store", mode)
    assert role == "owner"
    pid = server_pid(url)
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    process.kill()
    process.wait()
    wait_for(lambda: not alive(pid))
    _, url, role = gateways.start(tmp_path / "store", mode)
    assert role == "owner"
    with redis.Redis.from_url(url, decode_responses=True) as client:
        assert client.get("kept") == "yes"


def test_a_second_gateway_adopts_and_takes_over(tmp_path: Path, gateways: Gateways) -> None:
    """Two processes share one server; when the first is killed the second brings it back, with its data."""
    first, url, _ = gateways.start(tmp_path / "store")
    _, other, role = gateways.start(tmp_path / "store")
    assert (other, role) == (url, "adopter")
    with redis.Redis.from_url(url) as client:
        client.set("kept", "yes")
    pid = server_pid(url)
    first.kill()
    first.wait()
    wait_for(lambda: not alive(pid) and answers(url))
    with redis.Redis.from_url(url, decode_responses=True) as client:
        assert client.get("kept") == "yes"


def test_a_stop_leaves_the_server_to_those_who_use_it(tmp_path: Path, gateways: Gateways) -> None:
    """The owner's orderly stop does not take the store from the other process for longer than a moment,
    and the last one to stop ends it."""
    first, url, _ = gateways.start(tmp_path / "store")
    second, _, _ = gateways.start(tmp_path / "store")
    for process in (first, second):
        assert process.stdin is not None
        process.stdin.write("stop\n")
        process.stdin.flush()
        assert process.wait(20) == 0
        if process is first:
            wait_for(lambda: answers(url))
    wait_for(lambda: not answers(url))


def test_started_at_once(tmp_path: Path, gateways: Gateways) -> None:
    """Of two that start side by side one owns the server and the other adopts it."""
    processes = [gateways.launch(tmp_path / "store") for _ in range(2)]
    assert sorted(said(process)[1] for process in processes) == ["adopter", "owner"]


async def test_a_long_path(tmp_path: Path) -> None:
    """A data directory with too long a path for a socket has it in a private directory, and says where."""
    directory = tmp_path / ("long" * 30)
    store = EmbeddedStore(directory)
    url = await store.start()
    try:
        assert answers(url)
        assert len(str(store.socket)) < 100
        assert stat.S_IMODE(store.socket.parent.stat().st_mode) == 0o700
        assert (directory / "socket").read_text().strip() == str(store.socket)
        assert not list(directory.glob("*.sock"))
    finally:
        await store.stop()
    store.socket.parent.rmdir()


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    """Broken data stop the start with the server's own last words and the log's place."""
    store = EmbeddedStore(tmp_path / "store")
    url = await store.start()
    with redis.Redis.from_url(url) as client:
        client.set("a", "b")
    await store.stop()
    for part in (tmp_path / "store" / "appendonlydir").glob("*.incr.aof"):
        part.write_bytes(b"*3\r\n$garbage\r\n" * 40)
    broken = EmbeddedStore(tmp_path / "store")
    with pytest.raises(EmbeddedStoreError, match=r"valkey\.log"):
        await broken.start()
    await broken.stop()


async def test_a_full_disk_stops_nobody(tmp_path: Path) -> None:
    """Without room for its file the server would take no writes: it does without, and once there is room its file holds what was written
    meanwhile."""
    room = [1 << 40]
    store = EmbeddedStore(tmp_path / "store", room=lambda _: room[0])
    url = await store.start()

    def on_disk() -> bool:
        with redis.Redis.from_url(url) as client:
            facts = client.info("persistence")
        return bool(facts["aof_enabled"]) and facts["aof_rewrites"] > 0

    with redis.Redis.from_url(url) as client:
        room[0] = 0
        await asyncio.to_thread(wait_for, lambda: client.config_get("appendonly") == {"appendonly": "no"})
        client.set("meanwhile", "kept")
        room[0] = 1 << 40
        await asyncio.to_thread(wait_for, on_disk)
    await store.stop()
    again = EmbeddedStore(tmp_path / "store")
    with redis.Redis.from_url(await again.start()) as client:
        assert client.get("meanwhile") == b"kept"
    await again.stop()
