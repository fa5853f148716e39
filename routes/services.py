"""What the edge is built from."""

from collections.abc import Callable, Mapping

from msgspec import Struct

from access import Keys, Limits, Sessions, SignOuts
from core.clock import Clock
from core.metrics import Metrics
from engine.service import BatchService, ChatService, CookieService, OperatorService, ResponseStore
from fetch import Fetcher
from journal import Served
from storage import Local


def unnoted(entry: Served) -> None:
    """For an edge without a journal."""


def no_facts() -> Mapping[str, object]:
    return {}


class EdgeSettings(Struct, frozen=True, kw_only=True):
    """Settings of the HTTP edge. Times in seconds, sizes in bytes."""

    body_limit: int = 40 * 1024 * 1024
    """Largest request body."""
    body_timeout: float = 60.0
    """A request's body must have arrived by then."""
    keepalive_after: float = 10.0
    """A stream without content is given its head and a first sign of life after this long."""
    keepalive_every: float = 15.0
    """Further signs of life follow after this much silence."""
    message_limit: int = 2000
    """Most messages (or contents) in one request."""
    part_limit: int = 4000
    """Most parts of all its messages together."""
    file_limit: int = 16
    """Most attached files."""
    prompt_limit: int = 4 * 1024 * 1024
    """Most characters of text in all."""
    cors_origins: tuple[str, ...] = ("*",)
    """Web origins whose pages may call; `*` means any."""
    default_model: str = "gemini-3-flash-preview"
    """Answers requests that name no model."""
    default_image_model: str = "gemini-3-pro-image-preview"
    """Makes the pictures of requests that name no model."""
    public_url: str = ""
    """Where callers reach the gateway, without a slash at the end; '' goes by each request's own Host."""
    trusted_proxies: tuple[str, ...] = ()
    """Proxies whose word is taken: X-Forwarded-For tells the caller's address, X-Forwarded-Proto and, with any such proxy,
    X-Forwarded-Host begin links."""
    metrics_open: bool = False
    """`/metrics` needs no key."""
    batch_tasks: int = 10_000
    """Most prompts of one batch."""
    batch_concurrency: int = 16
    """Most tasks of one batch that may run at once."""
    allow_anonymous: bool = False
    """Without any API key configured, callers from other machines are served as well."""
    picture_origin: str = ""
    """Scheme and host that stored pictures are read from, where that is not the gateway itself."""


class RouteServices(Struct, frozen=True, kw_only=True):
    """The edge's collaborators.

    `started` is wall clock seconds. `health_facts` adds to `/health`; callers without a key see only its
    numbers and yes or no. `cookies`: None leaves the routes under `/api/cookies` out. `files`: the pictures under
    `/files/`; None leaves that route out. `fetch`: None refuses pictures that are named by their web address.
    `limits`: what callers may ask in a time; None limits nobody. `responses`: None refuses `previous_response_id`. `batches`: None
    leaves the routes under `/v1/batch` out. `operator`: None leaves the page's routes under `/admin/api` out. `sessions`: the
    page's; None, as without an admin key, where nobody can sign in. `sign_outs` tells other replicas of sessions that have ended; None
    where there are none. `noted` takes every request that asked for a model, at once and
    without ever raising.
    """

    chat: ChatService
    keys: Keys
    metrics: Metrics
    clock: Clock
    version: str
    started: float
    settings: EdgeSettings = EdgeSettings()
    cookies: CookieService | None = None
    files: Local | None = None
    fetch: Fetcher | None = None
    limits: Limits | None = None
    responses: ResponseStore | None = None
    batches: BatchService | None = None
    operator: OperatorService | None = None
    sessions: Sessions | None = None
    sign_outs: SignOuts | None = None
    noted: Callable[[Served], None] = unnoted
    replica: str = ""
    health_facts: Callable[[], Mapping[str, object]] = no_facts
