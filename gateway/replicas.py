"""Who else runs on this data directory, and who died there without a word.

Each gateway process keeps a file under `replicas/`, named as the replica is in the store and locked for as long
as the process lives. The kernel lets go of the lock whatever kills the process, so an unlocked file is a dead
replica, whose leases the store need not keep until they run out.
"""

import fcntl
import os
from pathlib import Path


class Replicas:
    """The replicas on one data directory."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._mine: tuple[Path, int] | None = None

    def enter(self, name: str) -> list[str]:
        """Make this process known as the replica `name`; the names of those that have died since. Raises OSError."""
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        dead = [path.name for path in sorted(self._directory.iterdir()) if _take_away(path)]
        path = self._directory / name
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(file, fcntl.LOCK_EX)
        self._mine = (path, file)
        return dead

    def leave(self) -> None:
        """This process ends well: nobody has to look after it."""
        if self._mine is not None:
            path, file = self._mine
            self._mine = None
            path.unlink(missing_ok=True)
            os.close(file)


def _take_away(path: Path) -> bool:
    """Remove the file of a dead replica; False where it lives, or another process was quicker."""
    try:
        file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    else:
        path.unlink(missing_ok=True)
        return True
    finally:
        os.close(file)
