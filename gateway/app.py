"""The wiring: every collaborator is built here, from settings, and handed over. Nothing else builds any."""

import asyncio
import contextlib
import gc
from collections.abc import AsyncIterator, Mapping
from importlib.metadata import version
from typing import TypeVar

import structlog
from litestar import Litestar
from msgspec import Struct

from access import Keys, Limits, Sessions, SignOuts
from core.clock import SystemClock
from core.metrics import Metrics
from core.tasks import Tasks
from engine import Conversations, ConversationSettings, Engine, Responses
from engine import EngineSettings as Attempts
from fetch import Fetcher, FetchSettings, networks
from gateway.alerts import alerts_of, bark_of
from gateway.batches import Batches, batches_of
from gateway.embedded import EmbeddedStore
from gateway.operator import AccountsFile, operator_of
from gateway.pictures import pictures_of
from gateway.replicas import Replicas
from gateway.settings import Settings
from gateway.watch import AccountsWatch
from journal import Journal
from pool import Policy, Pool, PoolSettings, PublicModel, Roster, Shared, Store, load_roster
from pool.gemini_web import GeminiWebSessions
from pool.upstream import SessionFactory
from routes import EdgeSettings, RouteServices
from routes import create_app as create_edge
from supervisor import Lookout
from supervisor.jars import Jars, Seal
from supervisor.settings import SupervisorSettings as Care
from supervisor.supervisor import Supervisor

log = structlog.get_logger("gempool.app")

_NAME = "gemini-pool-gateway"
"""The distribution, whose version this is."""


def create_app(settings: Settings, sessions: SessionFactory | None = None) -> Litestar:
    """The whole service. Its lifespan starts the embedded store where no other is named, begins to open
    the accounts, and takes everything down in reverse order.

    sessions: what opens the accounts' sessions, where it is not the web app's adapter.
    Raises `pool.RosterError` where the accounts file is broken. `app.state.drain(grace, gone)` waits until no
    request runs and the event says that none can come any more, `grace` seconds at most, and then ends what runs still;
    `app.state.refused(code)` counts a request that was refused before the application saw it.
    """
    roster = _roster(settings)
    clock, metrics = SystemClock(), Metrics()
    policy = _pick(Policy, settings.pool)
    embedded = None if settings.redis_url else EmbeddedStore(settings.data_dir / "store")
    url = settings.redis_url.reveal() if embedded is None else embedded.url
    store = Store(url, metrics, policy)
    sessions = sessions or _web(settings)
    shared = Shared(url)
    # Kept responses may be large: on a line of their own they hold up no lease and no cookie.
    archive = Shared(url, timeout=10.0)
    limits = _limits(settings, url, metrics)
    visits = _sessions(settings)
    sign_outs = SignOuts(visits.ended, url, clock) if visits is not None else None
    seal = Seal(settings.state_key)
    jars = Jars(shared, seal)
    pool = Pool(
        store,
        sessions,
        roster.accounts,
        _table(settings),
        _pick(PoolSettings, settings.pool, settings.supervisor, policy=policy),
        metrics,
        clock,
        cookies=jars,
    )
    replicas = Replicas(settings.data_dir / "replicas")
    journal = Journal(url, clock, pool.replica)
    care = _pick(Care, settings.supervisor, settings.pool)
    supervisor = Supervisor(pool, shared, jars, care, metrics, clock, journal.happened)
    bark = bark_of(settings)
    alerts = alerts_of(settings, shared, bark, clock, metrics, pool.replica, journal.happened)
    lookout = Lookout(pool, alerts, settings.alerts.pool_below, clock, lambda: supervisor.leader.is_leader)

    file = AccountsFile(str(settings.accounts_file), alerts, journal, clock)
    watch = AccountsWatch(
        settings.accounts_file, settings.environment, roster, pool, metrics, clock, file.told
    )
    pictures, chores = pictures_of(settings, metrics, clock), Tasks("app")
    attempts = _pick(
        Attempts,
        settings.engine,
        settings.pool,
        settings.conversations,
        forget=settings.conversations.delete_picture_chats,
    )
    kept = _pick(ConversationSettings, settings.conversations)
    engine = Engine(pool, attempts, metrics, clock, pictures.studio, Conversations(shared, kept, metrics))
    batches = batches_of(settings.batches, url, seal, engine, pictures.shelf, metrics, clock, pool.replica)
    operator = operator_of(
        settings, care, pool, shared, jars, journal, alerts, file, batches, clock, version(_NAME)
    )

    async def drain(grace: float, gone: asyncio.Event) -> None:
        operator.interrupt()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(grace):
                await asyncio.gather(pool.drain(grace), batches.drain(grace), gone.wait())
        pool.refuse()
        engine.interrupt()

    async def started() -> None:
        await pictures.be_ready(pool.tried)
        # The sessions and what works on pixels stay as well: the collector need not walk them (see `gateway.server`).
        gc.freeze()
        log.info("the start is complete", accounts=len(roster.accounts))

    def refused(code: str) -> None:
        metrics.requests.labels("unrouted", "none", "none", code).inc()

    @contextlib.asynccontextmanager
    async def running(app: Litestar) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            if embedded is not None:
                await embedded.start()
                stack.push_async_callback(embedded.stop)
            stack.push_async_callback(store.close)
            stack.push_async_callback(sessions.close)
            stack.push_async_callback(shared.close)
            stack.push_async_callback(archive.close)
            stack.push_async_callback(journal.close)
            journal.start()
            stack.push_async_callback(batches.books.close)
            if limits is not None:
                stack.push_async_callback(limits.close)
            if sign_outs is not None:
                stack.push_async_callback(sign_outs.close)
                await sign_outs.start()
            stack.push_async_callback(pool.close)
            stack.callback(replicas.leave)
            dead = replicas.enter(pool.replica)
            await pool.start(predecessors=dead)
            if bark is not None:
                stack.push_async_callback(bark.close)
            stack.push_async_callback(alerts.close)
            alerts.start()
            file.told(None)  # it was read just now: what stood about it is over
            stack.push_async_callback(lookout.close)
            lookout.start()
            stack.push_async_callback(supervisor.close)
            supervisor.start(predecessors=dead)
            stack.push_async_callback(watch.close)
            watch.start()
            stack.push_async_callback(chores.close)
            chores.spawn(pictures.look_after(), "pictures")
            chores.spawn(started(), "started")
            stack.push_async_callback(pictures.studio.close)
            stack.push_async_callback(engine.close)
            stack.push_async_callback(batches.stop)
            batches.start(predecessors=dead)
            stack.push_async_callback(operator.close)
            app.state["drain"] = drain
            app.state["refused"] = refused
            log.info("started", accounts=len(roster.accounts), store="embedded" if embedded else "shared")
            yield

    return create_edge(
        RouteServices(
            chat=engine,
            keys=Keys(settings.api_keys, settings.admin_key, settings.access.keys),
            limits=limits,
            metrics=metrics,
            clock=clock,
            version=version(_NAME),
            started=clock.now(),
            settings=_edge(settings, pictures.origin()),
            cookies=supervisor,
            files=pictures.local,
            fetch=_fetcher(settings),
            responses=Responses(archive, seal, kept),
            batches=batches.desk,
            operator=operator,
            sessions=visits,
            sign_outs=sign_outs,
            noted=journal.served,
            replica=pool.replica,
            health_facts=lambda: _facts(settings, batches),
        ),
        lifespan=[running],
    )


