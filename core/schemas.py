"""JSON Schemas that callers send: are they usable, and does a value keep them.

The only importer of jsonschema-rs. A caller's schema is hostile until proved otherwise: references stay within it,
patterns run in linear time, and everything that costs time or stack is bounded before native code sees it.
"""

import math
import re
import threading
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NoReturn

import msgspec
from jsonschema_rs import (
    Draft4Validator,
    Draft6Validator,
    Draft7Validator,
    Draft201909Validator,
    Draft202012Validator,
    FancyRegexOptions,
    RegexOptions,
    ValidationError,
    ValidationErrorKind,
)

from core.contradictions import refuse_contradictions
from core.errors import InvalidRequest
from core.openapi import from_openapi
from core.subschemas import Fault, Outline, Part, depth

__all__ = ["Validator", "check", "from_openapi"]

_BYTES = 256 * 1024
"""What one schema may weigh as compact JSON."""
_LEVELS = 128
"""How deep its JSON may go."""
_PATTERN_BYTES = 256 * 1024
"""What one compiled pattern may weigh; its time for a text is at most proportional to both."""
_PATTERN_WORK = 40_000
"""Characters of all patterns of a schema with counted repetitions written out. What goes beyond is not compiled, which
would take some 10 microseconds for each of them, but told to the model and taken on trust."""
_VALUE_LEVELS = 64
_STEPS = 2_000_000
"""How much work the check of one value may be, in pairs of a subschema and a piece of the value."""
_TOLD = 20_000
"""Above so much work it is only said that there is a fault: every alternative that failed would be written out."""
_KEPT = 4 * 1024 * 1024
"""Bytes of schemas whose compiled forms are kept."""

_FORMATS = {"date", "email", "ipv4", "ipv6", "uuid"}
"""Formats that are checked. The others are told to the model and taken on trust: their strict forms refuse what callers'
own libraries accept, such as a date-time without a zone."""
_NAMES = ("$id", "$schema", "$anchor", "$dynamicAnchor", "$recursiveAnchor", "$vocabulary")
"""Taken out before a schema is compiled: they would change what a path in a reference starts from."""
_DRAFTS = {
    "draft-04": Draft4Validator,
    "draft-06": Draft6Validator,
    "draft-07": Draft7Validator,
    "2019-09": Draft201909Validator,
}
_COUNTED = re.compile(r"\{(\d{0,9})(?:,(\d{0,9}))?")
_MASK = "the value"
_WORDS = 300


class _Compiled:
    """A schema in native form, and what bounds its use."""

    def __init__(self, text: bytes, an_object: bool) -> None:
        root = msgspec.json.decode(text)
        if depth(root, _LEVELS) > _LEVELS:
            raise Fault("", f"is nested deeper than {_LEVELS} levels; send a flatter one")
        said = root.get("$schema") if isinstance(root, dict) else None
        self._outline = Outline(root)
        work = _PATTERN_WORK
        for part in self._outline:
            work = _made_safe(part, work)
        self._native = _native(root, said if isinstance(said, str) else "")
        refuse_contradictions(root, self._outline.referred, an_object=an_object)

    def fault(self, value: Any) -> str | None:
        if depth(value, _VALUE_LEVELS) > _VALUE_LEVELS:
            return f"the value is nested deeper than {_VALUE_LEVELS} levels"
        steps = self._outline.steps(value, _STEPS)
        if steps > _STEPS:
            return "the value is too large and too deeply nested to be checked against the schema"
        try:
            if self._native.is_valid(value):
                return None
            if steps > _TOLD:
                return "the value does not keep the schema"
            self._native.validate(value)
        except ValidationError as error:
            return _words(error)
        except ValueError:
            return "the value holds what is no JSON"
        return None


class Validator:
    """Says whether values keep a schema. `schema` was checked before, otherwise this raises InvalidRequest as `check`
    does. Cheap for a schema that was seen lately."""

    def __init__(self, schema: Mapping[str, Any]) -> None:
        self._compiled = _compiled(schema, "schema")

    def fault(self, value: Any) -> str | None:
        """The first fault of a JSON value in plain words, with the path to it (`at items[2].name: ...`); None for a
        value that keeps the schema."""
        return self._compiled.fault(value)


def check(schema: Any, field: str, *, an_object: bool = False) -> None:
    """Raise InvalidRequest, naming the place below `field`, where `schema` is no JSON Schema, or one that plainly no value
    can keep. an_object: the value will be an object.

    Drafts 4 to 2020-12 by their `$schema`; without one 2020-12, or 7 where only that makes sense of it. References
    must stay within the schema.
    """
    _compiled(schema, field, an_object=an_object)


class _Kept:
    """The compiled schemas that were used last, by content, as many as `limit` bytes of their text allow. Schemas are
    checked in several threads at once."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._weight = 0
        self._entries: OrderedDict[bytes, _Compiled] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, text: bytes) -> _Compiled | None:
        with self._lock:
            found = self._entries.get(text)
            if found is not None:
                self._entries.move_to_end(text)
            return found

    def put(self, text: bytes, compiled: _Compiled) -> None:
        with self._lock:
            if text not in self._entries:
                self._weight += len(text)
            self._entries[text] = compiled
            while self._weight > self._limit:
                self._weight -= len(self._entries.popitem(last=False)[0])


_KEEP = _Kept(_KEPT)
"""A pure function's memory: the same text compiles to the same thing everywhere."""


