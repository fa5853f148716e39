"""Values that say the right thing in the wrong type are brought to their schema, where that needs no guess. Pure."""

import re
from collections.abc import Mapping
from typing import Any

from engine.shaping.lenient import NoJson, strict

_INTEGER = re.compile(r"[-+]?\d{1,18}")
_NUMBER = re.compile(r"[-+]?\d{1,18}(\.\d{1,18})?([eE][-+]?\d{1,2})?")
_REFERENCES = 8
_LEVELS = 64


def fitted(schema: Any, value: Any, root: Any = None, level: int = 0) -> Any:
    """`value`, or a copy in which "5" is 5 for an integer, "true" a boolean, JSON text the object or list that it says, 5 the
    text "5", null left out of what need not be there, and a word spelled as its enumeration spells it.

    Whether it keeps the schema then is for `core.schemas` to say.
    """
    root = schema if root is None else root
    schema = _referred(schema, root)
    if not isinstance(schema, Mapping) or level > _LEVELS:
        return value
    for key in ("anyOf", "oneOf"):
        if isinstance(options := schema.get(key), list | tuple):
            return _first_fit(options, value, root, level)
    value = _retyped(_types(schema), value)
    if isinstance(value, dict):
        return _object(schema, value, root, level)
    if isinstance(value, list) and isinstance(items := schema.get("items"), Mapping):
        return [fitted(items, item, root, level + 1) for item in value]
    return _spelled(schema.get("enum"), value)


def _object(schema: Mapping[str, Any], value: dict[str, Any], root: Any, level: int) -> dict[str, Any]:
    known, required = schema.get("properties"), schema.get("required")
    if not isinstance(known, Mapping):
        return value
    out: dict[str, Any] = {}
    for key, item in value.items():
        if key not in known:
            out[key] = item
            continue
        there = fitted(known[key], item, root, level + 1)
        needed = isinstance(required, list | tuple) and key in required
        if there is not None or needed or _takes_null(known[key], root):
            out[key] = there
    return out


def _first_fit(options: list[Any] | tuple[Any, ...], value: Any, root: Any, level: int) -> Any:
    for option in options:
        there = fitted(option, value, root, level + 1)
        types = _types(_referred(option, root))
        if not types or _type(there) in types or (_type(there) == "integer" and "number" in types):
            return there
    return value


def _retyped(types: tuple[str, ...], value: Any) -> Any:
    if not types or _type(value) in types:
        return value
    if isinstance(value, str):
        return _from_text(types, value.strip(), value)
    if isinstance(value, bool):
        return str(value).lower() if types == ("string",) else value
    if isinstance(value, float) and value.is_integer() and "integer" in types:
        return int(value)
    if isinstance(value, int | float) and "string" in types and "number" not in types:
        return str(value)
    return value


def _from_text(types: tuple[str, ...], text: str, value: str) -> Any:
    if "integer" in types and _INTEGER.fullmatch(text):
        return int(text)
    if "number" in types and _NUMBER.fullmatch(text):
        return int(text) if _INTEGER.fullmatch(text) else float(text)
    if "boolean" in types and text.lower() in ("true", "false"):
        return text.lower() == "true"
    if "null" in types and text.lower() in ("null", "none", ""):
        return None
    if text[:1] in ("{", "[") and ("object" if text[0] == "{" else "array") in types:
        try:
            return strict(text)
        except NoJson:
            return value
    return value


def _spelled(enum: Any, value: Any) -> Any:
    if not isinstance(value, str) or not isinstance(enum, list | tuple) or value in enum:
        return value
    alike = [word for word in enum if isinstance(word, str) and word.lower() == value.strip().lower()]
    return alike[0] if len(alike) == 1 else value


def _takes_null(schema: Any, root: Any) -> bool:
    schema = _referred(schema, root)
    if not isinstance(schema, Mapping):
        return True
    types = _types(schema)
    options = schema.get("anyOf") or schema.get("oneOf") or ()
    enum = schema.get("enum") or (None,)
    return (not types or "null" in types) and (
        None in enum and (not options or any(_takes_null(option, root) for option in options))
    )


def _referred(schema: Any, root: Any) -> Any:
    for _ in range(_REFERENCES):
        ref = schema.get("$ref") if isinstance(schema, Mapping) else None
        if not isinstance(ref, str):
            return schema
        if ref != "#" and not ref.startswith("#/"):
            return None  # by an anchor: taken as it is
        schema = root
        for step in ref.split("/")[1:]:
            schema = (
                schema.get(step.replace("~1", "/").replace("~0", "~"))
                if isinstance(schema, Mapping)
                else None
            )
    return schema


def _types(schema: Any) -> tuple[str, ...]:
    said = schema.get("type") if isinstance(schema, Mapping) else None
    return (said,) if isinstance(said, str) else tuple(said or ())


def _type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case dict():
            return "object"
        case _:
            return "array"
