"""Kept responses in memory: the other side of `/v1/responses` in tests."""

import asyncio

from core.chat import Message
from core.errors import StoreUnavailable


class FakeResponses:
    """Implements `engine.service.ResponseStore`. `broken` fails every call, `hangs` never ends a save, `full` keeps nothing."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.kept: dict[tuple[str, str], tuple[Message, ...]] = {}
        self.broken = False
        self.hangs = False
        self.full = False

    async def load(self, id: str, caller: str) -> tuple[Message, ...] | None:
        self._check()
        return self.kept.get((id, caller))

    async def save(self, id: str, caller: str, previous: str, messages: tuple[Message, ...]) -> bool:
        self._check()
        if self.full:
            return False
        if self.hangs:
            await asyncio.Event().wait()
        self.kept[id, caller] = self.kept.get((previous, caller), ()) + messages
        return True

    def _check(self) -> None:
        if self.broken:
            raise StoreUnavailable("The store does not answer.")
