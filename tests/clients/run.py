"""Unmodified client programs against a gateway over the simulator: `make clients`.

Makes the clients' environments from the locks, starts a simulator and two gateways on free loopback ports, runs one
client after another, and prints what failed and a table. Exit code 1 where a check failed or a client did not finish.

    python tests/clients/run.py [CLIENT ...] [--only GROUP] [--verbose] [--install]
"""

import argparse
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
sys.path.insert(0, str(ROOT))

from tests.support.processes import Gateways, Web, simulating, wait_for  # noqa: E402  # the project is no installed package

VENVS = ROOT / ".venv-clients"
SECONDS = 420
KEY = "sk-clients-0123456789abcdef"

CLIENTS = {
    # name: (environment, script)
    "raw-http": ("", "raw_http.py"),
    "openai-py": ("sdks", "openai_sdk.py"),
    "genai-py": ("sdks", "genai_sdk.py"),
    "pydantic-ai": ("sdks", "pydantic_agents.py"),
    "llm": ("sdks", "llm_command.py"),
    "langchain-openai": ("chains", "langchain_openai_chat.py"),
    "langchain-google": ("chains", "langchain_google_chat.py"),
    "instructor": ("chains", "instructor_models.py"),
    "litellm": ("litellm", "litellm_calls.py"),
    "aider": ("aider", "aider_command.py"),
    "openai-js": ("js/sdks", "openai.mjs"),
    "genai-js": ("js/sdks", "genai.mjs"),
    "ai-sdk-openai": ("js/sdks", "ai_openai.mjs"),
    "ai-sdk-compatible": ("js/sdks", "ai_compatible.mjs"),
    "ai-sdk-google": ("js/sdks", "ai_google.mjs"),
    "cherrystudio": ("js/cherry", "cherry.mjs"),
    "gemini-cli": ("js/cli", "gemini_command.mjs"),
}


def installed(environment: str) -> list[str]:
    """The command that starts a script of that environment, which is made anew where its lock has changed."""
    if not environment:
        return [sys.executable]
    if environment.startswith("js/"):
        folder = HERE / environment
        lock, stamp = folder / "package-lock.json", folder / "node_modules" / ".installed"
        made = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        steps = [(made, folder)]
        command = ["node"]
    else:
        folder = VENVS / environment
        lock, stamp = HERE / "locks" / f"{environment}.txt", folder / ".installed"
        uv = str(Path(sys.executable).with_name("uv"))
        python = folder / "bin" / "python"
        install = [uv, "pip", "install", "-q", "-p", str(python), "--require-hashes", "-r", str(lock)]
        steps = [
            ([uv, "venv", "-q", "--clear", "--python", sys.executable, str(folder)], ROOT),
            (install, ROOT),
        ]
        command = [str(python)]
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()
    if not stamp.exists() or stamp.read_text() != digest:
        print(f"installing {environment}", flush=True)
        for step, cwd in steps:
            subprocess.run(step, cwd=cwd, check=True)
        stamp.write_text(digest)
    return command


@contextmanager
def serving(directory: Path) -> Iterator[dict[str, str]]:
    """A simulator and two gateways over it, for as long as the block lasts: what the scripts' environment says of them."""
    with simulating(directory, accounts=8) as web:
        groups = [Gateways(_made(directory / name), web) for name in ("main", "tight")]
        try:
            main, tight = groups
            first, second = _accounts(main, web, 0, 5), _accounts(tight, web, 5, 8)
            listening = main.start(
                first,
                API_KEY=KEY,
                gempool__server__keepalive_after="500ms",
                gempool__server__keepalive_every="500ms",
                gempool__engine__silence_timeout="5s",
            )
            strict = tight.start(
                second,
                gempool__limits__enabled="true",
                gempool__limits__per_caller="100000/hour",
                gempool__limits__per_caller_and_model="1/2s",
            )
            for gateway in (listening, strict):
                # Longer than the tests wait, for a machine that is busy.
                wait_for(
                    lambda gateway=gateway: gateway.lines("listening") or gateway.process.poll() is not None,
                    seconds=90,
                    what=gateway.log,
                )
                gateway.ready()
            yield {
                "CLIENTS_URL": listening.url,
                "CLIENTS_KEY": KEY,
                "CLIENTS_TIGHT_URL": strict.url,
                "CLIENTS_CONTROL": json.loads((directory / "simulator.json").read_text())["control_url"],
            }
        finally:
            for group in groups:
                group.end()


def _made(path: Path) -> Path:
    path.mkdir(parents=True)
    return path


