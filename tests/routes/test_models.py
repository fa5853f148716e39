"""What the edge knows of the models."""

import pytest

from core.chat import ModelInfo
from core.clock import SystemClock
from core.errors import InvalidRequest, StoreUnavailable
from routes.models import KnownModels
from tests.fakes.service import FakeChat

IMAGE = "gemini-2.5-flash-image"


class Flaky(FakeChat):
    """Its list of models fails at first."""

    failing = True

    async def models(self) -> tuple[ModelInfo, ...]:
        if self.failing:
            raise StoreUnavailable("gone")
        return await super().models()


async def test_a_failed_look_at_the_models_is_made_good_at_once() -> None:
    """It does not count as a look: the next request asks again, and a picture model is still refused."""
    chat = Flaky()
    models = KnownModels(chat, SystemClock())
    with pytest.raises(StoreUnavailable):
        await models.check_text(IMAGE)
    chat.failing = False
    with pytest.raises(InvalidRequest, match=IMAGE):
        await models.check_text(IMAGE)
