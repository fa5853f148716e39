"""Programs of Debian that some tests use. The one place of the suite that may skip a test, and it says what to do about it."""

import shutil
from pathlib import Path

import pytest


def debian(program: str) -> Path:
    """Where the program is; the test is skipped where it is not installed."""
    found = shutil.which(program)
    if found is None:
        pytest.skip(f"{program} is not installed: sudo sh scripts/debian.sh")
    return Path(found)
