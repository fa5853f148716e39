"""What browsers' cookie exporters write, read into the cookies of one account. Pure.

Three formats: the JSON of Cookie-Editor, EditThisCookie and their like (a list of objects, or an object with
such a list under `cookies`, as Playwright writes it), Netscape's cookies.txt, and a raw `Cookie:` header.
"""

import json
import re
import time
from collections.abc import Iterator, Mapping
from typing import Any

from msgspec import Struct

from core.secret import Secret
from pool.roster import LONGEST_COOKIE, NOT_IN_COOKIE

PSID = "__Secure-1PSID"
PSIDTS = "__Secure-1PSIDTS"
LONGEST_EXPORT = 4 * 1024**2

_AGAIN = (
    "Open https://gemini.google.com in a private window, signed in with this account alone, and export there"
)
_COOKIE_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
# RFC 6265, but for what the names above are held to: these travel in a header, never in a file's name.
_COOKIE_VALUE = re.compile(r"[\x21\x23-\x2b\x2d-\x3a\x3c-\x5b\x5d-\x7e]*")
_HEADER = re.compile(r"""^\s*(?:-H\s+)?["']?cookie\s*:\s*(.*?)["']?\s*\\?$""", re.IGNORECASE)


class ExportError(ValueError):
    """The export cannot be used. Says what is missing and the remedy, and never shows a cookie's value."""


class Exported(Struct, frozen=True):
    """One account's cookies. `secure_1psidts` is empty where the export has none; `others` are the further
    cookies of the domain .google.com by name."""

    secure_1psid: Secret
    secure_1psidts: Secret = Secret("")
    others: Mapping[str, Secret] = {}


class _Cookie(Struct, frozen=True):
    """`domain` is empty where the format tells none, `ends` (seconds since the epoch) 0 for a session's."""

    name: str
    value: str
    domain: str
    ends: float


def parse(text: str, now: float = 0.0) -> Exported:
    """Read an export in any of the three formats.

    now: seconds since the epoch; cookies that ended before it do not count (0: all count).
    Raises ExportError.
    """
    if len(text) > LONGEST_EXPORT:
        raise ExportError("The export is larger than 4 MB. Export the cookies of gemini.google.com alone.")
    text = text.removeprefix("\ufeff").strip()
    if not text:
        raise ExportError(f"The export is empty. {_AGAIN}.")
    if text[0] in "[{":
        cookies = list(_from_json(text))
    elif _is_netscape(text):
        cookies = list(_from_netscape(text))
    else:
        cookies = list(_from_header(text))
    return _account_of(cookies, now)


def _account_of(cookies: list[_Cookie], now: float) -> Exported:
    google = [cookie for cookie in cookies if _is_google(cookie.domain)]
    if not any(cookie.name == PSID for cookie in google):
        raise ExportError(_nothing_of_google(cookies))
    psid = _one(google, PSID, now)
    if not psid:
        raise ExportError(f"{PSID} is empty: the browser is signed out. Sign in, and export again.")
    return Exported(
        secure_1psid=Secret(psid),
        secure_1psidts=Secret(_one(google, PSIDTS, now)),
        others={
            cookie.name: Secret(cookie.value)
            for cookie in google
            if cookie.name not in (PSID, PSIDTS)
            and cookie.domain.lstrip(".") in ("", "google.com")
            and not cookie.name.startswith("__Host-")
            and not _ended(cookie, now)
            and _COOKIE_NAME.fullmatch(cookie.name)
            and _COOKIE_VALUE.fullmatch(cookie.value)
        },
    )


def _one(cookies: list[_Cookie], name: str, now: float) -> str:
    """The cookie's only value, '' where there is none."""
    named = [cookie for cookie in cookies if cookie.name == name]
    alive = [cookie for cookie in named if not _ended(cookie, now)]
    if named and not alive:
        day = time.strftime("%Y-%m-%d", time.gmtime(min(max(c.ends for c in named), 32503680000)))
        raise ExportError(f"{name} has expired on {day}. Sign in again and export anew.")
    values = {cookie.value for cookie in alive}
    if len(values) > 1:
        raise ExportError(
            f"The export holds the cookies of several accounts ({len(values)} different values of {name})."
            f" {_AGAIN}, one account at a time."
        )
    value = values.pop() if values else ""
    if len(value) > LONGEST_COOKIE:
        raise ExportError(
            f"{name} is longer than {LONGEST_COOKIE} characters, as no such cookie is. Export again."
        )
    if NOT_IN_COOKIE.search(value):
        raise ExportError(
            f"{name} holds a character that no such cookie has (a blank, quote, slash, comma, `..` or a"
            " control character): the export was damaged on its way. Export again, and take the file as it is."
        )
    return value


