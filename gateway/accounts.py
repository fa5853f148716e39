"""What `gempool accounts` does with the accounts file. Nothing here shows a cookie."""

import os
import secrets
from collections.abc import Mapping, Sequence
from contextlib import suppress
from itertools import compress
from pathlib import Path

import msgspec
from msgspec import Struct

from access import is_digest
from gateway import client
from gateway.settings import Settings
from pool import AccountConfig, RosterError, load_roster
from pool.exports import PSIDTS, Exported, parse
from pool.roster import ACCOUNT_ID, parse_roster
from pool.rosterfile import RosterText

STATUS_SECONDS = 10.0


class AccountsFailed(Exception):
    """The command cannot be done; the message says why and what to do."""


class Listed(Struct, frozen=True):
    """One account; `egress` tells whether it has a way out of its own, `state` what a running gateway says of it ('' where
    none was asked). What only the file tells is None where there is none."""

    id: str
    enabled: bool | None
    egress: bool | None
    tags: tuple[str, ...] = ()
    state: str = ""
    reason: str = ""


def import_export(settings: Settings, text: str, id: str, now: float) -> str:
    """Add an account, or give one new cookies, from what a browser's cookie exporter wrote.

    id: '' takes the account that has this PSID already, or else makes one up.
    Returns what was done. Raises pool.exports.ExportError, pool.RosterError and AccountsFailed.
    """
    exported = parse(text, now)
    if id and not ACCOUNT_ID.fullmatch(id):
        raise AccountsFailed(
            "--id: must be 1 to 63 letters, digits, `_`, `.` or `-`, beginning with a letter or digit."
        )
    file = _File(settings.accounts_file, settings.environment, may_be_missing=True)
    id = id or file.id_with(exported) or _free(file.text.ids)
    notes = []
    if not exported.secure_1psidts:
        notes.append(
            f"The export has no {PSIDTS}. A session may do without it, but not for long: better export once more"
            " after the page has been open for a minute."
        )
    if id in file.text.ids:
        done = _renew(file, id, exported, notes)
    else:
        fields: dict[str, str | bool] = {"id": id, "secure_1psid": exported.secure_1psid.reveal()}
        if exported.secure_1psidts:
            fields["secure_1psidts"] = exported.secure_1psidts.reveal()
        notes += file.save(file.text.with_entry(fields), id)
        done = f"{id} is added to {file.path}."
    return "\n".join([done, *notes])


def _renew(file: "_File", id: str, exported: Exported, notes: list[str]) -> str:
    """New cookies go where the old ones stand: into the accounts file, or into a file that it names."""
    in_roster: dict[str, str | bool] = {}
    elsewhere: dict[Path, str] = {}
    raw = file.text.raw(id)
    for name, value in (
        ("secure_1psid", exported.secure_1psid.reveal()),
        ("secure_1psidts", exported.secure_1psidts.reveal()),
    ):
        old = raw.get(name)
        if isinstance(old, str) and old.startswith("file:"):
            elsewhere[file.path.parent / old.removeprefix("file:")] = value
        elif (old or "") != value:
            in_roster[name] = value
            if isinstance(old, str) and "${" in old:
                notes.append(f"{name} came from {old}; it stands in the accounts file now.")
    if in_roster:
        notes += file.save(file.text.with_fields(id, in_roster), id)
    for path, value in elsewhere.items():
        _replace(path, (value + "\n").encode())
        notes.append(f"Written: {path}.")
    if not in_roster and not elsewhere:
        return f"{id} has these cookies already; nothing was changed."
    return f"{id} has new cookies."


def set_enabled(settings: Settings, id: str, enabled: bool) -> str:
    """Returns what was done. Raises RosterError and AccountsFailed."""
    file = _File(settings.accounts_file, settings.environment)
    word = "enabled" if enabled else "disabled"
    if file.text.raw(id).get("enabled") is enabled:
        return f"{id} is {word} already."
    notes = file.save(file.text.with_fields(id, {"enabled": enabled}), id)
    return "\n".join([f"{id} is {word}.", *notes])


def remove(settings: Settings, id: str) -> str:
    """Returns what was done. Raises RosterError and AccountsFailed."""
    file = _File(settings.accounts_file, settings.environment)
    notes = file.save(file.text.without(id), "")
    return "\n".join([f"{id} is removed; a running gateway lets its last requests end.", *notes])


async def list_accounts(settings: Settings, url: str, key: str) -> list[Listed]:
    """The accounts in the file's order; with a gateway's base URL also how it finds them. Without a file here these are
    the gateway's own.

    key: one of its keys; '' takes one that is set. Raises RosterError and AccountsFailed.
    """
    states: Mapping[str, _State] = {}
    if url:
        keys = (settings.admin_key, *settings.api_keys)
        plain = [known.reveal() for known in keys if known and not is_digest(known)]
        states = await _states(url.rstrip("/"), key or next(iter(plain), ""))
        if not settings.accounts_file.exists():
            return [Listed(each.id, None, None, (), each.state, each.reason) for each in states.values()]
    found = load_roster(settings.accounts_file, settings.environment).accounts
    return [_listed(account, states.get(account.id)) for account in found]


