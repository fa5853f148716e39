"""Conversations that go on in one chat of one account.

A caller sends the whole history with every request and names no conversation. What was asked and answered is known again by its
digest; the store keeps where it stands upstream, and no text. What is not known again, or cannot go on there, is
asked with its whole history in a new chat, so nothing but speed depends on any of this.
"""

import asyncio
import hashlib
import itertools
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing
from typing import Any, TypeAlias

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, Blob, Delta, Event, Finish, Message, Part, Picture, Place, Text, ToolCall
from core.errors import StoreUnavailable
from core.metrics import Metrics
from engine.settings import ConversationSettings
from pool import Shared

log = structlog.get_logger("gempool.engine")

_FORM = "conversation 1"
"""Begins every digest; another number for another way to make them."""
_STORE_TIMEOUT = 1.0
"""Seconds that a request waits for the store to tell or keep a place; it is answered without one as well."""


class Thread(Struct, frozen=True):
    """How an ask travels. keep: in a chat that stays on the account. place: the known chat that it goes on in, with the first
    `seen` messages of the ask in it, under the model `lane`."""

    keep: bool = False
    place: Place | None = None
    lane: str = ""
    seen: int = 0

    def anew(self) -> "Thread":
        """For an ask that is corrected: its chat would hold what the caller has neither said nor seen, so nothing goes on
        there, and it does not stay."""
        return TEMPORARY


TEMPORARY = Thread()
"""A temporary chat, which leaves nothing in the account's history."""

Inner: TypeAlias = Callable[[Ask, Thread], AsyncGenerator[Event, None]]


class _Kept(Struct, frozen=True):
    place: Place
    lane: str


