"""What a text says that values can be made of: names, numbers, sums, quotations. Pure."""

import re
from functools import cached_property
from itertools import islice
from typing import Any

_READ = 4000
"""Characters of a text that are looked at."""
_LONGEST_NUMBER = 15
_NUMBERS = 100
_LONGEST_SAID = 200
_LOOKED_AT = 50
"""Properties of a schema at most."""
_BEGINS = re.compile(r"\b(?=\w)")
_WHERE = re.compile(r"city|location|place|town|destination|origin|country|region|where", re.IGNORECASE)
_WHO = re.compile(r"name|person|author|user|who|title", re.IGNORECASE)
_WHOLE = re.compile(r"query|question|text|prompt|message|input|content|search|topic|^q$", re.IGNORECASE)
_SUM = re.compile(r"expression|formula|equation", re.IGNORECASE)
_NAMES = re.compile(r"[^\W\d_a-z][\w'\u2019-]*(?: [^\W\d_a-z][\w'\u2019-]*)*")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?")
_TERM = re.compile(r"[\d(][\d\s.()+*/^-]{0,200}[\d)]")
_QUOTED = re.compile(r"[\"\u201c]([^\"\u201d]+)[\"\u201d]")
_NO_NAMES = frozenset(["a", "an", "and", "are", "book", "call", "can", "compare", "could", "do", "does", "extract", "find", "for", "get", "give", "hello", "hey", "hi", "how", "i", "in", "is", "it", "json", "list", "look", "make", "my", "please", "return", "search", "send", "set", "show", "tell", "the", "there", "this", "use", "weather", "what", "what's", "whats", "when", "where", "which", "who", "why", "will", "with", "would", "write", "you"])  # fmt: skip


class _Said:
    """What is read of a text once."""

    def __init__(self, text: str) -> None:
        self.text = " ".join(text[:_READ].split())
        self.names = _names(self.text)
        found = [n for n in _NUMBER.findall(self.text) if len(n) <= _LONGEST_NUMBER][:_NUMBERS]
        self.numbers: list[int | float] = [float(n) if "." in n else int(n) for n in found]

    @cached_property
    def marked(self) -> str:
        return _marked(self.text)

    @cached_property
    def term(self) -> str:
        """The first sum."""
        return next((t for t in _TERM.findall(self.text) if set(t) & set("-+*/^")), "").strip()

    @cached_property
    def quoted(self) -> str:
        return found[1] if (found := _QUOTED.search(self.text)) else ""


class Words:
    """What can be taken from a text. Names and numbers are used up one after another, the last one again and again."""

    def __init__(self, text: str) -> None:
        self._said = _Said(text)
        self.names = list(self._said.names)
        self._numbers = list(self._said.numbers)

    def alone(self, name: str) -> "Words":
        """The same with this name only."""
        words = Words.__new__(Words)
        words._said, words.names, words._numbers = self._said, [name], list(self._said.numbers)
        return words

    def name(self) -> str | None:
        return self.names[0] if self.names else None

    def number(self) -> int | float | None:
        if len(self._numbers) > 1:
            return self._numbers.pop(0)
        return self._numbers[0] if self._numbers else None

    def says(self, value: object) -> bool:
        """Whether the value stands there, as the beginning of a word at least."""
        if not isinstance(value, str | int | float) or (
            isinstance(value, str | int) and _length(value) > _LONGEST_SAID
        ):
            return False
        said = str(value).replace("_", " ").strip()
        return bool(said) and _marked(said) in self._said.marked

    def meant_for(self, name: str) -> str:
        """What of the text goes into a property of that name, '' for nothing."""
        name = name[:_LONGEST_SAID]
        if _SUM.search(name) and self._said.term:
            return self._said.term
        if _WHOLE.search(name):
            return self._said.text[:200]
        if self._said.quoted:
            return self._said.quoted
        if _WHERE.search(name) or _WHO.search(name):
            return self.name() or ""
        return ""


def _length(value: str | int) -> int:
    """Characters that it has, about as many for a number."""
    return len(value) if isinstance(value, str) else value.bit_length() // 3


def _marked(text: str) -> str:
    """In small letters, with a mark where each word begins, so that only whole beginnings are found."""
    return _BEGINS.sub("\0", text.lower())


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
        isinstance(schema, dict)
        and schema.get("type") in ("string", ["string", "null"])
        and bool(_WHERE.search(name[:_LONGEST_SAID]))
    )


def names_words(items: object) -> bool:
    """Whether a list of such items may name what the words name."""
    if not isinstance(items, dict) or {"enum", "const", "pattern", "format"} & items.keys():
        return False
    properties: Any = items.get("properties")
    named = islice(properties, _LOOKED_AT) if isinstance(properties, dict) else ()
    return items.get("type") == "string" or any(
        _WHERE.search(name[:_LONGEST_SAID]) or _WHO.search(name[:_LONGEST_SAID]) for name in named
    )
