"""compose.yaml as an engine would read it: interpolated, merged, and held to the specification's own schema.

`compose-spec.json` is the Compose Specification's (Apache-2.0, compose-spec/compose-spec, June 2026).
"""

import json
import re
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jsonschema_rs
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
VARIABLE = re.compile(r"(?<!\$)\$\{([A-Z][A-Z0-9_]*)(?::([-?+])([^}]*))?\}")


def read(environment: Mapping[str, str] | None = None) -> dict[str, Any]:
    """The whole file as plain values. Raises KeyError for a variable that has neither a value nor a default."""
    document = YAML(typ="safe").load((ROOT / "compose.yaml").read_text(encoding="utf-8"))
    found: dict[str, Any] = _interpolated(document, environment or {})
    return found


def _interpolated(node: Any, environment: Mapping[str, str]) -> Any:
    if isinstance(node, dict):
        return {key: _interpolated(value, environment) for key, value in node.items()}
    if isinstance(node, list):
        return [_interpolated(value, environment) for value in node]
    return interpolated(node, environment) if isinstance(node, str) else node


def interpolated(text: str, environment: Mapping[str, str]) -> str:
    def value(match: re.Match[str]) -> str:
        name, how, rest = match.groups()
        if how == "+":
            return rest if environment.get(name) else ""
        if environment.get(name):
            return environment[name]
        if how == "-":
            return rest
        raise KeyError(name)

    return VARIABLE.sub(value, text).replace("$$", "$")


def variables() -> set[str]:
    """What the file takes from the environment."""
    return {match[1] for match in VARIABLE.finditer((ROOT / "compose.yaml").read_text(encoding="utf-8"))}


def faults(document: Any) -> list[str]:
    """What the schema says against it."""
    schema = json.loads((Path(__file__).with_name("compose-spec.json")).read_text(encoding="utf-8"))
    validator = jsonschema_rs.validator_for(schema)
    return [
        f"{'.'.join(map(str, error.instance_path))}: {error.message}"
        for error in validator.iter_errors(document)
    ]


def make_secrets(directory: Path) -> Path:
    """The folder of secrets that deploy/secrets.sh makes in the directory, or completes."""
    script = directory / "deploy" / "secrets.sh"
    script.parent.mkdir(exist_ok=True)
    script.write_bytes((ROOT / "deploy/secrets.sh").read_bytes())
    subprocess.run(["sh", str(script)], check=True, capture_output=True)
    return directory / "secrets"
