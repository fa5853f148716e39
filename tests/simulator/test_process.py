"""`python -m simulator`: ready file, restarts, signals and the parent's end."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import httpx
import pytest
from gemini_webapi import APIError, GeminiClient

from tests.support.processes import alive, wait_for

ROOT = Path(__file__).resolve().parents[2]


@contextmanager
def running(directory: Path, *options: str) -> Iterator[tuple[subprocess.Popen[bytes], dict[str, Any]]]:
    """A simulator process that is ready, ended with SIGTERM at the latest."""
    command = [sys.executable, "-m", "simulator", "--accounts", "2", "--directory", str(directory), *options]
    with (directory.parent / "stderr").open("wb") as errors:
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=errors)  # ours
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith(b"simulator ready"), (directory.parent / "stderr").read_text()
        yield process, json.loads((directory / "simulator.json").read_bytes())
    finally:
        process.terminate()
        process.wait(10)
        process.stdout.close()


def test_it_says_when_it_is_ready_and_where(tmp_path: Path) -> None:
    """The ready file is its owner's alone and holds all that a client needs."""
    directory = tmp_path / "state"
    with running(directory) as (process, facts):
        assert facts["pid"] == process.pid
        assert [a["id"] for a in facts["accounts"]] == ["account-1", "account-2"]
        assert all(a["secure_1psid"] and a["secure_1psidts"] and a["proxy"] for a in facts["accounts"])
        assert Path(facts["ca_file"]).read_bytes().startswith(b"-----BEGIN CERTIFICATE")
        with urlopen(facts["control_url"] + "/health") as answer:  # noqa: S310  # loopback
            assert json.load(answer) == {"status": "ok", "accounts": 2}
        for name in ("simulator.json", "state.json", "ca.key"):
            assert (directory / name).stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    """Exit code 0, and the ready file is gone."""
    directory = tmp_path / "state"
    with running(directory) as (process, _):
        process.send_signal(number)
        assert process.wait(10) == 0
        assert not (directory / "simulator.json").exists()


def test_a_restart_knows_its_accounts(tmp_path: Path) -> None:
    """Cookies, replaced ones included, CA and ports are the same again."""
    directory = tmp_path / "state"
    with running(directory) as (_, first):
        url = f"{first['control_url']}/accounts/account-1/cookies"
        with urlopen(url, data=b"") as answer:  # noqa: S310  # loopback
            replaced = json.load(answer)
        ca = (directory / "ca.pem").read_bytes()
    with running(directory) as (_, second):
        assert second["accounts"][0] == replaced
        assert second["accounts"][1] == first["accounts"][1]
        assert (directory / "ca.pem").read_bytes() == ca
        assert (second["proxy_port"], second["control_url"]) == (first["proxy_port"], first["control_url"])


def test_it_dies_with_its_parent(tmp_path: Path) -> None:
    """Also where the parent is killed and can end nothing itself."""
    directory = tmp_path / "state"
    command = [sys.executable, "-m", "simulator", "--directory", str(directory), "--die-with-parent"]
    script = (
        "import subprocess, sys\n"
        f"p = subprocess.Popen({command!r}, stdout=subprocess.PIPE)\n"
        "p.stdout.readline()\n"
        "print(p.pid, flush=True)\n"
        "p.wait()\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    )
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    os.kill(parent.pid, signal.SIGKILL)
    parent.wait(10)
    parent.stdout.close()
    wait_for(lambda: not alive(child))


def test_a_port_that_is_taken_is_said(tmp_path: Path) -> None:
    """Exit code 1 and a sentence on stderr."""
    with running(tmp_path / "one") as (_, facts):
        command = [sys.executable, "-m", "simulator", "--directory", str(tmp_path / "two")]
        command += ["--proxy-port", str(facts["proxy_port"])]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=20, check=False)  # ours
        assert done.returncode == 1
        assert b"address already in use" in done.stderr.lower()


async def test_the_process_answers_and_breaks_as_one_in_a_test_does(tmp_path: Path) -> None:
    """The process runs on another event loop: answers, resets and a refused tunnel are the same there."""
    with running(tmp_path / "state") as (_, facts):
        account = facts["accounts"][0]

        async def put(body: object) -> None:
            async with httpx.AsyncClient(base_url=facts["control_url"], trust_env=False) as api:
                await api.put("/accounts/account-1/fault", json=body)

        outcomes = []
        for body in ({"kind": "ok"}, {"kind": "drop_before_first"}, {"kind": "drop_mid"}):
            client = GeminiClient(
                account["secure_1psid"],
                account["secure_1psidts"],
                proxy=account["proxy"],
                verify=facts["ca_file"],
            )
            await client.init(timeout=10, watchdog_timeout=5, auto_refresh=False)
            await put(body)
            chunks = 0
            try:
                async for _output in client.generate_content_stream("Hello", current_retry=0):
                    chunks += 1
                outcomes.append((chunks, "whole"))
            except APIError as error:
                outcomes.append((chunks, "reset" if "(56)" in str(error) else str(error)))
            await put({"kind": "ok"})
            await client.close()
        assert outcomes == [(7, "whole"), (0, "reset"), (2, "reset")]
        async with httpx.AsyncClient(base_url=facts["control_url"], trust_env=False) as api:
            assert (await api.get("/anomalies")).json() == []
