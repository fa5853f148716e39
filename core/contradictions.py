"""Schemas that no value keeps, as far as that is told cheaply: by what stands at one place and at those that must be there.
Pure; what is not sure is passed over, since an answer is still held to the schema.
"""

from collections.abc import Callable, Mapping
from typing import Any

from core.subschemas import Fault

_KINDS = frozenset({"null", "boolean", "integer", "number", "string", "object", "array"})
OBJECT = frozenset({"object"})
_LEVELS = 200
_ALTERNATIVES = 3
"""Levels of what stands in alternatives are looked at."""
_WORK = 20_000
"""Subschemas are looked at so many times in all."""
_BOUNDS = (
    ("minLength", "maxLength", frozenset({"string"})), ("minItems", "maxItems", frozenset({"array"})),
    ("minProperties", "maxProperties", OBJECT), ("minimum", "maximum", frozenset({"integer", "number"})),
)  # fmt: skip


def refuse_contradictions(root: Any, referred: Callable[[Any], Any], *, an_object: bool) -> None:
    """Raise Fault where `root` can be kept by no value; an_object: by none that is an object. referred: where the `$ref` of a
    subschema leads."""
    _Search(referred, [_WORK]).at(root, "", OBJECT if an_object else _KINDS, 0)


class _Search:
    def __init__(self, referred: Callable[[Any], Any], work: list[int]) -> None:
        self._referred = referred
        self._work = work
        self._well: set[tuple[int, frozenset[str]]] = set()
        self._open: set[tuple[int, frozenset[str]]] = set()

    def at(self, schema: Any, path: str, kinds: frozenset[str], level: int) -> None:
        """Go through what every value of these kinds has to keep here and in its required parts."""
        if schema is False:
            raise Fault(path, "is false, and no value keeps that; leave it out or say what is wanted")
        key = id(schema), kinds
        if key in self._open:
            raise Fault(
                path, "requires itself, so that no value ever ends; make the place optional or nullable"
            )
        self._work[0] -= 1
        if not isinstance(schema, Mapping) or level > _LEVELS or key in self._well or self._work[0] < 0:
            return
        self._open.add(key)
        self._here(schema, path, kinds, level)
        self._open.discard(key)
        self._well.add(key)

    def _here(self, schema: Mapping[str, Any], path: str, kinds: frozenset[str], level: int) -> None:
        left = _left(schema, path, kinds)
        if "$ref" in schema:
            self.at(self._referred(schema), f"{path}.$ref", left, level + 1)
        for n, sub in enumerate(_listed(schema, "allOf")):
            self.at(sub, f"{path}.allOf[{n}]", left, level + 1)
        for key in ("anyOf", "oneOf"):
            self._one_of(_listed(schema, key), f"{path}.{key}", left, level)
        if left == OBJECT:
            self._required(schema, path, level)
        if (
            left == {"array"}
            and _number(schema.get("minItems"))
            and isinstance(schema.get("items"), Mapping | bool)
            and not _listed(schema, "prefixItems")
        ):
            self.at(schema["items"], f"{path}.items", _KINDS, level + 1)

    def _one_of(self, options: list[Any], path: str, kinds: frozenset[str], level: int) -> None:
        first: Fault | None = None
        for n, option in enumerate(options):
            try:
                _Search(self._referred, self._work).at(
                    option, f"{path}[{n}]", kinds, max(level + 1, _LEVELS - _ALTERNATIVES)
                )
            except Fault as fault:
                first = first or fault
            else:
                return
        if first is not None:
            raise first

    def _required(self, schema: Mapping[str, Any], path: str, level: int) -> None:
        known = schema.get("properties", {})
        closed = schema.get("additionalProperties") is False and not schema.get("patternProperties")
        for n, name in enumerate(_listed(schema, "required")):
            if not isinstance(name, str) or not isinstance(known, Mapping):
                continue
            if name in known:
                self.at(known[name], f"{path}.properties.{name}", _KINDS, level + 1)
            elif closed:
                raise Fault(
                    f"{path}.required[{n}]",
                    f"is {name!r:.80}, which is none of the properties, and additionalProperties is false; add the"
                    " property or leave the name out",
                )


def _left(schema: Mapping[str, Any], path: str, kinds: frozenset[str]) -> frozenset[str]:
    """The kinds of values that are left by the type and the values that are named."""
    if "type" in schema:
        said = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        wanted = {kind for kind in said if isinstance(kind, str)}
        wanted |= {"integer"} if "number" in wanted else set()
        left = kinds & wanted
        if not left:
            raise Fault(f"{path}.type", f"must allow {' or '.join(sorted(kinds))} here, and does not")
        kinds = left
    for key in ("enum", "const"):
        if key not in schema:
            continue
        values = schema[key] if key == "enum" else [schema[key]]
        if not isinstance(values, list):
            continue
        fit = frozenset(kind for value in values for kind in _kinds_of(value))
        if not kinds & fit:
            raise Fault(
                f"{path}.{key}", f"has no value of type {' or '.join(sorted(kinds))}; correct one of the two"
            )
        kinds &= fit
    for low, high, of in _BOUNDS:
        least, most = _number(schema.get(low)), _number(schema.get(high))
        if least is not None and most is not None and least > most and kinds <= of:
            raise Fault(f"{path}.{low}", f"is above {high}; correct one of the two")
    return kinds


def _kinds_of(value: Any) -> tuple[str, ...]:
    match value:
        case None:
            return ("null",)
        case bool():
            return ("boolean",)
        case int():
            return ("integer", "number")
        case float():
            return ("integer", "number") if value.is_integer() else ("number",)
        case str():
            return ("string",)
        case dict():
            return ("object",)
        case _:
            return ("array",)


def _number(value: Any) -> int | float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


def _listed(schema: Mapping[str, Any], key: str) -> list[Any]:
    found = schema.get(key)
    return found if isinstance(found, list) else []
