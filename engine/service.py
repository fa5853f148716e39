"""The engine's door: what `routes/` may ask of it."""

from collections.abc import AsyncGenerator, Mapping
from typing import Literal, Protocol, TypeAlias

from msgspec import Struct

from core.chat import Answer, Ask, Event, Message, ModelInfo, PictureWish
from core.secret import Secret
from journal import Happened, Minute, Served


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
    demand: int = 0
    """The most live requests that had an account in this replica at once, in the last seconds."""


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


BatchKind: TypeAlias = Literal["images", "chat"]
BatchForm: TypeAlias = Literal["url", "base64", "text"]
"""How results are told: pictures as links or as data, chat as text."""
BatchState: TypeAlias = Literal["queued", "running", "completed", "failed", "cancelling", "cancelled"]
"""`queued`: no task has begun. `running`: some have, or wait for accounts. `completed`: every task has ended and one at least
went well; `failed`: every task has ended and none went well. `cancelling`: those that were running when it was cancelled run still;
`cancelled`: it was cancelled, and nothing of it runs."""

ENDED: frozenset[BatchState] = frozenset({"completed", "failed", "cancelled"})


class BatchOrder(Struct, frozen=True):
    """One batch that a caller wants: a task for each prompt.

    owner: whose it is; only they see it. caller: their name, for logs. concurrency: how many of its tasks may run at once.
    wish: what kind of picture, None for text. key: the caller's idempotency key, '' for none.
    """

    kind: BatchKind
    model: str
    prompts: tuple[str, ...]
    form: BatchForm
    concurrency: int
    owner: str
    caller: str
    wish: PictureWish | None = None
    key: str = ""


class Batch(Struct, frozen=True):
    """How a batch stands at one moment: `completed + failed + cancelled + pending == total`. Times are wall clock seconds of
    the store's clock.

    completed: tasks that went well. cancelled: tasks that will never run. running: part of the pending. ended_at: when the last
    task ended, None before. expires_at: when it is forgotten, None before it has ended. why: what its tasks wait for now, ''
    where they do not.
    """

    id: str
    kind: BatchKind
    model: str
    form: BatchForm
    state: BatchState
    total: int
    completed: int
    failed: int
    cancelled: int
    running: int
    concurrency: int
    created_at: float
    started_at: float | None = None
    ended_at: float | None = None
    expires_at: float | None = None
    why: str = ""

    @property
    def pending(self) -> int:
        """Tasks that have not ended: those that wait, and those that run."""
        return self.total - self.completed - self.failed - self.cancelled

    @property
    def outcomes(self) -> int:
        """Tasks that ended with a result or an error."""
        return self.completed + self.failed

    @property
    def ended(self) -> bool:
        return self.state in ENDED


class Outcome(Struct, frozen=True, omit_defaults=True):
    """What became of one task. index: of its prompt, from 0. tries: how often it was tried. at: wall clock seconds.

    A result has `text`, or `link`, `mime` and the picture's size as measured; an error has `code` and `message`. link: where the
    stored picture is read, a path of the gateway's own where it begins with a slash.
    """

    index: int
    tries: int
    at: float
    text: str = ""
    link: str = ""
    mime: str = ""
    width: int = 0
    height: int = 0
    watermark: str = ""
    code: str = ""
    message: str = ""

    @property
    def ok(self) -> bool:
        return not self.code


class Numbered(Struct, frozen=True):
    """An outcome and its place in the order in which the batch's tasks ended, from 1."""

    number: int
    outcome: Outcome


class BatchPage(Struct, frozen=True):
    """Newest first. total: of all that the owner has. more: there are older ones."""

    batches: tuple[Batch, ...]
    total: int
    more: bool


class BatchService(Protocol):
    """Work for later. Every method raises `core.errors.GatewayError`s only; those that take an `id` raise `NotFound` where there
    is no such batch, or it is not the owner's. owner None: everybody's (the operator)."""

    async def create(self, order: BatchOrder) -> tuple[Batch, bool]:
        """Take the batch in; False with the one that the order's key stands for already. Once this returns nothing loses it.

        Raises IdempotencyKeyReused, TooManyBatches, StoreUnavailable.
        """

    async def known(self, order: BatchOrder) -> Batch | None:
        """The batch that the order's key stands for already; None where the order is new. Raises what `create` does, of which it
        is the cheap part: it takes nothing in."""

    async def find(self, id: str, owner: str | None) -> Batch: ...

    def outcomes(
        self, batch: Batch, *, ok: bool, offset: int = 0, limit: int | None = None
    ) -> AsyncGenerator[list[Outcome], None]:
        """The results (ok) or the errors that `batch` counts, exactly these, by index, in lists of a bounded size."""

    def watch(self, id: str, owner: str | None, after: int = 0) -> AsyncGenerator[Batch | Numbered, None]:
        """How the batch stands now, then every outcome from number `after` + 1 on and, each time something has changed, how it
        stands; the last is a `Batch` that has ended. Outcomes come in order, each before the first `Batch` that counts it."""

    async def listed(
        self, owner: str | None, *, limit: int, after: str = "", state: BatchState | None = None
    ) -> BatchPage:
        """after: the id of the last batch of the page before; one that is unknown by now raises `NotFound`."""

    async def cancel(self, id: str, owner: str | None) -> tuple[Batch, bool]:
        """What has not begun never runs; what runs may finish. False where it was cancelled before. Raises Conflict where it
        has ended otherwise."""

    async def picture(self, outcome: Outcome) -> bytes | None:
        """The stored picture's bytes; None where it cannot be had (any more)."""

    async def link(self, outcome: Outcome) -> str:
        """Where the stored picture is read now: links that expire are made anew."""


