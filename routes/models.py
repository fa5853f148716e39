"""Which models there are, for lists, for look-ups and for labels."""

import contextlib

from core.chat import ModelInfo
from core.clock import Clock
from core.errors import GatewayError, InvalidRequest
from engine.service import ChatService

REFRESH_AFTER = 60.0
"""Seconds for which the public names are taken as known."""


class KnownModels:
    """The service's models by name. Only public names become labels, so that labels stay bounded."""

    def __init__(self, chat: ChatService, clock: Clock) -> None:
        self._chat = chat
        self._clock = clock
        self._public: frozenset[str] = frozenset()
        self._image: frozenset[str] = frozenset()
        self._as_of: float | None = None

    async def label(self, model: str) -> str:
        """`model` if it is public, else `other`."""
        # A label is not worth failing for; the names known so far go on.
        with contextlib.suppress(GatewayError):
            await self._refresh()
        return model if model in self._public else "other"

    async def listed(self) -> list[ModelInfo]:
        """The models that can be asked now. Those that make pictures are left out until their routes are built."""
        return [info for info in await self._chat.models() if info.category == "text"]

    async def check_text(self, model: str) -> None:
        """Raises `InvalidRequest` for a model that is known and makes pictures."""
        await self._refresh()
        if model in self._image:
            raise InvalidRequest(
                f"'model' is '{model}', which makes pictures: that is not built yet. Ask a text model;"
                " GET /v1/models lists them.",
                param="model",
            )

    async def _refresh(self) -> None:
        now = self._clock.monotonic()
        if self._as_of is None or now - self._as_of > REFRESH_AFTER:
            infos = await self._chat.models()
            self._as_of = now
            self._public = frozenset(info.id for info in infos if not info.upstream)
            self._image = frozenset(info.id for info in infos if info.category == "image")

    async def find(self, model: str) -> ModelInfo:
        """The model of that name. Raises `UnknownModel`, and `InvalidRequest` for one that makes pictures."""
        await self.check_text(model)
        for info in await self._chat.models():
            if info.id == model:
                return info
        await self._chat.check_model(model)
        return ModelInfo(id=model, name=model, description="", category="text", upstream=True)


def name_of(value: str | None, default: str) -> str:
    """The model's name as the engine knows it: without `models/`; `default` where none is named."""
    if value is None:
        return default
    name = value.strip().removeprefix("models/")
    if not name:
        raise InvalidRequest("'model' is empty. Name a model; GET /v1/models lists them.", param="model")
    return name
