"""Sessions of the operator's page: statements that are signed, so that no store has to know them.

A token reads `v1.EXPIRY.NONCE.MAC`: wall clock seconds, chance, and an HMAC-SHA256 of what stands before it. Whoever has the
same admin key and state key believes it: every replica, also after a restart. Another admin key ends them all.
"""

import base64
import hashlib
import hmac
import re
import secrets
from typing import Final

from msgspec import Struct

from access.keys import hashed, is_digest
from core.secret import Secret

LIFE: Final = 12 * 3600.0
"""Seconds that a session lasts, where nothing else is said."""

_TOKEN = re.compile(r"(v1\.([1-9][0-9]{0,11})\.[A-Za-z0-9_-]{22})\.([A-Za-z0-9_-]{43})", re.ASCII)
_PURPOSE = b"gempool page session\0"


class Session(Struct, frozen=True):
    """One that is believed. expires_at: wall clock seconds."""

    expires_at: float


class Sessions:
    """Issues tokens and reads them.

    admin: the admin key, or its digest as the configuration writes it. life: seconds that a session lasts.

    The signing key comes from the digest of the admin key and from the state key. Where the configuration holds the digest
    itself and there is no state key, whoever reads the configuration could sign; then a key of chance signs, which no other
    replica and no later start knows.
    """

    def __init__(self, admin: Secret, state_key: Secret | None = None, *, life: float = LIFE) -> None:
        readable = is_digest(admin) and not state_key
        base = secrets.token_bytes(32) if readable else (state_key.reveal().encode() if state_key else b"")
        self._key = hmac.digest(base, _PURPOSE + hashed(admin).encode(), hashlib.sha256)
        self.life = life
        self.alone = readable
        """Whether this replica alone believes its sessions."""

    def issue(self, now: float) -> tuple[Secret, Session]:
        """A new session and the token that stands for it. now: wall clock seconds."""
        expires_at = int(now + self.life)
        said = f"v1.{expires_at}.{secrets.token_urlsafe(16)}"
        return Secret(f"{said}.{self._mac(said)}"), Session(float(expires_at))

    def read(self, token: str, now: float) -> Session | None:
        """The session that the token stands for; None where it was not issued here, was changed, or is over."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        said, expires_at, mac = found.groups()
        # As text: the last character of 43 has bits to spare, and no other spelling of a signature is one.
        if not hmac.compare_digest(self._mac(said), mac) or int(expires_at) <= now:
            return None
        return Session(float(expires_at))

    def wears_off(self, session: Session, now: float) -> bool:
        """Whether more than half of it is over, so that whoever still uses it gets a new one."""
        return session.expires_at - now < self.life / 2

    def _mac(self, said: str) -> str:
        mac = hmac.digest(self._key, said.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
