"""The forms in which models write calls. Pure."""

import re
from collections.abc import Set
from typing import Any

from msgspec import Struct

from engine.shaping.lenient import NoJson, lenient, strict

_NAMES = ("name", "tool_name", "function_name", "tool", "function", "action")
_ARGUMENTS = ("arguments", "args", "parameters", "params", "input", "tool_input", "action_input")
_MANY = ("tool_calls", "toolCalls", "function_calls", "functionCalls", "calls")
_INSIDE = ("functionCall", "function_call", "tool_call", "toolCall", "function")
_BESIDE = {"id", "type", "call_id", "tool_call_id", "index"}
_PREFIXES = ("functions.", "default_api.", "tools.")
_NAMED = re.compile(
    r"""["'“](?:name|tool_name|function_name|tool|function|action)["'”]\s*:\s*["'“]([^"'”\n]{1,200})["'”]"""
)

NAMING = frozenset(_NAMES)
NOBODY = "there is no such function"
_SHOWN = 80
KEYS = frozenset((*_NAMES, *_ARGUMENTS, *_MANY, *_INSIDE, *_BESIDE))
"""One of them is the first key of every call."""


class Call(Struct, frozen=True):
    """A call as it was read. repaired: not as it was asked for."""

    name: str
    arguments: dict[str, Any]
    repaired: bool = False


class Broken(Struct, frozen=True):
    """What was meant as a call and is none: it cannot be read, or the function is not offered."""

    name: str
    why: str


def calls_in(value: Any, names: Set[str], *, exact: bool) -> list[Call | Broken]:
    """The calls that a JSON value is; none where it is something else.

    exact: it must be nothing but calls of offered functions, each with its arguments; otherwise calls of functions that
    nobody offered are broken ones, and the arguments may be missing or stand beside the name.
    """
    try:
        return _calls(value, names, exact, 0)
    except _Other:
        return []


class _Other(Exception):
    """The value is no call."""


def _calls(value: Any, names: Set[str], exact: bool, level: int) -> list[Call | Broken]:
    if level > 4:
        raise _Other
    if isinstance(value, list):
        return [call for one in value for call in _calls(one, names, exact, level + 1)]
    if not isinstance(value, dict):
        raise _Other
    for key in _MANY:
        if isinstance(value.get(key), list) and (not exact or not value.keys() - {key} - _BESIDE):
            return _calls(value[key], names, exact, level + 1)
    for key in _INSIDE:
        if isinstance(value.get(key), dict) and (not exact or not value.keys() - {key} - _BESIDE):
            return _calls(value[key], names, exact, level + 1)
    return _one(value, names, exact)


def _one(value: dict[str, Any], names: Set[str], exact: bool) -> list[Call | Broken]:
    named = next((key for key in _NAMES if isinstance(value.get(key), str)), None)
    if named is None:
        raise _Other
    name = known_name(value[named], names)
    if name is None:
        if exact:
            raise _Other
        return [Broken(value[named][:_SHOWN], NOBODY)] if names else []
    given = next((key for key in _ARGUMENTS if key in value), None)
    rest = value.keys() - {named, given} - _BESIDE
    if exact and (given is None or rest):
        raise _Other
    if given is None:
        arguments: Any = {key: value[key] for key in value if key in rest}
    else:
        arguments = _object(value[given])
    if not isinstance(arguments, dict):
        raise _Other
    plain = (
        named == "name"
        and given == "arguments"
        and name == value[named]
        and not isinstance(value[given], str)
    )
    return [Call(name, arguments, repaired=not plain)]


def known_name(said: str, names: Set[str]) -> str | None:
    """The offered function that is meant, None where there is none."""
    name = said.strip().replace("\\", "")
    if name in names:
        return name
    for prefix in _PREFIXES:
        if name.startswith(prefix) and name.removeprefix(prefix) in names:
            return name.removeprefix(prefix)
    return None


def meant(block: str, names: Set[str]) -> str | None:
    """The function that an unreadable block names, of several the first that is offered."""
    first: str | None = None
    for found in _NAMED.finditer(block):
        if (name := known_name(found[1], names)) is not None:
            return name
        first = first or found[1][:_SHOWN]
    return first if names else None


def named_by(value: Any, names: Set[str]) -> str | None:
    """The offered function that a JSON value names as a call does."""
    if not isinstance(value, dict):
        return None
    return next(
        (found for key in _NAMES if (found := known_name(str(value.get(key)), names)) is not None), None
    )


def _object(given: Any) -> Any:
    """Arguments as an object: they may be JSON text, or nothing at all."""
    if given is None:
        return {}
    if not isinstance(given, str):
        return given
    if not given.strip():
        return {}
    try:
        return strict(given)
    except NoJson:
        pass
    try:
        values = lenient(given)
    except NoJson:
        raise _Other from None
    return values[0]