def _accounts(group: Gateways, web: Web, start: int, end: int) -> Path:
    every = web.accounts
    web.accounts = every[start:end]
    try:
        return group.accounts_file(min_interval="0s", max_concurrency=4)
    finally:
        web.accounts = every


def run(client: str, told: dict[str, str], directory: Path, only: str) -> list[dict[str, Any]]:
    """What a client's script wrote; a script that did not end well adds a failed check."""
    environment, script = CLIENTS[client]
    command = installed(environment)
    folder = HERE / environment if environment.startswith("js/") else HERE / "python"
    file, output = directory / f"{client}.jsonl", directory / f"{client}.out"
    home = directory / "homes" / client
    home.mkdir(parents=True, exist_ok=True)
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "LANG": "C.UTF-8",
        "NO_COLOR": "1",
        "CLIENTS_FILE": str(file),
        "CLIENTS_ONLY": only,
        **told,
    }
    with output.open("wb") as out:
        process = subprocess.Popen(
            [*command, str(folder / script)],
            env=env,
            cwd=home,
            stdout=out,
            stderr=out,
            stdin=subprocess.DEVNULL,
        )
        try:
            code: int | str = process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            code = f"none in {SECONDS} s"
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()] if file.exists() else []
    if code != 0 or (not any("group" in line for line in lines) and not only):
        tail = output.read_text("utf-8", "replace")[-2000:]
        lines.append(
            {
                "client": client,
                "group": "end",
                "fact": "the script ends well",
                "ok": False,
                "detail": f"exit code {code}\n{tail}",
            }
        )
    return lines


def table(lines: list[dict[str, Any]]) -> str:
    """Clients across, groups of checks down; a cell is the number of checks, or failed/all."""
    clients = list(dict.fromkeys(line["client"] for line in lines))
    groups = sorted({line["group"] for line in lines})
    cells: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for line in lines:
        cells[line["group"], line["client"]].append(line["ok"])

    def cell(held: list[bool]) -> str:
        return "" if not held else str(len(held)) if all(held) else f"{held.count(False)}!/{len(held)}"

    rows = [["", *(str(n + 1) for n in range(len(clients)))]]
    rows += [[group, *(cell(cells[group, client]) for client in clients)] for group in groups]
    rows.append(
        ["all", *(cell([line["ok"] for line in lines if line["client"] == client]) for client in clients)]
    )
    widths = [max(len(row[n]) for row in rows) for n in range(len(clients) + 1)]
    text = [f"{n + 1:>3} {client}" for n, client in enumerate(clients)]
    text += [
        " ".join(value.ljust(widths[0]) if not n else value.rjust(widths[n]) for n, value in enumerate(row))
        for row in rows
    ]
    return "\n".join(text)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("clients", nargs="*", help=f"of {', '.join(CLIENTS)}; all without any")
    parser.add_argument("--only", default="", help="groups of checks whose name holds this")
    parser.add_argument(
        "--verbose", action="store_true", help="print every check and keep the clients' output"
    )
    parser.add_argument("--install", action="store_true", help="make the environments and stop")
    given = parser.parse_args()
    if unknown := set(given.clients) - set(CLIENTS):
        parser.error(f"no such client: {', '.join(sorted(unknown))}; there are {', '.join(CLIENTS)}")
    wanted = given.clients or list(CLIENTS)
    for client in wanted:
        installed(CLIENTS[client][0])
    if given.install:
        return 0
    directory = Path(tempfile.mkdtemp(prefix="gempool-clients-"))
    lines: list[dict[str, Any]] = []
    versions: dict[str, str] = {}
    try:
        with serving(directory) as told:
            for client in wanted:
                begun = time.monotonic()
                found = run(client, told, directory, given.only)
                for line in found:
                    versions |= line.get("versions", {})
                found = [line for line in found if "group" in line]
                failed = [line for line in found if not line["ok"]]
                print(
                    f"{client}: {len(found)} checks, {len(failed)} failed, {time.monotonic() - begun:.0f} s",
                    flush=True,
                )
                for line in found if given.verbose else failed:
                    print(f"  {'ok  ' if line['ok'] else 'FAIL'} {line['group']}: {line['fact']}")
                    if line["detail"]:
                        print("       " + line["detail"].replace("\n", "\n       "))
                lines += found
    finally:
        if given.verbose:
            print(f"logs and outputs: {directory}")
        else:
            shutil.rmtree(directory, ignore_errors=True)
    print("\n" + table(lines))
    print("\n" + ", ".join(f"{name} {version}" for name, version in sorted(versions.items())))
    failures = sum(not line["ok"] for line in lines)
    print(f"\n{len(lines)} checks, {failures} failed")
    return 1 if failures or not lines else 0


if __name__ == "__main__":
    sys.exit(main())
