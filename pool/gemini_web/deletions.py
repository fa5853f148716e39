"""Chats that are deleted in the background, since a picture had to be made in an ordinary one."""

import asyncio
import random
from collections.abc import Sequence
from contextlib import suppress

import structlog

from core.errors import GatewayError, UpstreamError
from core.tasks import Tasks
from pool.gemini_web import faults
from pool.gemini_web.client import Client

log = structlog.get_logger("gempool.gemini_web")

_FAREWELL = 2.0
"""Seconds that closing waits for chats that are being deleted."""


class Deletions:
    """waits: seconds between the tries to delete a chat. `len()` is how many chats are still to be deleted."""

    def __init__(self, account: str, client: Client, tasks: Tasks, waits: Sequence[float]) -> None:
        self._account = account
        self._client = client
        self._tasks = tasks
        self._waits = waits
        self._running: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def __len__(self) -> int:
        return len(self._running)

    def begin(self, cid: str) -> None:
        deletion = self._tasks.spawn(self._delete(cid), f"forget:{self._account}")
        self._running.add(deletion)
        deletion.add_done_callback(self._running.discard)

    async def close(self) -> None:
        """Whatever waits for its next try has it now, as its last one. Returns within two seconds."""
        self._closing.set()
        if self._running:
            await asyncio.wait(self._running, timeout=_FAREWELL)

    async def _delete(self, cid: str) -> None:
        for wait in (*self._waits, None):
            last = wait is None or self._closing.is_set()
            error = await self._try(cid)
            if error is None:
                return
            detail = error.detail if isinstance(error, UpstreamError) else str(error)
            if last:
                log.warning(
                    "a picture's chat may stay in the account's history", account=self._account, detail=detail
                )
                return
            log.debug("a picture's chat is not deleted yet", account=self._account, detail=detail)
            with suppress(TimeoutError):
                async with asyncio.timeout((wait or 0.0) * random.uniform(0.8, 1.2)):  # noqa: S311  jitter, no secret
                    await self._closing.wait()

    async def _try(self, cid: str) -> GatewayError | None:
        client = self._client
        try:
            async with asyncio.timeout(client.rpc_timeout):
                await client.delete_chat(cid)
        except Exception as error:  # noqa: BLE001  border: whatever the library raises becomes ours
            return faults.translate(error)
        try:
            async with asyncio.timeout(client.rpc_timeout):
                await client.fetch_tasks(cid)
        except Exception as error:  # noqa: BLE001  border: the chat is gone, whatever became of this
            log.debug("side call failed", account=self._account, error=type(error).__name__)
        return None
