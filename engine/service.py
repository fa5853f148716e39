"""The engine's door: what `routes/` may ask of it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from msgspec import Struct

from core.chat import Answer, Ask, Event, ModelInfo


class Status(Struct, frozen=True):
    """How the service stands, for `/health` and `/ready`.

    ready: at least one account can serve and the store answers; `why` says in a sentence why not.
    accounts: number of accounts by state (`active`, `cooling`, `quarantined`, ...).
    """

    ready: bool
    why: str
    store_ok: bool
    accounts: Mapping[str, int]
    in_flight: int
    waiting: int
    capacity: int
    """Sum of the concurrency limits of the accounts that can serve."""


class ChatService(Protocol):
    """Answers in no dialect. Every method raises `core.errors.GatewayError`s only."""

    def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """The answer as it grows: `Delta`s and `Picture`s, then one `Finish`.

        Nothing is yielded before the first real content, and until then accounts are changed without
        a word; afterwards a failure is raised from the generator. Closing it stops the upstream
        transfer and frees the account.
        """

    async def answer(self, ask: Ask) -> Answer:
        """The whole answer; cancelling the call stops the upstream transfer."""

    async def check_model(self, model: str) -> None:
        """Raise `UnknownModel`, naming the known ones, where no account could ever serve `model`."""

    async def models(self) -> tuple[ModelInfo, ...]:
        """The public models and those that the accounts offer under their own names."""

    async def status(self) -> Status:
        """Cheap enough for a health check every second."""
