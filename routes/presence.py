"""A caller who hangs up takes the work with them."""

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Self, TypeAlias

Receive: TypeAlias = Callable[[], Awaitable[Any]]


class CallerLeft(Exception):
    """The caller closed the connection before the answer was whole."""


class Presence:
    """Ends the enclosed block with `CallerLeft` as soon as the caller hangs up.

    pulse: called whenever the time that `due` names (loop time, seconds) has passed; `due` is read anew each
    time, so that sending something only has to move it. The request's body must have been read before.
    """

    def __init__(
        self,
        receive: Receive,
        pulse: Callable[[], Awaitable[None]] | None = None,
        due: Callable[[], float | None] = lambda: None,
    ) -> None:
        self._receive = receive
        self._pulse = pulse
        self._due = due
        self._left = False

    async def __aenter__(self) -> Self:
        parent = asyncio.current_task()
        if parent is None:  # pragma: no cover - a coroutine always runs in a task
            raise RuntimeError("Presence needs a task")
        self._parent = parent
        self._cancelling = parent.cancelling()
        self._watch = asyncio.create_task(self._attend(), name="presence")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._watch.cancel()
        if not self._left:
            # The watch takes no step of its own after this; waiting for it here would cost a loop's turn.
            self._watch.add_done_callback(_retrieve)
            return
        # As asyncio.timeout does it: the cancellation was ours only if nobody else asked for one.
        if self._parent.uncancel() <= self._cancelling and (kind is None or kind is asyncio.CancelledError):
            raise CallerLeft from None

    async def _attend(self) -> None:
        while True:
            due = self._due()
            try:
                async with asyncio.timeout_at(due):
                    message = await self._receive()
            except TimeoutError:
                now = asyncio.get_running_loop().time()
                if self._pulse is not None and (moved := self._due()) is not None and moved <= now:
                    await self._pulse()
                continue
            if message["type"] == "http.disconnect":
                break
        self._left = True
        self._parent.cancel()


def _retrieve(task: asyncio.Task[None]) -> None:
    if not task.cancelled():
        task.exception()


async def all_of(calls: list[Any]) -> list[Any]:
    """Run coroutines together; the first to fail ends the others before its error is raised."""
    tasks = [asyncio.create_task(call) for call in calls]
    try:
        return await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
