"""Asking the upstream about one account: opening a session, probing one. Every fault becomes a `Finding`."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import NamedTuple
from weakref import WeakValueDictionary

import structlog

from core.errors import AccountRejected, GatewayError, SessionExpired, SessionSuspect, UpstreamError
from core.metrics import Metrics
from core.secret import Secret
from pool.account import AccountConfig
from pool.cookies import CookieSource
from pool.member import WELL, Finding, Member
from pool.settings import PoolSettings
from pool.upstream import Credentials, Session, SessionFactory

log = structlog.get_logger("gempool.pool")


class Opened(NamedTuple):
    """What came of opening a session: None where there is none, with what, and all that there was to try."""

    session: Session | None
    finding: Finding
    config: AccountConfig
    tried: Sequence[Credentials]


class Opening:
    """Opens sessions, a bounded number side by side in all and over each way out, and probes them.

    cookies: what opens an account's sessions, the newest first.
    """

    def __init__(
        self, factory: SessionFactory, cookies: CookieSource, settings: PoolSettings, metrics: Metrics
    ) -> None:
        self._factory = factory
        self._cookies = cookies
        self._settings = settings
        self._metrics = metrics
        self._parallel = asyncio.Semaphore(settings.open_parallel)
        self._by_egress = WeakValueDictionary[str, asyncio.Semaphore]()
        """Of the ways out over which a session is being opened."""

    async def newest(self, config: AccountConfig) -> Sequence[Credentials]:
        """What a session would be opened with now."""
        return await self._cookies.newest(config)

    def missing(self, config: AccountConfig) -> str:
        """Why there may be newer cookies than those that were tried last; '' where there are none."""
        return self._cookies.missing(config)

    async def open(self, member: Member) -> Opened:
        """A session with the first credentials that are not dead."""
        async with self._place(member.config.egress):
            config = member.config
            tried = await self.newest(config)
            session, finding = None, Finding("unsure")
            for credentials in tried:
                session, finding = await self._session(config, credentials)
                if finding.outcome != "dead":
                    break
        return Opened(session, finding, config, tried)

    async def trial(
        self, config: AccountConfig, cookies: Credentials
    ) -> tuple[Finding, Mapping[str, Secret]]:
        """Open a session with these cookies and close it again: what it told, and its jar ({} where it did not
        open)."""
        async with self._place(config.egress):
            session, finding = await self._session(config, cookies)
        if session is None:
            return finding, {}
        jar = session.jar()
        await self.close(session)
        return finding, jar

    async def probe(self, account: str, session: Session) -> Finding:
        try:
            await session.probe(self._settings.probe_timeout)
        except (SessionExpired, SessionSuspect, AccountRejected) as error:
            return Finding("dead", _why(error), str(error))
        except GatewayError as error:
            detail = error.message if not isinstance(error, UpstreamError) else str(error)
            reason = error.reason if isinstance(error, UpstreamError) else error.code
            log.info("probe decided nothing", account=account, reason=reason, detail=detail)
            return Finding("unsure", reason, detail)
        return WELL

    async def close(self, session: Session) -> None:
        try:
            await session.close()
        except GatewayError as error:
            log.warning("session did not close cleanly", detail=error.message)

    @asynccontextmanager
    async def _place(self, egress: str) -> AsyncIterator[None]:
        """One of the places; who waits for one of its own address holds none that others could use."""
        own = self._by_egress.get(egress)
        if own is None:
            own = self._by_egress[egress] = asyncio.Semaphore(self._settings.open_per_address)
        async with own, self._parallel:
            yield

    async def _session(
        self, config: AccountConfig, credentials: Credentials
    ) -> tuple[Session | None, Finding]:
        account, count = config.id, self._metrics.session_opens
        proxy = config.proxy.reveal() if config.proxy is not None else None
        try:
            session = await self._factory.open(account, credentials, proxy, self._settings.open_timeout)
        except (SessionExpired, AccountRejected) as error:
            count.labels(account, error.reason).inc()
            return None, Finding("dead", _why(error), str(error))
        except UpstreamError as error:
            count.labels(account, error.reason).inc()
            log.warning("session did not open", account=account, reason=error.reason, detail=str(error))
            return None, Finding("unsure", error.reason, str(error))
        except GatewayError as error:
            count.labels(account, error.code).inc()
            log.error("session did not open", account=account, reason=error.code, detail=error.message)
            return None, Finding("unsure", error.code, error.message)
        except Exception:
            # A fault of ours in the adapter must not end the account's keeper.
            count.labels(account, "internal_error").inc()
            log.exception("session did not open", account=account, reason="internal_error")
            return None, Finding("unsure", "internal_error", "a fault of the gateway's own")
        count.labels(account, "ok").inc()
        return session, WELL


def _why(error: UpstreamError) -> str:
    return error.why if isinstance(error, AccountRejected) else error.reason
