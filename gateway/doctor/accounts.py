"""The accounts: the file, the stored cookies, and a session for each as `gempool accounts check` opens it."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import urlsplit

from msgspec import structs

from core.errors import StoreUnavailable
from gateway import check
from gateway.doctor.findings import Finding, ok, problem, warning
from gateway.settings import Settings
from pool import AccountConfig, Roster, RosterError, Shared, load_roster
from supervisor.jars import Jars, Seal

PART = "accounts"


def roster(settings: Settings) -> tuple[Roster | None, list[Finding]]:
    """The accounts file; None where it cannot be used."""
    try:
        read = load_roster(settings.accounts_file, settings.environment)
    except RosterError as error:
        return None, [unread(settings.accounts_file, error)]
    found = [
        warning("files", told, sentence(remedy) or "Mend the accounts file.")
        for told, _, remedy in (text.partition(": ") for text in read.warnings)
    ]
    enabled = sum(account.enabled for account in read.accounts)
    if not enabled:
        words = "all are disabled" if read.accounts else f"there is none in {settings.accounts_file}"
        found.append(
            problem(PART, words, "Add one with `gempool accounts import FILE --id ID`, or enable one.")
        )
    else:
        found.append(ok(PART, f"{len(read.accounts)} in {settings.accounts_file}, {enabled} enabled"))
    return read, found


def unread(path: Path, error: RosterError) -> Finding:
    """The file is not there, is no file, may not be read, or is broken."""
    cause = None if error.field else error.__context__
    if isinstance(cause, FileNotFoundError):
        return problem(
            PART,
            f"{path}: the file does not exist",
            "Run `gempool accounts import FILE --id NAME`, which makes it; docs/cookies.md tells where FILE comes from.",
        )
    if isinstance(cause, OSError):
        return problem(
            PART,
            str(error),
            f"Let GEMPOOL_ACCOUNTS_FILE name a file that the gateway's user ({os.getuid()}) may read.",
        )
    return problem(PART, str(error), "Mend the file there; docs/cookies.md tells what belongs in it.")


async def newest(
    accounts: Sequence[AccountConfig], url: str | None, settings: Settings
) -> tuple[list[AccountConfig], list[Finding]]:
    """The accounts with the cookies that a gateway would use: those in the store, where they are newer than the file's.

    url: the store's; None where it does not answer.
    """
    if url is None:
        return list(accounts), []
    shared = Shared(url)
    jars = Jars(shared, Seal(settings.state_key))
    found, renewed = [], []
    try:
        for account in accounts:
            await jars.read(account)
            kept = (await jars.newest(account))[0]
            renewed.append(
                structs.replace(account, secure_1psid=kept.secure_1psid, secure_1psidts=kept.secure_1psidts)
            )
            if why := jars.missing(account):
                found.append(
                    problem(PART, why, "All replicas need the same GEMPOOL_STATE_KEY as before.", account.id)
                )
    except StoreUnavailable:
        return list(accounts), []
    finally:
        await shared.close()
    return renewed, found


async def sessions(settings: Settings, accounts: Sequence[AccountConfig]) -> list[Finding]:
    """A session for each enabled account, and where its traffic leaves."""
    if not accounts:
        return []
    looked = await check.check(settings, accounts)
    enabled = {account.id for account in accounts if account.enabled}
    some = any(look.well and look.id in enabled for look in looked)
    way = {account.id: egress(account) for account in accounts}
    return [judged(look, way[look.id], some) for look in looked]


def judged(look: check.Finding, way: str, some: bool) -> Finding:
    """some: another account is well, so that the gateway can serve."""
    if look.well:
        return ok(PART, look.words if look.found == "disabled" else f"{look.words}; {way}", look.id)
    words, _, remedy = look.words.partition(": ")
    if look.found == "network":
        remedy = "look at its proxy and the firewall; the cookies may be good"
    level = warning if some else problem
    return level(PART, f"{words} ({look.found}); {way}", sentence(remedy), look.id)


def sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:]}." if text else ""


def egress(account: AccountConfig) -> str:
    """Where its traffic leaves, without the proxy's user and password."""
    if account.proxy is None:
        return "by this machine's own address"
    parts = urlsplit(account.proxy.reveal())
    return f"by the proxy {parts.hostname}:{parts.port or '-'}"