def _web(settings: Settings) -> GeminiWebSessions:
    return GeminiWebSessions(
        settings.data_dir / "sessions",
        ca_file=settings.upstream_ca_file,
        activity=settings.pool.activity,
        connect_timeout=settings.engine.connect_timeout,
    )


def _roster(settings: Settings) -> Roster:
    roster = load_roster(settings.accounts_file, settings.environment)
    for warning in roster.warnings:
        log.warning("accounts file", warning=warning)
    return roster


def _table(settings: Settings) -> list[PublicModel]:
    """The public models, the default one first."""
    models = settings.models
    table = [
        PublicModel(id, model.upstream, model.name, model.description, model.category, model.pixels)
        for id, model in models.table.items()
    ]
    return sorted(table, key=lambda model: model.id != models.default)


T = TypeVar("T", bound=Struct)


def _pick(kind: type[T], *sections: Struct, **more: object) -> T:
    """A settings struct of another package, its fields taken by name from the sections that have them."""
    values = dict(more)
    for section in sections:
        for name in kind.__struct_fields__:
            if name in section.__struct_fields__:
                values[name] = getattr(section, name)
    return kind(**values)


def _edge(settings: Settings, picture_origin: str) -> EdgeSettings:
    return _pick(
        EdgeSettings,
        settings.server,
        default_model=settings.models.default,
        default_image_model=settings.models.default_image,
        batch_tasks=settings.batches.max_tasks,
        batch_concurrency=settings.batches.concurrency,
        allow_anonymous=settings.allow_anonymous,
        picture_origin=picture_origin,
    )


def _sessions(settings: Settings) -> Sessions | None:
    """The page's; None where there is no admin key to sign in with."""
    if not settings.admin_key:
        return None
    return Sessions(settings.admin_key, settings.state_key, life=settings.server.admin_session)


def _limits(settings: Settings, url: str, metrics: Metrics) -> Limits | None:
    limits = settings.limits
    return (
        Limits(url, metrics, limits.per_caller, limits.per_caller_and_model) if _limited(settings) else None
    )


def _limited(settings: Settings) -> bool:
    """Whether any caller can come upon a limit."""
    limits = settings.limits
    rates = [limits.per_caller, limits.per_caller_and_model]
    for key in settings.access.keys:
        rates += [rate for rate in (key.per_caller, key.per_caller_and_model) if rate is not None]
    return limits.enabled and any(rate.count for rate in rates)


def _fetcher(settings: Settings) -> Fetcher:
    server = settings.server
    allow = networks(server.fetch_allow)
    return Fetcher(FetchSettings(enabled=server.fetch_remote, allow=allow), version=version(_NAME))


def _facts(settings: Settings, batches: Batches) -> Mapping[str, object]:
    """What `/health` says of parts besides the pool."""
    return {
        "watermark_removal": settings.watermark.enabled,
        "rate_limiter": _limited(settings),
        "batches": batches.facts(),
    }
