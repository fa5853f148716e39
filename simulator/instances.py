"""Values that keep a JSON Schema, made of somebody's words where that is easy. Pure, and the same every time."""

import math
import re
from collections.abc import Mapping
from typing import Any

from simulator.patterns import matching

_DEEP = 6
"""Below this what is not required is left out, so that a schema that refers to itself comes to an end."""
_DEEPEST = 40
_STEPS = 20_000
"""So many values are tried at most."""
_READ = 4000
"""Characters of the words that are looked at."""
_WHERE = re.compile(r"city|location|place|town|destination|origin|country|region|where", re.IGNORECASE)
_WHO = re.compile(r"name|person|author|user|who|title", re.IGNORECASE)
_WHOLE = re.compile(r"query|question|text|prompt|message|input|content|search|topic|^q$", re.IGNORECASE)
_SUM = re.compile(r"expression|formula|equation", re.IGNORECASE)
_NAMES = re.compile(r"[^\W\d_a-z][\w'\u2019-]*(?: [^\W\d_a-z][\w'\u2019-]*)*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_TERM = re.compile(r"[\d(][\d\s.()+*/^-]{0,200}[\d)]")
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]")
_NO_NAMES = frozenset(["a", "an", "and", "are", "book", "call", "can", "compare", "could", "do", "does", "extract", "find", "for", "get", "give", "hello", "hey", "hi", "how", "i", "in", "is", "it", "json", "list", "look", "make", "my", "please", "return", "search", "send", "set", "show", "tell", "the", "there", "this", "use", "weather", "what", "what's", "whats", "when", "where", "which", "who", "why", "will", "with", "would", "write", "you"])  # fmt: skip
_FORMATS = {
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


class Words:
    """What can be taken from a text. Names and numbers are used up one after another, the last one again and again."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text[:_READ].split())
        self.names = _names(self.text)
        self._numbers = [float(n) if "." in n else int(n) for n in _NUMBER.findall(self.text)]

    def alone(self, name: str) -> "Words":
        """The same with this name only."""
        words = Words(self.text)
        words.names = [name]
        return words

    def name(self) -> str | None:
        return self.names[0] if self.names else None

    def number(self) -> float | None:
        if len(self._numbers) > 1:
            return self._numbers.pop(0)
        return self._numbers[0] if self._numbers else None

    def says(self, value: object) -> bool:
        said = str(value).replace("_", " ").strip()
        return bool(said) and re.search(rf"\b{re.escape(said)}", self.text, re.IGNORECASE) is not None


def _names(text: str) -> list[str]:
    """Capitalised words, those at the start of a sentence only where there are no others."""
    inside: list[str] = []
    first: list[str] = []
    for found in _NAMES.finditer(text):
        start = found.start() == 0 or text[: found.start()].rstrip()[-1:] in '.!?:"'
        words = found[0].split(" ")
        while words and words[0].lower().rstrip("'\u2019s") in _NO_NAMES:
            words.pop(0)
            start = False
        if words and len(name := " ".join(words)) > 1:
            (first if start else inside).append(name.removesuffix("'s").removesuffix("\u2019s"))
    return list(dict.fromkeys(inside or first))


def is_where(name: str, schema: object) -> bool:
    """Whether a property of that name takes the name of a place."""
    return (
        isinstance(schema, Mapping)
        and schema.get("type") in ("string", ["string", "null"])
        and bool(_WHERE.search(name))
    )


def instance(schema: object, words: Words, *, full: bool = True) -> Any:
    """A value that keeps the schema. full: with what is not required as well. Raises Unsatisfiable."""
    return _Maker(schema, words, full).make(schema, "", 0)


class _Maker:
    def __init__(self, root: object, words: Words, full: bool) -> None:
        self._root = root
        self._words = words
        self._full = full
        self._left = _STEPS

    def make(self, schema: object, name: str, depth: int) -> Any:
        """name: of the property that it is for."""
        self._left -= 1
        if depth > _DEEPEST or self._left < 0:
            raise Unsatisfiable("it has no end")
        if schema is False:
            raise Unsatisfiable("nothing is allowed")
        if not isinstance(schema, Mapping):
            return {}
        schema = self._flat(schema, depth)
        if "const" in schema:
            return schema["const"]
        if isinstance(options := schema.get("enum"), list) and options:
            return next((o for o in options if self._words.says(o)), options[0])
        for key in ("anyOf", "oneOf"):
            if isinstance(ways := schema.get(key), list) and ways:
                return self._first(schema, key, ways, name, depth)
        match _type(schema):
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, name, depth)
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return True
            case "null":
                return None
            case _:
                return self._string(schema, name)

    def _flat(self, schema: Mapping[str, Any], depth: int) -> Mapping[str, Any]:
        """With what it refers to, and all that it must keep at once, in one."""
        merged = dict(schema)
        for _ in range(_DEEPEST):
            target = merged.pop("$ref", None)
            parts = [self._find(target)] if isinstance(target, str) else []
            parts += merged.pop("allOf", [])
            if not parts:
                return merged
            for part in parts:
                if isinstance(part, Mapping):
                    merged = _both(merged, part)
        raise Unsatisfiable("it refers to itself")

    def _find(self, target: str) -> Any:
        found: Any = self._root
        for step in target.removeprefix("#").split("/")[1:]:
            key = step.replace("~1", "/").replace("~0", "~")
            if isinstance(found, Mapping) and key in found:
                found = found[key]
            elif isinstance(found, list) and key.isdigit() and int(key) < len(found):
                found = found[int(key)]
            else:
                raise Unsatisfiable(f"{target} is not there")
        return found

    def _first(self, schema: Mapping[str, Any], key: str, ways: list[Any], name: str, depth: int) -> Any:
        rest = {k: v for k, v in schema.items() if k != key}
        problem: Unsatisfiable | None = None
        if depth < _DEEP:
            ways = sorted(ways, key=lambda way: isinstance(way, Mapping) and way.get("type") == "null")
        else:
            ways = sorted(ways, key=lambda way: "$ref" in str(way))
        for way in ways:
            try:
                return self.make(_both(rest, way) if isinstance(way, Mapping) else way, name, depth + 1)
            except Unsatisfiable as error:
                problem = error
        raise problem or Unsatisfiable("there is no choice")

    def _object(self, schema: Mapping[str, Any], depth: int) -> dict[str, Any]:
        properties: Mapping[str, Any] = schema.get("properties") or {}
        required = [name for name in schema.get("required") or () if isinstance(name, str)]
        made: dict[str, Any] = {}
        for name, sub in properties.items():
            if name in required or (self._full and depth < _DEEP) or self._mentioned(name, sub):
                try:
                    made[name] = self.make(sub, name, depth + 1)
                except Unsatisfiable:
                    if name in required:
                        raise
        other = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self.make(
                    other if isinstance(other, Mapping) else {"type": "string"}, name, depth + 1
                )
        for number in range(1, 1000):
            if len(made) >= (schema.get("minProperties") or 0):
                break
            made[f"key{number}"] = self.make(
                other if isinstance(other, Mapping) else {"type": "string"}, "", depth + 1
            )
        return made

    def _mentioned(self, name: str, sub: object) -> bool:
        """Whether the words hold a value for what is not required."""
        if not isinstance(sub, Mapping):
            return False
        options = sub.get("enum")
        if isinstance(options, list):
            return any(self._words.says(option) for option in options)
        return is_where(name, sub) and self._words.name() is not None

    def _array(self, schema: Mapping[str, Any], name: str, depth: int) -> list[Any]:
        first, items = schema.get("prefixItems") or [], schema.get("items", {})
        if isinstance(items, list):
            first, items = items, schema.get("additionalItems", {})
        least, most = schema.get("minItems") or 0, schema.get("maxItems", math.inf)
        made = [self.make(sub, name, depth + 1) for sub in first]
        wanted = max(least, 1) if self._full and depth < _DEEP and items is not False else least
        if _type_of_words(items) and depth < _DEEP and items is not False:
            wanted = max(wanted, min(len(self._words.names), 5))
        if isinstance(some := schema.get("contains"), Mapping) and items == {}:
            items = some
            wanted = max(wanted, 1)
        names = list(self._words.names)
        while len(made) < min(wanted, most):
            if items is False:
                raise Unsatisfiable("there are no more items")
            maker = self
            if n := names[len(made) % len(names)] if names else "":
                maker = _Maker(self._root, self._words.alone(n), self._full)
            item = maker.make(items, name, depth + 1)
            if schema.get("uniqueItems") and item in made:
                item = _another(items, item, len(made))
                if item is None or item in made:
                    break
            made.append(item)
        if len(made) < least:
            raise Unsatisfiable("there are too few different items")
        return made

    def _number(self, schema: Mapping[str, Any], *, whole: bool) -> float:
        low, high = schema.get("minimum", -math.inf), schema.get("maximum", math.inf)
        step = schema.get("multipleOf") or (1 if whole else 0)
        gap = step or 0.5
        for key, sign in (("exclusiveMinimum", 1), ("exclusiveMaximum", -1)):
            bound = schema.get(key)
            if isinstance(bound, int | float) and not isinstance(bound, bool):
                low, high = (max(low, bound + gap), high) if sign > 0 else (low, min(high, bound - gap))
        said = self._words.number()
        candidates = [said, 1, low, high, 0, (low + high) / 2 if math.isfinite(low + high) else 0]
        for wanted in candidates:
            if wanted is None or not math.isfinite(wanted):
                continue
            value: float = math.ceil(wanted / step - 1e-9) * step if step else wanted
            if low <= value <= high and (not whole or float(value).is_integer()):
                return value
        raise Unsatisfiable("no number lies there")

    def _string(self, schema: Mapping[str, Any], name: str) -> str:
        least, most = schema.get("minLength") or 0, schema.get("maxLength", math.inf)
        if isinstance(pattern := schema.get("pattern"), str):
            text = matching(pattern, least, most)
            if text is None:
                raise Unsatisfiable(f"no text was found for the pattern {pattern[:80]}")
            return text
        if (form := schema.get("format")) in _FORMATS:
            return _FORMATS[form]
        text = self._said(name) or (name.replace("_", " ") or "text")
        text = text if len(text) <= most else text[: int(most)].rstrip()
        return text + "." * (least - len(text))

    def _said(self, name: str) -> str:
        words = self._words
        if _SUM.search(name) and (
            term := next((t for t in _TERM.findall(words.text) if set(t) & set("-+*/^")), "")
        ):
            return term.strip()
        if _WHOLE.search(name):
            return words.text[:200]
        if quoted := _QUOTED.search(words.text):
            return quoted[1]
        if _WHERE.search(name) or _WHO.search(name):
            return words.name() or ""
        return ""


def _type(schema: Mapping[str, Any]) -> str:
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


def _type_of_words(items: object) -> bool:
    """Whether a list of such items may name what the words name."""
    return (
        isinstance(items, Mapping)
        and (
            items.get("type") == "string"
            or any(_WHERE.search(k) or _WHO.search(k) for k in (items.get("properties") or {}))
        )
        and not {"enum", "const", "pattern", "format"} & set(items)
    )


def _both(one: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, Any]:
    """What keeps both, as far as that is told by putting them together."""
    merged = {**other, **one}
    for key in ("properties", "$defs"):
        if key in one and key in other:
            merged[key] = {**other[key], **one[key]}
    if "required" in one and "required" in other:
        merged["required"] = list(dict.fromkeys([*one["required"], *other["required"]]))
    if "allOf" in one and "allOf" in other:
        merged["allOf"] = [*one["allOf"], *other["allOf"]]
    return merged


def _another(items: object, item: Any, number: int) -> Any:
    options = items.get("enum") if isinstance(items, Mapping) else None
    if isinstance(options, list):
        return options[number] if number < len(options) else None
    if isinstance(item, bool) or not isinstance(item, int | float | str):
        return None
    return f"{item} {number + 1}" if isinstance(item, str) else item + number
