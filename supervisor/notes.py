"""How an incident reads on the operator's phone. Pure; knows no push service."""

import hashlib
from typing import Literal, TypeAlias

from msgspec import Struct

from supervisor.incidents import POOL, Incident

Severity: TypeAlias = Literal["quiet", "plain", "urgent", "critical"]

ID_BYTES = 64
DEFAULT_ENVIRONMENT = "gempool"
_REASONS = {
    "rejected": "Google refuses the account",
    "untrusted": "Google does not trust the account as it is",
    "terms_pending": "new terms wait to be accepted",
    "location": "Gemini is not offered where the account appears to be",
    "guardian": "a guardian has not allowed Gemini",
}


class Note(Struct, frozen=True):
    """id: a note with the same one takes its place on the phone; at most 64 bytes. group: what the phone
    groups by. url: opened by a tap, or ''."""

    title: str
    body: str
    severity: Severity
    id: str
    group: str
    url: str = ""


def note_of(incident: Incident, environment: str, admin_url: str = "") -> Note:
    """The words. environment: names the installation, for operators of several. admin_url: where its admin
    page is, without the path; '' leaves the link out."""
    title, body, severity = _words(incident)
    return Note(
        title=f"{environment}: {title}",
        body=body,
        severity=severity,
        id=note_id(incident.subject, environment),
        group=environment,
        url=_link(incident, admin_url),
    )


def note_id(subject: str, environment: str) -> str:
    """`gw-<account>`, `gw-@pool` and so on (an account's id never begins with @); another environment than the
    usual one stands in it too. A digest where that would be too long."""
    what, _, name = subject.partition(":")
    word = name if what == "account" else f"@{subject}"
    full = f"gw-{word}" if environment == DEFAULT_ENVIRONMENT else f"gw-{environment}-{word}"
    if len(full.encode()) <= ID_BYTES:
        return full
    return f"gw-{hashlib.sha256(full.encode()).hexdigest()[:40]}"


def _link(incident: Incident, admin_url: str) -> str:
    if not admin_url:
        return ""
    page = f"{admin_url.rstrip('/').removesuffix('/admin')}/admin"
    return f"{page}#account-{incident.account}" if incident.account else page


def _words(incident: Incident) -> tuple[str, str, Severity]:
    match incident.kind:
        case "expired":
            return (
                f"{incident.account} is signed out",
                "Its cookies have expired. The other accounts go on without it."
                f" Give {incident.account} new cookies; it comes back by itself.",
                "urgent",
            )
        case "rejected":
            reason = _REASONS.get(incident.detail, incident.detail or _REASONS["rejected"])
            return (
                f"{incident.account} is refused",
                f"Set aside: {reason}. Sign in to gemini.google.com as {incident.account} and look."
                " It comes back by itself once it is well.",
                "urgent",
            )
        case "ip_blocked":
            way = "this machine's own address" if incident.egress == "direct" else f"proxy {incident.egress}"
            return (
                "IP address blocked",
                f"Google has blocked {way}. All accounts behind it rest for a while."
                " Fewer accounts behind one address, or another proxy, help.",
                "urgent",
            )
        case "pool_below":
            return (
                f"only {incident.well} of {incident.total} accounts are well",
                "Requests are still served. See to the accounts that are set aside.",
                "critical",
            )
        case "pool_empty":
            return (
                "no account can serve",
                f"None of {incident.total} accounts is well, so requests fail. Give one of them new cookies.",
                "critical",
            )
        case "config_broken":
            return (
                "configuration broken",
                f"{incident.file} is not used as it is; what was loaded before stays in use. {incident.detail}",
                "urgent",
            )
        case "recovered":
            return _all_clear(incident)


def _all_clear(incident: Incident) -> tuple[str, str, Severity]:
    if incident.account and incident.detail in ("disabled", "draining"):
        return f"{incident.account} is set aside", "It was disabled or removed on purpose.", "quiet"
    if incident.account:
        return f"{incident.account} is back", "The account is well and serves again.", "quiet"
    if incident.egress:
        return "IP address no longer blocked", "The accounts behind it serve again.", "quiet"
    if incident.file:
        return "configuration mended", f"{incident.file} is in use again.", "quiet"
    assert incident.subject == POOL  # noqa: S101 -- the four subjects that there are
    return (
        f"{incident.well} of {incident.total} accounts are well",
        "The pool has as many accounts as it should.",
        "quiet",
    )
