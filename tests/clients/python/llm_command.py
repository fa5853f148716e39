"""llm, the command, with a configuration for an OpenAI-compatible endpoint."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path

from checks import (
    KEY,
    LONG,
    MODEL,
    TIGHT_URL,
    UNICODE,
    URL,
    Checks,
    call_text,
    defaults,
    fault,
    png,
    prompts,
    reply,
)

checks = Checks("llm")
that, case = checks.that, checks.case
checks.version(llm=version("llm"))

HOME = Path(os.environ["HOME"]) / "llm"
HOME.mkdir(parents=True, exist_ok=True)
LLM = str(Path(sys.executable).with_name("llm"))


def entry(id: str, model: str = MODEL, url: str = URL, **fields: object) -> dict[str, object]:
    return {
        "model_id": id,
        "model_name": model,
        "api_base": f"{url}/v1",
        "api_key_name": "gempool",
        "supports_tools": True,
        "supports_schema": True,
        "vision": True,
        **fields,
    }


# JSON is YAML.
(HOME / "extra-openai-models.yaml").write_text(
    json.dumps(
        [
            entry("gem"),
            entry("unknown", "gpt-17"),
            entry("whole", can_stream=False),
            entry("resp", responses=True),
            entry("tight", "gemini-2.5-flash", TIGHT_URL),
        ]
    )
)
(HOME / "keys.json").write_text(json.dumps({"gempool": KEY}))
(HOME / "tool.py").write_text(
    'def get_weather(city: str) -> str:\n    "The weather in a city now"\n    return "sunny in " + city\n'
)


def llm(*arguments: str, given: str | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [LLM, *arguments],
        env={**os.environ, "LLM_USER_PATH": str(HOME)},
        input=given or "",
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def seen(done: subprocess.CompletedProcess[str]) -> str:
    return f"exit {done.returncode}\n{done.stdout[-600:]}\n{done.stderr[-600:]}"


@case("text")
def _() -> None:
    for model in ("gem", "whole", "resp"):
        done = llm("-m", model, "Hello there")
        that(f"{model}: answers", done.returncode == 0 and "You said: Hello there" in done.stdout, seen(done))
    done = llm("-m", "gem", "--no-stream", "Hello there")
    that("--no-stream", "You said: Hello there" in done.stdout, seen(done))
    that("-u tells the tokens", "Token usage" in llm("-m", "whole", "-u", "Hi").stderr)


@case("system")
def _() -> None:
    done = llm("-m", "gem", "-s", "Speak like a pirate", "Hi")
    that("reaches the model", "Speak like a pirate" in done.stdout, seen(done))


@case("turns")
def _() -> None:
    llm("-m", "gem", "My name is Ada")
    done = llm("-c", "What is my name?")
    that("-c goes on", "My name is Ada" in done.stdout, seen(done))


@case("unicode")
def _() -> None:
    done = llm("-m", "gem", UNICODE)
    that("as it was sent", UNICODE in done.stdout, seen(done))


@case("long prompt")
def _() -> None:
    done = llm("-m", "gem", given=LONG)
    that("a megabyte over standard input", f"[{len(LONG)} characters" in done.stdout, seen(done))


@case("models")
def _() -> None:
    that("the configured ones are listed", "gem" in llm("models").stdout)


@case("unknown model")
def _() -> None:
    done = llm("-m", "unknown", "Hi")
    that("exit code 1", done.returncode == 1, seen(done))
    that("names it and the known ones", "gpt-17" in done.stderr and MODEL in done.stderr, seen(done))


@case("wrong key")
def _() -> None:
    done = llm("-m", "gem", "--key", "wrong-key", "Hi")
    that("exit code 1", done.returncode == 1, seen(done))
    that(
        "says so",
        "401" in done.stderr and "key" in done.stderr.lower() and "wrong-key" not in done.stderr,
        seen(done),
    )


@case("image input")
def _() -> None:
    path = HOME / "a.png"
    path.write_bytes(png())
    done = llm("-m", "gem", "What is it?", "-a", str(path))
    that("arrives", f"image/png {len(png())} bytes" in done.stdout, seen(done))


@case("tools auto")
def _() -> None:
    for model in ("gem", "whole", "resp"):
        reply(call_text(("get_weather", {"city": "Paris"})), "It is sunny.")
        done = llm("-m", model, "--functions", str(HOME / "tool.py"), "--td", "Weather in Paris?")
        that(f"{model}: the function ran", "sunny in Paris" in done.stdout + done.stderr, seen(done))
        that(f"{model}: then words", "It is sunny." in done.stdout, seen(done))


@case("json schema")
def _() -> None:
    for model in ("gem", "whole", "resp"):
        reply('{"name": "Rex", "age": 3}')
        done = llm("-m", model, "--schema", "name, age int", "A dog")
        that(
            f"{model}: JSON",
            done.returncode == 0 and json.loads(done.stdout) == {"name": "Rex", "age": 3},
            seen(done),
        )
    done = llm("-m", "gem", "--schema", "name, age int", "A dog")
    that("unscripted", done.returncode == 0 and set(json.loads(done.stdout)) == {"name", "age"}, seen(done))


@case("rate limit")
def _() -> None:
    llm("-m", "tight", "Hi")
    done = llm("-m", "tight", "Hi")
    that("is waited out", done.returncode == 0 and "You said" in done.stdout, seen(done))


@case("upstream fault")
def _() -> None:
    defaults(words=300, frames=12)
    fault("truncate", frames=3)
    done = llm("-m", "gem", "Hello")
    that("a broken answer is exit code 1", done.returncode == 1, seen(done))
    that("and says so", "Error" in done.stderr, seen(done))
    that("after content", "You said" in done.stdout and prompts(), seen(done))
