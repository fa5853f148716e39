"""The verbs of `gempool accounts`, from options to what is printed. Kept apart from `gateway.run`, so that
none of them waits for the server's imports."""

import asyncio
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
from msgspec import Struct

from gateway import accounts, logs
from gateway.settings import Settings, SettingsError, from_process
from pool import RosterError, load_roster
from pool.exports import LONGEST_EXPORT, ExportError


class Outcome(Struct, frozen=True):
    """`text` goes to standard output; `problem`, where there is one, to standard error, with exit code 1."""

    text: str = ""
    problem: str = ""


def import_(options: Mapping[str, str], source: str, id: str) -> Outcome:
    """source: a file, or `-` for standard input."""

    def verb(settings: Settings) -> Outcome:
        return Outcome(accounts.import_export(settings, _read(source), id, time.time()))

    return _run(options, verb)


def list_(options: Mapping[str, str], url: str, key: str, as_json: bool) -> Outcome:
    def verb(settings: Settings) -> Outcome:
        listed = asyncio.run(accounts.list_accounts(settings, url, key))
        return Outcome(_json(listed) if as_json else accounts.table(listed))

    return _run(options, verb)


def check(options: Mapping[str, str], as_json: bool) -> Outcome:
    def verb(settings: Settings) -> Outcome:
        from gateway import check as checking  # noqa: PLC0415  # brings the web app's library

        roster = load_roster(settings.accounts_file, settings.environment)
        findings = asyncio.run(checking.check(settings, roster.accounts))
        ill = sum(not finding.well for finding in findings)
        lines = [f"{finding.id}: {finding.words}" for finding in findings]
        lines += [f"Warning: {warning}" for warning in roster.warnings]
        return Outcome(
            _json(findings) if as_json else "\n".join(lines) or "There is no account in the file.",
            f"{ill} of {accounts.counted(len(findings))} {'is' if ill == 1 else 'are'} not well."
            if ill
            else "",
        )

    return _run(options, verb)


def set_enabled(options: Mapping[str, str], id: str, enabled: bool) -> Outcome:
    return _run(options, lambda settings: Outcome(accounts.set_enabled(settings, id, enabled)))


def remove(options: Mapping[str, str], id: str) -> Outcome:
    return _run(options, lambda settings: Outcome(accounts.remove(settings, id)))


def _run(options: Mapping[str, str], verb: Callable[[Settings], Outcome]) -> Outcome:
    logs.set_up("text", "error")
    try:
        return verb(from_process(options, listens=False))
    except (SettingsError, RosterError, ExportError, accounts.AccountsFailed) as problem:
        return Outcome(problem=str(problem))


def _read(source: str) -> str:
    try:
        if source == "-":
            raw = sys.stdin.buffer.read(LONGEST_EXPORT + 1)
        else:
            with Path(source).open("rb") as file:
                raw = file.read(LONGEST_EXPORT + 1)
        return raw.decode("utf-16" if raw[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8")
    except OSError as error:
        raise accounts.AccountsFailed(f"{source} cannot be read: {error.strerror}.") from None
    except UnicodeDecodeError:
        raise accounts.AccountsFailed(
            f"{source} is not text. Export the cookies as JSON or cookies.txt."
        ) from None


def _json(rows: Sequence[Struct]) -> str:
    return msgspec.json.format(msgspec.json.encode(rows)).decode()
