"""OpenAI's stream of finished pictures."""

from collections.abc import Callable
from typing import Literal

from msgspec import UNSET, Struct, UnsetType

from core.chat import Event, Finish, Picture
from routes.drawing import Order
from routes.inline import Inline, Pieces, encoded
from routes.openai.imagewire import ImageUsage, format_name, item_of, usage_of
from routes.sse import EVENT_STREAM, frame, framed

Kind = Literal["image_generation.completed", "image_edit.completed"]


class CompletedEvent(Struct):
    """A finished picture. `quality` and `background` are what strict clients want to see."""

    type: str
    b64_json: Inline
    created_at: int
    size: str
    output_format: str
    usage: ImageUsage
    background: str = "auto"
    quality: str = "auto"
    url: str | UnsetType = UNSET
    resolution: str | UnsetType = UNSET
    watermark: str | UnsetType = UNSET
    upscaled_from: str | UnsetType = UNSET


class ImageFraming:
    """One event for each picture, once its answer has ended well. There are no partial pictures."""

    media_type = EVENT_STREAM
    keepalive = b": keep-alive\n\n"

    def __init__(self, kind: Kind, order: Order, created: int, absolute: Callable[[str], str]) -> None:
        self._kind = kind
        self._order = order
        self._created = created
        self._absolute = absolute
        self._pictures: dict[int, Picture] = {}

    def event(self, index: int, event: Event) -> bytes | Pieces:
        if isinstance(event, Picture):
            self._pictures.setdefault(index, event)
        if not isinstance(event, Finish):
            return b""
        picture = self._pictures.pop(index)
        item = item_of(picture, self._absolute, link=False)
        completed = CompletedEvent(
            type=self._kind,
            b64_json=Inline(picture.data),
            created_at=self._created,
            size=item.size or "auto",
            output_format=format_name(picture.mime),
            usage=usage_of([event.usage], self._order),
            url=self._absolute(picture.link) if picture.link else UNSET,
            resolution=item.resolution,
            watermark=item.watermark,
            upscaled_from=item.upscaled_from,
        )
        return framed(encoded(completed)).within(f"event: {self._kind}\n".encode(), b"")

    def end(self) -> bytes:
        return b""

    def error(self, data: bytes) -> bytes:
        return b"event: error\n" + frame(data)
