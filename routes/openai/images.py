"""Handlers of OpenAI's routes for pictures."""

import functools
from typing import Any

from routes import asking, body, multipart, remote, sse
from routes.drawing import Order, asks_for, inputs_of, inputs_of_form, texts_of_form
from routes.exchange import Exchange
from routes.inline import encoded
from routes.links import absolute
from routes.models import KnownModels
from routes.openai.imageframing import ImageFraming, Kind
from routes.openai.imagewire import EditRequest, ImageRequest, asked, response_of
from routes.services import RouteServices


class ImageHandlers:
    """Pictures made of a prompt, and pictures changed."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._clock = services.clock
        self._source = remote.Source(services.fetch, services.files)
        self._models = models

    async def generations(self, exchange: Exchange) -> None:
        """With `image` or `images` they are changed."""

        def understood(value: dict[str, Any]) -> tuple[Order, bool]:
            return _asked(value, exchange)

        await self._draw(exchange, *await exchange.json(understood), "image_generation.completed")

    async def edits(self, exchange: Exchange) -> None:
        """A form as OpenAI's SDKs send it, or JSON."""

        def understood(value: dict[str, Any]) -> tuple[Order, bool]:
            return _asked(value, exchange)

        def understood_form(form: multipart.Form) -> tuple[Order, bool]:
            request = body.convert(texts_of_form(form, ImageRequest), ImageRequest, strict=False)
            return asked(request, exchange, inputs_of_form(form))

        if multipart.is_form(exchange.headers.get(b"content-type", b"")):
            order, streamed = await exchange.form(understood_form)
        else:
            order, streamed = await exchange.json(understood, or_form=True)
        order.inputs.needed()
        await self._draw(exchange, order, streamed, "image_edit.completed")

    async def _draw(self, exchange: Exchange, order: Order, streamed: bool, kind: Kind) -> None:
        asks = await asks_for(exchange, order, self._models, self._source, stream=streamed)
        created = int(self._clock.now())
        link = functools.partial(absolute, exchange)
        if streamed:
            framing = ImageFraming(kind, order, created, link)
            await sse.stream(exchange, sse.merged([self._chat.stream(ask) for ask in asks]), framing)
            return
        answers = await asking.answers(exchange, self._chat, asks)
        await exchange.reply_in_pieces(encoded(response_of(answers, order, created, link)))


def _asked(value: dict[str, Any], exchange: Exchange) -> tuple[Order, bool]:
    request = body.convert(value, EditRequest)
    limit = exchange.settings.file_limit
    return asked(request, exchange, inputs_of(request.image, request.images, request.mask, limit))
