"""How one setting's value is written: from what stands in the file or the environment to a Python value.

Each `Kind` reads a raw value (a string from the environment, or whatever YAML made of the file) and writes it
back the way a person would. Pure; knows no setting by name.
"""

import ipaddress
import json
import math
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, Generic, TypeVar
from urllib.parse import urlsplit

from msgspec import Struct

from access.rates import LONGEST, MOST, OFF, Rate
from core.secret import Secret
from core.wire import Address

T = TypeVar("T")

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?")
_SIZES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_SIZE = re.compile(r"(\d+)\s*([a-z]*)", re.IGNORECASE)
_RATE = re.compile(r"(\d+)\s*/\s*(\d+(?:\.\d+)?)?\s*([a-z]+)", re.IGNORECASE)
_RATE_UNITS = _UNITS | {
    "sec": 1.0,
    "second": 1.0,
    "seconds": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "minutes": 60.0,
    "hour": 3600.0,
    "hours": 3600.0,
    "day": 86400.0,
    "days": 86400.0,
}
_NO_RATE = frozenset({"0", "off", "none"})
_TRUE = frozenset({"true", "1", "yes", "on"})
_FALSE = frozenset({"false", "0", "no", "off"})


class Kind(Struct, Generic[T], frozen=True):
    """A way to write values.

    name: what the value is, with its article, for "is not ..." in messages.
    remedy: a sentence that says how to write it.
    parse: raw value -> value; raises ValueError, its text being added to the message where it has one.
    show: value -> the text that `parse` reads as the same value.
    secret: the value is never shown, nor what `parse` says about it.
    """

    name: str
    remedy: str
    parse: Callable[[object], T]
    show: Callable[[T], str]
    secret: bool = False


class Told(ValueError):
    """A value will not do, for a reason that stands alone: what was written is not shown beside it."""


def _text(raw: object) -> str:
    if isinstance(raw, bool) or not isinstance(raw, str | int | float):
        raise ValueError
    return str(raw).strip()


def parse_duration(raw: object) -> float:
    """Seconds from `500ms`, `2s`, `10m`, `1h`, `1d`, or a bare number of seconds."""
    found = _DURATION.fullmatch(_text(raw))
    if found is None:
        raise ValueError
    return float(found[1]) * _UNITS[found[2] or "s"]


