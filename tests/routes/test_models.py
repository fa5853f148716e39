"""What the edge knows of the models."""

import pytest

from core.chat import ModelInfo
from core.clock import SystemClock
from core.errors import StoreUnavailable, UnknownModel
from routes.models import KnownModels
from tests.fakes.service import FakeChat

IMAGE = "gemini-3-pro-image-preview"


class Flaky(FakeChat):
    """Its list of models fails at first."""

    failing = True

    async def models(self) -> tuple[ModelInfo, ...]:
        if self.failing:
            raise StoreUnavailable("gone")
        return await super().models()


async def test_a_failed_look_at_the_models_is_made_good_at_once() -> None:
    """It does not count as a look: the next request asks again, and a picture model is known as one."""
    chat = Flaky()
    models = KnownModels(chat, SystemClock())
    with pytest.raises(StoreUnavailable):
        await models.known(IMAGE)
    chat.failing = False
    assert (await models.known(IMAGE)).category == "image"


async def test_only_public_names_are_labels() -> None:
    """Whatever callers write, the metrics keep a bounded set of names."""
    models = KnownModels(FakeChat(), SystemClock())
    assert [await models.label(name) for name in (IMAGE, "gemini-2.5-pro", "vendor/odd:name", "x")] == [
        IMAGE,
        "gemini-2.5-pro",
        "other",
        "other",
    ]


async def test_a_model_says_how_large_its_pictures_are() -> None:
    """The table decides; text models and names that nobody knows have the smallest."""
    models = KnownModels(FakeChat(), SystemClock())
    assert (await models.known(IMAGE)).pixels == 2048
    assert (await models.known("gemini-2.5-pro")).pixels == 1024
    assert (await models.known("gpt-9")).pixels == 1024
    with pytest.raises(UnknownModel):
        await models.find("gpt-9", None)
