"""Where the ledgers lie: in the store, one key a subject, changed by compare and swap."""

from collections.abc import Callable
from typing import Protocol, TypeVar

import msgspec
import structlog

from supervisor.ledger import Ledger

log = structlog.get_logger("gempool.supervisor")

T = TypeVar("T")


class Swapping(Protocol):
    """What is needed of `pool.shared.Shared`. Both raise StoreUnavailable."""

    async def get(self, key: str) -> str | None: ...
    async def swap(self, key: str, old: str | None, new: str) -> bool: ...


class Desk:
    """Reads and changes ledgers. Both raise StoreUnavailable."""

    def __init__(self, shared: Swapping) -> None:
        self._shared = shared

    async def read(self, subject: str) -> Ledger:
        ledger, _ = await self._read(subject)
        return ledger

    async def change(self, subject: str, decide: Callable[[Ledger], tuple[Ledger, T]]) -> T:
        """Decide over the ledger as it is and write what comes of it, again where another was faster."""
        while True:
            ledger, raw = await self._read(subject)
            changed, verdict = decide(ledger)
            if changed == ledger:
                return verdict
            if await self._shared.swap(f"alerts:{subject}", raw, msgspec.json.encode(changed).decode()):
                return verdict

    async def _read(self, subject: str) -> tuple[Ledger, str | None]:
        raw = await self._shared.get(f"alerts:{subject}")
        if raw is None:
            return Ledger(), None
        try:
            return msgspec.json.decode(raw, type=Ledger), raw
        except msgspec.MsgspecError:
            log.error("what the store knows of an alert cannot be read, beginning anew", subject=subject)
            return Ledger(), raw
