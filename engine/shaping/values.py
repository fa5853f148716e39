"""JSON that was asked for, found in an answer. Pure."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from core.schemas import Validator
from engine.shaping.fitting import fitted
from engine.shaping.lenient import Extent, NoJson, lenient, strict

_FENCE = re.compile(r"^[ \t]*(?:`{3,}|~{3,})[^\n`~{\[]*\n?(.*?)(?:`{3,}|~{3,}|\Z)", re.DOTALL | re.MULTILINE)
_BRACKET = re.compile(r"[{\[]")
_TRIED = 20
_EFFORT = 400_000
"""Characters that are read leniently of one answer."""
_ENDLESS = 3
"""So many brackets without an end are looked behind."""


class Kept(Struct, frozen=True):
    """A value that keeps its schema. repaired: it was not quite what stands in the answer."""

    value: Any
    repaired: bool


class Wrong(Struct, frozen=True):
    """There is JSON, and this is wrong with it."""

    why: str


class Rule:
    """What a value has to be: an object, or what a schema says."""

    def __init__(self, schema: Mapping[str, Any] | None, *, an_object: bool = False) -> None:
        self._schema = schema
        self._an_object = an_object or schema is None
        self._validator = None if schema is None else Validator(schema)

    @property
    def words_may_do(self) -> bool:
        """A plain word can be such a value."""
        said = (self._schema or {}).get("type")
        return not self._an_object and (said == "string" or (said is None and "enum" in (self._schema or {})))

    def judge(self, value: Any) -> Kept | Wrong:
        """The value, brought to its schema where that needs no guess."""
        why = self._fault(value)
        if why is None:
            return Kept(value, False)
        other = fitted(self._schema, value)
        return Kept(other, True) if other != value and self._fault(other) is None else Wrong(why)

    def _fault(self, value: Any) -> str | None:
        if self._an_object and not isinstance(value, dict):
            return "it must be a JSON object"
        return None if self._validator is None else self._validator.fault(value)


def found_in(text: str, rule: Rule) -> Kept | Wrong | None:
    """The first JSON of an answer that keeps the rule: all of it, a fenced block, or a part of the prose. Where none does, what is
    wrong with the first that was meant to; None where there are only words."""
    wrong: Wrong | None = None
    unread = ""
    effort = _EFFORT
    for block, meant, whole in _blocks(text):
        values: list[tuple[bool, Any]] = []
        try:
            values = [(False, strict(block))]
        except NoJson:
            if block[:1] in ("{", "["):
                # The first is read however long it is: a mended answer may be.
                if len(block) > effort and effort < _EFFORT:
                    break
                effort -= len(block)
                try:
                    values = [(True, lenient(block, whole=whole)[0])]
                except NoJson as error:
                    unread = unread or (f"it is no correct JSON: {error}" if meant else "")
        for repaired, value in values:
            judged = rule.judge(value)
            if isinstance(judged, Kept):
                return Kept(judged.value, judged.repaired or repaired)
            if wrong is None and (meant or (isinstance(value, dict) and value)):
                wrong = judged
    if rule.words_may_do:
        judged = rule.judge(text.strip().strip("`\"'“” \n."))
        if isinstance(judged, Kept):
            return Kept(judged.value, True)
    return wrong or (Wrong(unread) if unread else None)


def _blocks(text: str) -> Iterator[tuple[str, bool, bool]]:
    """Places where JSON may stand; whether it was meant to; whether its writer ended it."""
    stripped = text.strip()
    if not stripped:
        return
    yield stripped, stripped[0] in "{[", False
    for n, found in enumerate(_FENCE.finditer(text)):
        if n == _TRIED:
            break
        yield found[1].strip(), True, found[0].endswith(("`", "~"))
    at = endless = 0
    for _ in range(_TRIED):
        bracket = _BRACKET.search(text, at)
        if bracket is None or endless == _ENDLESS:
            return
        extent = Extent(bracket.start())
        extent.read(text, len(text))
        endless += extent.end is None
        at = bracket.end() if extent.end is None else extent.end
        yield text[bracket.start() : extent.end], False, False
