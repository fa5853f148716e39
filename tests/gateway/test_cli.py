"""The command line: quick help, and mistakes told in words."""

import json
import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GEMPOOL = Path(sys.executable).with_name("gempool")


def gempool(*arguments: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(GEMPOOL), *arguments],
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def computed() -> float:
    """Seconds that the processes started here have computed, and that a busy machine does not add to."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_is_quick_and_lists_every_verb() -> None:
    """Nobody waits for a server's imports to read a page of help: under 0.3 s of computing at best of five."""
    times = []
    for _ in range(5):
        began = computed()
        done = gempool("--help")
        times.append(computed() - began)
    assert done.returncode == 0
    assert all(verb in done.stdout for verb in ("serve", "demo", "simulate", "live", "version"))
    assert min(times) < 0.3, times


def test_help_imports_no_server() -> None:
    """The reason for the speed, and steadier than a clock."""
    code = "import sys, gateway.cli; print(sorted({'litestar', 'uvicorn', 'redis', 'gemini_webapi'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_start_imports_nothing_that_works_on_pixels() -> None:
    """It would be a sixth of all that a start imports; the studio brings it in on its own thread, once accounts are open."""
    code = "import sys, gateway.run; print(sorted({'cv2', 'numpy', 'PIL'} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_version_is_the_distributions() -> None:
    """`gempool version` prints what the package's metadata says."""
    from importlib.metadata import version

    assert gempool("version").stdout.strip() == version("gemini-pool-gateway")


def test_make_simulate_runs_the_simulator(tmp_path: Path) -> None:
    """Without an option it keeps its state under data/; ARGS are its own."""
    make = [
        "make",
        "--no-print-directory",  # which it does below another make
        "-f",
        str(ROOT / "Makefile"),
        f"VENV={sys.prefix}",
        "-o",
        f"{sys.prefix}/.ready",
        "simulate",
    ]
    with subprocess.Popen(
        [*make, "ARGS=--accounts 3"], cwd=tmp_path, stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        said = child.stdout.readline()
        assert said.startswith("simulator ready: ")
        facts = json.loads((tmp_path / "data/simulator/simulator.json").read_text())
        os.kill(facts["pid"], signal.SIGINT)
    assert child.returncode == 0
    assert len(facts["accounts"]) == 3


def test_a_wrong_option_is_told_without_a_traceback() -> None:
    """The option is named, the remedy given, the exit code is 1."""
    done = gempool("serve", "--port", "many")
    assert done.returncode == 1
    assert done.stderr.strip() == "--port: 'many' is not a whole number. Write digits only."


def test_a_public_address_without_a_key_stops_the_start() -> None:
    """The refusal says what to set."""
    done = gempool("serve", HOST="0.0.0.0", API_KEY="")
    assert done.returncode == 1
    assert "Set API_KEY" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_start_that_cannot_succeed_says_why(tmp_path: Path) -> None:
    """A broken accounts file, a malformed key: one line, the place and the remedy, and no traceback."""
    accounts = tmp_path / "accounts.yaml"
    accounts.write_text("accounts:\n  - id: a\n    secure_1psid: ${NOT_SET_ANYWHERE}\n")
    accounts.chmod(0o600)
    environ = {
        "GEMPOOL_DATA_DIR": str(tmp_path / "data"),
        "GEMPOOL_ACCOUNTS_FILE": str(accounts),
        "PORT": "0",
    }
    broken = gempool("serve", **environ)
    assert broken.returncode == 1
    assert f"{accounts}:3: accounts[0].secure_1psid:" in broken.stderr
    accounts.write_text("accounts: []\n")
    accounts.chmod(0o600)
    malformed = gempool("serve", **environ, API_KEY="sha256:short")
    assert malformed.returncode == 1
    assert malformed.stderr.startswith("API_KEY: ")
    assert "Traceback" not in broken.stderr + malformed.stderr
    assert "short" not in malformed.stderr
