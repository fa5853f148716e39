"""Requests for pictures, in no dialect: what is wanted, of which input pictures, and the asks that it becomes."""

import re
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Ask, Blob, Message, ModelInfo, PictureWish, Remote, Text
from core.errors import InvalidRequest, RequestTooLarge
from core.pictures import sniff
from routes import asking, media, multipart, remote, wishes
from routes.exchange import Exchange
from routes.models import KnownModels, name_of

MAX_PROMPT = 32_000
"""Characters of a picture's prompt, as OpenAI bounds it."""
_OTHER_SCHEME = re.compile(r"\s*[A-Za-z][A-Za-z0-9+.-]{0,20}://", re.ASCII)
MASK_NOTE = (
    "The last attached picture is a mask of the first one. Change only what is transparent in the mask, and keep"
    " everything else as it is."
)


class UrlRef(Struct):
    url: str


class PictureRef(Struct):
    """A picture in JSON, in the forms that clients write."""

    image_url: str | UrlRef | None = None
    url: str | None = None
    b64_json: str | None = None
    file_id: str | None = None


GivenPicture = str | PictureRef
GivenPictures = str | PictureRef | list[str | PictureRef]


class PictureFields(Struct, kw_only=True):
    """What every request for pictures may say beside its prompt, in every family but Gemini's."""

    model: str | None = None
    size: str | None = None
    aspect_ratio: str | None = None
    output_format: str | None = None
    output_compression: int | None = None
    upscale: bool | None = None
    watermark: str | None = None


class PictureRequest(PictureFields):
    """A request with one prompt."""

    prompt: str


class Inputs(Struct, frozen=True):
    """Pictures that are to be changed, and where."""

    pictures: tuple[Blob | Remote, ...] = ()
    mask: Blob | Remote | None = None

    def needed(self) -> "Inputs":
        """Raises `InvalidRequest` where there are none."""
        if not self.pictures:
            raise InvalidRequest(
                "'image' is missing. Add the picture to change: a file in a form, or base64, a data URL or a web"
                " address in JSON.",
                param="image",
            )
        return self


class Order(Struct, frozen=True):
    """What one request wants: `n` pictures as `wish` says, made of the prompt or by changing the inputs.

    wish: its `pixels` are 0 where the model decides.
    """

    prompt: str
    model: str
    n: int
    wish: PictureWish
    inputs: Inputs


def order_of(request: PictureRequest, exchange: Exchange, *, n: int, link: bool, inputs: Inputs) -> Order:
    """Raises errors that name the field."""
    return Order(
        prompt=checked_prompt(request.prompt),
        model=name_of(request.model, exchange.settings.default_image_model),
        n=n,
        wish=wish_of(request, exchange, link=link),
        inputs=inputs,
    )


def wish_of(request: PictureFields, exchange: Exchange, *, link: bool) -> PictureWish:
    """Its `pixels` are 0 where the model decides. Raises errors that name the field."""
    aspect, pixels = wishes.size_of(request.size)
    return PictureWish(
        aspect=wishes.aspect_of(request.aspect_ratio) or aspect,
        pixels=pixels,
        format=wishes.format_of(request.output_format),
        quality=wishes.quality_of(request.output_compression),
        upscale=bool(request.upscale),
        keep_watermark=wishes.keeps_watermark(exchange, request.watermark),
        link=link,
    )


async def asks_for(
    exchange: Exchange, order: Order, models: KnownModels, source: remote.Source, *, stream: bool = False
) -> list[Ask]:
    """One ask for each picture, with all input pictures at hand. Raises what fetching them raises."""
    prompt = order.prompt
    parts: list[Blob | Remote] = [*order.inputs.pictures]
    if order.inputs.mask is not None:
        prompt = f"{prompt}\n\n{MASK_NOTE}"
        parts.append(order.inputs.mask)
    messages = (Message("user", (Text(prompt), *parts)),)
    await asking.wanted(exchange, models, order.model)
    remote.check(exchange, source, messages)
    model = await asking.admitted(exchange, models, order.model)
    ask = Ask(
        model=order.model,
        messages=await remote.fetched(exchange, source, messages),
        stream=stream,
        picture=sized(order.wish, model),
        request_id=exchange.id,
        caller=exchange.caller_name,
    )
    return asking.choices(exchange, ask, order.n)


