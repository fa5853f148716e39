"""Handlers of Gemini's routes."""

import secrets
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

import msgspec

from core.chat import Ask, Message
from core.errors import CallerError, MethodNotAllowed, NotFound
from routes import asking, body, sse
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.gemini import translate, wire
from routes.gemini.framing import ArrayFraming, EventFraming
from routes.gemini.spelling import camelized
from routes.models import KnownModels, name_of
from routes.services import RouteServices

METHODS = ("generateContent", "streamGenerateContent", "countTokens")
READ = "GET, HEAD"

Method: TypeAlias = Callable[[Exchange, str], Awaitable[None]]


def narrowed(path: str, allow: str) -> str:
    """The HTTP methods of a path, of the route's `allow`: below `/models/` one route serves both the models,
    which are read, and their methods, which are called."""
    if "/models/" not in path or allow != f"{READ}, POST":
        return allow
    return "POST" if path.rstrip("/").rpartition(":")[2] in METHODS else READ


class GeminiHandlers:
    """Generation, models and token counts."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._models = models
        self._settings = services.settings
        self._default_model = services.settings.default_model
        self._methods: dict[str, Method] = dict(
            zip(METHODS, (self._generate, self._stream, self._count), strict=True)
        )

    async def call(self, exchange: Exchange, spec: str) -> None:
        """POST models/{model}:{method}; `spec` is what follows `models/`."""
        model, colon, method = spec.rpartition(":")
        if not colon:
            raise MethodNotAllowed(
                f"POST needs a method after the model's name: models/{spec[:80]}:generateContent.",
                allow=READ,
            )
        handler = self._methods.get(method)
        if handler is None:
            raise NotFound(f"There is no method '{method[:40]}'. Use one of {', '.join(self._methods)}.")
        exchange.route = f"{exchange.route.rpartition('/')[0]}/{{model}}:{method}"
        await handler(exchange, name_of(model, self._default_model))

    async def models(self, exchange: Exchange) -> None:
        infos = await self._models.listed()
        await exchange.reply(
            msgspec.json.encode(wire.ModelList([translate.model_of(info) for info in infos]))
        )

    async def model(self, exchange: Exchange, name: str) -> None:
        """GET models/{model}"""
        _, colon, method = name.rpartition(":")
        if colon and method in self._methods:
            raise MethodNotAllowed(f"GET is not supported for {method}. Use POST.", allow="POST")
        info = await self._models.find(name_of(name, self._default_model))
        await exchange.reply(msgspec.json.encode(translate.model_of(info)))

    async def _generate(self, exchange: Exchange, model: str) -> None:
        asks, show_thoughts = await self._asks(exchange, model, stream=False)
        answers = await asking.answers(exchange, self._chat, asks)
        response = wire.GenerateResponse(
            candidates=[
                translate.candidate_of(i, answer, show_thoughts=show_thoughts)
                for i, answer in enumerate(answers)
            ],
            model_version=model,
            response_id=secrets.token_urlsafe(16),
            usage_metadata=translate.usage_of([answer.finish.usage for answer in answers]),
        )
        await exchange.reply(msgspec.json.encode(response))

    async def _stream(self, exchange: Exchange, model: str) -> None:
        asks, show_thoughts = await self._asks(exchange, model, stream=True)
        kind = EventFraming if exchange.query.get("alt") == "sse" else ArrayFraming
        framing = kind(id=secrets.token_urlsafe(16), model=model, n=len(asks), show_thoughts=show_thoughts)
        await sse.stream(exchange, sse.merged([self._chat.stream(ask) for ask in asks]), framing)

    async def _asks(self, exchange: Exchange, model: str, *, stream: bool) -> tuple[list[Ask], bool]:
        n, thinking, show_thoughts, messages = await exchange.json(self._understood)
        ask = Ask(
            model=model,
            messages=messages,
            thinking=thinking,
            stream=stream,
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        await self._models.check_text(model)
        return asking.choices(exchange, ask, n), show_thoughts

    def _understood(self, spelled: dict[str, Any]) -> tuple[int, bool, bool, tuple[Message, ...]]:
        try:
            request = body.convert(camelized(spelled), wire.GenerateRequest)
            n = translate.candidates_of(request)
            translate.refuse_what_cannot_be_kept(request)
            thinking, show_thoughts = translate.thinking_of(request)
            messages = self._messages(request.contents, request.system_instruction)
        except CallerError as error:
            raise body.respelled(error, spelled) from None
        return n, thinking, show_thoughts, messages

    def _messages(
        self,
        contents: list[wire.Content] | wire.Content | None,
        system: wire.Content | str | None,
        at: str = "",
    ) -> tuple[Message, ...]:
        translate.check_bounds(contents, system, Tally(self._settings), at)
        return translate.messages_of(contents, system, at)

    async def _count(self, exchange: Exchange, model: str) -> None:
        total = await exchange.json(self._counted)
        exchange.model = model
        await self._models.check_text(model)
        await self._chat.check_model(model)
        await exchange.reply(msgspec.json.encode(wire.CountResponse(total)))

    def _counted(self, spelled: dict[str, Any]) -> int:
        try:
            request = body.convert(camelized(spelled), wire.CountRequest)
            inner = request.generate_content_request
            if inner is None:
                messages = self._messages(request.contents, request.system_instruction)
            else:
                messages = self._messages(inner.contents, inner.system_instruction, "generateContentRequest.")
        except CallerError as error:
            raise body.respelled(error, spelled) from None
        return translate.count(messages)
