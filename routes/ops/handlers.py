"""Handlers of the operators' routes."""

import asyncio
import re
from datetime import datetime

import msgspec
import structlog

from core.errors import GatewayError, NoAccount
from engine.service import Status
from routes.errors import headers_of
from routes.exchange import Exchange
from routes.openai.errors import envelope
from routes.ops import wire
from routes.ops.health import report
from routes.outcomes import Outcomes
from routes.services import RouteServices

log = structlog.get_logger("gempool.routes")

AT_ONCE = 0.05
"""Seconds that `/health` waits for the store; a process that answers nothing is restarted by whoever watches it."""

EXPOSITION = b"text/plain; version=0.0.4; charset=utf-8"
NO_STORE = (b"cache-control", b"no-store")


class OpsHandlers:
    """Health, readiness, metrics and what this is."""

    def __init__(self, services: RouteServices, outcomes: Outcomes) -> None:
        self._services = services
        self._outcomes = outcomes

    async def health(self, exchange: Exchange) -> None:
        """200 as long as the process can answer at all, and at once also while the store hangs."""
        services = self._services
        found = report(
            await self._status(AT_ONCE),
            self._outcomes,
            version=services.version,
            facts=services.health_facts(),
            known=bool(exchange.caller),
        )
        await exchange.reply(msgspec.json.encode(found), headers=[NO_STORE])

    async def ready(self, exchange: Exchange) -> None:
        """200 only while at least one account can serve and the store answers."""
        status = await self._status()
        if status is not None and status.ready:
            await exchange.reply(b'{"ready":true}', headers=[NO_STORE])
            return
        why = status.why if status is not None else "The gateway cannot tell how its accounts stand."
        error = NoAccount(why or "No account can serve.", retry_after=await self._wait(status))
        exchange.outcome = error.code
        data = msgspec.json.encode(wire.NotReady(False, why, envelope(error).error))
        await exchange.reply(data, status=error.status, headers=[NO_STORE, *headers_of(error)])

    async def _wait(self, status: Status | None) -> float | None:
        """Seconds until an account may be back: the pool's next try, or the supervisor's next probe of one that
        is in quarantine. None where nobody knows."""
        if status is None or status.retry_after is not None or not status.store_ok:
            return status.retry_after if status is not None else None
        if self._services.cookies is None:
            return None
        try:
            accounts = await self._services.cookies.cookies_status()
        except GatewayError:
            return None
        probes = [
            datetime.fromisoformat(account.next_probe).timestamp()
            for account in accounts
            if account.state == "quarantined" and account.next_probe is not None
        ]
        return max(1.0, min(probes) - self._services.clock.now()) if probes else None

    async def _status(self, within: float | None = None) -> Status | None:
        try:
            return await self._services.chat.status(within)
        except GatewayError as error:
            log.warning("the status is not known", code=error.code, why=str(error))
            return None

    async def metrics(self, exchange: Exchange) -> None:
        shown = []
        self._services.metrics.tasks.set(len(asyncio.all_tasks()))
        for piece in self._services.metrics.pieces():
            shown.append(piece)
            await asyncio.sleep(0)  # streams move on between the pieces
        await exchange.reply("".join(shown).encode(), media_type=EXPOSITION, headers=[NO_STORE])

    async def root(self, exchange: Exchange) -> None:
        """The page for whoever reads pages; where to go on for everybody else."""
        vary = (b"vary", b"Accept")
        if reads_pages(exchange.headers.get(b"accept", b"")):
            await exchange.start(302, [(b"location", b"/admin"), (b"content-length", b"0"), vary])
            await exchange.send(b"", more=False)
            return
        version = self._services.version
        found = wire.Root(wire.NAME, version, "/api/info", "/health", "/openapi.json", "/admin", "/docs")
        await exchange.reply(msgspec.json.encode(found), headers=[vary])


def reads_pages(accepted: bytes) -> bool:
    """Whether the Accept header asks for HTML by name, as browsers do when they go somewhere."""
    for entry in accepted.decode("latin-1").lower().split(","):
        kind, *parameters = (part.strip() for part in entry.split(";"))
        if kind in ("text/html", "application/xhtml+xml"):
            return not any(re.fullmatch(r"q=0(?:\.0*)?", parameter) for parameter in parameters)
    return False
