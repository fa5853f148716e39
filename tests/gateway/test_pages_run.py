"""Commands of the documents work as they stand, on the demo that `make run` shows."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent
WRITTEN = "http://127.0.0.1:8100"
BLOCK = re.compile(r"^```(sh|python)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[tuple[str, str]]:
    """The page's blocks of shell and Python."""
    return BLOCK.findall((ROOT / page).read_text(encoding="utf-8"))


def asks(language: str, code: str) -> bool:
    """Whether the block asks a running gateway, with nothing but what this project installs."""
    if language == "python":
        return "from openai import" in code or "from google import" in code
    return ("curl " in code and WRITTEN in code) or "gempool batch" in code


ASKING = [
    pytest.param(language, code, id=f"{page} {number}")
    for page in ("README.md", "docs/callers.md", "docs/first-hour.md")
    for number, (language, code) in enumerate(blocks(page))
    if asks(language, code) and "KEY" not in code
]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Where `gempool demo` listens."""
    data = tmp_path_factory.mktemp("demo")
    with (data / "err.log").open("w", encoding="utf-8") as log:
        child = subprocess.Popen(
            [str(BIN / "gempool"), "demo", "--port", "0"],
            env={**os.environ, "GEMPOOL_DATA_DIR": str(data)},
            cwd=ROOT,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
        assert child.stdout is not None
        with child.stdout:
            said = ""
            for line in child.stdout:
                said += line
                if "Ctrl-C stops" in line:
                    break
            found = re.search(r"http://127\.0\.0\.1:\d+", said)
            assert found is not None, (data / "err.log").read_text(encoding="utf-8")
            yield found[0]
            child.send_signal(signal.SIGINT)
            child.wait(timeout=30)


def test_there_is_something_to_run() -> None:
    """The README asks with curl, with both SDKs and with the batch command; the pages behind it with curl."""
    code = "".join(code for language, code in blocks("README.md") if asks(language, code))
    assert all(word in code for word in ("curl", "OpenAI(", "genai.Client(", "gempool batch run"))
    assert len(ASKING) >= 9


@pytest.mark.parametrize(("language", "code"), ASKING)
def test_what_a_page_asks_is_answered(demo: str, tmp_path: Path, language: str, code: str) -> None:
    """Pasted in its order, and without any error in what comes back."""
    given = code.replace(WRITTEN, demo)
    if language == "python":
        command = [sys.executable, "-c", given]
    else:
        given = given.replace(".venv/bin/", f"{BIN}/")
        if "gempool batch" in given:
            given = re.sub(r"(gempool batch run \S+)", rf"\1 --url {demo}", given)
        command = ["bash", "-ec", given]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() or list(tmp_path.iterdir())
    assert '"error": {' not in done.stdout
    assert '"error":{' not in done.stdout


def test_the_import_of_the_readme_makes_an_accounts_file(tmp_path: Path) -> None:
    """With what an exporter wrote, under the name that the line gives."""
    [line] = [
        line.partition(" #")[0].strip()
        for _, code in blocks("README.md")
        for line in code.splitlines()
        if ".venv/bin/gempool accounts import" in line
    ]
    jar = [
        {"name": name, "value": value, "domain": ".google.com"}
        for name, value in (("__Secure-1PSID", "g.a000invented"), ("__Secure-1PSIDTS", "sidts-invented"))
    ]
    (tmp_path / "cookies.json").write_text(json.dumps(jar), encoding="utf-8")
    accounts = tmp_path / "accounts.yaml"
    done = subprocess.run(
        ["bash", "-ec", line.replace(".venv/bin/", f"{BIN}/")],
        cwd=tmp_path,
        env={**os.environ, "GEMPOOL_ACCOUNTS_FILE": str(accounts)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "alice" in accounts.read_text(encoding="utf-8")