def _compiled(schema: Any, field: str, *, an_object: bool = False) -> _Compiled:
    if not isinstance(schema, Mapping | bool):
        _refuse(field, "", "must be a JSON Schema: an object")
    try:
        text = msgspec.json.encode(schema)
    except (TypeError, ValueError, OverflowError, RecursionError, msgspec.MsgspecError):
        _refuse(field, "", f"is nested too deeply or holds what is no JSON; send at most {_LEVELS} levels")
    if len(text) > _BYTES:
        _refuse(field, "", f"is larger than {_BYTES // 1024} kB; send a smaller one")
    if b"null" in text and _endless(schema):
        _refuse(field, "", "holds a number that is too large; send one of at most 300 digits")
    key = b"object " + text if an_object else text
    known = _KEEP.get(key)
    if known is None:
        try:
            known = _Compiled(text, an_object)
        except Fault as fault:
            _refuse(field, fault.path, fault.why)
        except (RecursionError, msgspec.MsgspecError):
            _refuse(field, "", f"is nested deeper than {_LEVELS} levels; send a flatter one")
        _KEEP.put(key, known)
    return known


def _endless(schema: Any) -> bool:
    """Whether it holds a number that is none in JSON, as one of too many digits is once it was read."""
    todo = [schema]
    while todo:
        at = todo.pop()
        if isinstance(at, float) and not math.isfinite(at):
            return True
        if isinstance(at, Mapping):
            todo.extend(at.values())
        elif isinstance(at, list | tuple):
            todo.extend(at)
    return False


def _refuse(field: str, path: str, why: str) -> NoReturn:
    where = f"{field}{path}"[:_WORDS]
    raise InvalidRequest(f"{where} {why}.", param=where)


def _made_safe(part: Part, work: int) -> int:
    """Take out what native code is not to see. `work` is what patterns may still cost; returns what is left of it."""
    raw = part.raw
    for name in _NAMES:
        raw.pop(name, None)
    if isinstance(raw.get("id"), str):
        del raw["id"]
    if not isinstance(raw.get("format"), str) or raw["format"] not in _FORMATS:
        raw.pop("format", None)
    if isinstance(pattern := raw.get("pattern"), str):
        work -= _written_out(pattern)
        if work < 0 or not _linear(pattern, f"{part.path}.pattern"):
            del raw["pattern"]
    for pattern in raw.get("patternProperties", ()):
        work -= _written_out(pattern)
        where = f"{part.path}.patternProperties"
        if work < 0 or not _linear(pattern, where):
            raise Fault(
                where, f"has {pattern!r:.100}, which is too large or looks around or back; write it plainly"
            )
    return max(work, 0)


def _written_out(pattern: str) -> int:
    """Characters of the pattern with every counted repetition written out, or more."""
    size = max(len(pattern), 1)
    for least, most in _COUNTED.findall(pattern):
        size *= max(int(least or 0), int(most or 0), 1)
    return size


def _linear(pattern: str, path: str) -> bool:
    """Whether it can be matched in linear time; what only looks around or back is told to the model, not checked."""
    schema = {"pattern": pattern}
    try:
        Draft202012Validator(schema, pattern_options=RegexOptions(size_limit=_PATTERN_BYTES), offline=True)
    except ValueError:
        pass
    else:
        return True
    try:
        Draft202012Validator(
            schema, pattern_options=FancyRegexOptions(size_limit=8 * _PATTERN_BYTES), offline=True
        )
    except ValueError:
        raise Fault(
            path, f"is no regular expression that can be used: {pattern!r:.100}; correct it or leave it out"
        ) from None
    return False


def _native(root: Any, said: str) -> Any:
    drafts = [draft for name, draft in _DRAFTS.items() if name in said] or [
        Draft202012Validator,
        Draft7Validator,
    ]
    first: Fault | None = None
    for draft in drafts:
        try:
            return draft(
                root,
                pattern_options=RegexOptions(size_limit=_PATTERN_BYTES),
                validate_formats=True,
                mask=_MASK,
                offline=True,
            )
        except ValidationError as error:
            first = first or _in_schema(error)
        except ValueError:
            first = first or Fault("", "is no JSON Schema that can be used; send a simpler one")
    assert first is not None  # noqa: S101  at least one draft was tried
    raise first


def _in_schema(error: ValidationError) -> Fault:
    near = _nearest(error)
    if error.instance_path and error.instance_path[-1] == "type":
        why = "must be one of string, number, integer, boolean, array, object and null, or a list of these"
    else:
        why = f"is no valid JSON Schema: {near.message[:_WORDS]}"
    return Fault(_path(near.instance_path), why)


def _words(error: ValidationError) -> str:
    near = _nearest(error)
    where = _path(near.instance_path).lstrip(".")
    what = near.message[:_WORDS]
    if near is not error:
        what += " (of several alternatives none fits, and this is the nearest)"
    return f"at {where}: {what}" if where else what


def _nearest(error: ValidationError) -> ValidationError:
    """Of alternatives the one that went deepest: the bare fact that none fits helps nobody."""
    while isinstance(error.kind, ValidationErrorKind.AnyOf | ValidationErrorKind.OneOfNotValid):
        misses = [branch[0] for branch in error.kind.context if branch]
        if not misses:
            break
        error = max(misses, key=lambda miss: (len(miss.instance_path), miss.kind.name != "type"))
    return error


def _path(steps: list[str | int]) -> str:
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step:.60}" for step in steps)
