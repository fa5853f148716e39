"""Request bodies: read within bounds, decoded, and refused with the name of the field at fault."""

import asyncio
import contextlib
import json
import re
from collections.abc import Callable
from typing import Any, TypeVar

import msgspec

from core.errors import CallerError, InvalidRequest, RequestTimeout, RequestTooLarge, UnsupportedMedia
from routes.bounds import check_density
from routes.presence import CallerLeft, Receive

T = TypeVar("T")

IN_A_THREAD = 64 * 1024
"""Bytes of a body from which on it is decoded off the event loop."""
WITH_SCHEMAS_IN_A_THREAD = 4 * 1024
"""The same of a body that may hold schemas: compiling one takes much longer than decoding it."""

BROKEN = "gempool.broken_body"
"""Key in the ASGI scope: the server cannot read on in the body, and nothing more of it comes."""

_AT = re.compile(r" - at `(\$?[^`]*)`$")
_MISSING = re.compile(r"Object missing required field `([^`]+)`")
_SCHEMAS = re.compile(rb'"(?:tools|functions|\w{0,20}[sS]chema)"')
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_LONE = re.compile("[\ud800-\udfff]")
_LOOSE_TYPES = ("application/x-www-form-urlencoded", "text/plain", "application/octet-stream")
"""What tools send when nobody told them the type (curl -d); taken where the body looks like JSON."""


async def read(receive: Receive, declared: bytes | None, *, limit: int, within: float) -> bytes:
    """The whole body.

    declared: the Content-Length header. Raises `RequestTooLarge` at the first byte over `limit`,
    `RequestTimeout` after `within` seconds and `CallerLeft` where the caller hangs up first.
    """
    _check_declared(declared, limit)
    message = await _first(receive, within)
    if not message.get("more_body"):
        whole: bytes = message.get("body", b"")
        return _bounded(whole, limit)
    body = bytearray(_bounded(message.get("body", b""), limit))
    try:
        async with asyncio.timeout(within):
            while message.get("more_body"):
                message = _present(await receive())
                body += message.get("body", b"")
                _bounded(body, limit)
    except TimeoutError:
        raise _late(within) from None
    return bytes(body)


async def pour(
    receive: Receive, declared: bytes | None, take: Callable[[bytes], None], *, limit: int, within: float
) -> None:
    """Hand the body to `take`, piece by piece as it comes. Bounds and errors are those of `read`."""
    _check_declared(declared, limit)
    total = 0
    try:
        async with asyncio.timeout(within):
            while True:
                message = _present(await receive())
                piece: bytes = message.get("body", b"")
                total += len(piece)
                if total > limit:
                    raise _too_large(limit)
                if piece:
                    take(piece)
                if not message.get("more_body"):
                    return
    except TimeoutError:
        raise _late(within) from None


def _check_declared(declared: bytes | None, limit: int) -> None:
    if declared is not None and declared.isdigit() and int(declared) > limit:
        raise _too_large(limit)


async def _first(receive: Receive, within: float) -> Any:
    try:
        async with asyncio.timeout(within):
            return _present(await receive())
    except TimeoutError:
        raise _late(within) from None


def _present(message: Any) -> Any:
    if message["type"] == "http.disconnect":
        raise CallerLeft
    return message


def broken() -> InvalidRequest:
    return InvalidRequest("The request's body is broken: a chunk's size or end is wrong. Send it anew.")


