"""What a gateway says that does not do what it was asked for, in words for the person who asked."""

from typing import TypeVar

import msgspec
from msgspec import Struct

from gateway.client import Api, Reply

NO_GATEWAY = "{url} does not answer as a gateway does. Look at --url."

T = TypeVar("T")


class BatchError(Exception):
    """The command cannot be done. The text says why and what to do."""


class _Error(Struct):
    message: str


class _Refused(Struct):
    error: _Error


def message_of(body: bytes) -> str:
    """The gateway's own sentence, '' where it is not the gateway that speaks."""
    try:
        return msgspec.json.decode(body, type=_Refused).error.message
    except (ValueError, RecursionError):
        return ""


def told(api: Api, reply: Reply) -> str:
    """Why an answer is no success, and what to do."""
    if not reply.status:
        return unreached(api, reply.body.decode(errors="replace"))
    if message := message_of(reply.body):
        return message
    if 300 <= reply.status < 400:
        return f"{api.url} leads elsewhere, to {reply.headers.get('location', 'nowhere')}. Give that address as --url."
    return f"{api.url} answers HTTP {reply.status}, and not as a gateway does. Look at --url."


def unreached(api: Api, why: str) -> str:
    return f"Nothing answers at {api.url} ({why}). Is the gateway running? --url names another one."


def may_retry(reply: Reply) -> bool:
    """Whether the gateway thinks that a repeat may help, or says nothing about it."""
    return reply.headers.get("x-should-retry") != "false"


def retry_after(reply: Reply) -> float:
    """Seconds after which the gateway wants to be asked again, 0 where it does not say."""
    text = reply.headers.get("retry-after", "")
    return float(text) if text.isdecimal() else 0.0


def asked(api: Api, reply: Reply) -> bytes:
    """The body of a success. Raises BatchError for every other answer."""
    if reply.status != 200:
        raise BatchError(told(api, reply))
    return reply.body


def decoded(api: Api, body: bytes | str, type: type[T]) -> T:
    """Raises BatchError where it is something else."""
    try:
        return msgspec.json.decode(body, type=type)
    except (ValueError, RecursionError):
        raise BatchError(NO_GATEWAY.format(url=api.url)) from None
