"""Handlers of OpenAI's routes."""

import functools
import secrets
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, ConversationMode, Message, ModelInfo, PictureWish, Shape, Toolbox
from routes import asking, body, remote, sse, wishes
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.inline import encoded
from routes.links import absolute
from routes.models import KnownModels, name_of
from routes.openai import history, tools, translate
from routes.openai.answers import choice_of, usage_of
from routes.openai.framing import ChunkFraming
from routes.openai.wire import ChatRequest, Completion, ModelList, ModelOut
from routes.services import RouteServices


class OpenAIHandlers:
    """Chat completions and models."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._source = remote.Source(services.fetch, services.files)
        self._clock = services.clock
        self._started = int(services.started)
        self._default_model = services.settings.default_model
        self._models = models
        self._settings = services.settings

    async def chat_completions(self, exchange: Exchange) -> None:
        asked = await exchange.json(self._understood)
        request = asked.request
        n = translate.choices_of(request)
        streamed = bool(request.stream)
        model = name_of(request.model, self._default_model)
        picture = self._picture_of(request, exchange, await asking.wanted(exchange, self._models, model))
        remote.check(exchange, self._source, asked.messages)
        if picture is not None:
            tools.refuse_beside_pictures(
                asked.toolbox,
                asked.shape,
                choice="function_call" if request.tool_choice is None else "tool_choice",
                format="response_format",
            )
        await asking.admitted(exchange, self._models, model)
        ask = Ask(
            model=model,
            messages=await remote.fetched(exchange, self._source, asked.messages),
            thinking=translate.thinks_long(request.reasoning_effort),
            stream=streamed,
            picture=picture,
            toolbox=asked.toolbox,
            shape=asked.shape,
            shape_field="response_format",
            conversation=asked.conversation,
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        asks = asking.choices(exchange, ask, n)
        id = f"chatcmpl-{secrets.token_hex(12)}"
        created = int(self._clock.now())
        link = functools.partial(absolute, exchange)
        legacy = translate.is_legacy(request)
        if streamed:
            options = request.stream_options
            framing = ChunkFraming(
                id=id,
                created=created,
                model=ask.model,
                n=n,
                include_usage=bool(options and options.include_usage),
                absolute=link,
                shaped=ask.shape is not None,
                legacy=legacy,
            )
            await sse.stream(exchange, sse.merged([self._chat.stream(ask) for ask in asks]), framing)
            return
        found = await asking.answers(exchange, self._chat, asks)
        completion = Completion(
            id=id,
            created=created,
            model=ask.model,
            choices=[choice_of(i, answer, link, legacy=legacy) for i, answer in enumerate(found)],
            usage=usage_of([answer.finish.usage for answer in found]),
        )
        await exchange.reply_in_pieces(encoded(completion))

    def _picture_of(self, request: ChatRequest, exchange: Exchange, model: ModelInfo) -> PictureWish | None:
        wish = translate.picture_of(request, model)
        if wish is not None and wishes.keeps_watermark(exchange, None):
            wish = replace(wish, keep_watermark=True)
        return wish

    def _understood(self, value: dict[str, Any]) -> "Understood":
        request = body.convert(value, ChatRequest)
        translate.choices_of(request)
        translate.refuse_what_cannot_be_kept(request)
        tally = Tally(self._settings)
        pictures = history.pictures_of(request.messages, tally)
        translate.check_bounds(request, tally)
        return Understood(
            request=request,
            messages=translate.messages_of(request, pictures),
            toolbox=translate.toolbox_of(request, tally),
            shape=translate.shape_of(request, tally),
            conversation=tools.conversation_of(request.conversation),
        )

    async def models(self, exchange: Exchange) -> None:
        infos = await self._models.listed(exchange.caller)
        data = [ModelOut(id=info.id, created=self._started) for info in infos]
        await exchange.reply(msgspec.json.encode(ModelList(data=data)))

    async def model(self, exchange: Exchange, name: str) -> None:
        info = await self._models.find(name, exchange.caller)
        await exchange.reply(msgspec.json.encode(ModelOut(id=info.id, created=self._started)))


class Understood(Struct, frozen=True):
    """A request as it came, and what of it needs more than its fields."""

    request: ChatRequest
    messages: tuple[Message, ...]
    toolbox: Toolbox | None
    shape: Shape | None
    conversation: ConversationMode | Literal[""]
