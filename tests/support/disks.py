"""A disk of a test's own, that it can fill."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


@contextmanager
def small_disk(place: Path, megabytes: int) -> Iterator[Path]:
    """A file system of that size at `place`. The test is skipped where this user may not mount one."""
    place.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={megabytes}m,mode=700", "none", str(place)]
    if (
        os.getuid()
        or subprocess.run(["/usr/bin/env", "mount", *options], capture_output=True, check=False).returncode
    ):
        pytest.skip(
            "only root may mount a disk, and not in every container: run it as root on a machine of your own"
        )
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
