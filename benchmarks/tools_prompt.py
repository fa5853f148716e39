"""What a large toolbox costs with every request: its size in the prompt, and the time of the event loop.

    .venv/bin/python benchmarks/tools_prompt.py [--kilobytes 31]

The functions are made up in the manner of a coding agent's (long descriptions, small schemas), as it sends them: JSON with
titles and `$schema`. Measured: checking the schemas as the routes do, rendering the instructions and preparing
the judge of the answer, each for a toolbox that was never seen and for the same content in other objects; then reading an
answer of 1000 deltas.
"""

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

from core.chat import Message, Text, Tool, Toolbox
from core.schemas import check
from core.tokens import estimate
from engine.prompt import flatten
from engine.shaping.instructions import Instructions
from engine.shaping.reader import Reader
from engine.shaping.verdict import Judge

_WORDS = (
    "Reads the content of the file at the given absolute path, within the project's folder, and returns it with numbers of"
    " lines. Large files are cut; say from which line to read on. Prefer this to shell commands. "
)
_FUNCTIONS = 8


def declarations(size: int, seed: str) -> list[dict[str, Any]]:
    """So many characters of functions, as compact JSON."""
    made: list[dict[str, Any]] = [
        {
            "name": f"function_{n}",
            "description": seed,
            "parametersJsonSchema": {
                "$schema": "http://json-schema.org/draft-07/schema#",
                "title": f"Function{n}Parameters",
                "type": "object",
                "properties": {
                    f"property_{k}": {
                        "title": f"Property {k}",
                        "type": ["string", "integer", "boolean"][k % 3],
                        "description": seed + _WORDS[: 60 + 10 * k],
                    }
                    for k in range(6)
                },
                "required": ["property_0", "property_1"],
                "additionalProperties": False,
            },
        }
        for n in range(_FUNCTIONS)
    ]
    at = 0
    while len(json.dumps(made, separators=(",", ":"))) < size:
        made[at % _FUNCTIONS]["description"] += _WORDS
        at += 1
    return made


def box(declared: list[dict[str, Any]]) -> Toolbox:
    return Toolbox(
        tuple(
            Tool(d["name"], d["description"], d["parametersJsonSchema"])
            for d in json.loads(json.dumps(declared))
        )
    )


def milliseconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return (time.perf_counter() - began) * 1000


def checked(tools: Toolbox) -> None:
    for tool in tools.tools:
        check(tool.parameters, "parameters")


def read(answer: str) -> None:
    reader, size = Reader(frozenset({"function_1"})), len(answer) // 1000
    for at in range(0, len(answer), size):
        reader.feed(answer[at : at + size])
    reader.finish()


def row(name: str, first: list[float], again: list[float]) -> None:
    print(f"{name:<34}{statistics.median(first):>10.3f} ms{statistics.median(again):>12.3f} ms")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kilobytes", type=int, default=31, help="size of the declarations (default 31)")
    size = parser.parse_args().kilobytes * 1000
    rounds = 15
    kinds: dict[str, tuple[list[float], list[float]]] = {
        name: ([], []) for name in ("check of the schemas", "instructions", "judge of the answer")
    }
    instructions = Instructions()
    text = ""
    for n in range(rounds):
        declared = declarations(size, f"Seed {n}. ")
        for times in range(2):
            tools = box(declared)
            work: dict[str, Callable[[], object]] = {
                "check of the schemas": partial(checked, tools),
                "instructions": partial(instructions.frame, tools, None),
                "judge of the answer": partial(Judge, tools, None),
            }
            for name, step in work.items():
                kinds[name][times].append(milliseconds(step))
        frame = instructions.frame(box(declared), None)
        text = flatten((Message("user", (Text("Hi"),)),), frame=frame).text
    print(
        f"declarations as sent {size} characters; the whole prompt {len(text)} characters, about {estimate(text)} tokens"
    )
    print(f"{'':<34}{'first':>13}{'known':>15}")
    for name, (first, again) in kinds.items():
        row(name, first, again)
    for name, answer in (
        ("prose", "It is a long answer in words, with `code` and [links](x). " * 350),
        (
            "one call",
            '```tool_call\n{"name":"function_1","arguments":{"property_0":"' + "line\\n" * 3300 + '"}}\n```',
        ),
    ):
        spent = milliseconds(partial(read, answer))
        print(f"{'reading 1000 deltas, ' + name:<34}{spent:>10.3f} ms")


if __name__ == "__main__":
    main()
