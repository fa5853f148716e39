"""`gempool alerts test` as an operator runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.fakes.bark import FakeBark, bark_server

GEMPOOL = Path(sys.executable).with_name("gempool")
PHONE, TABLET = "phone4Key", "TabletKeyB"


@pytest.fixture
def server() -> Iterator[FakeBark]:
    with bark_server(PHONE, TABLET) as server:
        yield server


def alerts_test(folder: Path, **environ: str) -> subprocess.CompletedProcess[str]:
    """In an empty folder, so that no configuration file is there."""
    return subprocess.run(
        [str(GEMPOOL), "alerts", "test"],
        env={**os.environ, **environ},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_every_device_gets_a_harmless_alert(server: FakeBark, tmp_path: Path) -> None:
    """One line a device, exit code 0, and an alert that says that nothing is wrong."""
    done = alerts_test(tmp_path, BARK_URL=server.url, BARK_KEYS=f"{PHONE}, {TABLET}")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == ["device 1 of 2: sent", "device 2 of 2: sent"]
    (received,) = server.of(TABLET)
    assert received["level"] == "active"
    assert "Nothing is wrong" in received["body"]


def test_a_device_that_fails_is_named_by_its_place(server: FakeBark, tmp_path: Path) -> None:
    """The others get theirs; the reason is the server's, the key is not shown, the exit code is 1."""
    done = alerts_test(tmp_path, BARK_URL=server.url, BARK_KEYS=f"{PHONE},mistypedKey9")
    assert done.returncode == 1
    assert done.stdout.splitlines()[0] == "device 1 of 2: sent"
    assert done.stdout.splitlines()[1].startswith(
        "device 2 of 2: refused: code 400: failed to get device token"
    )
    assert "1 of 2 devices did not get the alert" in done.stderr
    assert "mistypedKey9" not in done.stdout + done.stderr


def test_a_server_that_is_not_there_is_told_without_a_traceback(tmp_path: Path) -> None:
    """What to look at is said."""
    done = alerts_test(tmp_path, BARK_URL="http://user:opaque-1@127.0.0.1:9", BARK_KEYS=PHONE)
    assert done.returncode == 1
    assert done.stdout.startswith("device 1 of 1: unreachable: no answer")
    assert "Traceback" not in done.stderr
    assert "opaque-1" not in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("environ", "told"),
    [
        ({}, "No device is named. Set BARK_URL"),
        ({"BARK_URL": "https://bark.example.com"}, "BARK_KEYS: BARK_URL is set and this is not"),
        ({"BARK_KEYS": "opaque-1"}, "BARK_URL: BARK_KEYS is set and this is not"),
        ({"BARK_URL": "bark.example.com", "BARK_KEYS": "opaque-1"}, "BARK_URL: its value (not shown) is not"),
        (
            {"BARK_URL": "https://b.example.com", "BARK_KEYS": "opaque-1", "BARK_ENCRYPTION_KEY": "opaque-2"},
            "BARK_ENCRYPTION_KEY: a key has 16, 24 or 32 characters",
        ),
        ({"GEMPOOL__ALERTS__ADMIN_URL": "pool.example.com"}, "GEMPOOL__ALERTS__ADMIN_URL: "),
        (
            {"GEMPOOL__ALERTS__BARK_ENCRYPTION": "ecb"},
            "GEMPOOL__ALERTS__BARK_ENCRYPTION: 'ecb' is not one of",
        ),
    ],
)
def test_settings_that_will_not_do_name_the_remedy(
    tmp_path: Path, environ: dict[str, str], told: str
) -> None:
    """The key at fault first, no secret, exit code 1."""
    done = alerts_test(tmp_path, **environ)
    assert done.returncode == 1
    assert done.stderr.startswith(told)
    assert "opaque-" not in done.stderr
    assert "Traceback" not in done.stderr
