"""The clock against the upstream's, by the first account's own way out. No cookie goes along."""

import asyncio
import base64
import http.client
import ssl
from collections.abc import Sequence
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import certifi

from core.clock import Clock
from gateway.client import why
from gateway.doctor.findings import Finding, ok, problem, warning
from pool import AccountConfig

PART = "clock"
HOST, PATH = "gemini.google.com", "/app"
OFF, FAR_OFF = 5.0, 300.0
"""Seconds. The header counts whole ones. Signed links and sessions of the page fail long before an hour."""


async def upstream_clock(
    accounts: Sequence[AccountConfig], ca_file: Path | None, clock: Clock, timeout: float
) -> list[Finding]:
    """Nothing where no account is enabled. By a SOCKS proxy nobody is asked."""
    account = next((account for account in accounts if account.enabled), None)
    if account is None:
        return []
    proxy = account.proxy.reveal() if account.proxy is not None else ""
    if proxy and urlsplit(proxy).scheme != "http":
        return [ok(PART, "not compared with the upstream's, which is reached by a SOCKS proxy")]
    try:
        date = await asyncio.to_thread(_date, proxy, ca_file, timeout)
    except (OSError, http.client.HTTPException) as error:
        return [
            warning(
                PART,
                f"not compared with the upstream's: {HOST} cannot be reached ({why(error)})",
                f"Look at the way of {account.id}'s traffic: its `proxy:`, a firewall, or GEMPOOL_UPSTREAM_CA_FILE.",
            )
        ]
    return [compared(date, clock.now())]


def compared(date: str, now: float) -> Finding:
    """date: the header, '' where there was none. now: this machine's time, seconds since 1970."""
    try:
        ahead = now - parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return ok(PART, "not compared with the upstream's, which does not tell the time")
    if abs(ahead) <= OFF:
        return ok(PART, "agrees with the upstream's")
    words = f"this machine's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the upstream's"
    return (problem if abs(ahead) > FAR_OFF else warning)(
        PART, words, "Let a time service (chrony, systemd-timesyncd) set it."
    )


def _date(proxy: str, ca_file: Path | None, timeout: float) -> str:
    context = ssl.create_default_context(cafile=certifi.where())
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    if proxy:
        parts = urlsplit(proxy)
        connection = http.client.HTTPSConnection(
            parts.hostname or "", parts.port or 80, timeout=timeout, context=context
        )
        user = f"{unquote(parts.username or '')}:{unquote(parts.password or '')}"
        basic = f"Basic {base64.b64encode(user.encode()).decode()}"
        connection.set_tunnel(HOST, 443, {"Proxy-Authorization": basic} if parts.username else {})
    else:
        connection = http.client.HTTPSConnection(HOST, timeout=timeout, context=context)
    try:
        connection.request("GET", PATH)
        return connection.getresponse().headers.get("date", "")
    finally:
        connection.close()
