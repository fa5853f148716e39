"""Helpers for tests of the adapter over the simulator."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, TypeAlias

from core.chat import Delta
from pool.gemini_web.session import GeminiWebSession
from pool.upstream import Bounds, Done, Prompt, UpstreamEvent
from simulator import Simulator

BOUNDS = Bounds(connect=5, first_content=5, silence=5, total=30)

Open: TypeAlias = Callable[..., Awaitable[GeminiWebSession]]


async def ask(
    session: GeminiWebSession, text: str = "Hello", bounds: Bounds = BOUNDS, **options: Any
) -> list[UpstreamEvent]:
    """All events of one answer."""
    return [event async for event in session.generate(Prompt(text, **options), bounds)]


def text_of(events: list[UpstreamEvent]) -> str:
    """The text of an answer that ended well."""
    assert isinstance(events[-1], Done)
    return "".join(event.text for event in events if isinstance(event, Delta))


def journal(web: Simulator, account: str) -> dict[str, Any]:
    """What the simulator wrote down about the account."""
    return web.account(account)


def prompts(web: Simulator, account: str) -> int:
    """How many prompts reached the account."""
    return int(journal(web, account)["prompts"])


async def until(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait for something that another task brings about."""
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  what is awaited has no event of ours
            await asyncio.sleep(0.005)


async def until_so(condition: Callable[[], Awaitable[object]], seconds: float = 20) -> None:
    """The same for a condition that has to be asked for."""
    async with asyncio.timeout(seconds):
        while not await condition():  # noqa: ASYNC110  as above
            await asyncio.sleep(0.01)