def _nothing_of_google(cookies: list[_Cookie]) -> str:
    """Why there is no PSID: another site's export, another place's Google, or no one signed in."""
    if not cookies:
        return f"There is no cookie in the export. {_AGAIN}."
    if elsewhere := sorted({c.domain.lstrip(".")[:80] for c in cookies if c.name == PSID}):
        return f"{PSID} is there for {', '.join(elsewhere[:3])} only, not for google.com. {_AGAIN}."
    if not any(_is_google(cookie.domain) for cookie in cookies):
        domains = sorted({cookie.domain.lstrip(".")[:80] for cookie in cookies})
        return f"The export is of {', '.join(domains[:3])}, not of google.com. {_AGAIN}."
    if any(cookie.name == PSIDTS for cookie in cookies):
        return f"{PSIDTS} is there, but {PSID} is missing; both are needed. {_AGAIN}."
    return (
        f"{PSID} is missing: the browser is not signed in, or the exporter leaves out HttpOnly cookies (scripts"
        f" of a page cannot see it; an exporter that is an extension can). {_AGAIN}."
    )


def _is_google(domain: str) -> bool:
    bare = domain.lstrip(".").lower()
    return bare in ("", "google.com") or bare.endswith(".google.com")


def _ended(cookie: _Cookie, now: float) -> bool:
    return 0 < cookie.ends < now


def _from_json(text: str) -> Iterator[_Cookie]:
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        line = f" in line {error.lineno}" if isinstance(error, json.JSONDecodeError) else ""
        raise ExportError(
            f"This begins like JSON, but is broken{line}. Export again, and take all of it."
        ) from None
    listed = document.get("cookies") if isinstance(document, dict) else document
    if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
        raise ExportError(
            'The JSON is no list of cookies. Expected is [{"name": ..., "value": ..., "domain": ...}, ...], as'
            " Cookie-Editor and EditThisCookie export it."
        )
    for number, item in enumerate(listed):
        name, value, domain = item.get("name"), item.get("value"), item.get("domain") or ""
        if not isinstance(name, str) or not isinstance(value, str) or not isinstance(domain, str):
            raise ExportError(
                f"Cookie {number + 1} of the JSON lacks `name` or `value`, or one is not text. Export again, as JSON."
            )
        yield _Cookie(name, value, domain, _moment(item))


def _moment(item: Mapping[str, Any]) -> float:
    """Exporters write `expirationDate` or `expires`, in seconds; -1, 0 and nothing mean the session's end."""
    for key in ("expirationDate", "expires"):
        value = item.get(key)
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < 1e15:
            # Some write milliseconds.
            return float(value) / 1000 if value > 1e11 else float(value)
    return 0.0


def _is_netscape(text: str) -> bool:
    return any(_fields(line) is not None for line in text.splitlines())


def _fields(line: str) -> list[str] | None:
    """The seven fields of a line of cookies.txt; pasting may have turned its tabs into blanks."""
    line = line.removeprefix("#HttpOnly_")
    if line.startswith("#"):
        return None
    fields = line.split("\t") if "\t" in line else line.split()
    if len(fields) == 6:
        fields.append("")  # a cookie without a value whose last tab was trimmed
    flags = {"TRUE", "FALSE"}
    if len(fields) != 7 or fields[1].upper() not in flags or fields[3].upper() not in flags:
        return None
    return fields


def _from_netscape(text: str) -> Iterator[_Cookie]:
    for number, line in enumerate(text.splitlines(), 1):
        fields = _fields(line.rstrip("\r\n"))
        if fields is None:
            if line.strip() and (not line.startswith("#") or line.startswith("#HttpOnly_")):
                raise ExportError(
                    f"Line {number} of cookies.txt does not have its seven fields (domain, flag, path, flag, time,"
                    " name, value, with tabs between). Export again, and take the file as it is."
                )
            continue
        domain, _, _, _, ends, name, value = fields
        yield _Cookie(name, value, domain, _number(ends))


def _number(text: str) -> float:
    return _moment({"expires": float(text)}) if re.fullmatch(r"\d{1,18}(\.\d{1,9})?", text) else 0.0


def _from_header(text: str) -> Iterator[_Cookie]:
    """The header alone, with or without its name, or the one among several headers or in a curl command."""
    named = [match[1] for line in text.splitlines() if (match := _HEADER.match(line))]
    lines = named or text.splitlines()
    pairs = [pair.strip() for line in lines for pair in line.split(";") if pair.strip()]
    for pair in pairs:
        name, sign, value = pair.partition("=")
        if not sign or not _COOKIE_NAME.fullmatch(name.strip()):
            raise ExportError(
                "This is none of the formats that are read: the JSON of Cookie-Editor or EditThisCookie, a Netscape"
                " cookies.txt, or a header such as `Cookie: __Secure-1PSID=...; __Secure-1PSIDTS=...`."
            )
        yield _Cookie(name.strip(), value.strip(), "", 0.0)
