"""Pictures in a folder of this machine, swept by age and size."""

import asyncio
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote, unquote

import structlog
from msgspec import Struct

from core.clock import Clock
from storage.names import CONTENT_TYPES, valid
from storage.objects import StorageError

log = structlog.get_logger("gempool.storage")

ROUTE = "/files/"
SWEEP_EVERY = 60.0
_LEFT_OVER = 3600.0
"""Seconds after which a file that was never finished is swept."""


class Found(Struct, frozen=True):
    """A stored picture. modified: wall clock seconds."""

    path: Path
    size: int
    modified: float
    content_type: str


class Local:
    """A folder of pictures.

    max_age: seconds that a picture is kept, 0 for ever. max_bytes: the most that the folder may hold, 0 without
    limit; the oldest go first. The folder is made when it is needed.
    """

    kind = "local"

    def __init__(self, directory: Path, clock: Clock, max_age: float = 0.0, max_bytes: int = 0) -> None:
        self._directory = directory.absolute()
        self._clock = clock
        self._max_age = max_age
        self._max_bytes = max_bytes

    async def put(self, name: str, data: bytes, content_type: str) -> str:
        if not valid(name) or CONTENT_TYPES.get(name.rpartition(".")[2]) != content_type:
            raise StorageError(f"{name!r} is no name for a stored picture of type {content_type}")
        try:
            await asyncio.to_thread(self._write, name, data)
        except OSError as error:
            raise StorageError(
                f"{self._directory} has not taken a picture: {error.strerror}. Look at its owner and at the free space."
            ) from error
        return self.link(name)

    async def read(self, name: str) -> bytes | None:
        def read() -> bytes | None:
            found = self._find(name)
            try:
                return None if found is None else found.path.read_bytes()
            except FileNotFoundError:  # swept just now
                return None

        try:
            return await asyncio.to_thread(read) if valid(name) else None
        except OSError as error:
            raise StorageError(f"{self._directory / name} cannot be read: {error.strerror}.") from error

    async def remove(self, name: str) -> None:
        def remove() -> None:
            if self._find(name) is not None:
                (self._directory / name).unlink(missing_ok=True)

        try:
            if valid(name):
                await asyncio.to_thread(remove)
        except OSError as error:
            raise StorageError(f"{self._directory / name} cannot be removed: {error.strerror}.") from error

    def link(self, name: str) -> str:
        return ROUTE + quote(name)

    def name_in(self, link: str) -> str:
        name = unquote(link.removeprefix(ROUTE)) if link.startswith(ROUTE) else ""
        return name if valid(name) else ""

    async def find(self, name: str) -> Found | None:
        """The picture of that name; None where there is none, or where no picture can have such a name."""
        return await asyncio.to_thread(self._find, name) if valid(name) else None

    async def check(self) -> None:
        def try_out() -> None:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=self._directory) as file:
                file.write(b"\0")

        try:
            await asyncio.to_thread(try_out)
        except OSError as error:
            raise StorageError(f"{self._directory} cannot be written: {error.strerror}.") from error

    async def sweep(self) -> int:
        """Remove what is too old or too much; how many pictures. Never raises."""
        return await asyncio.to_thread(self._sweep, self._clock.now())

    async def keep_swept(self) -> None:
        """Sweep now and then until cancelled."""
        while True:
            if removed := await self.sweep():
                log.info("pictures swept", removed=removed, directory=str(self._directory))
            await self._clock.sleep(SWEEP_EVERY)

    def _write(self, name: str, data: bytes) -> None:
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        file, path = tempfile.mkstemp(prefix=".", suffix=".part", dir=self._directory)
        try:
            with os.fdopen(file, "wb") as out:
                out.write(data)
            os.replace(path, self._directory / name)
        except BaseException:
            with suppress(OSError):
                os.unlink(path)
            raise

    def _find(self, name: str) -> Found | None:
        path = self._directory / name
        try:
            status = path.stat(follow_symlinks=False)
        except OSError:
            return None
        if not os.path.isfile(path) or path.is_symlink():
            return None
        return Found(path, status.st_size, status.st_mtime, CONTENT_TYPES[name.rpartition(".")[2]])

    def _sweep(self, now: float) -> int:
        pictures: list[tuple[float, int, Path]] = []
        with suppress(OSError), os.scandir(self._directory) as entries:
            for entry in entries:
                with suppress(OSError):
                    status = entry.stat(follow_symlinks=False)
                    if valid(entry.name):
                        pictures.append((status.st_mtime, status.st_size, Path(entry.path)))
                    elif entry.name.endswith(".part") and status.st_mtime < now - _LEFT_OVER:
                        os.unlink(entry.path)
        pictures.sort()
        total, removed = sum(size for _, size, _ in pictures), 0
        for modified, size, path in pictures:
            too_old = self._max_age and modified < now - self._max_age
            too_much = self._max_bytes and total > self._max_bytes
            if not (too_old or too_much):
                break
            with suppress(OSError):
                path.unlink()
                removed += 1
            total -= size
        return removed
