"""API keys, compared in constant time."""

import hashlib
import hmac
import re
from collections.abc import Iterable, Sequence
from typing import Literal, TypeAlias

from msgspec import Struct

from core.secret import Secret

Role: TypeAlias = Literal["anonymous", "api", "admin"]

HASHED = re.compile("sha256:([0-9a-f]{64})")


class Caller(Struct, frozen=True, gc=False):
    """Who asks. `name` is a short fingerprint of the key, or the address, and is safe to log."""

    name: str
    role: Role


class BadKey(ValueError):
    """A configured key cannot be used. The message never contains the key."""


class Keys:
    """The configured keys.

    `api` and `admin` hold keys as they are, or as `sha256:` and 64 hex digits of the key's SHA-256. Only
    digests are kept, and they are compared, so neither content nor length of a key shows in the time that
    a comparison takes.
    """

    def __init__(self, api: Iterable[Secret] = (), admin: Secret | None = None) -> None:
        self._callers: list[tuple[bytes, Caller]] = [
            (digest := _digest(key), _caller(digest, "api")) for key in api
        ]
        self.required = bool(self._callers)
        """True where at least one API key is configured, so that nobody may call without."""
        self.has_admin = bool(admin)
        if admin:
            digest = _digest(admin)
            self._callers.append((digest, _caller(digest, "admin")))

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


def _digest(key: Secret) -> bytes:
    text = key.reveal()
    if text.startswith("sha256:"):
        if not (match := HASHED.fullmatch(text.lower())):
            raise BadKey(
                "A hashed key must be 'sha256:' and 64 hex digits: printf %s KEY | sha256sum writes them."
            )
        return bytes.fromhex(match[1])
    if not text:
        raise BadKey("A key is empty: leave it out or give it a value.")
    return hashlib.sha256(text.encode()).digest()


def _caller(digest: bytes, role: Role) -> Caller:
    return Caller(name=f"{'key' if role == 'api' else 'admin'}:{digest.hex()[:8]}", role=role)
