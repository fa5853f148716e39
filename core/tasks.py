"""Background work with an owner: every task has a name, a reference and an end."""

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger("gempool.tasks")


class Tasks:
    """Owns tasks until they end. A task that raises is logged, never lost.

    `close()` cancels what still runs and waits for it.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self._running: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(coroutine, name=f"{self._name}:{name}")
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    def __len__(self) -> int:
        return len(self._running)

    async def settle(self) -> None:
        """Wait until everything that runs now has ended."""
        while self._running:
            await asyncio.wait(set(self._running))

    async def close(self) -> None:
        for task in set(self._running):
            task.cancel()
        await self.settle()

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("background task failed", task=task.get_name(), exc_info=error)
