"""Which models there are, for lists, for look-ups and for labels."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType

from core.chat import ModelInfo
from core.clock import Clock
from core.errors import GatewayError, InvalidRequest
from engine.service import ChatService

REFRESH_AFTER = 60.0
"""Seconds for which the models are taken as known."""


class KnownModels:
    """The service's models by name. Only public names become labels, so that labels stay bounded."""

    def __init__(self, chat: ChatService, clock: Clock) -> None:
        self._chat = chat
        self._clock = clock
        self._infos: Mapping[str, ModelInfo] = MappingProxyType({})
        self._as_of: float | None = None

    async def label(self, model: str) -> str:
        """`model` if it is public, else `other`."""
        # A label is not worth failing for; the names known so far go on.
        with contextlib.suppress(GatewayError):
            await self._refresh()
        info = self._infos.get(model)
        return model if info is not None and not info.upstream else "other"

    async def listed(self) -> list[ModelInfo]:
        """The models that can be asked now."""
        return list(await self._chat.models())

    async def find(self, model: str) -> ModelInfo:
        """The model of that name. Raises `UnknownModel`."""
        for info in await self._chat.models():
            if info.id == model:
                return info
        await self._chat.check_model(model)
        return _only_named(model)

    async def known(self, model: str) -> ModelInfo:
        """What is known of a model that is about to be asked, from memory: cheap, and never a refusal of the name,
        since the engine refuses one that it does not know. Such a one counts as a text model."""
        await self._refresh()
        return self._infos.get(model) or _only_named(model)

    async def _refresh(self) -> None:
        now = self._clock.monotonic()
        if self._as_of is None or now - self._as_of > REFRESH_AFTER:
            infos = await self._chat.models()
            self._as_of = now
            self._infos = {info.id: info for info in infos}


def _only_named(model: str) -> ModelInfo:
    return ModelInfo(id=model, name=model, description="", category="text", upstream=True)


def name_of(value: str | None, default: str) -> str:
    """The model's name as the engine knows it: without `models/`; `default` where none is named."""
    if value is None:
        return default
    name = value.strip().removeprefix("models/")
    if not name:
        raise InvalidRequest("'model' is empty. Name a model; GET /v1/models lists them.", param="model")
    return name