async def discard(receive: Receive, *, at_most: int, within: float) -> None:
    """Read and drop the rest of a body: up to `at_most` bytes and `within` seconds of it."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(within):
            while at_most > 0:
                message = await receive()
                at_most -= len(message.get("body", b""))
                if not message.get("more_body"):
                    return


B = TypeVar("B", bytes, bytearray)


def _bounded(body: B, limit: int) -> B:
    if len(body) > limit:
        raise _too_large(limit)
    return body


def _too_large(limit: int) -> RequestTooLarge:
    return RequestTooLarge(
        f"The request body is larger than {limit} bytes. Send less: shorten the history, or use smaller files."
    )


def _late(within: float) -> RequestTimeout:
    return RequestTimeout(
        f"The request's body did not arrive within {within:g} seconds. Please send it again."
    )


def check_encoding(content_encoding: bytes) -> None:
    """Refuse a compressed body."""
    if content_encoding.strip().lower() not in (b"", b"identity"):
        raise UnsupportedMedia(
            "Content-Encoding is not supported on requests. Send the body uncompressed.",
            param="Content-Encoding",
        )


def check_type(content_type: bytes, content_encoding: bytes, body: bytes, *, or_form: bool = False) -> None:
    """Refuse what is clearly not JSON. A missing type is taken for JSON. or_form: forms are taken as well, elsewhere."""
    check_encoding(content_encoding)
    media = content_type.decode("latin-1").partition(";")[0].strip().lower()
    if media in ("", "application/json", "text/json") or media.endswith("+json"):
        return
    if media in _LOOSE_TYPES and body.lstrip()[:1] == b"{":
        return
    form = "a form (multipart/form-data), or " if or_form else ""
    raise UnsupportedMedia(
        f"Content-Type '{media[:80]}' is not supported here. Send {form}JSON with 'Content-Type: application/json'.",
        param="Content-Type",
    )


async def understood(body: bytes, understand: Callable[[dict[str, Any]], T]) -> T:
    """What `understand` (pure) makes of the body's JSON object. Large bodies, and schemas, are dealt with in a thread,
    where others get their turn in between."""
    if len(body) < WITH_SCHEMAS_IN_A_THREAD or (len(body) < IN_A_THREAD and not _SCHEMAS.search(body)):
        return understand(parse(body))

    def work() -> T:
        check_density(body)
        return understand(parse(body))

    return await asyncio.to_thread(work)


def parse(body: bytes) -> dict[str, Any]:
    """The body as a JSON object. Tolerates a byte order mark, NaN and lone surrogates, as JavaScript and
    Python clients write them; the last of duplicate keys wins."""
    body = body.removeprefix(b"\xef\xbb\xbf")
    if not body or body.isspace():
        raise InvalidRequest("The request body is empty. Send a JSON object.")
    try:
        value = msgspec.json.decode(body)
    except RecursionError:
        raise too_deep() from None
    except (msgspec.DecodeError, UnicodeDecodeError):
        value = _parse_leniently(body)
    if not isinstance(value, dict):
        raise InvalidRequest(
            f"The request body must be a JSON object, not {_KINDS.get(type(value), 'a number')}."
        )
    return value


_KINDS: dict[type, str] = {list: "an array", str: "a string", bool: "true or false", type(None): "null"}


def _parse_leniently(body: bytes) -> Any:
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid UTF-8 at byte {error.start}. Encode it as UTF-8."
        ) from None
    try:
        value = json.loads(text, parse_int=_integer)
        return _without_lone_surrogates(value) if _SURROGATE.search(body) else value
    except RecursionError:
        raise too_deep() from None
    except json.JSONDecodeError as error:
        raise InvalidRequest(
            f"The request body is not valid JSON: {error.msg.removesuffix(' at')} at line {error.lineno}, column {error.colno}"
            f" (character {error.pos})."
        ) from None


def _integer(digits: str) -> int | float:
    # Python refuses to convert more; a number that large is no field of ours, so its value is never used.
    return int(digits) if len(digits) < 1000 else float("inf")


def too_deep() -> InvalidRequest:
    return InvalidRequest("The request body is nested too deeply. Flatten it.")


def _without_lone_surrogates(value: Any) -> Any:
    if isinstance(value, str):
        return value if value.isascii() else _LONE.sub("\ufffd", value)
    if isinstance(value, list):
        return [_without_lone_surrogates(item) for item in value]
    if isinstance(value, dict):
        return {_LONE.sub("\ufffd", key): _without_lone_surrogates(item) for key, item in value.items()}
    return value


def convert(value: dict[str, Any], wire: type[T], *, strict: bool = True) -> T:
    """The parsed body as a wire struct. What does not fit is an `InvalidRequest` that names the field.

    strict: False for forms, whose numbers and yes or no come as text.
    """
    try:
        return msgspec.convert(value, wire, strict=strict)
    except msgspec.ValidationError as error:
        raise _invalid(str(error)) from None
    except RecursionError:
        raise too_deep() from None


def _invalid(complaint: str) -> InvalidRequest:
    path = ""
    if match := _AT.search(complaint):
        path, complaint = match[1].removeprefix("$").removeprefix("."), complaint[: match.start()]
    if match := _MISSING.search(complaint):
        field = f"{path}.{match[1]}" if path else match[1]
        return InvalidRequest(f"'{field}' is missing. Add it to the request.", param=field)
    complaint = complaint[:1].lower() + complaint[1:].replace("`", "")
    return InvalidRequest(f"'{path or 'body'}' is not valid: {complaint}.", param=path or None)


_SEGMENT = re.compile(r"\[(\d+|\.\.\.)\]|([^.\[\]]+)")


def respelled(error: CallerError, spelled: dict[str, Any]) -> CallerError:
    """The error with its field as the caller spelled it, where the body's keys had been renamed."""
    if error.param is not None and (own := respell(error.param, spelled)) != error.param:
        error.message = error.message.replace(f"'{error.param}'", f"'{own}'")
        error.param = own
    return error


def respell(path: str, spelled: Any) -> str:
    """`path` (camelCase) with each key as the caller wrote it."""
    out = ""
    for match in _SEGMENT.finditer(path):
        index, key = match[1], match[2]
        if index is not None:
            out += f"[{index}]"
            known = isinstance(spelled, list) and index.isdigit() and int(index) < len(spelled)
            spelled = spelled[int(index)] if known else None
            continue
        snake = snake_case(key)
        own = snake if isinstance(spelled, dict) and key not in spelled and snake in spelled else key
        out += f".{own}" if out else own
        spelled = spelled.get(own) if isinstance(spelled, dict) else None
    return out


def snake_case(name: str) -> str:
    return re.sub("[A-Z]", lambda match: "_" + match[0].lower(), name)
