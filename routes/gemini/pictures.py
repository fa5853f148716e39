"""Pictures in Gemini's dialect: which ones a request wants, and the bodies of `:editImage` and `:predict`. Pure."""

from msgspec import Struct
from msgspec.structs import replace

from core.chat import Answer, Blob, Message, ModelInfo, PictureWish, Remote, Text
from core.errors import InvalidRequest
from routes import drawing, media, wishes
from routes.bounds import Tally
from routes.exchange import Exchange
from routes.gemini import translate, wire
from routes.inline import Inline

SIZES_HEADER = b"x-gempool-picture-sizes"
WATERMARK_HEADER = b"x-gempool-watermark"


class Terms(Struct, frozen=True):
    """What a request says about pictures. asked: whether it wants any, None where that is left to the model.
    wish: its `pixels` are 0 where the model decides."""

    asked: bool | None = None
    wish: PictureWish = PictureWish(pixels=0)


def terms_of(config: wire.GenerationConfig | None) -> Terms:
    """Raises `InvalidRequest` naming the field."""
    if config is None:
        return Terms()
    image = config.image_config or wire.ImageConfig()
    at = "generationConfig.imageConfig"
    return Terms(
        asked=_asked(config.response_modalities),
        wish=_wish(
            wishes.aspect_of(image.aspect_ratio, f"{at}.aspectRatio"),
            wishes.pixels_of(image.image_size, f"{at}.imageSize"),
            image.image_output_options,
            f"{at}.imageOutputOptions",
        ),
    )


def _asked(modalities: list[str] | str | None) -> bool | None:
    listed = [modalities] if isinstance(modalities, str) else modalities or []
    kinds = {kind.strip().upper() for kind in listed} - {"MODALITY_UNSPECIFIED", ""}
    if other := sorted(kinds - {"TEXT", "IMAGE"}):
        field = "generationConfig.responseModalities"
        raise InvalidRequest(
            f"'{field}' asks for {other[0][:20]}, which is not supported. Use TEXT, IMAGE or both.",
            param=field,
        )
    return "IMAGE" in kinds if kinds else None


def _wish(aspect: str, pixels: int, output: wire.ImageOutputOptions | None, at: str) -> PictureWish:
    output = output or wire.ImageOutputOptions()
    return PictureWish(
        aspect=aspect,
        pixels=pixels,
        format=_format_of(output.mime_type, f"{at}.mimeType"),
        quality=wishes.quality_of(output.compression_quality, f"{at}.compressionQuality"),
    )


def _format_of(mime: str | None, field: str) -> str:
    wanted = (mime or "").strip().lower()
    if wanted and wanted not in wishes.FORMATS.values():
        raise InvalidRequest(
            f"'{field}' is '{wanted[:40]}'. Use {', '.join(sorted(set(wishes.FORMATS.values())))}.",
            param=field,
        )
    return wanted


def wish_for(terms: Terms, model: ModelInfo, exchange: Exchange) -> PictureWish | None:
    """The wish for an answer of this model, None where text is wanted. Raises `InvalidRequest`."""
    wanted = model.category == "image" if terms.asked is None else terms.asked
    if not wanted:
        return None
    wish = replace(terms.wish, keep_watermark=keeps_watermark(exchange))
    return wish if wish.pixels else replace(wish, pixels=model.pixels)


def keeps_watermark(exchange: Exchange) -> bool:
    """Google's bodies have no field for it, so it is a header or a query parameter. Raises `InvalidRequest`."""
    header = exchange.headers.get(WATERMARK_HEADER)
    return wishes.keeps_watermark(exchange, None if header is None else header.decode("latin-1"))


def refuse_no_picture(messages: tuple[Message, ...]) -> None:
    """Raises `InvalidRequest` where a conversation that is to change a picture holds none."""
    if not any(
        isinstance(part, Remote) or (isinstance(part, Blob) and part.mime.startswith("image/"))
        for message in messages
        for part in message.parts
    ):
        raise InvalidRequest(
            "'contents' holds no picture to change. Add one as inlineData.", param="contents"
        )


