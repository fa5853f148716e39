"""The gateway with nothing configured: a simulator of the web app as a child process, five accounts on it,
and commands to paste. The gateway itself is the same that serves real accounts."""

import contextlib
import fcntl
import importlib.util
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

from msgspec import Struct

from access import is_digest
from gateway import client
from gateway.settings import Settings

ROOT = Path(__file__).resolve().parent.parent
CONFIG_FILE = ROOT / "config" / "demo.yaml"
IN_IMAGE = not (ROOT / "Makefile").is_file()
"""Whether this runs as the image has it, and so in a container: without the source tree's tools, and what is printed is
read outside."""
ACCOUNTS = 5
START_SECONDS = 30.0
POLL_SECONDS = 0.02


class DemoFailed(Exception):
    """The demo cannot start; the message says why and what to do."""


class Account(Struct, frozen=True):
    """An account of the simulator, as its `simulator.json` tells it."""

    id: str
    secure_1psid: str
    secure_1psidts: str
    proxy: str


class Simulated(Struct, frozen=True):
    """A simulator that is ready."""

    pid: int
    control_url: str
    ca_file: Path
    accounts: tuple[Account, ...]


@contextlib.contextmanager
def running(directory: Path) -> Iterator[Simulated]:
    """A simulator that keeps its state in `directory`, for as long as the block lasts.

    Its cookies and CA are the same again at the next start. Raises DemoFailed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    with _alone(directory), _child(directory) as child:
        yield _when_ready(child, directory)


def write_accounts(simulated: Simulated, path: Path) -> None:
    """An accounts file for the simulator's accounts, readable by its owner only."""
    # JSON strings are YAML strings, and need no rules about quoting.
    lines = ["# Written by `gempool demo` at every start.", "accounts:"]
    for account in simulated.accounts:
        lines += [
            f"  - id: {json.dumps(account.id)}",
            f"    secure_1psid: {json.dumps(account.secure_1psid)}",
            f"    secure_1psidts: {json.dumps(account.secure_1psidts)}",
            f"    proxy: {json.dumps(account.proxy)}",
        ]
    new = path.with_suffix(".new")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write("\n".join(lines) + "\n")
    new.replace(path)


def announcer(
    settings: Settings, simulated: Simulated, page_key: str = ""
) -> Callable[[str], Coroutine[Any, Any, None]]:
    """What to do once the gateway listens: wait until it can answer, then print commands to paste."""

    async def announce(url: str) -> None:
        if await client.wait_until_ready(url, START_SECONDS):
            print(banner(url, settings, simulated, page_key), flush=True)  # noqa: T201  # for the person who started it

    return announce


