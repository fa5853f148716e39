"""What the keywords of a JSON Schema say, whatever stands in them. Pure."""

import math
from collections.abc import Mapping
from typing import Any

from simulator.numbers import LARGEST, is_number

LONGEST = 20_000
"""Characters of one text at most."""
_LONGEST_REFERENCE = 1000
FORMATS = {
    "date": "2026-11-21",
    "date-time": "2026-11-21T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "P1D",
    "email": "ada@example.com",
    "idn-email": "ada@example.com",
    "hostname": "example.com",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "uri": "https://example.com/",
    "url": "https://example.com/",
    "uri-reference": "/",
    "uuid": "00000000-0000-4000-8000-000000000000",
    "json-pointer": "/a",
    "regex": ".*",
    "byte": "QQ==",
}


class Unsatisfiable(ValueError):
    """No value was found; the message says for what."""


def kind_of(schema: Mapping[str, Any]) -> str:
    """The type of a value for it, as it says or as its other keywords tell."""
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if isinstance(kind, str):
        return kind
    for key, implied in (
        ("properties", "object"),
        ("required", "object"),
        ("additionalProperties", "object"),
        ("items", "array"),
        ("prefixItems", "array"),
        ("minimum", "number"),
        ("maximum", "number"),
    ):
        if key in schema:
            return implied
    return "string"


def both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What keeps both, as far as that is told by putting them together."""
    merged = {**other, **one}
    if "properties" in one and "properties" in other:
        merged["properties"] = {**mapping_of(other, "properties"), **mapping_of(one, "properties")}
    for key in ("required", "allOf"):
        if key in one and key in other:
            merged[key] = [*list_of(one, key), *list_of(other, key)]
    return merged


def size_of(schema: Mapping[str, Any]) -> int:
    """How much putting it together with another one costs."""
    return len(schema) + sum(
        len(part)
        for key in ("properties", "required", "allOf")
        if isinstance(part := schema.get(key), list | dict)
    )


def led_to(root: object, target: str) -> Any:
    """What a reference stands for. Raises Unsatisfiable."""
    found: Any = root
    if len(target) > _LONGEST_REFERENCE:
        raise Unsatisfiable("a reference is too long")
    for step in target.removeprefix("#").split("/")[1:]:
        key = step.replace("~1", "/").replace("~0", "~")
        if isinstance(found, dict) and key in found:
            found = found[key]
        elif isinstance(found, list) and key.isdecimal() and int(key) < len(found):
            found = found[int(key)]
        else:
            raise Unsatisfiable(f"{target} is not there")
    return found


def list_of(schema: Mapping[str, Any], key: str) -> list[Any]:
    """What stands there, nothing where it is no list."""
    return found if isinstance(found := schema.get(key), list) else []


def mapping_of(schema: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """What stands there, nothing where it is no object."""
    return found if isinstance(found := schema.get(key), dict) else {}


def least_of(schema: Mapping[str, Any], key: str) -> int:
    """A least number of something, 0 for none."""
    found = schema.get(key)
    return math.ceil(min(found, LARGEST)) if is_number(found) and found > 0 else 0


def most_of(schema: Mapping[str, Any], key: str) -> float:
    """A largest number of something, infinity for none."""
    found = schema.get(key)
    return math.floor(max(0, min(found, LONGEST))) if is_number(found) else math.inf