class Conversations:
    """Knows conversations again, for all replicas on one store."""

    def __init__(self, shared: Shared, settings: ConversationSettings, metrics: Metrics) -> None:
        self._shared = shared
        self._settings = settings
        self._metrics = metrics

    def sticky(self, ask: Ask) -> bool:
        """Whether the ask wants to go on in a chat; pictures have chats of their own."""
        return ask.picture is None and (ask.conversation or self._settings.mode) == "sticky"

    async def stream(self, ask: Ask, inner: Inner) -> AsyncGenerator[Event, None]:
        """The events of `inner`, which is told the chat to go on in; where the answer stands is kept for the next ask."""
        thread = await self.thread(ask)
        texts: list[str] = []
        calls: list[ToolCall] = []
        pictured = False
        async with aclosing(inner(ask, thread)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    texts.append(event.text)
                elif isinstance(event, ToolCall):
                    calls.append(event)
                elif isinstance(event, Picture):
                    pictured = True
                else:
                    self._count(thread, event)
                    if event.place is not None and not pictured:
                        await self._remember(ask, "".join(texts), tuple(calls), event)
                yield event

    async def thread(self, ask: Ask) -> Thread:
        """The chat that the ask goes on in, a new one where its history is not known."""
        new = Thread(keep=True)
        seen = _answered(ask.messages)
        if not seen or not any(_says(m) and m.role != "system" for m in ask.messages[seen:]):
            return new
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                found = await self._shared.get(_key(ask, ask.messages[:seen]), refresh=self._settings.keep)
        except (StoreUnavailable, TimeoutError):
            return new
        if found is None:
            return new
        try:
            kept = msgspec.json.decode(found, type=_Kept)
        except msgspec.DecodeError:
            return new  # written by another version
        return Thread(True, kept.place, kept.lane, seen)

    async def _remember(self, ask: Ask, text: str, calls: tuple[ToolCall, ...], finish: Finish) -> None:
        answer = Message("assistant", (Text(text),), tool_calls=calls)
        if finish.place is None or not _says(answer):
            return
        kept = msgspec.json.encode(_Kept(finish.place, finish.model)).decode()
        try:
            async with asyncio.timeout(_STORE_TIMEOUT):
                await self._shared.put(_key(ask, (*ask.messages, answer)), kept, self._settings.keep)
        except (StoreUnavailable, TimeoutError):
            log.warning(
                "a conversation is not known again", request_id=ask.request_id, why="the store is away"
            )

    def _count(self, thread: Thread, finish: Finish) -> None:
        if thread.place is None:
            course = "begun"
        elif finish.place is not None and finish.place.cid == thread.place.cid:
            course = "continued"
        else:
            course = "replayed"
        self._metrics.conversations.labels(course).inc()


def _key(ask: Ask, messages: tuple[Message, ...]) -> str:
    return "chat:" + digest(ask, messages)


def digest(ask: Ask, messages: tuple[Message, ...]) -> str:
    """Of what the messages say to the model, and of what else of the ask stands in its chat; the same for whatever differs only
    in white space at the ends, the form of contents, the ids of calls, or how their arguments are spelled."""
    box, shape = ask.toolbox, ask.shape
    # What the model is told for all of a chat. Whether it must call now is told with each message.
    tools = (
        []
        if box is None
        else [
            box.parallel,
            *(
                [t.name, t.description, _plain(t.parameters)]
                for t in box.tools
                if not box.allowed or t.name in box.allowed
            ),
        ]
    )
    shaped = shape is not None and not (box is not None and box.required)
    wanted = [_plain(shape.schema), shape.name, shape.description] if shape is not None and shaped else None
    whole = [_FORM, ask.caller, tools, wanted, *_turns(messages)]
    return hashlib.sha256(msgspec.json.encode(whole, order="deterministic")).hexdigest()


def news(messages: tuple[Message, ...], seen: int) -> tuple[Message, ...]:
    """What comes after the first `seen` messages; results of calls that stand before carry the names of what was called."""
    called = {call.id: call.name for message in messages[:seen] for call in message.tool_calls}
    return tuple(
        replace(m, name=called.get(m.tool_call_id or "")) if m.role == "tool" and not m.name else m
        for m in messages[seen:]
    )


def _answered(messages: tuple[Message, ...]) -> int:
    """How many messages stand before what is new: up to and with the last one of the assistant, 0 without any."""
    said = (
        n
        for n in range(len(messages), 0, -1)
        if messages[n - 1].role == "assistant" and _says(messages[n - 1])
    )
    return next(said, 0)


def _says(message: Message) -> bool:
    return bool(message.tool_calls) or any(not isinstance(p, Text) or p.text.strip() for p in message.parts)


def _turns(messages: tuple[Message, ...]) -> Iterator[list[Any]]:
    """What the messages say, each in one form. An answer that came in pieces may be sent back in as many messages."""
    called: dict[str, int] = {}
    numbers = itertools.count()
    pieces: list[Message] = []
    for message in (*messages, None):
        if message is not None and not _says(message):
            continue
        if message is not None and message.role == "assistant":
            pieces.append(message)
            continue
        if pieces:
            calls = [call for piece in pieces for call in piece.tool_calls]
            parts = tuple(part for piece in pieces for part in piece.parts)
            made = [[call.name, _arguments(call.arguments)] for call in calls]
            yield ["assistant", _items(parts, ""), made]
            for call in calls:
                called[call.id] = next(numbers)
            pieces = []
        if message is None:
            return
        if message.role == "tool":
            id = message.tool_call_id or ""
            yield ["tool", called.get(id, id), message.name or "", _items(message.parts, "\n")]
        else:
            yield [message.role, message.name or "", _items(message.parts, "\n")]


def _items(parts: tuple[Part, ...], between: str) -> list[str]:
    """Texts as one, as far as no file stands between them, and the digests of files."""
    items: list[list[str]] = [[]]
    for part in parts:
        if isinstance(part, Text):
            items[-1].append(part.text)
        else:
            what = hashlib.sha256(part.data).hexdigest() if isinstance(part, Blob) else part.url
            items += [["file " + what], []]
    texts = (
        "text " + between.join(filter(None, item)).strip() if n % 2 == 0 else item[0]
        for n, item in enumerate(items)
    )
    return [text for text in texts if text != "text "]


def _arguments(text: str) -> Any:
    try:
        return _plain(msgspec.json.decode(text))
    except (msgspec.DecodeError, RecursionError):
        return text.strip()


def _plain(value: Any) -> Any:
    """JSON with one spelling for a number: 1.0 may come back as 1."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value
