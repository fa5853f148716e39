"""OpenAI's wire format of pictures, as far as it is read or written, and its translation. Fields that are not listed
(`quality`, `style`, `background`, `moderation`, `user`, ...) are ignored."""

from collections.abc import Callable, Sequence

from msgspec import UNSET, Struct, UnsetType

from core.chat import Answer, Picture, Usage
from core.pictures import label
from routes import wishes
from routes.drawing import GivenPicture, GivenPictures, Inputs, Order, PictureRequest, order_of
from routes.exchange import Exchange
from routes.inline import Inline

RESPONSE_FORMATS = {"b64_json": False, "url": True}
TOKENS_PER_PICTURE = 258
"""What Google counts for one picture."""


class ImageRequest(PictureRequest):
    """The text fields of a form."""

    n: int | None = None
    response_format: str | None = None
    stream: bool | None = None


class EditRequest(ImageRequest):
    """The JSON body of POST /v1/images/generations and /v1/images/edits."""

    image: GivenPictures | None = None
    images: GivenPictures | None = None
    mask: GivenPicture | None = None


class ImageItem(Struct):
    b64_json: Inline | UnsetType = UNSET
    url: Inline | UnsetType = UNSET
    size: str | UnsetType = UNSET
    width: int | UnsetType = UNSET
    height: int | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    mime_type: str | UnsetType = UNSET
    watermark: str | UnsetType = UNSET
    upscaled_from: str | UnsetType = UNSET


class TokenDetails(Struct):
    image_tokens: int
    text_tokens: int


class ImageUsage(Struct):
    input_tokens: int
    output_tokens: int
    total_tokens: int
    input_tokens_details: TokenDetails
    output_tokens_details: TokenDetails


class ImagesResponse(Struct):
    created: int
    data: list[ImageItem]
    usage: ImageUsage
    output_format: str | UnsetType = UNSET
    size: str | UnsetType = UNSET


def asked(request: ImageRequest, exchange: Exchange, inputs: Inputs) -> tuple[Order, bool]:
    """What is wanted, and whether it is streamed. Raises errors that name the field."""
    order = order_of(
        request,
        exchange,
        n=wishes.count_of(request.n, "n"),
        link=wishes.wants_link(request.response_format, "response_format", RESPONSE_FORMATS),
        inputs=inputs,
    )
    return order, bool(request.stream)


def response_of(
    answers: Sequence[Answer], order: Order, created: int, absolute: Callable[[str], str]
) -> ImagesResponse:
    """One picture for each answer, the first: `n` is exactly what the caller is given."""
    pictures = [answer.pictures[0] for answer in answers]
    response = ImagesResponse(
        created=created,
        data=[item_of(picture, absolute, link=order.wish.link) for picture in pictures],
        usage=usage_of([answer.finish.usage for answer in answers], order),
    )
    if len(sizes := {item.size for item in response.data}) == 1:
        [response.size] = sizes
    if len(formats := {picture.mime for picture in pictures}) == 1:
        response.output_format = format_name(formats.pop())
    return response


def item_of(picture: Picture, absolute: Callable[[str], str], *, link: bool) -> ImageItem:
    """The picture with what it measures. Where a link was wanted and none could be made, its `url` is a data URL:
    the picture is not lost."""
    item = ImageItem(mime_type=picture.mime)
    if not link:
        item.b64_json = Inline(picture.data)
    elif picture.link:
        item.url = Inline.text(absolute(picture.link))
    else:
        item.url = Inline.data_url(picture.data, picture.mime)
    if picture.width and picture.height:
        item.size = f"{picture.width}x{picture.height}"
        item.width, item.height = picture.width, picture.height
        # Enlarging adds pixels, not resolution.
        item.resolution = label(*(picture.upscaled_from or (picture.width, picture.height))) or UNSET
    if picture.watermark:
        item.watermark = picture.watermark
    if picture.upscaled_from is not None:
        item.upscaled_from = "{}x{}".format(*picture.upscaled_from)
    return item


def format_name(mime: str) -> str:
    return mime.rpartition("/")[2]


def usage_of(usages: Sequence[Usage], order: Order) -> ImageUsage:
    """Estimates, the sum over all pictures."""
    n = len(usages)
    given = n * TOKENS_PER_PICTURE * (len(order.inputs.pictures) + (order.inputs.mask is not None))
    asked = sum(usage.prompt for usage in usages)
    said = sum(usage.completion + usage.thoughts for usage in usages)
    made = n * TOKENS_PER_PICTURE
    return ImageUsage(
        input_tokens=asked + given,
        output_tokens=said + made,
        total_tokens=asked + given + said + made,
        input_tokens_details=TokenDetails(image_tokens=given, text_tokens=asked),
        output_tokens_details=TokenDetails(image_tokens=made, text_tokens=said),
    )