def sized(wish: PictureWish, model: ModelInfo) -> PictureWish:
    """The wish, with the model's own size where it names none."""
    return wish if wish.pixels else replace(wish, pixels=model.pixels)


def checked_prompt(prompt: str, field: str = "prompt") -> str:
    """Raises `InvalidRequest` for an empty prompt and `RequestTooLarge` for a long one."""
    if not prompt.strip():
        raise InvalidRequest(f"'{field}' is empty. Write what the picture should show.", param=field)
    if len(prompt) > MAX_PROMPT:
        raise RequestTooLarge(
            f"'{field}' has {len(prompt)} characters, and at most {MAX_PROMPT} are taken. Shorten it.",
            param=field,
        )
    return prompt


def inputs_of(
    image: GivenPictures | None, images: GivenPictures | None, mask: GivenPicture | None, limit: int
) -> Inputs:
    """Input pictures of a JSON body. Raises errors that name the field."""
    taken = 0
    for given, field in ((image, "image"), (images, "images"), (mask, "mask")):
        taken += len(given) if isinstance(given, list) else given is not None
        if taken > limit:
            raise RequestTooLarge(
                f"'{field}' brings the request's pictures to {taken}, and at most {limit} are taken. Leave some out.",
                param=field,
            )
    pictures = _pictures(image, "image") + _pictures(images, "images")
    found = Inputs(pictures, None if mask is None else picture_of(mask, "mask"))
    # A mask is one of another picture.
    return found if mask is None else found.needed()


def _pictures(given: GivenPictures | None, field: str) -> tuple[Blob | Remote, ...]:
    if given is None:
        return ()
    if not isinstance(given, list):
        return (picture_of(given, field),)
    return tuple(picture_of(item, f"{field}[{i}]") for i, item in enumerate(given))


def picture_of(given: GivenPicture, field: str) -> Blob | Remote:
    """One input picture: base64, a data URL, a web address, or an object that holds one of these."""
    if isinstance(given, str):
        return _read(given, field)
    if given.image_url is not None:
        if isinstance(given.image_url, str):
            return _read(given.image_url, f"{field}.image_url")
        return _read(given.image_url.url, f"{field}.image_url.url")
    if given.url is not None:
        return _read(given.url, f"{field}.url")
    if given.b64_json is not None:
        return _read(given.b64_json, f"{field}.b64_json")
    if given.file_id is not None:
        raise InvalidRequest(
            f"'{field}.file_id' is not supported: stored files are not known here. Send the picture as a data URL"
            " in image_url.",
            param=f"{field}.file_id",
        )
    raise InvalidRequest(f"'{field}' holds no picture. Send it as a data URL in image_url.", param=field)


def _read(text: str, field: str) -> Blob | Remote:
    if remote.is_remote(text):
        return Remote(text.strip(), field)
    if _OTHER_SCHEME.match(text):
        raise InvalidRequest(
            f"'{field}' is an address that is not fetched: only http and https addresses and data URLs are taken.",
            param=field,
        )
    return media.picture_from_text(text, field)


def inputs_of_form(form: multipart.Form) -> Inputs:
    """Files called `image`, `image[]`, `image[0]` or `mask`, or what JSON may hold as text under these names. A file
    input that a browser's user left empty is none."""
    pictures: list[Blob | Remote] = []
    mask = None
    for field in form:
        if not multipart.is_picture_name(field.name) or not (field.data or field.filename):
            continue
        picture = _uploaded(field)
        if multipart.stem_of(field.name) == "mask":
            mask = picture
        else:
            pictures.append(picture)
    return Inputs(tuple(pictures), mask)


def _uploaded(field: multipart.Field) -> Blob | Remote:
    if field.filename is None and sniff(field.data) is None:
        return _read(field.text, field.name)
    # What the sender called its type is not asked: forms are sent with any.
    return media.picture_from_bytes(field.data, field.name, name=field.filename or None)


def texts_of_form(form: multipart.Form, wire: type[Struct]) -> dict[str, Any]:
    """The form's other fields, as far as `wire` knows them, without blanks around what is no prompt. Those left empty
    are as if they were not there."""
    return {
        field.name: text
        for field in form
        if field.name in wire.__struct_fields__
        and not multipart.is_picture_name(field.name)
        and ((text := field.text if field.name == "prompt" else field.text.strip()) or field.name == "prompt")
    }
