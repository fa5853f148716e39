"""Handlers of the short forms."""

from typing import Any

import msgspec

from core.chat import Ask, Message, Text
from core.errors import InvalidRequest
from routes import asking, body
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.models import KnownModels, name_of
from routes.plain import wire
from routes.services import RouteServices


class PlainHandlers:
    """A prompt in, its text out; and which models there are."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._models = models
        self._chat = services.chat
        self._settings = services.settings
        self._default_model = services.settings.default_model

    async def generate(self, exchange: Exchange) -> None:
        request = await exchange.json(self._understood)
        if not request.prompt.strip():
            raise InvalidRequest("'prompt' is empty. Write what the model should answer.", param="prompt")
        ask = Ask(
            model=name_of(request.model, self._default_model),
            messages=(Message("user", (Text(request.prompt),)),),
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        await self._models.check_text(ask.model)
        [answer] = await asking.answers(exchange, self._chat, asking.choices(exchange, ask, 1))
        await exchange.reply(msgspec.json.encode(wire.GenerateResponse(text=answer.text, model=ask.model)))

    def _understood(self, value: dict[str, Any]) -> wire.GenerateRequest:
        request = body.convert(value, wire.GenerateRequest)
        Tally(self._settings).text(request.prompt, "prompt")
        return request

    async def models(self, exchange: Exchange) -> None:
        infos = await self._models.listed()
        listed = wire.ModelList(
            models=[wire.ModelOut(info.id, info.name, info.description) for info in infos],
            categories=wire.Categories(
                text=[info.id for info in infos if info.category == "text"],
                image=[info.id for info in infos if info.category == "image"],
            ),
            default=self._default_model,
        )
        await exchange.reply(msgspec.json.encode(listed))
