"""Google's services take every field in camelCase and in snake_case. One of them is enough for us."""

import re
from typing import Any

_SNAKE = re.compile("_([a-z0-9])")

OPAQUE = frozenset({"args", "response", "responseSchema", "responseJsonSchema", "safetySettings", "labels"})
"""Fields whose values are the caller's own data, or schemas, whose words `core.schemas` reads in either spelling: their
keys are left alone."""
DECLARATIONS = "functionDeclarations"
"""So are the schemas in them. Python's SDK spells these in snake_case, and all around them in camelCase."""


def camel_case(name: str) -> str:
    return _SNAKE.sub(lambda match: match[1].upper(), name)


def camelized(value: Any) -> Any:
    """The same JSON value with its objects' keys in camelCase. Where both spellings are given the
    camelCase one counts."""
    if isinstance(value, list):
        return [camelized(item) for item in value]
    if not isinstance(value, dict):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        name = camel_case(key) if "_" in key else key
        if name is not key and name in value:
            continue
        if name in OPAQUE:
            out[name] = item
        else:
            out[name] = _declared(item) if name == DECLARATIONS else camelized(item)
    return out


def _declared(value: Any) -> Any:
    if isinstance(value, list):
        return [_declared(item) for item in value]
    if not isinstance(value, dict):
        return value
    names = {key: camel_case(key) for key in value}
    return {name: value[key] for key, name in names.items() if name == key or name not in value}
