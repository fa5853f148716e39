"""A chat service that answers by script: the edge's other side in tests."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import TypeAlias

from msgspec import Struct

from core.chat import Answer, Ask, Delta, Event, Finish, ModelInfo, Picture, ToolCall, Usage
from core.errors import GatewayError, UnknownModel
from core.tokens import estimate
from engine.service import Status
from tests.support.files import PNG


class Pause(Struct, frozen=True):
    """Wait that many seconds."""

    seconds: float


class Fail(Struct, frozen=True):
    """Raise the error."""

    error: Exception


Step: TypeAlias = Event | Pause | Fail
Script: TypeAlias = Callable[[Ask], list[Step]]

PUBLIC = (
    ModelInfo("gemini-3-flash-preview", "Gemini 3 Flash", "Fast", "text"),
    ModelInfo("gemini-2.5-pro", "Gemini 2.5 Pro", "Thorough", "text"),
    ModelInfo("gemini-2.5-flash-image", "Flash Image", "Pictures", "image"),
    ModelInfo("gemini-3-pro-image-preview", "Pro Image", "Larger pictures", "image", pixels=2048),
    ModelInfo("vendor/odd:name", "Odd", "A name with a slash and a colon", "text", upstream=True),
)
WELL = Status(
    ready=True,
    why="",
    store_ok=True,
    accounts={"active": 3, "quarantined": 0},
    in_flight=0,
    waiting=0,
    capacity=6,
)


def echo(ask: Ask) -> list[Step]:
    """The last message in words, then the end."""
    text = "You said: " + ask.messages[-1].text
    words = text.split(" ")
    steps: list[Step] = [Delta(word if i == 0 else " " + word) for i, word in enumerate(words)]
    prompt = sum(estimate(message.text) for message in ask.messages)
    return [*steps, Finish(Usage(prompt, estimate(text)), "gemini-flash")]


def draw(ask: Ask) -> list[Step]:
    """A square picture of the wanted size, with a link where one is wanted; text where none is asked for."""
    wish = ask.picture
    if wish is None:
        return echo(ask)
    picture = Picture(
        PNG,
        wish.format or "image/png",
        alt="a (small) [picture]",
        width=wish.pixels,
        height=wish.pixels,
        watermark="kept" if wish.keep_watermark else "removed",
        link="/files/20261121T000000Z_a_00.png" if wish.link else "",
    )
    return [picture, Finish(Usage(estimate(ask.messages[-1].text), 0), "gemini-pro")]


class FakeChat:
    """Implements `engine.service.ChatService`. `script` decides every answer; `asks` remembers every ask,
    `running` counts answers under way, `closed` those that were closed before their end."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.script: Script = draw
        self.asks: list[Ask] = []
        self.running = 0
        self.closed = 0
        self.state: Status | GatewayError = WELL
        self.waited = 0.0

    def say(self, *steps: Step) -> None:
        """Answer every ask with these steps."""
        self.script = lambda ask: list(steps)

    async def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        self.asks.append(ask)
        self.running += 1
        whole = False
        try:
            await self.check_model(ask.model)
            ask.trace.attempts = 1
            ask.trace.waited = self.waited
            for step in self.script(ask):
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                elif isinstance(step, Fail):
                    raise step.error
                else:
                    whole = isinstance(step, Finish)
                    yield step
        except Exception:
            whole = True
            raise
        finally:
            self.running -= 1
            self.closed += not whole

    async def answer(self, ask: Ask) -> Answer:
        text, thoughts = "", ""
        pictures: list[Picture] = []
        calls: list[ToolCall] = []
        async with aclosing(self.stream(ask)) as events:
            async for event in events:
                if isinstance(event, Delta):
                    text += event.text
                    thoughts += event.thoughts
                elif isinstance(event, Picture):
                    pictures.append(event)
                elif isinstance(event, ToolCall):
                    calls.append(event)
                else:
                    return Answer(text, thoughts, tuple(pictures), event, tuple(calls))
        raise AssertionError("a script must end with Finish or Fail")

    async def check_model(self, model: str) -> None:
        known = [info.id for info in PUBLIC]
        if model not in known:
            raise UnknownModel(
                f"The model '{model}' is not known. Known models: {', '.join(known)}.", param="model"
            )

    async def models(self) -> tuple[ModelInfo, ...]:
        return PUBLIC

    async def status(self, within: float | None = None) -> Status:
        if isinstance(self.state, GatewayError):
            raise self.state
        return self.state
