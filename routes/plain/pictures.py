"""Handlers of the short forms for pictures."""

from typing import Any

from core.chat import Picture
from routes import asking, body, multipart, remote, wishes
from routes.drawing import Inputs, Order, asks_for, inputs_of, inputs_of_form, order_of, texts_of_form
from routes.exchange import Exchange
from routes.inline import Inline, encoded
from routes.links import absolute
from routes.models import KnownModels
from routes.plain import wire
from routes.services import RouteServices

RESPONSE_TYPES = {"base64": False, "url": True}


class PictureHandlers:
    """A prompt in, pictures out: as data URLs or links."""

    def __init__(self, services: RouteServices, models: KnownModels) -> None:
        self._chat = services.chat
        self._source = remote.Source(services.fetch, services.files)
        self._models = models

    async def generate(self, exchange: Exchange) -> None:
        """With `image` it changes that picture."""

        def understood(value: dict[str, Any]) -> Order:
            request = body.convert(value, wire.PicturesRequest)
            limit = exchange.settings.file_limit
            return _order(request, exchange, inputs_of(request.image, request.images, request.mask, limit))

        await self._draw(exchange, await exchange.json(understood))

    async def edit(self, exchange: Exchange) -> None:
        """A form is taken as well."""

        def understood(value: dict[str, Any]) -> Order:
            request = body.convert(value, wire.PicturesRequest)
            limit = exchange.settings.file_limit
            return _order(
                request, exchange, inputs_of(request.image, request.images, request.mask, limit).needed()
            )

        def understood_form(form: multipart.Form) -> Order:
            texts = texts_of_form(form, wire.PicturesRequest)
            request = body.convert(texts, wire.PicturesRequest, strict=False)
            return _order(request, exchange, inputs_of_form(form).needed())

        if multipart.is_form(exchange.headers.get(b"content-type", b"")):
            order = await exchange.form(understood_form)
        else:
            order = await exchange.json(understood, or_form=True)
        await self._draw(exchange, order)

    async def _draw(self, exchange: Exchange, order: Order) -> None:
        asks = await asks_for(exchange, order, self._models, self._source)
        answers = await asking.answers(exchange, self._chat, asks)
        pictures = [answer.pictures[0] for answer in answers]
        response = wire.PicturesResponse(
            images=[_shown(picture, exchange, link=order.wish.link) for picture in pictures],
            model=order.model,
            sizes=[f"{picture.width}x{picture.height}" for picture in pictures],
        )
        await exchange.reply_in_pieces(encoded(response))


def _shown(picture: Picture, exchange: Exchange, *, link: bool) -> Inline:
    """A link where one is wanted and there is one, else a data URL: no picture is lost."""
    if link and picture.link:
        return Inline.text(absolute(exchange, picture.link))
    return Inline.data_url(picture.data, picture.mime)


def _order(request: wire.PicturesRequest, exchange: Exchange, inputs: Inputs) -> Order:
    # OpenAI's name for it is taken as well.
    n, field = (request.n, "n") if request.count is None else (request.count, "count")
    return order_of(
        request,
        exchange,
        n=wishes.count_of(n, field),
        link=wishes.wants_link(request.response_type, "response_type", RESPONSE_TYPES),
        inputs=inputs,
    )
