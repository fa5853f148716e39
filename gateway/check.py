"""`gempool accounts check`: a session for each account, and in plain words what was found."""

import asyncio
import re
import tempfile
from collections.abc import Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from core import errors
from gateway.settings import Settings
from pool import AccountConfig
from pool.gemini_web import GeminiWebSessions
from pool.upstream import Credentials, SessionFactory

log = structlog.get_logger("gempool.check")

_AGAIN = "sign in again in a private window, export the cookies and run `gempool accounts import`"
_REJECTED = {
    "terms_pending": "terms wait to be accepted: open gemini.google.com with the account and accept them",
    "location": "Gemini is not offered where the account's traffic leaves: give it another `proxy:`",
    "guardian": "the account is under a guardian's supervision and may not use Gemini: take another account",
    "untrusted": "Google does not trust the session: open gemini.google.com with the account and see what it asks",
}


class Finding(Struct, frozen=True):
    """`found` is a bounded word: ok, disabled, expired, ip_blocked, network, tls, ... `words` says what to do."""

    id: str
    well: bool
    found: str
    words: str


async def check(settings: Settings, accounts: Sequence[AccountConfig]) -> list[Finding]:
    """Open a session for each enabled account, some at a time, and close it again."""
    # A folder of its own: a running gateway's must not be emptied under it.
    with tempfile.TemporaryDirectory(prefix="gempool-check-") as directory:
        sessions = GeminiWebSessions(
            Path(directory),
            ca_file=settings.upstream_ca_file,
            activity="off",
            connect_timeout=settings.engine.connect_timeout,
        )
        try:
            return await check_with(
                sessions, accounts, settings.pool.open_timeout, settings.pool.open_per_address
            )
        finally:
            await sessions.close()


async def check_with(
    sessions: SessionFactory, accounts: Sequence[AccountConfig], timeout: float, parallel: int
) -> list[Finding]:
    at_once = asyncio.Semaphore(parallel)

    async def one(account: AccountConfig) -> Finding:
        if not account.enabled:
            return Finding(account.id, True, "disabled", "not asked: it is disabled")
        async with at_once:
            return await _look(sessions, account, timeout)

    return list(await asyncio.gather(*(one(account) for account in accounts)))


async def _look(sessions: SessionFactory, account: AccountConfig, timeout: float) -> Finding:
    credentials = Credentials(account.secure_1psid, account.secure_1psidts)
    proxy = account.proxy.reveal() if account.proxy is not None else None
    try:
        session = await sessions.open(account.id, credentials, proxy, timeout)
    except errors.UpstreamError as error:
        return Finding(account.id, False, _word(error), words_for(error, account))
    except errors.GatewayError as error:
        return Finding(account.id, False, error.code, error.message)
    models = ", ".join(model.display_name or model.name for model in session.offered)
    await session.close()
    return Finding(account.id, True, "ok", f"signed in; offers {models}" if models else "signed in")


def _word(error: errors.UpstreamError) -> str:
    if _is_untrusted(error):
        return "tls"
    return error.why if isinstance(error, errors.AccountRejected) else error.reason


def _is_untrusted(error: errors.UpstreamError) -> bool:
    """Whether TLS broke off because the certificate, or the CA file, will not do (curl's errors 60 and 77)."""
    return isinstance(error, errors.NetworkFault) and bool(
        re.match(r"curl error (60|77)\b", error.detail or "")
    )


def words_for(error: errors.UpstreamError, account: AccountConfig) -> str:
    """What the failure means for whoever owns the account, and the remedy."""
    way = "its proxy" if account.proxy is not None else "this machine's own address"
    match error:
        case errors.SessionExpired():
            return (
                f"the cookies in the file have expired: {_AGAIN}. A running gateway may hold newer ones:"
                " `gempool accounts list --url` tells"
            )
        case errors.AccountRejected(why=why):
            return _REJECTED.get(
                why, "Google rejects the account: open gemini.google.com with it and see what it says"
            )
        case errors.EgressBlocked():
            return f"Google blocks {way}: wait some hours, or give the account another `proxy:`"
        case errors.AccountThrottled():
            return "Google answered 'too many requests': wait some minutes; the cookies may well be good"
        case errors.NetworkFault() if _is_untrusted(error):
            return (
                f"the TLS certificate is not trusted ({error.detail}): set GEMPOOL_UPSTREAM_CA_FILE to the CA (PEM) of"
                " whatever reads the traffic on its way, such as a company's proxy; the cookies may be good"
            )
        case errors.NetworkFault():
            return (
                f"Google cannot be reached through {way} ({error.detail}): this says nothing of the cookies"
            )
        case _:
            return f"undecided ({error.detail}): try again in a minute"
