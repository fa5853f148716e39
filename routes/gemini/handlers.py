"""Handlers of Gemini's routes."""

import secrets
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, Literal, TypeAlias

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, ConversationMode, Message, Toolbox
from core.errors import CallerError, InvalidRequest, MethodNotAllowed, NotFound
from routes import asking, body, drawing, remote, sse
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.gemini import answers, pictures, shapes, tools, translate, wire
from routes.gemini.framing import ArrayFraming, EventFraming
from routes.gemini.spelling import camelized
from routes.inline import encoded
from routes.models import KnownModels, name_of
from routes.services import RouteServices

METHODS = ("generateContent", "streamGenerateContent", "countTokens", "editImage", "predict")
READ = "GET, HEAD"

Method: TypeAlias = Callable[[Exchange, str], Awaitable[None]]


def narrowed(path: str, allow: str) -> str:
    """The HTTP methods of a path, of the route's `allow`: below `/models/` one route serves both the models,
    which are read, and their methods, which are called."""
    if "/models/" not in path or allow != f"{READ}, POST":
        return allow
    return "POST" if path.rstrip("/").rpartition(":")[2] in METHODS else READ


def called(path: str, template: str) -> str:
    """The template of a path under a route of that template: the methods of models have one each."""
    method = path.rstrip("/").rpartition(":")[2]
    return f"{template}:{method}" if template.endswith("/models/{model}") and method in METHODS else template


