"""What callers go on with without sending it again: earlier responses, and single items of them by their id.

A response's items have its own key in their ids, so that an item is found in the answer that was kept under that key.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import TypeAlias

import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Message, Text
from core.errors import GatewayError, InvalidRequest, PreviousResponseNotFound
from engine.service import ResponseStore
from routes.openai import history
from routes.presence import all_of

log = structlog.get_logger("gempool.routes")

SAVE_WITHIN = 1.0
"""Seconds that an answer waits to be kept at its end; a store that hangs costs no more."""
AT_ONCE = 4
"""Conversations of one request that are looked up side by side."""
_ITEM = re.compile(r"(msg|fc|ig)_([0-9a-f]{32})_([0-9]{1,4})", re.ASCII)


def response_id(key: str) -> str:
    return f"resp_{key}"


def item_id(kind: str, key: str, n: int) -> str:
    """kind: msg, fc, rs or ig. n: which one of its kind in the response."""
    return f"{kind}_{key}_{n}"


def _items_of(key: str) -> str:
    """Where a response's answer is kept apart: whoever names its items has sent the rest, which may be large."""
    return f"{response_id(key)}/items"


class Reference(Struct, frozen=True):
    """An item that the caller named by its id in `field`."""

    id: str
    field: str


Entry: TypeAlias = Message | Reference
"""A message of the input, or where one stands."""


class Recalled:
    """Earlier conversations for one caller. store: None knows none."""

    def __init__(self, store: ResponseStore | None, caller: str) -> None:
        self._store = store
        self._caller = caller

    async def conversation(self, id: str) -> tuple[Message, ...]:
        """The conversation that ends with response `id`. Raises `PreviousResponseNotFound`, `StoreUnavailable`."""
        found = await self._load(id)
        if found is None:
            raise PreviousResponseNotFound(
                f"'previous_response_id': there is no response '{id[:80]}' (any more). Send the whole history in"
                " 'input' instead.",
                param="previous_response_id",
            )
        return history.recalled(found)

    async def in_place(self, entries: Sequence[Entry]) -> list[Message]:
        """The messages with those that are referred to in their places. Raises `InvalidRequest`, `StoreUnavailable`."""
        wanted: dict[str, tuple[Message, ...] | None] = {}
        for entry in entries:
            if isinstance(entry, Reference) and (match := _ITEM.fullmatch(entry.id)):
                wanted[_items_of(match[2])] = None
        slots = asyncio.Semaphore(AT_ONCE)

        async def look_up(id: str) -> None:
            async with slots:
                wanted[id] = await self._load(id)

        if wanted:
            await all_of([look_up(id) for id in wanted])
        return [_referred(entry, wanted) if isinstance(entry, Reference) else entry for entry in entries]

    async def _load(self, id: str) -> tuple[Message, ...] | None:
        return await self._store.load(id, self._caller) if self._store is not None else None

    async def keep(self, key: str, previous: str, asked: tuple[Message, ...], answer: Message) -> bool:
        """Keep what a response added; whether that was done. Where it fails the answer stands all the same: only its id leads
        nowhere."""
        if self._store is None:
            return False
        save, caller = self._store.save, self._caller
        try:
            async with asyncio.timeout(SAVE_WITHIN):
                kept, _ = await all_of(
                    [
                        save(response_id(key), caller, previous, (*asked, answer)),
                        save(_items_of(key), caller, "", (answer,)),
                    ]
                )
        except (GatewayError, TimeoutError) as error:
            why = str(error) or "the store did not answer"
            log.warning("a response was not kept", response=response_id(key), why=why)
            return False
        return bool(kept)


def _referred(entry: Reference, found: dict[str, tuple[Message, ...] | None]) -> Message:
    match = _ITEM.fullmatch(entry.id)
    conversation = found.get(_items_of(match[2])) if match else None
    if match and conversation:
        answer, n = conversation[-1], int(match[3])
        if match[1] == "fc" and n < len(answer.tool_calls):
            return Message("assistant", tool_calls=(answer.tool_calls[n],))
        # Its first message stands for all that was said and drawn; further ones and pictures belong to it.
        worded = any(isinstance(part, Text) for part in answer.parts)
        if (match[1] == "msg" and n == 0) or (match[1] == "ig" and not worded):
            return replace(answer, tool_calls=())
        if match[1] != "fc":
            return Message("assistant")
    raise InvalidRequest(
        f"'{entry.field}': there is no item '{entry.id[:80]}' (any more). Send the item itself; 'store': false makes"
        " clients do so.",
        param=entry.field,
    )


def joined(messages: Sequence[Message]) -> tuple[Message, ...]:
    """Calls and pictures that follow an assistant's words belong to the same turn. Pictures that were only linked to are
    brought along as of any history."""
    out: list[Message] = []
    for message in history.recalled(tuple(messages)):
        wordless = not any(isinstance(part, Text) for part in message.parts)
        if out and message.role == out[-1].role == "assistant" and wordless:
            last = out[-1]
            out[-1] = replace(
                last, parts=last.parts + message.parts, tool_calls=last.tool_calls + message.tool_calls
            )
        else:
            out.append(message)
    return tuple(out)
