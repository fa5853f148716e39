"""Google's dialect of schemas (a subset of OpenAPI 3.0) as JSON Schema. Pure."""

import re
from collections.abc import Mapping
from typing import Any

_SPELLINGS = {
    "any_of": "anyOf", "min_items": "minItems", "max_items": "maxItems", "min_length": "minLength",
    "max_length": "maxLength", "min_properties": "minProperties", "max_properties": "maxProperties",
    "property_ordering": "propertyOrdering", "additional_properties": "additionalProperties",
    "prefix_items": "prefixItems", "one_of": "oneOf", "all_of": "allOf",
}  # fmt: skip
_COUNTS = {"minItems", "maxItems", "minLength", "maxLength", "minProperties", "maxProperties"}
_LIMITS = {"minimum", "maximum"}
_LISTS = {"anyOf", "oneOf", "allOf", "prefixItems"}
_MAPS = {"properties", "$defs", "definitions"}
_ONES = {"items", "additionalProperties", "not"}
_NUMBER = re.compile(r"-?\d{1,18}(\.\d{1,18})?([eE][-+]?\d{1,2})?", re.ASCII)
_DROPPED = {"propertyOrdering", "nullable", "example"}
_DEPTH = 100


def from_openapi(schema: Any) -> Any:
    """The JSON Schema that means the same: types in small letters, `nullable` as a type of its own, counts that were
    written as text as numbers, properties in the order of `propertyOrdering`.

    Never fails: what is no schema comes back as it is, and `core.schemas.check` says what is wrong with it.
    """
    return _translated(schema, _DEPTH)


def _translated(schema: Any, depth: int) -> Any:
    if not isinstance(schema, Mapping) or not depth:
        return schema
    given: dict[str, Any] = {_SPELLINGS.get(key, str(key)): value for key, value in schema.items()}
    out: dict[str, Any] = {}
    for key, value in given.items():
        if key in _LISTS and isinstance(value, list | tuple):
            out[key] = [_translated(sub, depth - 1) for sub in value]
        elif key in _MAPS and isinstance(value, Mapping):
            out[key] = {name: _translated(sub, depth - 1) for name, sub in value.items()}
        elif key in _ONES:
            out[key] = _translated(value, depth - 1)
        elif key in _COUNTS:
            out[key] = _count(value)
        elif key in _LIMITS:
            out[key] = _limit(value)
        elif key == "type":
            kind = _kind(value)
            if kind != "type_unspecified":
                out[key] = kind
        elif key not in _DROPPED:
            out[key] = value
    _order(out, given.get("propertyOrdering"))
    if given.get("nullable") is True:
        _allow_null(out)
    return out


def _kind(value: Any) -> Any:
    if isinstance(value, str):
        return value.lower()
    return [_kind(one) for one in value] if isinstance(value, list) else value


def _count(value: Any) -> Any:
    """Google writes int64 as text."""
    if isinstance(value, str) and value.isascii() and value.isdecimal() and len(value) < 19:
        return int(value)
    return value


def _limit(value: Any) -> Any:
    """A number that may be written as text, too."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if set(value) & set(".eE") else int(value)
    return value


def _order(out: dict[str, Any], ordering: Any) -> None:
    properties = out.get("properties")
    if isinstance(ordering, list) and isinstance(properties, dict):
        first = [name for name in ordering if isinstance(name, str) and name in properties]
        out["properties"] = {name: properties[name] for name in [*dict.fromkeys(first), *properties]}


def _allow_null(out: dict[str, Any]) -> None:
    kind = out.get("type")
    if isinstance(kind, str) and kind != "null":
        out["type"] = [kind, "null"]
    elif isinstance(kind, list) and "null" not in kind:
        out["type"] = [*kind, "null"]
    if isinstance(out.get("enum"), list) and None not in out["enum"]:
        out["enum"] = [*out["enum"], None]
    if isinstance(out.get("anyOf"), list):
        out["anyOf"] = [*out["anyOf"], {"type": "null"}]