def banner(
    url: str, settings: Settings, simulated: Simulated, page_key: str = "", in_image: bool = IN_IMAGE
) -> str:
    """Commands that work as they stand in a shell on this machine; from an image, those that need nothing of it.

    page_key: the admin key that was made for this demo, '' where the operator has set one or needs none.
    """
    keys = (*settings.api_keys, *settings.access.keys)
    # The variable holds the key itself only where it is one, and not a hash.
    as_is = len(keys) == len(settings.api_keys) == 1 and not is_digest(settings.api_keys[0])
    key = ("$API_KEY" if as_is else "YOUR_KEY") if keys else "none-needed"
    header = f' -H "authorization: Bearer {key}"' if keys else ""
    note = "\nPut one of your keys in the place of YOUR_KEY.\n" if key == "YOUR_KEY" else ""
    model = settings.models.default
    control = simulated.control_url.rstrip("/")
    broken = simulated.accounts[0].id
    python = "python3" if in_image else _shown(Path(sys.executable))
    gempool = _shown(Path(sys.executable).with_name("gempool"))
    given = f' --key "{key}"' if keys else ""
    question = f'"model":"{model}","messages":[{{"role":"user","content":"Hello there"}}]'
    sign_in = f" (sign in with {page_key})" if page_key else ""
    if in_image:
        # The simulator listens inside the container alone, which has neither curl nor the SDKs.
        drill, own = "", "docs/deploy.md tells how to serve your own accounts."
    else:
        drill = f"""
A batch, watched until it has ended (Ctrl-C leaves it running):
  printf '%s\\n' '"a red kite over a harbour"' '"a fox in the snow"' '"a lighthouse"' | {gempool} batch run - --images --url {url}{given}

Let an account's cookies expire, ask again and see that callers notice nothing; then mend it:
  curl -s -X PUT {control}/accounts/{broken}/fault -H 'content-type: application/json' -d '{{"kind":"expired"}}'
  curl -s {url}/health{header}
  curl -s -X DELETE {control}/accounts/{broken}/fault
"""
        own = f"Your own accounts: {gempool} accounts import FILE --id NAME, and start again."
    return f"""
gempool answers on {url}  (a demo: {len(simulated.accounts)} accounts of a built-in simulator of the Gemini web app)
{note}
The operator's page:
  {url}/admin{sign_in}

Ask:
  curl -s {url}/v1/chat/completions{header} -H 'content-type: application/json' \\
    -d '{{{question}}}'

Watch the answer grow:
  curl -sN {url}/v1/chat/completions{header} -H 'content-type: application/json' \\
    -d '{{"stream":true,{question}}}'

With OpenAI's SDK:
  {_sdk("openai", "openai", in_image)}{python} -c 'from openai import OpenAI; import sys; print(
    OpenAI(base_url="{url}/v1", api_key=sys.argv[1]).chat.completions.create(
    model="{model}", messages=[{{"role": "user", "content": "Hello there"}}]).choices[0].message.content)' "{key}"

With Google's SDK:
  {_sdk("google.genai", "google-genai", in_image)}{python} -c 'from google import genai; import sys; client = genai.Client(
    api_key=sys.argv[1], http_options={{"base_url": "{url}"}}); print(
    client.models.generate_content(model="{model}", contents="Hello there").text)' "{key}"
{drill}
{own} Ctrl-C stops.
"""


@contextlib.contextmanager
def _alone(directory: Path) -> Iterator[None]:
    """Two demos on one directory would hand each other's cookies around."""
    with (directory / "lock").open("w", encoding="utf-8") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise DemoFailed(
                f"A demo runs on {directory.parent} already. Stop it, or set GEMPOOL_DATA_DIR to another folder."
            ) from None
        yield


@contextlib.contextmanager
def _child(directory: Path) -> Iterator[subprocess.Popen[bytes]]:
    (directory / "simulator.json").unlink(missing_ok=True)
    command = [sys.executable, "-m", "simulator", "--accounts", str(ACCOUNTS), "--proxy-port", "0"]
    command += ["--control-port", "0", "--directory", str(directory), "--die-with-parent"]
    with (directory / "simulator.log").open("wb") as log:
        # A session of its own, or Ctrl-C would end it before the gateway has drained.
        child = subprocess.Popen(  # noqa: S603  # our own module
            command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
        )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(timeout=5)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def _when_ready(child: subprocess.Popen[bytes], directory: Path) -> Simulated:
    ready = directory / "simulator.json"
    deadline = time.monotonic() + START_SECONDS
    while not ready.exists():
        if child.poll() is not None or time.monotonic() > deadline:
            tail = (directory / "simulator.log").read_text(encoding="utf-8", errors="replace")[-2000:]
            why = (
                "did not get ready in time" if child.poll() is None else f"ended with code {child.returncode}"
            )
            raise DemoFailed(f"The simulator {why}. Its log, {directory / 'simulator.log'}, ends:\n{tail}")
        time.sleep(POLL_SECONDS)
    facts = json.loads(ready.read_text(encoding="utf-8"))
    return Simulated(
        pid=facts["pid"],
        control_url=facts["control_url"],
        ca_file=Path(facts["ca_file"]),
        accounts=tuple(
            Account(**{name: account[name] for name in Account.__struct_fields__})
            for account in facts["accounts"]
        ),
    )


def _sdk(module: str, distribution: str, in_image: bool) -> str:
    """What brings the SDK where only the runtime was installed, as `make run` does."""
    if in_image:
        return f"pip install {distribution} && "
    with contextlib.suppress(ModuleNotFoundError):  # raised for a dotted name without its parent
        if importlib.util.find_spec(module) is not None:
            return ""
    return "make setup && " if Path.cwd() == ROOT else f"make -C {ROOT} setup && "


def _shown(path: Path) -> str:
    """The path as a person in the current directory would write it."""
    with contextlib.suppress(ValueError):
        return str(path.relative_to(Path.cwd()))
    return str(path)
