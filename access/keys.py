"""API keys, compared in constant time."""

import hashlib
import hmac
import re
import secrets
from collections.abc import Iterable, Sequence
from typing import Final, Literal, TypeAlias

from msgspec import Struct

from access.rates import Rate
from core.secret import Secret

Role: TypeAlias = Literal["anonymous", "api", "admin"]

HASHED = re.compile("sha256:([0-9a-f]{64})")
ANY: Final = ("*",)
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
"""A key's name: nothing that an address or a fingerprint could be taken for."""
PREFIX = "gp-"


class Caller(Struct, frozen=True):
    """Who asks. `name` is the key's name, a short fingerprint of a key without one, or the exact address; it is safe to
    log and the same in every replica.

    site: the name that limits count under where that is not `name`: of the network that an IPv6 address belongs to.
    models: patterns of the names that may be asked for (`*` stands for anything). Rates of the caller's own; None for
    those of everybody.
    """

    name: str
    role: Role
    models: tuple[str, ...] = ANY
    per_caller: Rate | None = None
    per_caller_and_model: Rate | None = None
    site: str = ""

    @property
    def counted_as(self) -> str:
        """The name that limits count under."""
        return self.site or self.name

    @property
    def restricted(self) -> bool:
        """Whether there may be models that are not for this caller."""
        return "*" not in self.models

    def may_ask(self, model: str) -> bool:
        """Whether the caller may ask the model of that name, in any case."""
        name = model.lower()
        return any(_fits(pattern.lower(), name) for pattern in self.models)


class NamedKey(Struct, frozen=True):
    """A key from the configuration. digest: `sha256:` and 64 hex digits."""

    name: str
    digest: str
    models: tuple[str, ...] = ANY
    per_caller: Rate | None = None
    per_caller_and_model: Rate | None = None


class BadKey(ValueError):
    """A configured key cannot be used. The message never contains the key, and names the setting where it knows."""


class Keys:
    """The configured keys.

    `api` and `admin` hold keys as they are, or as `sha256:` and 64 hex digits of the key's SHA-256. Only
    digests are kept, and they are compared, so neither content nor length of a key shows in the time that
    a comparison takes.
    """

    def __init__(
        self, api: Iterable[Secret] = (), admin: Secret | None = None, named: Iterable[NamedKey] = ()
    ) -> None:
        known: dict[bytes, tuple[str, Caller]] = {}
        api_keys = tuple(api)
        for key in api_keys:
            digest = _digest(key, "API_KEY")
            known[digest] = ("API_KEY", _caller(digest, "api"))
        names: set[str] = set()
        for entry in named:
            where = f"access.keys: {entry.name}"
            digest = _digest(Secret(entry.digest), where)
            if entry.name.lower() in names:
                raise BadKey(f"{where} is there twice. Give each key a name of its own.")
            if digest in known:
                raise BadKey(f"{where} is the same key as {known[digest][0]}. Take one of them out.")
            names.add(entry.name.lower())
            caller = Caller(entry.name, "api", entry.models, entry.per_caller, entry.per_caller_and_model)
            known[digest] = (where, caller)
        self.required = bool(known)
        """True where at least one API key is configured, so that nobody may call without."""
        self.has_admin = bool(admin)
        if admin:
            digest = _digest(admin, "ADMIN_KEY")
            if digest in known:
                raise BadKey(
                    f"ADMIN_KEY is the same key as {known[digest][0]}, so that every caller who has it would be the"
                    " operator. Make a new one: gempool keys new."
                )
            known[digest] = ("ADMIN_KEY", _caller(digest, "admin"))
        self._callers = [(digest, caller) for digest, (_, caller) in known.items()]
        self.written = tuple(key for key in (*api_keys, *([admin] if admin else ())) if not is_digest(key))
        """Those that are configured as they are, so that they can be hidden wherever somebody writes them."""

    @classmethod
    def parse(cls, api: str, admin: str = "") -> "Keys":
        """Keys from the text of `API_KEY` (comma separated) and `ADMIN_KEY`; empty text means none."""
        return cls(
            api=[Secret(key) for part in api.split(",") if (key := part.strip())],
            admin=Secret(admin.strip()) if admin.strip() else None,
        )

    def identify(self, presented: Sequence[bytes]) -> Caller | None:
        """Who presents these keys: None where none of them is known. Every key is compared with every
        configured one, whatever was found before; an admin key outranks an API key."""
        found: Caller | None = None
        for candidate in presented:
            digest = hashlib.sha256(candidate).digest()
            for known, caller in self._callers:
                same = hmac.compare_digest(digest, known)
                if same and (found is None or caller.role == "admin"):
                    found = caller
        return found


def is_digest(key: Secret) -> bool:
    """Whether it is meant as the digest of a key, in any case, and not as a key."""
    return key.reveal()[:7].lower() == "sha256:"


def _digest(key: Secret, where: str) -> bytes:
    text = key.reveal()
    if is_digest(key):
        if not (match := HASHED.fullmatch(text.lower())):
            raise BadKey(
                f"{where}: a hashed key must be 'sha256:' and 64 hex digits. `gempool keys hash` prints one."
            )
        return bytes.fromhex(match[1])
    if not text:
        raise BadKey(f"{where}: a key is empty. Leave it out or give it a value.")
    return hashlib.sha256(text.encode()).digest()


def _caller(digest: bytes, role: Role) -> Caller:
    return Caller(name=f"{'key' if role == 'api' else 'admin'}:{digest.hex()[:8]}", role=role)


def new_key() -> Secret:
    """A fresh key: 256 random bits, in characters that need no quoting in a header, a URL or a shell."""
    return Secret(PREFIX + secrets.token_urlsafe(32))


def hashed(key: Secret) -> str:
    """How the configuration writes the key down."""
    return f"sha256:{_digest(key, '').hex()}"


def _fits(pattern: str, name: str) -> bool:
    """Whether `name` matches, `*` standing for anything. Takes each part where it is found first: a regular expression
    would try them all."""
    first, *parts = pattern.split("*")
    if not parts:
        return name == first
    *middle, last = parts
    if len(name) < len(first) + len(last) or not (name.startswith(first) and name.endswith(last)):
        return False
    at, end = len(first), len(name) - len(last)
    for part in middle:
        at = name.find(part, at, end)
        if at < 0:
            return False
        at += len(part)
    return True
