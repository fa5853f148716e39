"""Programs of Debian that some tests use. The one place of the suite that may skip a test, and it says what to do about it."""

import shutil
import subprocess
from pathlib import Path

import pytest


def debian(program: str) -> Path:
    """Where the program is; the test is skipped where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: sudo sh scripts/debian.sh")
    return Path(found)


def library(name: str, package: str) -> Path:
    """Where the shared library is, for LD_PRELOAD; the test is skipped where its package is not installed."""
    found = next(Path("/usr/lib").glob(f"*/{name}"), None)
    if found is None:
        pytest.skip(f"{package} is not installed: sudo sh scripts/debian.sh")
    return found


def mount(*options: str) -> None:
    """Mount a file system; the test is skipped where this user may not."""
    if subprocess.run([debian("mount"), *options], capture_output=True, check=False).returncode:
        pytest.skip("no file system can be mounted: run it as root, in a container that may")
