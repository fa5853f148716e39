"""Conversations that callers go on with by the id of their last response: one value in the store for each turn.

A turn holds what its response added and the id of the one before, so that a long conversation is written once and not again
with each answer. All of a chain live on as long as its end is used.
"""

import asyncio
import base64
import hashlib
from typing import Protocol, TypeAlias

import msgspec
import structlog
from msgspec import Struct

from core.chat import Blob, Message, Part, Remote, Role, Text, ToolCall
from engine.settings import ConversationSettings
from pool import Shared

log = structlog.get_logger("gempool.engine")

_DIGITS = 8
"""A stored turn begins with its number in so many; more is not read of one that is only gone on from, and nothing is cut
inside a character."""


_IN_A_THREAD = 256 * 1024
"""Bytes of a turn from which on it is written off the event loop."""


class Sealing(Protocol):
    """Turns text into what may lie in the store, bound to a name, and back."""

    def close(self, name: str, text: str) -> str: ...

    def open(self, name: str, stored: str) -> str:
        """Raises ValueError where it cannot be read."""


class _Text(Struct, tag="t", array_like=True):
    text: str


class _Blob(Struct, tag="b", array_like=True):
    data: str
    mime: str
    name: str | None


class _Remote(Struct, tag="r", array_like=True):
    url: str
    field: str


_Part: TypeAlias = _Text | _Blob | _Remote


class _Message(Struct, array_like=True):
    role: Role
    parts: list[_Part]
    name: str | None
    calls: tuple[ToolCall, ...]
    call: str | None


class Responses:
    """Implements `engine.service.ResponseStore` over what all replicas share."""

    def __init__(self, shared: Shared, seal: Sealing, settings: ConversationSettings) -> None:
        self._shared = shared
        self._seal = seal
        self._settings = settings

    async def load(self, id: str, caller: str) -> tuple[Message, ...] | None:
        turns: list[list[Message]] = []
        while id:
            key = _key(id, caller)
            stored = await self._shared.get(key, refresh=self._settings.keep)
            if stored is None or len(turns) == self._settings.max_turns:
                return None
            try:
                _, id, sealed = stored.split("\n", 2)
                turns.append(_read(self._seal.open(key, sealed)))
            except (ValueError, msgspec.DecodeError) as error:
                log.error("a kept response cannot be read", why=str(error))
                return None
        return tuple(message for turn in reversed(turns) for message in turn) if turns else None

    async def save(self, id: str, caller: str, previous: str, messages: tuple[Message, ...]) -> bool:
        number = 1
        if previous:
            before = await self._shared.head(_key(previous, caller), _DIGITS)
            if not before.isdecimal():
                log.info("a response is not kept", response=id, why="what it goes on from is not there")
                return False
            number = int(before) + 1
        if number > self._settings.max_turns:
            log.info("a response is not kept", response=id, why="the conversation is too long", turns=number)
            return False
        key, size = _key(id, caller), _size(messages)
        sealed: str | int = size
        if size <= self._settings.max_bytes:
            if size > _IN_A_THREAD:
                sealed = await asyncio.to_thread(self._sealed, key, messages)
            else:
                sealed = self._sealed(key, messages)
        if isinstance(sealed, int):
            log.info("a response is not kept", response=id, why="it is too large", bytes=sealed)
            return False
        await self._shared.put(key, f"{number:0{_DIGITS}}\n{previous}\n{sealed}", self._settings.keep)
        return True

    def _sealed(self, key: str, messages: tuple[Message, ...]) -> str | int:
        """What is stored, or the bytes that are too many."""
        text = _written(messages)
        if len(text) > self._settings.max_bytes:
            return len(text)
        return self._seal.close(key, text.decode())


def _key(id: str, caller: str) -> str:
    """Of a response of this caller's. The caller's own name stays out of the store."""
    return "response:" + hashlib.sha256(msgspec.json.encode([caller, id])).hexdigest()


def _size(messages: tuple[Message, ...]) -> int:
    """Bytes of what is written of them, or fewer: told without writing it."""
    parts = sum(
        len(part.text) if isinstance(part, Text) else len(part.data) * 4 // 3
        for message in messages
        for part in message.parts
        if not isinstance(part, Remote)
    )
    return parts + sum(len(call.arguments) for message in messages for call in message.tool_calls)


def _written(messages: tuple[Message, ...]) -> bytes:
    return msgspec.json.encode(
        [
            _Message(m.role, [_part(part) for part in m.parts], m.name, m.tool_calls, m.tool_call_id)
            for m in messages
        ]
    )


def _part(part: Part) -> _Part:
    match part:
        case Text():
            return _Text(part.text)
        case Blob():
            return _Blob(base64.b64encode(part.data).decode(), part.mime, part.name)
        case Remote():
            return _Remote(part.url, part.field)


def _read(text: str) -> list[Message]:
    return [
        Message(m.role, tuple(map(_unpart, m.parts)), m.name, m.calls, m.call)
        for m in msgspec.json.decode(text, type=list[_Message])
    ]


def _unpart(part: _Part) -> Part:
    match part:
        case _Text():
            return Text(part.text)
        case _Blob():
            return Blob(base64.b64decode(part.data), part.mime, part.name)
        case _Remote():
            return Remote(part.url, part.field)