class Edit(Struct, frozen=True):
    """The short form of `:editImage`, understood."""

    n: int
    terms: Terms
    messages: tuple[Message, ...]


def edit_of(request: wire.EditRequest, tally: Tally) -> Edit:
    """Raises errors that name the field."""
    prompt = drawing.checked_prompt(request.prompt)
    pictures = [*_pictures(request.image, "image", tally), *_pictures(request.images, "images", tally)]
    if not pictures:
        raise InvalidRequest(
            "'image' is missing. Add the picture to change: base64, a data URL or a web address.",
            param="image",
        )
    if request.mask is not None:
        prompt = f"{prompt}\n\n{drawing.MASK_NOTE}"
        pictures += _pictures(request.mask, "mask", tally)
    wish = PictureWish(
        aspect=wishes.aspect_of(request.aspect_ratio, "aspectRatio"),
        pixels=wishes.pixels_of(request.image_size, "imageSize"),
    )
    return Edit(
        n=translate.candidates(request.candidate_count, "candidateCount"),
        terms=Terms(asked=True, wish=wish),
        messages=(Message("user", (Text(prompt), *pictures)),),
    )


def _pictures(given: wire.GivenPictures | None, field: str, tally: Tally) -> list[Blob | Remote]:
    found: list[Blob | Remote] = []
    for i, item in enumerate(given if isinstance(given, list) else [given]):
        if item is not None:
            at = f"{field}[{i}]" if isinstance(given, list) else field
            tally.file(at)
            found.append(_picture(item, at))
    return found


def _picture(given: str | wire.GivenPicture, field: str) -> Blob | Remote:
    if isinstance(given, str):
        return drawing.picture_of(given, field)
    if given.file_data is not None:
        return translate.remote_picture(given.file_data, f"{field}.fileData")
    for name, text in (
        ("data", given.data),
        ("bytesBase64Encoded", given.bytes_base64_encoded),
        ("inlineData.data", given.inline_data.data if given.inline_data is not None else None),
    ):
        if text is not None:
            return media.picture_from_text(text, f"{field}.{name}")
    raise InvalidRequest(f"'{field}' holds no picture. Send its base64 in 'data'.", param=field)


def prediction_of(request: wire.PredictRequest, model: str, exchange: Exchange) -> drawing.Order:
    """Raises errors that name the field."""
    if len(request.instances) != 1:
        raise InvalidRequest(
            f"'instances' has {len(request.instances)} items. Send exactly one, and 'parameters.sampleCount' for"
            " several pictures.",
            param="instances",
        )
    [instance] = request.instances
    given = request.parameters or wire.PredictParameters()
    size, field = given.image_size, "parameters.imageSize"
    if size is None:
        size, field = given.sample_image_size, "parameters.sampleImageSize"
    wish = _wish(
        wishes.aspect_of(given.aspect_ratio, "parameters.aspectRatio"),
        wishes.pixels_of(size, field),
        given.output_options,
        "parameters.outputOptions",
    )
    pictures = () if instance.image is None else (_picture(instance.image, "instances[0].image"),)
    return drawing.Order(
        prompt=drawing.checked_prompt(instance.prompt, "instances[0].prompt"),
        model=model,
        n=wishes.count_of(given.sample_count, "parameters.sampleCount"),
        wish=replace(wish, keep_watermark=keeps_watermark(exchange)),
        inputs=drawing.Inputs(pictures),
    )


def predictions(answers: list[Answer]) -> wire.PredictResponse:
    """One picture of each answer, since exactly so many were asked for."""
    return wire.PredictResponse(
        [
            wire.Prediction(mime_type=picture.mime, bytes_base64_encoded=Inline(picture.data))
            for answer in answers
            for picture in answer.pictures[:1]
        ]
    )


def sizes_header(answers: list[Answer]) -> list[tuple[bytes, bytes]]:
    """The measured sizes of all pictures in the order of the body (`2816x1536`), as Google's bodies have no
    field for them."""
    sizes = [f"{picture.width}x{picture.height}" for answer in answers for picture in answer.pictures]
    return [(SIZES_HEADER, ", ".join(sizes).encode())] if sizes else []
