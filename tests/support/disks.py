"""A disk of a test's own, that it can fill."""

import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.support.debian import mount


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at `place`."""
    place.mkdir()
    mount("-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", str(place))
    try:
        yield place
    finally:
        subprocess.run(["/usr/bin/env", "umount", "-l", str(place)], check=True)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Not a byte is free while the block lasts."""
    ballast = disk / "ballast"
    with ballast.open("wb", buffering=0) as out:
        try:
            while shutil.disk_usage(disk).free:
                out.write(b"\0" * min(1 << 20, shutil.disk_usage(disk).free))
        except OSError:  # somebody else took the last of it
            pass
    try:
        yield
    finally:
        ballast.unlink()
