"""Which models there are, for lists, for look-ups and for labels."""

import contextlib
from collections.abc import Mapping
from types import MappingProxyType

from access import Caller, Limits
from core.chat import ModelInfo
from core.clock import Clock
from core.errors import Forbidden, GatewayError, InvalidRequest, UnknownModel
from engine.service import ChatService

REFRESH_AFTER = 60.0
"""Seconds for which the models are taken as known."""


class KnownModels:
    """The service's models by name, and who may ask them how often. Only public names become labels, so that labels
    stay bounded.

    limits: None limits nobody.
    """

    def __init__(self, chat: ChatService, clock: Clock, limits: Limits | None = None) -> None:
        self._chat = chat
        self._clock = clock
        self.limits = limits
        self._infos: Mapping[str, ModelInfo] = MappingProxyType({})
        self._as_of: float | None = None

    async def label(self, model: str) -> str:
        """The public name that `model` is, else `other`."""
        # A label is not worth failing for; the names known so far go on.
        with contextlib.suppress(GatewayError):
            await self._refresh()
        info = self._infos.get(model.lower())
        return info.id if info is not None and not info.upstream else "other"

    async def listed(self, caller: Caller | None) -> list[ModelInfo]:
        """The models that the caller can ask now."""
        return [info for info in await self._chat.models() if caller is None or caller.may_ask(info.id)]

    async def find(self, model: str, caller: Caller | None) -> ModelInfo:
        """The model of that name. Raises `UnknownModel`, or `Forbidden` where it is not for the caller."""
        for info in await self._chat.models():
            if info.id.lower() == model.lower() and (caller is None or caller.may_ask(info.id)):
                return info
        return await self.asked(model, caller)

    async def known(self, model: str) -> ModelInfo:
        """What is known of a model, from memory: cheap, and never a refusal of the name. One that is not known counts
        as a text model."""
        await self._refresh()
        return self._infos.get(model.lower()) or _only_named(model)

    async def asked(self, model: str, caller: Caller | None) -> ModelInfo:
        """What is known of a model that the caller wants to ask. Raises `UnknownModel` where there is none of that name,
        `Forbidden` where it is not for the caller, and what else the service says of a name that it cannot judge yet."""
        await self._refresh()
        if caller is not None and not caller.may_ask(model):
            raise Forbidden(
                f"Your key does not extend to the model '{model[:80]}'. It may ask {self._open_to(caller)}.",
                param="model",
            )
        if info := self._infos.get(model.lower()):
            return info
        try:
            await self._chat.check_model(model)
        except UnknownModel:
            if caller is None or not caller.restricted:
                raise
            # The service's own words list the models that are for others.
            raise UnknownModel(
                f"The model '{model[:80]}' is not known. Your key may ask {self._open_to(caller)}.",
                param="model",
            ) from None
        return _only_named(model)

    def _open_to(self, caller: Caller) -> str:
        names = [info.id for info in self._infos.values() if caller.may_ask(info.id)]
        return ", ".join(names or caller.models)

    async def _refresh(self) -> None:
        now = self._clock.monotonic()
        if self._as_of is None or now - self._as_of > REFRESH_AFTER:
            infos = await self._chat.models()
            self._as_of = now
            self._infos = {info.id.lower(): info for info in infos}


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