NextStep: TypeAlias = Literal["probe", "rotation", "return", "open", "operator", ""]
"""What will happen next to an account: it is probed, its cookies are rotated, its cooldown ends, a session is tried again, or
nothing until somebody does something. '' for one that was set aside on purpose."""


class ModelRest(Struct, frozen=True):
    """Why an account does not serve one model for now, until when in seconds."""

    model: str
    reason: str
    until: float


class Standing(Struct, frozen=True):
    """An account as its operator sees it. Times are wall clock seconds of the store's clock, None for never or not planned.

    reason: a word, '' where there is none; why: the state in a sentence, '' where it is well. since: when the state began.
    until: when its cooldown ends. next, next_at: what happens next, and when. order: its place among those that can serve, 1
    for the one that serves next; 0 for those that cannot. models: the public names that it serves. cookie_source: `file`,
    `rotation`, `api`, `session`. failures: in a row. session_open: in the replica that tells.
    """

    id: str
    state: str
    reason: str
    why: str
    since: float | None
    until: float | None
    next: NextStep
    next_at: float | None
    order: int
    in_flight: int
    max_concurrency: int
    min_interval: float
    last_used: float | None
    cookies_at: float | None
    cookie_source: str
    rotation_at: float | None
    rotation_outcome: str
    next_rotation: float | None
    proved_at: float | None
    probed_at: float | None
    probe_outcome: str
    next_probe: float | None
    failures: int
    last_resort: bool
    session_open: bool
    egress: str
    tags: tuple[str, ...] = ()
    models: tuple[str, ...] = ()
    resting: tuple[ModelRest, ...] = ()


class Now(Struct, frozen=True):
    """How the whole stands. Numbers are over all replicas, but `in_flight` and `waiting`, which are this replica's.

    time: wall clock seconds of the store's clock. accounts: their number by state. leader: the replica that looks after the
    accounts. alerts_pending: alerts that no device has taken yet. broken_files: configuration files that cannot be read, by
    path, with what is wrong.
    """

    time: float
    ready: bool
    why: str
    store_ok: bool
    accounts: Mapping[str, int]
    capacity: int
    in_flight: int
    waiting: int
    replica: str
    replicas: int
    leader: str
    version: str
    started: float
    alerts_pending: int
    alerts_configured: bool
    batches_open: int
    tasks_waiting: int
    tasks_running: int
    broken_files: Mapping[str, str]


class View(Struct, frozen=True):
    """All that somebody who begins to look needs. Accounts in the roster's order; happened and served newest first; minutes
    oldest first, without those in which nothing was counted."""

    now: Now
    accounts: tuple[Standing, ...]
    happened: tuple[Happened, ...]
    served: tuple[Served, ...]
    minutes: tuple[Minute, ...]


class Turn(Struct, frozen=True):
    """What is new since the last one. accounts: those that differ, whole; not those of which only the `order` does, since each
    request moves everybody up: `order` has the ids of all that can serve, who serves next first, None where that has not changed.
    gone: ids of those that are no more. served: at most so many as a person can follow, newest first; minutes: those that differ,
    whole."""

    now: Now
    accounts: tuple[Standing, ...] = ()
    order: tuple[str, ...] | None = None
    gone: tuple[str, ...] = ()
    happened: tuple[Happened, ...] = ()
    served: tuple[Served, ...] = ()
    minutes: tuple[Minute, ...] = ()


class Checked(Struct, frozen=True):
    """What an action on an account came to. outcome: of a probe: `well`, or what was wrong; '' for the others."""

    account: Standing
    outcome: str = ""
    detail: str = ""


class OperatorService(Protocol):
    """The operator's desk, over all replicas. Every method raises `core.errors.GatewayError`s only; those that take an account
    raise NotFound where there is none of that name (any more), and are noted in the journal with `who` did it."""

    async def view(self) -> View: ...

    def turns(self) -> AsyncGenerator[View | Turn, None]:
        """First a `View`, then a `Turn` each second in which something changed, and at least every five. While the store is
        away turns say so in `now`; when it is back there is a `View` again. All who look share one reading of the store."""

    async def history(self, account: str) -> tuple[Happened, ...]:
        """What befell the account, newest first: its changes of state, probes, rotations and what people did, 200 at most."""

    async def probe(self, account: str, who: str) -> Checked: ...

    async def enable(self, account: str, who: str) -> Checked: ...

    async def disable(self, account: str, who: str) -> Checked: ...

    async def clear(self, account: str, who: str) -> Checked:
        """End its cooldowns and forget its failures; a quarantine ends by a probe alone."""
