"""Handlers of the short forms."""

import functools
from typing import Any

import msgspec

from core.chat import Ask, Message, PictureWish, Text
from core.errors import InvalidRequest
from routes import asking, body, wishes
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.inline import Inline, encoded
from routes.links import absolute
from routes.markdown import with_pictures
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
        name = name_of(request.model, self._default_model)
        keep = wishes.keeps_watermark(exchange, None)
        model = await asking.admitted(exchange, self._models, name)
        wish = PictureWish(pixels=model.pixels, keep_watermark=keep, link=True)
        ask = Ask(
            model=model.id,
            messages=(Message("user", (Text(request.prompt),)),),
            picture=wish if model.category == "image" else None,
            request_id=exchange.id,
            caller=exchange.caller_name,
        )
        [answer] = await asking.answers(exchange, self._chat, asking.choices(exchange, ask, 1))
        text = with_pictures(answer.text, answer.pictures, functools.partial(absolute, exchange))
        response = wire.GenerateResponse(text=text, model=ask.model)
        if lost := [picture for picture in answer.pictures if not picture.link]:
            response.images = [Inline.data_url(picture.data, picture.mime) for picture in lost]
        await exchange.reply_in_pieces(encoded(response))

    def _understood(self, value: dict[str, Any]) -> wire.GenerateRequest:
        request = body.convert(value, wire.GenerateRequest)
        Tally(self._settings).text(request.prompt, "prompt")
        return request

    async def models(self, exchange: Exchange) -> None:
        caller = exchange.caller
        infos = await self._models.listed(caller)
        text = [info.id for info in infos if info.category == "text"]
        image = [info.id for info in infos if info.category == "image"]

        def open_to(default: str, others: list[str]) -> str | None:
            if caller is None or caller.may_ask(default):
                return default
            return next(iter(others), None)

        listed = wire.ModelList(
            models=[wire.ModelOut(info.id, info.name, info.description) for info in infos],
            categories=wire.Categories(text, image),
            default=open_to(self._default_model, text),
            default_image=open_to(self._settings.default_image_model, image),
        )
        await exchange.reply(msgspec.json.encode(listed))