def counted(number: int) -> str:
    return f"{number} account{'' if number == 1 else 's'}"


def table(listed: Sequence[Listed]) -> str:
    """The list for a person to read."""
    if not listed:
        return "No account. `gempool accounts import FILE` adds one."
    states = any(account.state for account in listed)
    in_file = any(account.enabled is not None for account in listed)
    shown = [True, in_file, in_file, in_file, states]
    rows = [tuple(compress(("id", "enabled", "egress", "tags", "state"), shown))]
    for account in listed:
        state = f"{account.state} ({account.reason})" if account.reason else account.state
        row = (account.id, _yes(account.enabled), _yes(account.egress), " ".join(account.tags), state)
        rows.append(tuple(compress(row, shown)))
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _yes(so: bool | None) -> str:
    return "yes" if so else "no"


class _State(Struct, frozen=True):
    id: str
    state: str
    reason: str = ""


class _Status(Struct, frozen=True):
    accounts: tuple[_State, ...]


def _listed(account: AccountConfig, state: _State | None) -> Listed:
    return Listed(
        id=account.id,
        enabled=account.enabled,
        egress=account.proxy is not None,
        tags=account.tags,
        state=state.state if state is not None else "",
        reason=state.reason if state is not None else "",
    )


async def _states(url: str, key: str) -> Mapping[str, _State]:
    headers = {"authorization": f"Bearer {key}"} if key else {}
    if not url.startswith(("http://", "https://")):
        raise AccountsFailed("--url: must be the gateway's address, such as http://127.0.0.1:8100.")
    status, body = await client.call(f"{url}/api/cookies/status", headers, timeout=STATUS_SECONDS)
    if status in (401, 403):
        raise AccountsFailed(f"{url} refused the key. Give one that it knows: --key, or ADMIN_KEY.")
    if status != 200:
        raise AccountsFailed(
            f"{url} did not tell the accounts' states ({f'HTTP {status}' if status else 'no answer'})."
        )
    try:
        return {state.id: state for state in msgspec.json.decode(body, type=_Status).accounts}
    except (ValueError, RecursionError):
        raise AccountsFailed(
            f"{url} answered something else than the accounts' states: is it a gateway?"
        ) from None


class _File:
    """The accounts file as it was when the command began."""

    def __init__(self, path: Path, environment: Mapping[str, str], may_be_missing: bool = False) -> None:
        self.path = path
        self._environment = environment
        self._content: bytes | None = None
        try:
            self._content = path.read_bytes()
            text = self._content.decode()
        except FileNotFoundError:
            if not may_be_missing:
                raise AccountsFailed(
                    f"There is no file {path}. `gempool accounts import FILE` makes one."
                ) from None
            text = ""
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
            raise AccountsFailed(f"{path} cannot be read: {reason}.") from None
        self.text = RosterText(text, path)
        self._problem: RosterError | None = None
        self._accounts: tuple[AccountConfig, ...] = ()
        try:
            self._accounts = parse_roster(text.removeprefix("\ufeff"), path, environment).accounts
        except RosterError as error:
            # Perhaps that which the command mends, or a variable that only the gateway has.
            self._problem = error

    def id_with(self, exported: Exported) -> str:
        """The account that has this PSID, '' where none has."""
        return next((a.id for a in self._accounts if a.secure_1psid == exported.secure_1psid), "")

    def save(self, new: str, touched: str) -> list[str]:
        """Write the new text, unless it breaks the file; notes about what is wrong with it besides.

        touched: the account that was changed or added.
        """
        notes = []
        try:
            parse_roster(new.removeprefix("\ufeff"), self.path, self._environment)
        except RosterError as error:
            ids = RosterText(new, self.path).ids
            ours = touched in ids and error.field.startswith(f"accounts[{ids.index(touched)}].")
            if self._problem is None or (ours and str(error) != str(self._problem)):
                raise
            notes.append(f"Something else in the file is wrong, or needs the gateway's environment: {error}")
        _replace(self.path, new.encode(), expected=self._content)
        return notes


def _free(ids: Sequence[str]) -> str:
    number = len(ids) + 1
    while f"account-{number}" in ids:
        number += 1
    return f"account-{number}"


def _replace(path: Path, content: bytes, expected: bytes | None = None) -> None:
    """Put a file with this content, readable by its owner alone, in the place of another at once.

    expected: what it must still hold. A symlink stays one; what it points to is replaced.
    """
    path = path.resolve()
    new = path.with_name(f".{path.name}.{secrets.token_hex(4)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            if expected is not None and path.read_bytes() != expected:
                raise AccountsFailed(f"{path} was changed by someone else meanwhile. Run the command again.")
            with suppress(PermissionError):
                # Run by root, it must stay readable for the gateway's own user.
                os.chown(new, path.stat().st_uid, path.stat().st_gid)
        new.replace(path)
    except OSError as error:
        raise AccountsFailed(f"{path} cannot be written: {error.strerror}.") from None
    finally:
        new.unlink(missing_ok=True)
