"""aider, the command, on an OpenAI-compatible endpoint: it asks, and writes the edits of the answer into a file."""

import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from checks import KEY, MODEL, UNICODE, URL, Checks, defaults, fault, prompts, reply

checks = Checks("aider")
that, case = checks.that, checks.case
checks.version(aider=version("aider-chat"))
HOME = Path(os.environ["HOME"])
FOLDER = HOME / "project"
FOLDER.mkdir(exist_ok=True)


def aider(*arguments: str, model: str = MODEL, key: str = KEY) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            *(
                sys.executable,
                "-m",
                "aider",
                "--model",
                f"openai/{model}",
                "--openai-api-base",
                f"{URL}/v1",
                "--openai-api-key",
                key,
            ),
            *(
                "--no-git",
                "--yes-always",
                "--no-check-update",
                "--no-show-model-warnings",
                "--no-analytics",
                "--no-pretty",
            ),
            *(
                "--no-show-release-notes",
                "--no-suggest-shell-commands",
                "--no-auto-lint",
                "--no-detect-urls",
                "--map-tokens",
                "0",
                "--timeout",
                "20",
                *arguments,
            ),
        ],
        cwd=FOLDER,
        env={**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def seen(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}\n{done.stdout[-900:]}\n{done.stderr[-600:]}"


@case("text", 120)
def _() -> None:
    reply("Hello, I am the model: " + UNICODE)
    done = aider("--message", "Hello there")
    that("prints the answer", done.returncode == 0 and UNICODE in done.stdout, seen(done))
    reply("Not streamed.")
    done = aider("--no-stream", "--message", "Hello there")
    that("--no-stream", "Not streamed." in done.stdout, seen(done))
    that("its long system prompt arrives", prompts()[-1]["length"] > 2000, prompts())


EDIT = """I shall change the greeting.

hello.py
```python
<<<<<<< SEARCH
print("hello")
=======
print("good morning & <hello>")
>>>>>>> REPLACE
```
"""
WHOLE = """Here:

hello.py
```
print("whole")
```
"""


@case("edit", 120)
def _() -> None:
    file = FOLDER / "hello.py"
    file.write_text('print("hello")\n')
    reply(EDIT, frames=20)
    done = aider("--edit-format", "diff", "--message", "Greet better", "hello.py")
    that(
        "a search and replace block is applied",
        file.read_text() == 'print("good morning & <hello>")\n',
        file.read_text() + seen(done),
    )
    reply(WHOLE)
    done = aider("--edit-format", "whole", "--message", "Rewrite", "hello.py")
    that("a whole file is applied", file.read_text() == 'print("whole")\n', file.read_text() + seen(done))


@case("errors", 120)
def _() -> None:
    done = aider("--message", "Hi", model="gpt-17")
    that(
        "an unknown model is named",
        "gpt-17" in done.stdout + done.stderr and "NotFound" in done.stdout + done.stderr,
        seen(done),
    )
    done = aider("--message", "Hi", key="wrong-key")
    that("a wrong key is told", "Authentication" in done.stdout + done.stderr, seen(done))


@case("upstream fault", 120)
def _() -> None:
    fault("error_1013", times=1)
    done = aider("--message", "Hi")
    that("before content it is not noticed", done.returncode == 0 and "You said" in done.stdout, seen(done))
    defaults(words=300, frames=12)
    fault("truncate", frames=3, times=1)
    done = aider("--message", "Hi")
    that(
        "a broken answer is told or asked again", "You said" in done.stdout and len(prompts()) > 1, seen(done)
    )
