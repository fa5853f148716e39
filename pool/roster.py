"""The accounts file: YAML in, accounts out, every mistake named with its place and remedy.

Pure but for reading the file and those that `file:` names. The environment is passed in.
"""

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct, structs
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from core.secret import Secret
from pool.account import AccountConfig

ACCOUNT_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,62}")
_DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)?")
_UNIT = {"ms": 0.001, "s": 1.0, None: 1.0, "m": 60.0, "h": 3600.0}
_VARIABLE = re.compile(r"\$\{([^}]*)\}")
# The cookie becomes a part of a file's name in the library below, and of a header.
NOT_IN_COOKIE = re.compile(r"""[\s;,/\\"'\x00-\x1f\x7f]|\.\.|[^\x20-\x7e]""")
LONGEST_COOKIE = 220
"""Real ones have about 150 characters; the library makes a file's name of it, which may have 255."""
_QUOTED = re.compile(r"""(["'])((?:(?!\1).)*)\1""", re.DOTALL)
_NO_VALUE = re.compile(r".{0,3}|<[a-z ]+>", re.DOTALL)
"""What a quote may hold that is of no file: signs, and the library's names such as <stream end>."""
_TWICE = re.compile(r'found duplicate key "([A-Za-z0-9_]{1,40})"')
_PROXY_SCHEMES = ("http", "https", "socks4", "socks5", "socks5h")

_DEFAULT_FIELDS = ("enabled", "max_concurrency", "min_interval", "models", "tags", "proxy")
_FIELDS = ("id", "secure_1psid", "secure_1psidts", *_DEFAULT_FIELDS)


class RosterError(Exception):
    """The accounts file is broken. Shows file, line, field and remedy, and never a cookie's value."""

    def __init__(self, file: Path | str, line: int | None, field: str, message: str) -> None:
        where = f"{file}:{line}" if line is not None else str(file)
        super().__init__(f"{where}: {field}: {message}" if field else f"{where}: {message}")
        self.file = str(file)
        self.line = line
        self.field = field
        self.message = message


class Roster(Struct, frozen=True):
    """The accounts in the file's order, and what is not wrong but should be looked at."""

    accounts: tuple[AccountConfig, ...] = ()
    warnings: tuple[str, ...] = ()
    blank: bool = False
    """The file says nothing at all, not even that there are no accounts."""


class RosterDiff(Struct, frozen=True):
    """What a new roster changes; `removed` holds ids."""

    added: tuple[AccountConfig, ...]
    changed: tuple[AccountConfig, ...]
    removed: tuple[str, ...]


