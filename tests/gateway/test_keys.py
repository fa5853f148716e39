"""`gempool keys`, as it is typed."""

import hashlib
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from access import Keys
from gateway.settings import load

GEMPOOL = Path(sys.executable).with_name("gempool")


def gempool(*arguments: str, given: bytes = b"") -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [GEMPOOL, "keys", *arguments], input=given, capture_output=True, timeout=60, check=False
    )


def test_a_new_key_comes_with_the_lines_that_let_it_in(tmp_path: Path) -> None:
    """What is printed can be pasted as it stands, and then the key is known by its name; each is another."""
    done = gempool("new", "--name", "alice")
    assert done.returncode == 0
    key, rest = done.stdout.decode().split("\n", 1)
    assert re.fullmatch(r"gp-[\w-]{43}", key)
    assert key not in rest
    file = tmp_path / "gateway.yaml"
    file.write_text(rest[rest.index("access:") :])
    settings = load({"GEMPOOL_CONFIG_FILE": str(file), "HOST": "0.0.0.0"})
    caller = Keys(named=settings.access.keys).identify([key.encode()])
    assert caller is not None
    assert (caller.name, caller.models) == ("alice", ("*",))
    assert gempool("new").stdout.split(b"\n")[0] != key.encode()


@pytest.mark.parametrize("name", ["null", "on", "010", "1e3", "1_000", "2026-01-01", "0x1F", "true"])
def test_a_name_that_yaml_would_read_otherwise_can_be_pasted(tmp_path: Path, name: str) -> None:
    """Nothing, a number, a day, yes or no: it stays the name that was given."""
    rest = gempool("new", "--name", name).stdout.decode()
    file = tmp_path / "gateway.yaml"
    file.write_text(rest[rest.index("access:") :])
    assert [key.name for key in load({"GEMPOOL_CONFIG_FILE": str(file)}).access.keys] == [name]


def test_a_name_that_will_not_do_makes_no_key() -> None:
    """It is told how names are written."""
    for name in ("a b", "a: b", "", "-a", "a\n", 'a"', "#a", "~"):
        done = gempool("new", "--name", name)
        assert (done.returncode, done.stdout) == (1, b"")
        assert b"--name" in done.stderr


@pytest.mark.parametrize("end", [b"", b"\n", b"\r\n"])
def test_a_key_is_hashed_from_standard_input(end: bytes) -> None:
    """The digest alone is printed, whatever ends the line."""
    done = gempool("hash", given=b"gp-secret" + end)
    assert done.stdout.decode().strip() == "sha256:" + hashlib.sha256(b"gp-secret").hexdigest()
    assert done.stderr == b""


def test_at_a_terminal_the_key_is_asked_for_and_not_shown() -> None:
    """Nothing of it appears on the screen."""
    screen, terminal = pty.openpty()
    process = subprocess.Popen(
        [GEMPOOL, "keys", "hash"],
        stdin=terminal,
        stdout=subprocess.PIPE,
        stderr=terminal,
        start_new_session=True,
    )
    shown = b""
    while b"Key:" not in shown:
        shown += os.read(screen, 1024)
    os.write(screen, b"gp-secret\n")
    out, _ = process.communicate(timeout=30)
    os.close(terminal)
    os.close(screen)
    assert out.decode().strip() == "sha256:" + hashlib.sha256(b"gp-secret").hexdigest()
    assert b"gp-secret" not in shown


@pytest.mark.parametrize(
    "given", [b"", b"\n", b"two words", b"sha256:" + b"ab" * 32, b"SHA256:" + b"ab" * 32, b"x" * 5000]
)
def test_what_is_no_key_is_refused_without_showing_it(given: bytes) -> None:
    """Nothing, several words, a digest, something endless."""
    done = gempool("hash", given=given)
    assert (done.returncode, done.stdout) == (1, b"")
    assert given[:20] not in done.stderr or not given.strip()


def test_a_key_is_never_an_argument() -> None:
    """Arguments are in the shell's history and in the list of processes."""
    assert gempool("hash", "gp-secret").returncode == 2