class GeminiHandlers:
    """Generation, models and token counts."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._source = remote.Source(services.fetch, services.files)
        self._models = models
        self._settings = services.settings
        self._default_model = services.settings.default_model
        self._methods: dict[str, Method] = dict(
            zip(METHODS, (self._generate, self._stream, self._count, self._edit, self._predict), strict=True)
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
        exchange.route = called(exchange.path, exchange.route)
        await handler(exchange, name_of(model, self._default_model))

    async def models(self, exchange: Exchange) -> None:
        infos = await self._models.listed(exchange.caller)
        await exchange.reply(msgspec.json.encode(wire.ModelList([answers.model_of(info) for info in infos])))

    async def model(self, exchange: Exchange, name: str) -> None:
        """GET models/{model}"""
        _, colon, method = name.rpartition(":")
        if colon and method in self._methods:
            raise MethodNotAllowed(f"GET is not supported for {method}. Use POST.", allow="POST")
        info = await self._models.find(name_of(name, self._default_model), exchange.caller)
        await exchange.reply(msgspec.json.encode(answers.model_of(info)))

    async def _generate(self, exchange: Exchange, model: str) -> None:
        request = await exchange.json(self._understood)
        await self._answer(exchange, await self._asks(exchange, model, request), request)

    async def _edit(self, exchange: Exchange, model: str) -> None:
        request = await exchange.json(self._edit_understood)
        await self._answer(exchange, await self._asks(exchange, model, request), request)

    async def _answer(self, exchange: Exchange, asks: list[Ask], request: "Understood") -> None:
        found = [
            shapes.answered(answer, request.form)
            for answer in await asking.answers(exchange, self._chat, asks)
        ]
        response = wire.GenerateResponse(
            candidates=[
                answers.candidate_of(i, answer, show_thoughts=request.show_thoughts)
                for i, answer in enumerate(found)
            ],
            model_version=asks[0].model,
            response_id=secrets.token_urlsafe(16),
            usage_metadata=answers.usage_of([answer.finish.usage for answer in found]),
        )
        await exchange.reply_in_pieces(encoded(response), headers=pictures.sizes_header(found))

    async def _stream(self, exchange: Exchange, model: str) -> None:
        request = await exchange.json(self._understood)
        asks = await self._asks(exchange, model, request, stream=True)
        kind = EventFraming if exchange.query.get("alt") == "sse" else ArrayFraming
        framing = kind(
            id=secrets.token_urlsafe(16), model=model, n=len(asks), show_thoughts=request.show_thoughts
        )
        streams = [shapes.events_of(self._chat.stream(ask), request.form) for ask in asks]
        await sse.stream(exchange, sse.merged(streams), framing)

    async def _predict(self, exchange: Exchange, model: str) -> None:
        def understood(spelled: dict[str, Any]) -> drawing.Order:
            with _as_spelled(spelled):
                # Vertex's own examples write numbers as text, too.
                request = body.convert(camelized(spelled), wire.PredictRequest, strict=False)
                return pictures.prediction_of(request, model, exchange)

        order = await exchange.json(understood)
        asks = await drawing.asks_for(exchange, order, self._models, self._source)
        found = await asking.answers(exchange, self._chat, asks)
        response = encoded(pictures.predictions(found))
        await exchange.reply_in_pieces(response, headers=pictures.sizes_header(found))

    async def _asks(
        self, exchange: Exchange, model: str, request: "Understood", *, stream: bool = False
    ) -> list[Ask]:
        info = await asking.wanted(exchange, self._models, model)
        wish = pictures.wish_for(request.terms, info, exchange)
        if wish is not None:
            _refuse_beside_pictures(request)
        remote.check(exchange, self._source, request.messages)
        await asking.admitted(exchange, self._models, model)
        ask = Ask(
            model=model,
            messages=await remote.fetched(exchange, self._source, request.messages),
            thinking=request.thinking,
            stream=stream,
            picture=wish,
            toolbox=request.toolbox if wish is None else None,
            shape=request.form.shape,
            shape_field="generationConfig",
            conversation=request.conversation,
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        return asking.choices(exchange, ask, request.n)

    def _understood(self, spelled: dict[str, Any]) -> "Understood":
        with _as_spelled(spelled):
            request = body.convert(camelized(spelled), wire.GenerateRequest)
            n = translate.candidates_of(request)
            translate.refuse_what_cannot_be_kept(request)
            thinking, show_thoughts = translate.thinking_of(request)
            tally = Tally(self._settings)
            return Understood(
                n=n,
                thinking=thinking,
                show_thoughts=show_thoughts,
                terms=pictures.terms_of(request.generation_config),
                form=shapes.form_of(request.generation_config),
                toolbox=tools.toolbox_of(request.tools, request.tool_config, tally),
                conversation=translate.conversation_of(request),
                messages=_messages(request.contents, request.system_instruction, tally),
            )

    def _edit_understood(self, spelled: dict[str, Any]) -> "Understood":
        """A whole request, or the short form."""
        if "contents" in spelled:
            request = self._understood(spelled)
            pictures.refuse_no_picture(request.messages)
            return replace(request, terms=replace(request.terms, asked=True))
        with _as_spelled(spelled):
            edit = pictures.edit_of(body.convert(camelized(spelled), wire.EditRequest), Tally(self._settings))
        return Understood(n=edit.n, terms=edit.terms, messages=edit.messages)

    async def _count(self, exchange: Exchange, model: str) -> None:
        total = await exchange.json(self._counted)
        await asking.wanted(exchange, self._models, model, local="tokens")
        await exchange.reply(msgspec.json.encode(wire.CountResponse(total)))

    def _counted(self, spelled: dict[str, Any]) -> int:
        with _as_spelled(spelled):
            request = body.convert(camelized(spelled), wire.CountRequest)
            whole: wire.CountRequest | wire.GenerateRequest = request
            at = ""
            if request.generate_content_request is not None:
                whole, at = request.generate_content_request, "generateContentRequest."
            tally = Tally(self._settings)
            shapes.form_of(whole.generation_config, at)
            toolbox = tools.toolbox_of(whole.tools, whole.tool_config, tally, at)
            messages = _messages(whole.contents, whole.system_instruction, tally, at)
        return translate.count(messages) + tools.count(toolbox)


class Understood(Struct, frozen=True):
    """A request for answers, in no dialect. n: how many."""

    n: int
    terms: pictures.Terms
    messages: tuple[Message, ...]
    form: shapes.Form = shapes.Form()
    toolbox: Toolbox | None = None
    conversation: ConversationMode | Literal[""] = ""
    thinking: bool = False
    show_thoughts: bool = False


def _messages(
    contents: list[wire.Content] | wire.Content | None,
    system: wire.Content | str | None,
    tally: Tally,
    at: str = "",
) -> tuple[Message, ...]:
    translate.check_bounds(contents, system, tally, at)
    return translate.messages_of(contents, system, at)


def _refuse_beside_pictures(request: Understood) -> None:
    """Raises `InvalidRequest` for what an answer that is a picture cannot be as well. Functions that need not be called
    are not."""
    if request.form.shape is not None:
        field = "generationConfig.responseMimeType"
        raise InvalidRequest(
            f"'{field}' asks for JSON, and the answer is to be a picture. Leave it out, or ask a text model.",
            param=field,
        )
    if request.toolbox is not None and request.toolbox.required:
        field = "toolConfig.functionCallingConfig.mode"
        raise InvalidRequest(
            f"'{field}' is ANY, and the answer is to be a picture. Leave it out, or ask a text model.",
            param=field,
        )


@contextmanager
def _as_spelled(spelled: dict[str, Any]) -> Iterator[None]:
    """Errors from within name their field as the caller spelled it."""
    try:
        yield
    except CallerError as error:
        raise body.respelled(error, spelled) from None
    except RecursionError:
        raise body.too_deep() from None