def load_roster(path: Path, environment: Mapping[str, str], files: set[Path] | None = None) -> Roster:
    """Read the accounts file. Raises RosterError, also where the file cannot be read.

    files: takes in the accounts file and those that its `file:` values name, read or not, so that the
    caller can look out for changes of them.
    """
    if files is not None:
        files.add(path)
    try:
        text = path.read_text(encoding="utf-8")
        mode = path.stat().st_mode
    except FileNotFoundError:
        raise RosterError(
            path,
            None,
            "",
            "the file does not exist; `gempool accounts import FILE --id NAME` makes it from a browser's cookies",
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise RosterError(path, None, "", f"the file cannot be read: {reason}") from error
    roster = parse_roster(text, path, environment, files)
    if mode & (stat.S_IROTH | stat.S_IWOTH):
        warning = f"{path} can be read by every user of this machine: run chmod 600 {path}"
        return structs.replace(roster, warnings=(warning, *roster.warnings))
    return roster


UNREADABLE = (YAMLError, ValueError, LookupError, AttributeError, TypeError, RecursionError)
"""What a text that is no YAML brings about: the library's own errors, and what it stumbles over, such as `%YAML 9.9` or `!!set x`."""


def yaml(kind: str) -> YAML:
    """A reader of files that operators write. It does not remark on an anchor that is given twice: that would go to stderr and quote the line,
    with a cookie in it."""
    reader = YAML(typ=kind, pure=True)
    reader.composer.warn_double_anchors = False
    return reader


def parse_roster(
    text: str, path: Path, environment: Mapping[str, str], files: set[Path] | None = None
) -> Roster:
    """Read the text of an accounts file; `path` is for messages, and what `file:` values are relative to."""
    try:
        document = yaml("rt").load(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark is not None else None
        # The library's own text may quote the line, and with it a cookie.
        raise RosterError(path, line, "", f"this is not valid YAML: {_without_values(error)}") from None
    except UNREADABLE:
        raise RosterError(path, None, "", "this is not valid YAML") from None
    reader = _Reader(path, environment, files)
    if document is None:
        return Roster(blank=True)
    if not isinstance(document, CommentedMap):
        raise RosterError(path, 1, "", "the file must be a mapping with the key `accounts`")
    reader.known(document, ("accounts", "defaults"), "")
    defaults = document.get("defaults") or CommentedMap()
    if not isinstance(defaults, CommentedMap):
        raise RosterError(path, _line(document, "defaults"), "defaults", "must be a mapping of fields")
    reader.known(defaults, _DEFAULT_FIELDS, "defaults")
    entries = document.get("accounts")
    if entries is None:
        return Roster(blank=True)
    if not isinstance(entries, CommentedSeq):
        message = "must be a list; write each account as `- id: ...`"
        raise RosterError(path, _line(document, "accounts"), "accounts", message)
    accounts = [reader.account(entries, i, defaults) for i in range(len(entries))]
    return Roster(tuple(accounts))


def diff(old: Roster, new: Roster) -> RosterDiff:
    """What has to be done to get from one roster to the other."""
    before = {account.id: account for account in old.accounts}
    after = {account.id: account for account in new.accounts}
    return RosterDiff(
        added=tuple(account for id, account in after.items() if id not in before),
        changed=tuple(account for id, account in after.items() if id in before and before[id] != account),
        removed=tuple(id for id in before if id not in after),
    )


class _Reader:
    """Turns entries into accounts; remembers what may not appear twice."""

    def __init__(self, path: Path, environment: Mapping[str, str], files: set[Path] | None) -> None:
        self._path = path
        self._environment = environment
        self._files = files if files is not None else set()
        self._ids: dict[str, int | None] = {}
        self._cookies: dict[Secret, str] = {}

    def account(self, entries: CommentedSeq, index: int, defaults: CommentedMap) -> AccountConfig:
        entry, label = entries[index], f"accounts[{index}]"
        if not isinstance(entry, CommentedMap):
            raise RosterError(self._path, _item_line(entries, index), label, "must be a mapping of fields")
        self.known(entry, _FIELDS, label)
        field = _Field(self, entry, defaults, label)
        id = self._id(field)
        psid = field.cookie("secure_1psid")
        if not psid:
            raise field.error(
                "secure_1psid", "is missing or empty; put the value of the __Secure-1PSID cookie here"
            )
        if psid in self._cookies:
            raise field.error(
                "secure_1psid", f"is the same cookie as that of account {self._cookies[psid]}; use each once"
            )
        self._cookies[psid] = id
        return AccountConfig(
            id=id,
            secure_1psid=psid,
            secure_1psidts=field.cookie("secure_1psidts"),
            proxy=field.proxy("proxy"),
            enabled=field.boolean("enabled", True),
            max_concurrency=field.integer("max_concurrency", 2, 1, 8),
            min_interval=field.duration("min_interval", 0.0),
            models=field.words("models", ("*",)),
            tags=field.words("tags", ()),
        )

    def _id(self, field: "_Field") -> str:
        raw = field.value("id")
        # Python writes no decimals of a number of thousands of digits.
        whole = isinstance(raw, int) and not isinstance(raw, bool) and abs(raw) < 10**63
        id = str(raw) if isinstance(raw, str) or whole else ""
        if not ACCOUNT_ID.fullmatch(id):
            raise field.error(
                "id",
                "must be 1 to 63 letters, digits, `_`, `.` or `-`, beginning with a letter or digit",
            )
        if id in self._ids:
            raise field.error("id", f"{id} is used in line {self._ids[id]} already; ids must be unique")
        self._ids[id] = field.line("id")
        return id

    def known(self, mapping: CommentedMap, names: tuple[str, ...], label: str) -> None:
        for key in mapping:
            if key not in names:
                field = f"{label}.{key}" if label else str(key)
                message = f"is not a known field; known are {', '.join(names)}"
                raise RosterError(self._path, _line(mapping, key), field, message)

    def text(self, raw: str, fail: "_Fail") -> str:
        """Follow `file:` and `${NAME}`."""
        if raw.startswith("file:"):
            file = self._path.parent / raw.removeprefix("file:")
            self._files.add(file)
            try:
                return file.read_text(encoding="utf-8").strip()
            except (OSError, UnicodeDecodeError) as error:
                reason = error.strerror if isinstance(error, OSError) else "it is not text"
                raise fail(f"the file {file} cannot be read: {reason}") from None

        def variable(match: re.Match[str]) -> str:
            if (value := self._environment.get(match[1])) is None:
                raise fail(f"the environment variable {match[1]} is not set; set it or write the value here")
            return value.strip()

        return _VARIABLE.sub(variable, raw)

    @property
    def path(self) -> Path:
        return self._path


class _Fail:
    """Makes errors about one field."""

    def __init__(self, field: "_Field", name: str) -> None:
        self._field = field
        self._name = name

    def __call__(self, message: str) -> RosterError:
        return self._field.error(self._name, message)


class _Field:
    """The fields of one entry, with the file's defaults behind them."""

    def __init__(self, reader: _Reader, entry: CommentedMap, defaults: CommentedMap, label: str) -> None:
        self._reader = reader
        self._entry = entry
        self._defaults = defaults
        self._label = label

    def value(self, name: str) -> Any:
        found = self._entry.get(name)
        return found if found is not None else self._defaults.get(name)

    def line(self, name: str) -> int | None:
        for mapping in (self._entry, self._defaults):
            if name in mapping:
                return _line(mapping, name)
        return int(self._entry.lc.line) + 1

    def error(self, name: str, message: str) -> RosterError:
        inherited = name not in self._entry and name in self._defaults
        label = "defaults" if inherited else self._label
        return RosterError(self._reader.path, self.line(name), f"{label}.{name}", message)

    def resolved(self, name: str) -> Any:
        """The value, with `file:` and `${NAME}` followed where it is text."""
        raw = self.value(name)
        return self._reader.text(raw, _Fail(self, name)) if isinstance(raw, str) else raw

    def cookie(self, name: str) -> Secret:
        value = self.resolved(name)
        if value is None:
            return Secret("")
        if not isinstance(value, str):
            raise self.error(name, "must be text; put it in quotes")
        value = value.strip()
        if len(value) > LONGEST_COOKIE:
            raise self.error(
                name, f"is longer than {LONGEST_COOKIE} characters; copy the cookie's value alone"
            )
        if NOT_IN_COOKIE.search(value):
            raise self.error(
                name,
                "holds a character that no cookie value has (a blank, quote, slash, comma, semicolon, `..` or "
                "a control character); copy the cookie's value alone, without its name",
            )
        return Secret(value)

    def proxy(self, name: str) -> Secret | None:
        value = self.resolved(name)
        if value is None or value == "":
            return None
        remedy = "must be a URL such as http://user:password@10.0.0.5:3128 or socks5://host:1080"
        if not isinstance(value, str) or re.search(r"[\s\x00-\x1f]", value):
            raise self.error(name, remedy)
        try:
            parts = urlsplit(value)
            good = parts.scheme in _PROXY_SCHEMES and bool(parts.hostname) and parts.port != 0
        except ValueError:
            good = False
        if not good or parts.path not in ("", "/") or parts.query or parts.fragment:
            raise self.error(name, remedy)
        return Secret(value)

    def boolean(self, name: str, default: bool) -> bool:
        value = self.resolved(name)
        if value is None:
            return default
        if isinstance(value, str) and value.lower() in ("true", "yes", "1", "false", "no", "0"):
            return value.lower() in ("true", "yes", "1")
        if not isinstance(value, bool):
            raise self.error(name, "must be true or false")
        return value

    def integer(self, name: str, default: int, least: int, most: int) -> int:
        value = self.resolved(name)
        if value is None:
            return default
        if isinstance(value, str) and value.strip().isdecimal() and len(value) < 100:
            value = int(value)
        if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
            raise self.error(name, f"must be a whole number from {least} to {most}")
        return int(value)

    def duration(self, name: str, default: float) -> float:
        value = self.resolved(name)
        if value is None:
            return default
        much = isinstance(value, bool) or (isinstance(value, int) and value > 86400)
        match = None if much else _DURATION.fullmatch(str(value).strip())
        seconds = float(match[1]) * _UNIT[match[2]] if match else -1.0
        if not 0 <= seconds <= 86400:
            raise self.error(name, "must be a duration such as 500ms, 2s, 10m or 1h, a day at most")
        return seconds

    def words(self, name: str, default: tuple[str, ...]) -> tuple[str, ...]:
        value = self.value(name)
        if value is None:
            return default
        if not isinstance(value, list) or not all(isinstance(word, str) and word.strip() for word in value):
            raise self.error(
                name, f'must be a list of words, such as {name}: ["{(default or ("images",))[0]}"]'
            )
        return tuple(word.strip() for word in value)


def _line(mapping: CommentedMap, key: object) -> int | None:
    try:
        return int(mapping.lc.key(key)[0]) + 1
    except (TypeError, KeyError, AttributeError):
        return None  # a tag or a merge has cost it its place


def _item_line(entries: CommentedSeq, index: int) -> int | None:
    try:
        return int(entries.lc.item(index)[0]) + 1
    except (TypeError, KeyError, AttributeError):
        return None


def _without_values(error: MarkedYAMLError) -> str:
    """What the library says, but for what it quotes of the file: that may be a cookie."""
    problem = str(error.problem or error.context)
    if twice := _TWICE.match(problem):
        return f"the field {twice[1]} is there twice; keep one"
    return _QUOTED.sub(
        lambda quote: quote[0] if _NO_VALUE.fullmatch(quote[2]) else "...", problem.partition("\n")[0]
    )
