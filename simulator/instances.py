"""Values that keep a JSON Schema, made of somebody's words where that is easy. Pure, and the same every time.

Whatever the schema wants, time and size are bounded: what would be larger is cut, and then the schema is not kept.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from simulator.keywords import (
    FORMATS,
    LONGEST,
    Unsatisfiable,
    both,
    kind_of,
    least_of,
    led_to,
    list_of,
    mapping_of,
    most_of,
    size_of,
)
from simulator.numbers import number
from simulator.patterns import matching
from simulator.words import Words, is_where, names_words

MOST_ITEMS = 200
MOST_VALUES = 1000
MOST_CHARACTERS = 100_000
"""In all texts and names together; one more may be what the schema itself writes out."""
DEEPEST = 20
_DEEP = 6
"""Below this what is not required is left out, so that a schema that refers to itself comes to an end."""
_WORK = 10_000
"""Bounds the time: about as many properties looked at."""
_OPTIONS = 300
"""Of an enumeration and of a choice of schemas so many are looked at."""


class TooLarge(Unsatisfiable):
    """What was found so far is beyond the bounds."""


def instance(schema: object, words: Words, *, full: bool = True) -> Any:
    """A value that keeps the schema, or is cut at the bounds above. full: with what is not required as well. Raises
    Unsatisfiable where the schema contradicts itself."""
    try:
        return _Maker(schema, words, full, cut=False).make(schema, "", 0)
    except TooLarge:
        return _Maker(schema, words, full, cut=True).make(schema, "", 0)


class _Maker:
    """cut: what is beyond the bounds is null and left out; otherwise it raises TooLarge."""

    def __init__(self, root: object, words: Words, full: bool, *, cut: bool) -> None:
        self._root = root
        self._words = words
        self._full = full
        self._cut = cut
        self._values = MOST_VALUES
        self._work = _WORK
        self._characters = MOST_CHARACTERS
        self._found: dict[str, Any] = {}
        self._chosen: dict[int, Any] = {}
        self._refers: dict[int, bool] = {}
        self._spelled: dict[tuple[str, int, float], str | None] = {}

    def make(self, schema: object, name: str, depth: int) -> Any:
        """name: of the property that it is for."""
        self._values -= 1
        self._work -= 5
        if depth > DEEPEST or self._spent:
            return self._stop()
        if schema is False:
            raise Unsatisfiable("nothing is allowed")
        if not isinstance(schema, dict):
            return {}
        schema = self._flat(schema)
        if "const" in schema:
            return self._told(schema["const"])
        if options := list_of(schema, "enum"):
            return self._told(self._option(options))
        for key in ("anyOf", "oneOf"):
            if ways := list_of(schema, key):
                return self._first(schema, key, ways, name, depth)
        match kind_of(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return self._number(schema, whole=True)
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, name)

    @property
    def _spent(self) -> bool:
        return self._values < 0 or self._work < 0 or self._characters < 0

    def _stop(self) -> None:
        if not self._cut:
            raise TooLarge("it has no end")

    def _told(self, value: Any) -> Any:
        """A value that the schema writes out."""
        value, size = _sendable(value)
        self._characters -= size
        self._work -= size // 50
        return value

    def _option(self, options: list[Any]) -> Any:
        if id(options) not in self._chosen:
            looked_at = options[:_OPTIONS]
            self._work -= len(looked_at) * 2
            self._chosen[id(options)] = next((o for o in looked_at if self._words.says(o)), options[0])
        return self._chosen[id(options)]

    def _flat(self, schema: Mapping[str, Any]) -> Mapping[str, Any]:
        """With what it refers to, and all that it must keep at once, in one."""
        self._work -= len(schema) // 4
        if "$ref" not in schema and "allOf" not in schema:
            return schema
        merged = dict(schema)
        for _ in range(2 * DEEPEST):
            target = merged.pop("$ref", None)
            parts = [self._find(target)] if isinstance(target, str) else []
            parts += list_of(merged, "allOf")
            merged.pop("allOf", None)
            if not parts:
                return merged
            for part in parts:
                if self._spent:
                    self._stop()
                    return merged
                if part is False:
                    raise Unsatisfiable("nothing is allowed")
                if isinstance(part, dict):
                    self._work -= 5 + (size_of(merged) + size_of(part)) // 4
                    merged = both(merged, part)
        raise Unsatisfiable("it refers to itself")

    def _find(self, target: str) -> Any:
        if target not in self._found:
            self._found[target] = led_to(self._root, target)
        return self._found[target]

    def _first(self, schema: Mapping[str, Any], key: str, ways: list[Any], name: str, depth: int) -> Any:
        rest = {k: v for k, v in schema.items() if k != key}
        problem: Unsatisfiable | None = None
        self._work -= min(len(ways), _OPTIONS)
        ways = ways[:_OPTIONS]
        if depth < _DEEP:
            ways = sorted(ways, key=lambda way: isinstance(way, dict) and way.get("type") == "null")
        else:
            ways = sorted(ways, key=self._refers_on)
        for way in ways:
            if self._spent:
                return self._stop()
            self._work -= 5 + size_of(rest) // 4
            try:
                return self.make(both(rest, way) if isinstance(way, dict) else way, name, depth + 1)
            except Unsatisfiable as error:
                problem = error
        raise problem or Unsatisfiable("there is no choice")

    def _refers_on(self, value: Any, depth: int = 0) -> bool:
        """Whether a schema holds a reference, as far as it is looked at."""
        if not isinstance(value, dict | list) or depth > _DEEP or self._spent:
            return False
        if id(value) not in self._refers:
            self._work -= len(value)
            inner = value.values() if isinstance(value, dict) else value
            self._refers[id(value)] = "$ref" in value or any(self._refers_on(v, depth + 1) for v in inner)
        return self._refers[id(value)]

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties = mapping_of(schema, "properties")
        listed = [name for name in list_of(schema, "required") if isinstance(name, str)]
        required = frozenset(listed)
        self._work -= len(listed) // 4
        made: dict[str, Any] = {}

        def add(name: str, sub: object, called: str) -> None:
            value = self.make(sub, called, depth + 1)
            self._characters -= len(name)
            made[name] = value

        for name, sub in properties.items():
            self._work -= 3
            if self._spent:
                break
            if name in required or (self._full and depth < _DEEP) or self._mentioned(name, sub):
                try:
                    add(name, sub, name)
                except Unsatisfiable:
                    if name in required:
                        raise
        other = schema.get("additionalProperties", True)
        other = other if isinstance(other, dict) else {"type": "string"}
        for name in listed:
            if self._spent:
                break
            if name not in made:
                add(name, other, name)
        least = min(least_of(schema, "minProperties"), MOST_ITEMS)
        for n in range(1, least + 1):
            if len(made) >= least or self._spent:
                break
            add(f"key{n}", other, "")
        if self._spent:
            self._stop()
        return made

    def _mentioned(self, name: str, sub: object) -> bool:
        """Whether the words hold a value for what is not required."""
        if not isinstance(sub, dict):
            return False
        if options := list_of(sub, "enum"):
            return self._words.says(self._option(options))
        return is_where(name, sub) and self._words.name() is not None

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first, items = list_of(schema, "prefixItems"), schema.get("items", {})
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", {})
        least, most = min(least_of(schema, "minItems"), MOST_ITEMS), most_of(schema, "maxItems")
        made = [self.make(sub, name, depth + 1) for sub in first[:MOST_ITEMS] if not self._spent]
        wanted = max(least, 1) if self._full and depth < _DEEP and items is not False else least
        if names_words(items) and depth < _DEEP:
            wanted = max(wanted, min(len(self._words.names), 5))
        if isinstance(some := schema.get("contains"), dict) and items == {}:
            items = some
            wanted = max(wanted, 1)
        names, words = list(self._words.names), self._words
        while len(made) < min(wanted, most):
            if self._spent:
                self._stop()
                return made
            if items is False:
                raise Unsatisfiable("there are no more items")
            if n := names[len(made) % len(names)] if names else "":
                self._words = words.alone(n)
            try:
                item = self.make(items, name, depth + 1)
            finally:
                self._words = words
            if schema.get("uniqueItems") is True:
                self._work -= len(made)
                if item in made:
                    item = _another(items, item, len(made))
                    if item is None or item in made:
                        break
            made.append(item)
        if len(made) < least:
            raise Unsatisfiable("there are too few different items")
        return made

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> int | float:
        self._work -= 10
        found = number(schema, self._words.number(), whole=whole)
        if found is None:
            raise Unsatisfiable("no number lies there")
        return found

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        least, most = min(least_of(schema, "minLength"), LONGEST), min(most_of(schema, "maxLength"), LONGEST)
        if isinstance(pattern := schema.get("pattern"), str):
            text = self._matching(pattern, least, most)
        elif isinstance(form := schema.get("format"), str) and form in FORMATS:
            text = FORMATS[form]
        else:
            text = self._words.meant_for(name) or (name[:LONGEST].replace("_", " ") or "text")
            text = text if len(text) <= most else text[: int(most)].rstrip()
            text += "." * (least - len(text))
        self._characters -= len(text)
        return text

    def _matching(self, pattern: str, least: int, most: float) -> str:
        key = pattern, least, most
        if key not in self._spelled:
            self._work -= _WORK // 10
            self._spelled[key] = matching(pattern, least, most, LONGEST)
        text = self._spelled[key]
        if text is None:
            raise Unsatisfiable(f"no text was found for the pattern {pattern[:80]}")
        return text


def _another(items: object, item: Any, number: int) -> Any:
    options = items.get("enum") if isinstance(items, dict) else None
    if isinstance(options, list):
        return options[number] if number < len(options) else None
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    return f"{item} {number + 1}" if isinstance(item, str) else item + number


def _sendable(value: Any) -> tuple[Any, int]:
    """The value and the length of its JSON; null for what none can be written of."""
    try:
        return value, len(msgspec.json.encode(value))
    except (msgspec.EncodeError, OverflowError, RecursionError, TypeError, UnicodeError, ValueError):
        return None, 0
