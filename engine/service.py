"""The engine's door: what `routes/` may ask of it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol

from msgspec import Struct

from core.chat import Answer, Ask, Event, Message, ModelInfo
from core.secret import Secret


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
    retry_after: float | None = None
    """Seconds until the next account tries to come back, where it is not ready and that is known."""


class ChatService(Protocol):
    """Answers in no dialect. Every method raises `core.errors.GatewayError`s only."""

    def stream(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """The answer as it grows: `Delta`s, `ToolCall`s and `Picture`s, then one `Finish`.

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

    async def status(self, within: float | None = None) -> Status:
        """Cheap enough for a health check every second.

        within: seconds after which, where the store has not answered, the last known status is told.
        """


class ResponseStore(Protocol):
    """Conversations that callers go on with by the id of their last response. Shared by all replicas; they expire.

    Every method raises `core.errors.StoreUnavailable` only, where nothing else is said.
    """

    async def load(self, id: str, caller: str) -> tuple[Message, ...] | None:
        """The whole conversation that ends with response `id`, oldest message first; None where there is none: it never
        was kept, has expired, or is another caller's."""

    async def save(self, id: str, caller: str, previous: str, messages: tuple[Message, ...]) -> bool:
        """Keep what response `id` added (what was asked and what was answered) to the conversation that ended with
        `previous`, '' for a new one; whether it was kept. What is too large to be is left out with a log line, so that a later `load`
        finds nothing."""


class ModelCooldown(Struct, frozen=True):
    """Why an account does not serve one model for now, and the end of it in ISO 8601, UTC."""

    reason: str
    until: str | None


class CookieStatus(Struct, frozen=True):
    """How an account and its cookies stand. Times are ISO 8601 in UTC, None for never or not planned.

    `last_probe_outcome` is `well` or what was wrong, `rotation_outcome` is `ok`, `empty` or what was wrong.
    """

    id: str
    state: str
    reason: str
    since: str | None
    cooling_until: str | None
    cooling_models: Mapping[str, ModelCooldown]
    cookie_age_seconds: float | None
    last_proved: str | None
    last_probe: str | None
    last_probe_outcome: str
    next_probe: str | None
    last_rotation: str | None
    rotation_outcome: str
    next_rotation: str | None


class HandedIn(Struct, frozen=True):
    """New cookies of an account: the two values, or what a browser's cookie exporter wrote."""

    secure_1psid: Secret = Secret("")
    secure_1psidts: Secret = Secret("")
    export: Secret = Secret("")


class Replaced(Struct, frozen=True):
    """What became of cookies that somebody handed in.

    kept: False where they were refused by the upstream; then the account goes on as before. `probe` is `well`,
    `unsure` (the upstream could not be asked, so the cookies are kept) or what was wrong; `detail` says more.
    """

    account: str
    kept: bool
    probe: str
    detail: str
    state: str
    reason: str


class CookieService(Protocol):
    """The accounts' cookies. Every method raises `core.errors.GatewayError`s only."""

    async def cookies_status(self) -> list[CookieStatus]:
        """Every account, in the roster's order."""

    async def replace_cookies(self, account: str, given: HandedIn) -> Replaced:
        """Try newer cookies of an account, keep them where they are not refused, and use them at once in all
        replicas."""
