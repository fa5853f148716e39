"""Handlers of the Responses API."""

import functools
import secrets
from collections.abc import AsyncGenerator, Awaitable, Callable
from contextlib import aclosing
from typing import Any, Literal, TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, ConversationMode, Event, Finish, Message, Shape, Text, Toolbox
from core.errors import InvalidRequest, NotFound
from routes import asking, body, remote, sse, wishes
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.inline import encoded
from routes.links import absolute
from routes.models import KnownModels, name_of
from routes.openai.responses import recall, translate
from routes.openai.responses.framing import ResponseFraming, completed
from routes.openai.responses.output import Output, finished
from routes.openai.responses.recall import Entry, Recalled
from routes.openai.responses.wire import ResponseRequest
from routes.openai.tools import conversation_of, refuse_beside_pictures
from routes.openai.translate import has_content, named, thinks_long
from routes.services import RouteServices

Keep: TypeAlias = Callable[[], Awaitable[None]]


class ResponseHandlers:
    """Responses, whole and streamed."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._source = remote.Source(services.fetch, services.files)
        self._clock = services.clock
        self._models = models
        self._settings = services.settings
        self._store = services.responses

    async def create(self, exchange: Exchange) -> None:
        asked = await exchange.json(self._understood)
        request = asked.request
        model = name_of(request.model, self._settings.default_model)
        picture = translate.picture_of(request, await asking.wanted(exchange, self._models, model))
        if picture is not None:
            refuse_beside_pictures(asked.toolbox, asked.shape, format="text.format")
        if picture is not None and wishes.keeps_watermark(exchange, None):
            picture = replace(picture, keep_watermark=True)
        recalled = Recalled(self._store, exchange.caller_name)
        before, added = await self._messages(asked, recalled)
        remote.check(exchange, self._source, before + added)
        await asking.admitted(exchange, self._models, model)
        messages = await remote.fetched(exchange, self._source, before + added)
        new = messages[len(before) :]
        ask = Ask(
            model=model,
            messages=messages,
            thinking=thinks_long(request.reasoning.effort if request.reasoning else None),
            stream=bool(request.stream),
            picture=picture,
            toolbox=asked.toolbox,
            shape=asked.shape,
            shape_field="text.format",
            conversation=asked.conversation,
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        [ask] = asking.choices(exchange, ask, 1)
        key = secrets.token_hex(16)
        id = recall.response_id(key)
        response = translate.response_of(
            asked.value, request, id=id, created=int(self._clock.now()), model=model
        )
        output = Output(
            key,
            shaped=ask.shape is not None,
            image_items=translate.may_draw(request),
            absolute=functools.partial(absolute, exchange),
        )

        async def keep() -> None:
            if request.store is not False:
                response.store = await recalled.keep(
                    key, request.previous_response_id or "", new, output.message
                )

        if ask.stream:
            events = sse.merged([_kept(self._chat.stream(ask), keep)])
            await sse.stream(exchange, events, ResponseFraming(response, output, self._clock))
            return
        [answer] = await asking.answers(exchange, self._chat, [ask])
        finish = finished(output, answer)
        await keep()
        completed(response, output, finish, int(self._clock.now()))
        await exchange.reply_in_pieces(encoded(response))

    async def stored(self, exchange: Exchange) -> None:
        """Responses are kept to go on with, not to be read again."""
        raise NotFound(
            "Responses cannot be read, cancelled or deleted here. Name one in 'previous_response_id' of POST"
            " /v1/responses to go on with it; with 'store': false nothing is kept."
        )

    def _understood(self, value: dict[str, Any]) -> "Understood":
        request = body.convert(value, ResponseRequest)
        translate.refuse_what_cannot_be_kept(request)
        tally = Tally(self._settings)
        tally.text(request.instructions, "instructions")
        return Understood(
            value=value,
            request=request,
            entries=translate.entries_of(request, tally),
            toolbox=translate.toolbox_of(request, tally),
            shape=translate.shape_of(request, tally),
            conversation=conversation_of(request.conversation),
            tally=tally,
        )

    async def _messages(
        self, asked: "Understood", recalled: Recalled
    ) -> tuple[tuple[Message, ...], tuple[Message, ...]]:
        """What stands before this request, and what it adds. Instructions hold for one response alone."""
        request = asked.request
        before: tuple[Message, ...] = ()
        if request.previous_response_id:
            before = await recalled.conversation(request.previous_response_id)
            asked.tally.messages(len(before) + len(asked.entries), "previous_response_id")
            _count(before, asked.tally, "previous_response_id")
        placed = await recalled.in_place(asked.entries)
        for entry, message in zip(asked.entries, placed, strict=True):
            if isinstance(entry, recall.Reference):
                _count((message,), asked.tally, entry.field)
        new = recall.joined(placed)
        if not any(has_content(message) for message in new):
            raise InvalidRequest(
                "'input' has no content. Write something in at least one message.", param="input"
            )
        if request.instructions:
            before = (Message("system", (Text(request.instructions),)), *before)
        whole = named(before + new)
        return whole[: len(before)], whole[len(before) :]


def _count(messages: tuple[Message, ...], tally: Tally, field: str) -> None:
    for message in messages:
        tally.text(message.text, field)
        for call in message.tool_calls:
            tally.text(call.arguments, field)


async def _kept(events: AsyncGenerator[Event, None], keep: Keep) -> AsyncGenerator[Event, None]:
    """The events; at a good end the response is kept before the caller hears of it, who may go on with it at once."""
    async with aclosing(events):
        async for event in events:
            if isinstance(event, Finish):
                await keep()
            yield event


class Understood(Struct, frozen=True):
    """A request as it came, and what of it needs more than its fields."""

    value: dict[str, Any]
    request: ResponseRequest
    entries: list[Entry]
    toolbox: Toolbox | None
    shape: Shape | None
    conversation: ConversationMode | Literal[""]
    tally: Tally