def show_duration(seconds: float) -> str:
    """The shortest exact spelling, down to a millisecond: 90 -> `90s`, 300 -> `5m`."""
    milliseconds = round(seconds * 1000)
    if milliseconds == 0:
        return "0s"
    for unit, size in (("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1000)):
        if milliseconds % size == 0:
            return f"{milliseconds // size}{unit}"
    return f"{milliseconds}ms"


def parse_size(raw: object) -> int:
    """Bytes from `40MiB`, `500KB`, or a bare number of bytes."""
    found = _SIZE.fullmatch(_text(raw))
    if found is None or found[2].lower() not in _SIZES:
        raise ValueError
    return int(found[1]) * _SIZES[found[2].lower()]


def show_size(size: int) -> str:
    for unit in ("GiB", "MiB", "KiB"):
        if size and size % _SIZES[unit.lower()] == 0:
            return f"{size // _SIZES[unit.lower()]}{unit}"
    return str(size)


def parse_rate(raw: object) -> Rate:
    """`60/hour`, `1/5s`, `10/minute`; `off` for no bound."""
    if raw is False or _text(raw).lower() in _NO_RATE:
        return OFF
    found = _RATE.fullmatch(_text(raw))
    if found is None or found[3].lower() not in _RATE_UNITS:
        raise ValueError
    rate = Rate(int(found[1]), float(found[2] or 1) * _RATE_UNITS[found[3].lower()])
    if rate.count < 1 or rate.seconds <= 0:
        raise ValueError("both numbers must be more than 0")
    if rate.count > MOST or not 0.001 <= rate.seconds <= LONGEST:
        raise ValueError(f"it counts up to {MOST} in 1ms to {show_duration(LONGEST)}")
    return rate


def show_rate(rate: Rate) -> str:
    if not rate.count:
        return "off"
    words = {1.0: "second", 60.0: "minute", 3600.0: "hour", 86400.0: "day"}
    return f"{rate.count}/{words.get(rate.seconds) or show_duration(rate.seconds)}"


def parse_boolean(raw: object) -> bool:
    if isinstance(raw, bool):
        return raw
    word = _text(raw).lower()
    if word in _TRUE:
        return True
    if word in _FALSE:
        return False
    raise ValueError


def _parse_json(text: str) -> object:
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError from None


def parse_list(raw: object) -> tuple[str, ...]:
    """A YAML or JSON list, or words separated by commas. Empty words are dropped."""
    if isinstance(raw, str):
        stripped = raw.strip()
        raw = _parse_json(stripped) if stripped.startswith("[") else stripped.split(",")
    if isinstance(raw, int | float):
        raw = [raw]
    if not isinstance(raw, list):
        raise ValueError
    return tuple(word for item in raw if (word := _text(item)))


def _bounded(value: float, minimum: float, maximum: float, show: Callable[[Any], str]) -> None:
    if not minimum <= value <= maximum:
        above = "" if math.isinf(maximum) else f" and at most {show(maximum)}"
        raise ValueError(f"it must be at least {show(minimum)}{above}")


def duration(minimum: float = 0, maximum: float = math.inf) -> Kind[float]:
    def parse(raw: object) -> float:
        seconds = parse_duration(raw)
        _bounded(seconds, minimum, maximum, show_duration)
        return seconds

    remedy = "Write a number with a unit: 500ms, 2s, 10m or 1h (a bare number is seconds)."
    return Kind("a duration", remedy, parse, show_duration)


def size(minimum: int = 0) -> Kind[int]:
    def parse(raw: object) -> int:
        count = parse_size(raw)
        _bounded(count, minimum, math.inf, show_size)
        return count

    return Kind("a size", "Write bytes with a unit: 512KiB, 40MiB or 1GiB.", parse, show_size)


def whole(minimum: int, maximum: float = math.inf) -> Kind[int]:
    def parse(raw: object) -> int:
        text = _text(raw)
        if not text.isdecimal():
            raise ValueError
        number = int(text)
        _bounded(number, minimum, maximum, str)
        return number

    return Kind("a whole number", "Write digits only.", parse, str)


def choice(*words: str) -> Kind[Any]:
    def parse(raw: object) -> str:
        # YAML 1.1 habits write `off` where 1.2 reads a word and other tools a boolean.
        word = "off" if raw is False else _text(raw).lower()
        if word not in words:
            raise ValueError
        return word

    return Kind(f"one of {', '.join(words)}", "Use one of these words.", parse, str)


def _parse_text(raw: object) -> str:
    text = _text(raw)
    if not text:
        raise ValueError
    return text


def _parse_path(raw: object) -> Path:
    try:
        return Path(_parse_text(raw)).expanduser()
    except RuntimeError:
        raise Told("there is no such user as its ~ names") from None


def _parse_file(raw: object) -> Path:
    path = _parse_path(raw)
    # `Path.is_file` raises for names that are too long, and for folders that may not be looked into.
    if not os.path.isfile(path):
        raise ValueError("there is no such file")
    return path


def _parse_network(raw: str) -> str:
    return str(ipaddress.ip_network(raw, strict=False)) if "/" in raw else str(ipaddress.ip_address(raw))


def _parse_origin(raw: str) -> str:
    parts = urlsplit(raw)
    if raw != "*" and (not parts.scheme or not parts.netloc or parts.path not in ("", "/")):
        raise ValueError
    return raw.rstrip("/")


def _parse_web_url(raw: object) -> str:
    text = _parse_text(raw)
    parts = urlsplit(text)
    if parts.scheme not in ("http", "https") or not parts.netloc or "@" in parts.netloc:
        raise ValueError
    return text


def _parse_endpoint(raw: object) -> str:
    text = _parse_web_url(raw)
    parts = urlsplit(text)
    if parts.port == 0 or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError
    return text


def matching(name: str, pattern: str, remedy: str) -> Kind[str]:
    """Text that matches the regular expression as a whole."""

    def parse(raw: object) -> str:
        text = _parse_text(raw)
        if not re.fullmatch(pattern, text):
            raise ValueError
        return text

    return Kind(name, remedy, parse, str)


def _each(parse: Callable[[str], str]) -> Callable[[object], tuple[str, ...]]:
    return lambda raw: tuple(parse(word) for word in parse_list(raw))


def secret_url(*schemes: str) -> Kind[Any]:
    """A URL that may hold a password, so that it becomes a Secret."""

    def parse(raw: object) -> Secret:
        text = _parse_text(raw)
        parts = urlsplit(text)
        if parts.scheme not in schemes or not (parts.netloc or parts.path):
            raise ValueError
        return Secret(text)

    starts = " or ".join(f"{scheme}://" for scheme in schemes)
    return Kind("a URL of the right kind", f"It starts with {starts}.", parse, str, secret=True)


def _parse_store(raw: object) -> Secret:
    text = _parse_text(raw)
    try:
        Address(text)
    except OSError:  # the CA's file
        raise ValueError from None
    return Secret(text)


BOOLEAN: Kind[bool] = Kind(
    "true or false", "Write true or false.", parse_boolean, lambda value: "true" if value else "false"
)
RATE: Kind[Rate] = Kind(
    "a rate", "Write a count and a time, as in 60/hour or 1/5s, or off for no bound.", parse_rate, show_rate
)
TEXT: Kind[str] = Kind("text", "Write some text.", _parse_text, str)
WEB_URL: Kind[str] = Kind(
    "a web address",
    "Write it as in https://gateway.example.com, without a user.",
    _parse_web_url,
    str,
    secret=True,  # not in itself; but a wrong one may have been written with a password
)
ENDPOINT: Kind[str] = Kind(
    "the address of a server",
    "Write it as in https://s3.example.com or http://minio:9000, without a user and a path; the bucket has a"
    " name of its own.",
    _parse_endpoint,
    str,
    secret=True,
)
STORE: Kind[Any] = Kind(
    "the address of a store",
    "Write it as in redis://:password@redis:6379/0, rediss://... for TLS, or unix:///run/redis.sock.",
    _parse_store,
    str,
    secret=True,
)
PATH: Kind[Path] = Kind("a path", "Write a path.", _parse_path, str)
FILE: Kind[Any] = Kind("a readable file", "Name a file that exists.", _parse_file, str)
SECRET: Kind[Secret] = Kind(
    "text", "Write some text.", lambda raw: Secret(_parse_text(raw)), str, secret=True
)
SECRETS: Kind[tuple[Secret, ...]] = Kind(
    "a list",
    "Separate several by commas.",
    lambda raw: tuple(Secret(word) for word in parse_list(raw)),
    lambda values: ", ".join(str(value) for value in values),
    secret=True,
)
NETWORKS: Kind[tuple[str, ...]] = Kind(
    "a list of IP addresses or networks",
    "Write them as in 10.0.0.1, 192.168.0.0/16.",
    _each(_parse_network),
    ", ".join,
)
ORIGINS: Kind[tuple[str, ...]] = Kind(
    "a list of web origins",
    "Write * for any, or origins as in https://chat.example.com.",
    _each(_parse_origin),
    ", ".join,
)
