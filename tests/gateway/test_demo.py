"""The demo's surroundings: a simulator as a child process, an accounts file, commands to paste."""

import json
import os
import re
import shlex
import signal
import stat
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from gateway.demo import ACCOUNTS, DemoFailed, Simulated, banner, running, write_accounts
from gateway.settings import load
from tests.support.processes import alive

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("demo") / "simulator"


def test_the_simulator_runs_as_long_as_the_block(home: Path) -> None:
    """It answers inside the block, is gone after it, and keeps its cookies for the next time."""
    with running(home) as first:
        assert len(first.accounts) == ACCOUNTS
        assert httpx.get(f"{first.control_url}/health").status_code == 200
        assert first.ca_file.is_file()
    assert not alive(first.pid)
    with running(home) as second:
        assert [account.secure_1psid for account in second.accounts] == [
            account.secure_1psid for account in first.accounts
        ]


def test_two_demos_do_not_share_a_folder(home: Path) -> None:
    """The second is told to stop the first or to take another folder."""
    with running(home), pytest.raises(DemoFailed, match="GEMPOOL_DATA_DIR"), running(home):
        pass


def test_the_simulator_dies_with_a_killed_demo(home: Path) -> None:
    """Not even kill -9 leaves an orphan."""
    code = (
        "import sys, time; from pathlib import Path; from gateway.demo import running\n"
        "with running(Path(sys.argv[1])) as simulated:\n"
        "    print(simulated.pid, flush=True); time.sleep(60)"
    )
    parent = subprocess.Popen([sys.executable, "-c", code, str(home)], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        pid = int(parent.stdout.readline())
        assert alive(pid)
        parent.send_signal(signal.SIGKILL)
        parent.wait()
    deadline = time.monotonic() + 5
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not alive(pid)


def test_the_accounts_file_is_for_its_owner_and_for_the_roster(home: Path, tmp_path: Path) -> None:
    """Mode 0600, and the pool reads from it what the simulator wrote."""
    from pool import load_roster

    path = tmp_path / "accounts.yaml"
    with running(home) as simulated:
        write_accounts(simulated, path)
        write_accounts(simulated, path)  # a second start replaces it
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    roster = load_roster(path, {})
    assert [account.id for account in roster.accounts] == [account.id for account in simulated.accounts]
    assert [account.secure_1psid.reveal() for account in roster.accounts] == [
        account.secure_1psid for account in simulated.accounts
    ]
    assert all(account.proxy for account in roster.accounts)


def commands(text: str) -> list[list[str]]:
    """The banner's indented blocks as a shell would read them."""
    blocks = re.findall(r"(?:^  .*\n)+", text, re.MULTILINE)
    return [shlex.split(block) for block in blocks]


def test_the_banner_names_what_runs(home: Path) -> None:
    """Its commands carry the gateway's own address and the simulator's, and never a key."""
    simulated = Simulated(1, "http://127.0.0.1:9", Path("ca.pem"), ())
    with running(home) as real:
        simulated = real
    keyless = banner("http://127.0.0.1:8100", load({}), simulated)
    assert json.loads(commands(keyless)[1][-1])["model"] == "gemini-3-flash-preview"
    assert simulated.control_url in keyless
    keyed = banner("http://127.0.0.1:8100", load({"API_KEY": "hidden-key"}), simulated)
    assert "hidden-key" not in keyed
    assert "Bearer $API_KEY" in keyed


@pytest.mark.parametrize("keys", ["one,two", "sha256:" + "ab" * 32])
def test_the_banner_asks_for_a_key_that_it_cannot_know(home: Path, keys: str) -> None:
    """With several keys, or a hash of one, the commands hold a place for it and a line says so; every block can
    be read by a shell."""
    with running(home) as simulated:
        text = banner("http://127.0.0.1:8100", load({"API_KEY": keys}), simulated)
    assert "Put one of your keys in the place of YOUR_KEY." in text
    assert all("YOUR_KEY" in " ".join(words) for words in commands(text)[1:6])
    assert not any(key in text for key in ("$API_KEY", "ab" * 32, "one,two"))


def test_the_banner_of_an_image_names_nothing_that_only_the_image_has(home: Path) -> None:
    """Its reader is outside: no path of the image, no source tree, no port that is not published."""
    with running(home) as simulated:
        text = banner("http://127.0.0.1:8100", load({}), simulated, "gp-made", in_image=True)
    assert "make" not in text
    assert str(Path(sys.executable).parent) not in text
    assert simulated.control_url.rstrip("/") not in text
    assert "http://127.0.0.1:8100/admin (sign in with gp-made)" in text
    assert "pip install openai && python3 -c" in text
    assert text.count("curl") == 2


class Demo:
    """`gempool demo` as a process, with its output up to the end of the banner."""

    def __init__(self, data: Path, **environ: str) -> None:
        self._log = (data / "err.log").open("w+", encoding="utf-8")
        self._child = subprocess.Popen(
            [str(Path(sys.executable).with_name("gempool")), "demo", "--port", "0"],
            env={**os.environ, "GEMPOOL_DATA_DIR": str(data), **environ},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
        )
        assert self._child.stdout is not None
        lines: list[str] = []
        for line in self._child.stdout:
            lines.append(line)
            if "Ctrl-C stops" in line:
                break
        self.banner = "".join(lines)

    def blocks(self) -> list[str]:
        """The indented commands, each block as it would be pasted."""
        return re.findall(r"(?:^  .*\n)+", self.banner, re.MULTILINE)

    def end(self) -> tuple[int, str]:
        assert self._child.stdout is not None
        self._child.send_signal(signal.SIGINT)
        code = self._child.wait(timeout=30)
        self._child.stdout.close()
        with self._log as log:
            log.seek(0)
            return code, log.read()


def test_every_command_of_the_banner_works_as_it_stands(tmp_path: Path) -> None:
    """Pasted into a shell: curl, both SDKs, a batch, and an account that is broken and mended; then Ctrl-C."""
    demo = Demo(tmp_path)
    try:
        page, whole, streamed, openai, google, batch, drill = demo.blocks()

        def paste(commands: str) -> str:
            done = subprocess.run(
                ["bash", "-c", commands], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
            )
            assert done.returncode == 0, (commands, done.stderr)
            return done.stdout

        assert "<title>" in httpx.get(page.strip()).text
        assert "Hello there" in json.loads(paste(whole))["choices"][0]["message"]["content"]
        assert paste(streamed).strip().endswith("data: [DONE]")
        assert "Hello there" in paste(openai)
        assert "Hello there" in paste(google)
        assert {json.loads(line)["size"] for line in paste(batch).splitlines()} == {"2048x2048"}
        breaks, looks, mends = drill.splitlines()
        paste(breaks)
        for _ in range(ACCOUNTS):
            assert "Hello there" in json.loads(paste(whole))["choices"][0]["message"]["content"]
        assert json.loads(paste(looks))["accounts"]["quarantined"] == 1
        paste(mends)
        deadline = time.monotonic() + 30
        while "quarantined" in (last := json.loads(paste(looks))["accounts"]) and last["quarantined"]:
            assert time.monotonic() < deadline, last
            time.sleep(0.1)
    finally:
        code, log = demo.end()
    assert code == 0, log
    assert "Traceback" not in log
    assert "sidts-" not in log


def test_a_demo_that_asks_for_keys_has_an_operator(tmp_path: Path) -> None:
    """As in a container, where callers are not on this machine: an admin key is made and printed, and opens the page."""
    demo = Demo(tmp_path, HOST="0.0.0.0", GEMPOOL_ALLOW_ANONYMOUS="true")
    try:
        found = re.search(r"(http://\S+)/admin \(sign in with (gp-\S+)\)", demo.banner)
        assert found is not None, demo.banner
        view = f"{found[1]}/admin/api/view"
        assert httpx.get(view).status_code == 401
        assert httpx.get(view, headers={"x-admin-key": found[2]}).status_code == 200
    finally:
        code, log = demo.end()
    assert code == 0, log
    assert found[2] not in log
