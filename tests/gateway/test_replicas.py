"""Replicas on one data directory, as real processes."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.replicas import Replicas

CHILD = """
import sys
from pathlib import Path
from gateway.replicas import Replicas
replicas = Replicas(Path(sys.argv[1]))
print(*replicas.enter(sys.argv[2]), flush=True)
if sys.stdin.readline():
    replicas.leave()
"""


@pytest.fixture
def enter(tmp_path: Path) -> Callable[[str], tuple["subprocess.Popen[str]", str]]:
    def start(name: str) -> tuple["subprocess.Popen[str]", str]:
        command = [sys.executable, "-c", CHILD, str(tmp_path), name]
        child = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert child.stdout is not None
        return child, child.stdout.readline().strip()

    return start


def _end(child: "subprocess.Popen[str]", *, well: bool) -> None:
    if not well:
        child.kill()
    child.communicate("leave\n" if well else None)


def test_the_killed_are_told_and_the_living_are_not(
    enter: Callable[[str], tuple["subprocess.Popen[str]", str]], tmp_path: Path
) -> None:
    """A process learns who was killed since, once; who runs or has ended well is nobody's concern."""
    killed, found = enter("killed")
    assert found == ""
    living, found = enter("living")
    assert found == ""
    polite, found = enter("polite")
    assert found == ""
    _end(killed, well=False)
    _end(polite, well=True)
    assert Replicas(tmp_path).enter("heir") == ["killed"]
    other = Replicas(tmp_path)
    assert other.enter("other") == []
    _end(living, well=True)
    other.leave()
