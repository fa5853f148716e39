"""What a JSON Schema is made of, found by reading it as a schema and not as any JSON: a property that is called `$ref`
is none. Pure; knows no validator.
"""

import math
from collections.abc import Iterator
from typing import Any

from msgspec import Struct

_ONE_HERE = ("not", "if", "then", "else")
_LIST_HERE = ("allOf", "anyOf", "oneOf")
_ONE_BELOW = (
    "items", "contains", "additionalItems", "additionalProperties", "propertyNames", "unevaluatedItems",
    "unevaluatedProperties", "contentSchema",
)  # fmt: skip
_LIST_BELOW = ("prefixItems", "items")
_MAP_BELOW = ("properties", "patternProperties")
_MAP_HERE = ("dependentSchemas", "dependencies")
_MAP_ASIDE = ("$defs", "definitions")
_NO_SCHEMAS = ("enum", "const", "default", "examples", "required")
_DYNAMIC = ("$dynamicRef", "$recursiveRef")

_HERE = 32
"""Levels of subschemas that judge one and the same value. A checker in native code goes that deep on its stack."""
_SUBSCHEMAS = 5000
_UNEVALUATED = 4
"""Each one looks again at all that was looked at below it, so that nested ones double the work."""


class Fault(Exception):
    """`path` leads to the place in the schema (`.properties.a.type`), `why` says what is wrong and what to do."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(why)
        self.path = path
        self.why = why


class Part(Struct, eq=False):
    """One subschema. here: those that judge the same value; below: those that judge what is in it."""

    raw: dict[str, Any]
    path: str
    here: list["Part"]
    below: list["Part"]
    properties: dict[str, "Part"]
    aside: list["Part"]
    weight: int = 1


class Outline:
    """All subschemas of `root` (plain JSON). Raises Fault for what has no meaning or no bound."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._parts: dict[int, Part] = {}
        self._todo: list[Part] = []
        self._unevaluated = 0
        self._anchors = _anchors(root)
        self._targets: dict[int, Any] = {}
        self.top = self._part(root, "")
        while self._todo:
            self._read(self._todo.pop())
        self._bound_here()
        self.size = self._size()
        """Subschemas with every reference written out, infinite where the schema contains itself."""

    def __iter__(self) -> Iterator[Part]:
        return iter(self._parts.values())

    def referred(self, raw: Any) -> Any:
        """Where the `$ref` of a subschema leads."""
        return self._targets.get(id(raw), True)

    def steps(self, value: Any, limit: int) -> int:
        """At most so many times a subschema meets a piece of `value`; above `limit` any number above it."""
        pieces = _pieces(value, limit)
        if self.size * pieces <= limit:
            return int(self.size * pieces)
        return _Meetings(limit // 50).of(self.top, value)

    def _part(self, raw: Any, path: str) -> Part:
        if isinstance(raw, bool):
            return Part({}, path, [], [], {}, [])
        if not isinstance(raw, dict):
            raise Fault(path, "must be a JSON Schema: an object, true or false")
        known = self._parts.get(id(raw))
        if known is None:
            known = self._parts[id(raw)] = Part(raw, path, [], [], {}, [])
            self._todo.append(known)
            if len(self._parts) > _SUBSCHEMAS:
                raise Fault("", f"has more than {_SUBSCHEMAS} subschemas; send a smaller one")
        return known

    def _read(self, part: Part) -> None:
        raw, path = part.raw, part.path
        for key in _DYNAMIC:
            if key in raw:
                raise Fault(f"{path}.{key}", "is not supported; use $ref with a path such as #/$defs/Name")
        enum = raw.get("enum")
        part.weight = 1 + (len(enum) // 8 if isinstance(enum, list) else 0)
        if any(key.startswith("unevaluated") for key in raw):
            self._unevaluated += 1
            if self._unevaluated > _UNEVALUATED:
                raise Fault(
                    path, f"is one of more than {_UNEVALUATED} with unevaluated...; use additionalProperties"
                )
        for key in _ONE_HERE:
            if key in raw:
                part.here.append(self._part(raw[key], f"{path}.{key}"))
        for key in _LIST_HERE:
            part.here += self._listed(raw, key, path)
        for key in _ONE_BELOW:
            if key in raw and not (key == "items" and isinstance(raw[key], list)):
                part.below.append(self._part(raw[key], f"{path}.{key}"))
        for key in _LIST_BELOW:
            if isinstance(raw.get(key), list):
                part.below += self._listed(raw, key, path)
        for key in _MAP_HERE:
            part.here += [sub for _, sub in self._mapped(raw, key, path)]
        for key in _MAP_ASIDE:
            part.aside += [sub for _, sub in self._mapped(raw, key, path)]
        for key in _MAP_BELOW:
            for name, sub in self._mapped(raw, key, path):
                if key == "properties":
                    part.properties[name] = sub
                else:
                    part.below.append(sub)
        if "$ref" in raw:
            part.here.append(self._target(raw, f"{path}.$ref"))

    def _listed(self, raw: dict[str, Any], key: str, path: str) -> list[Part]:
        if key not in raw:
            return []
        if not isinstance(raw[key], list):
            raise Fault(f"{path}.{key}", "must be a list of schemas")
        return [self._part(sub, f"{path}.{key}[{n}]") for n, sub in enumerate(raw[key])]

    def _mapped(self, raw: dict[str, Any], key: str, path: str) -> Iterator[tuple[str, Part]]:
        if key not in raw:
            return
        if not isinstance(raw[key], dict):
            raise Fault(f"{path}.{key}", "must be an object of schemas by name")
        for name, sub in raw[key].items():
            if not (key == "dependencies" and isinstance(sub, list)):
                yield name, self._part(sub, f"{path}.{key}.{name}")

    def _target(self, raw: dict[str, Any], path: str) -> Part:
        ref = raw["$ref"]
        if not isinstance(ref, str):
            raise Fault(path, "must be text such as #/$defs/Name")
        if ref[:1] == "#" and ref[1:] in self._anchors:
            # As a path, since anchors are taken out before the schema is compiled.
            ref = raw["$ref"] = self._anchors[ref[1:]]
        if ref != "#" and not ref.startswith("#/"):
            raise Fault(
                path,
                "must stay within the schema: only #, paths such as #/$defs/Name and anchors that are in it are followed",
            )
        at = self._root
        for written in ref.split("/")[1:]:
            step = written.replace("~1", "/").replace("~0", "~")
            if isinstance(at, dict) and step in at:
                at = at[step]
            elif isinstance(at, list) and step.isascii() and step.isdecimal() and int(step[:6]) < len(at):
                at = at[int(step[:6])]
            else:
                raise Fault(path, f"points to {ref!r:.100}, which is not in the schema")
        if not isinstance(at, dict | bool):
            raise Fault(path, f"points to {ref!r:.100}, which is no schema")
        self._targets[id(raw)] = at
        return self._part(at, ref.replace("/", ".")[1:])

    def _bound_here(self) -> None:
        deep: dict[int, int] = {}

        def depth(part: Part, level: int) -> int:
            known = deep.get(id(part))
            if known is None and level <= _HERE:
                known = deep[id(part)] = 1 + max((depth(sub, level + 1) for sub in part.here), default=0)
            if known is None or level + known > _HERE:
                raise Fault(part.path, f"refers to itself without end, or stacks more than {_HERE} levels")
            return known

        for part in self._parts.values():
            depth(part, 0)

    def _size(self) -> float:
        sizes: dict[int, float] = {}
        stack: list[tuple[Part, bool]] = [(self.top, False)]
        open_: set[int] = set()
        while stack:
            part, done = stack.pop()
            subs = [*part.here, *part.below, *part.properties.values()]
            if done:
                open_.discard(id(part))
                sizes[id(part)] = part.weight + sum(sizes[id(sub)] for sub in subs)
            elif id(part) in open_:
                return math.inf
            elif id(part) not in sizes:
                open_.add(id(part))
                stack.append((part, True))
                for sub in subs:
                    if id(sub) in open_:
                        return math.inf
                    if id(sub) not in sizes:
                        stack.append((sub, False))
        return sizes[id(self.top)]


class _Meetings:
    """Counts them pair by pair; gives up with a number without end where there are too many pairs to look at."""

    def __init__(self, pairs: int) -> None:
        self._pairs = pairs
        self._known: dict[tuple[int, int], int] = {}

    def of(self, part: Part, value: Any) -> int:
        try:
            return self._count(part, value)
        except RecursionError:
            return 1 << 62

    def _count(self, part: Part, value: Any) -> int:
        key = (id(part), id(value))
        if key in self._known:
            return self._known[key]
        if len(self._known) > self._pairs:
            raise RecursionError
        total = part.weight + sum(self._count(sub, value) for sub in part.here)
        if isinstance(value, dict):
            for name, piece in value.items():
                if name in part.properties:
                    total += self._count(part.properties[name], piece)
                for sub in part.below:
                    total += self._count(sub, piece)
        elif isinstance(value, list):
            for piece in value:
                for sub in part.below:
                    total += self._count(sub, piece)
        self._known[key] = total
        return total


def _anchors(root: Any) -> dict[str, str]:
    """The paths of subschemas that have a `$anchor`, by its name."""
    found: dict[str, str] = {}
    todo: list[tuple[Any, str]] = [(root, "#")]
    while todo:
        at, path = todo.pop()
        if isinstance(at, dict):
            if isinstance(name := at.get("$anchor"), str) and name and "/" not in name:
                found.setdefault(name, path)
            todo += [
                (sub, f"{path}/{key.replace('~', '~0').replace('/', '~1')}")
                for key, sub in at.items()
                if key not in _NO_SCHEMAS and isinstance(sub, dict | list)
            ]
        elif isinstance(at, list):
            todo += [(sub, f"{path}/{n}") for n, sub in enumerate(at) if isinstance(sub, dict | list)]
    return found


def _pieces(value: Any, limit: int) -> int:
    count, todo = 0, [value]
    while todo and count <= limit:
        at = todo.pop()
        count += 1
        if isinstance(at, dict):
            todo.extend(at.values())
        elif isinstance(at, list):
            todo.extend(at)
    return count


def depth(value: Any, limit: int) -> int:
    """Levels of objects and lists in `value`; above `limit` any number above it."""
    level, row = 0, [value]
    while level <= limit:
        row = [
            piece
            for at in row
            if isinstance(at, dict | list)
            for piece in (at.values() if isinstance(at, dict) else at)
        ]
        if not row:
            return level
        level += 1
    return level
