"""The newest cookies of every account, kept in the store so that a restart and all replicas go on with them.

With a state key they are encrypted (AES-256-GCM, bound to the account's id), without one they are plain.
"""

import base64
import hashlib
import os
from collections.abc import AsyncGenerator, Iterable, Mapping

import msgspec
import structlog
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from msgspec import Struct

from core.errors import StoreUnavailable
from core.secret import Secret
from pool import AccountConfig, Shared
from pool.cookies import of_roster
from pool.upstream import Credentials

log = structlog.get_logger("gempool.supervisor")

PSID, PSIDTS = "__Secure-1PSID", "__Secure-1PSIDTS"
CHANNEL = "cookies"
_MARKS = "jars"

_REPLACED = 60.0
"""Seconds within which every replica has gone over to a new sign-in."""
_KEPT = 30 * 86400.0
"""Seconds after the last rotation that a jar is kept: those of removed accounts do not stay for ever."""
_SEALED = "sealed1:"
_SALT = b"gempool cookies at rest"
"""The same for all replicas: they must find the same key from the same words."""


class Jar(Struct, frozen=True):
    """The cookies of one account by name.

    revision: of the roster's cookies that these replace; with other ones in the roster they count no more.
    at: wall clock seconds of the writer. source: rotation, api or session.
    """

    revision: str
    cookies: dict[str, Secret]
    at: float
    source: str

    @property
    def credentials(self) -> Credentials:
        others = {name: value for name, value in self.cookies.items() if name not in (PSID, PSIDTS)}
        return Credentials(self.cookies.get(PSID, Secret("")), self.cookies.get(PSIDTS, Secret("")), others)


class _Written(Struct):
    revision: str
    cookies: dict[str, str]
    at: float
    source: str


class Seal:
    """Turns text into what may lie in the store, and back. `key` empty: it lies there as it is."""

    def __init__(self, key: Secret) -> None:
        self._aead: AESGCM | None = None
        if key:
            raw = hashlib.scrypt(key.reveal().encode(), salt=_SALT, n=2**14, r=8, p=1, dklen=32)
            self._aead = AESGCM(raw)

    def close(self, account: str, text: str) -> str:
        if self._aead is None:
            return text
        nonce = os.urandom(12)
        sealed = nonce + self._aead.encrypt(nonce, text.encode(), account.encode())
        return _SEALED + base64.b64encode(sealed).decode()

    def open(self, account: str, stored: str) -> str:
        """Raises ValueError, whose text names the remedy, where it cannot be read with this key."""
        if not stored.startswith(_SEALED):
            return stored
        if self._aead is None:
            raise ValueError(
                "they are encrypted: set GEMPOOL_STATE_KEY to the key that they were written with"
            )
        sealed = base64.b64decode(stored.removeprefix(_SEALED))
        try:
            return self._aead.decrypt(sealed[:12], sealed[12:], account.encode()).decode()
        except InvalidTag:
            raise ValueError(
                "GEMPOOL_STATE_KEY is not the key that they were written with: use that one, or give the account"
                " new cookies"
            ) from None


class Jars:
    """Implements `pool.CookieSource` over the store. While the store is away the last known cookies count."""

    def __init__(self, shared: Shared, seal: Seal) -> None:
        self._shared = shared
        self._seal = seal
        self._known: dict[str, Jar] = {}
        self._unreadable: dict[str, tuple[str, str]] = {}
        """By account, what is stored and cannot be read, and why."""
        self._seen: dict[str, tuple[str | None, str]] = {}
        """By account, the mark and the roster's revision that `unread` told it with last."""

    async def newest(self, account: AccountConfig) -> tuple[Credentials, ...]:
        """The stored cookies where they descend from the roster's, then the roster's own."""
        try:
            jar = await self.read(account)
        except StoreUnavailable:
            jar = self.known(account)
        own = of_roster(account)
        if jar is None:
            return (own,)
        stored = jar.credentials
        same = (stored.secure_1psid, stored.secure_1psidts) == (own.secure_1psid, own.secure_1psidts)
        return (stored,) if same else (stored, own)

    def missing(self, account: AccountConfig) -> str:
        """See `pool.CookieSource`."""
        found = self._unreadable.get(account.id)
        return f"the stored cookies cannot be read: {found[1]}" if found is not None else ""

    def known(self, account: AccountConfig) -> Jar | None:
        """What `read` found last, without asking the store."""
        jar = self._known.get(account.id)
        return jar if jar is not None and jar.revision == account.revision else None

    async def unread(self, accounts: Iterable[AccountConfig]) -> AsyncGenerator[AccountConfig, None]:
        """Those whose stored jar may be another one than when they were told here last, all of them the first time. Each
        counts as told once the next is asked for. One look at the store for all of them. Raises StoreUnavailable."""
        marks = await self._shared.marks(_MARKS)
        for account in accounts:
            seen = marks.get(account.id), account.revision
            # One that is known and bears no mark was written by an older version, or is lost.
            if self._seen.get(account.id) != seen or (seen[0] is None and self.known(account) is not None):
                yield account
                self._seen[account.id] = seen

    async def read(self, account: AccountConfig) -> Jar | None:
        """The stored jar; None where there is none for the roster's cookies. Raises StoreUnavailable."""
        jar = self._parsed(account.id, await self._shared.get(_key(account.id)))
        if jar is None or jar.revision != account.revision:
            self._known.pop(account.id, None)
            return None
        self._known[account.id] = jar
        return jar

    async def write(
        self, account: AccountConfig, cookies: Mapping[str, Secret], at: float, source: str
    ) -> bool:
        """Keep these cookies as the account's newest and tell all replicas.

        False, and nothing is kept, where those of another sign-in have just come in (what `api` gives is always
        kept). Raises StoreUnavailable.
        """
        jar = Jar(account.revision, dict(cookies), at, source)
        text = self._text(account.id, jar)
        for _ in range(5):
            stored = await self._shared.get(_key(account.id))
            if source != "api" and not _may_replace(jar, self._parsed(account.id, stored)):
                return False
            if await self._shared.swap(_key(account.id), stored, text, _KEPT, (_MARKS, account.id)):
                self._known[account.id] = jar
                if source != "session":
                    await self._shared.publish(CHANNEL, account.id)
                return True
        return False

    async def restore(self, account: AccountConfig, jar: Jar) -> None:
        """Put back what was read once, where nothing is stored now. Raises StoreUnavailable."""
        if jar.revision == account.revision and await self._shared.swap(
            _key(account.id), None, self._text(account.id, jar), _KEPT, (_MARKS, account.id)
        ):
            self._known[account.id] = jar

    def _text(self, account: str, jar: Jar) -> str:
        plain = {name: value.reveal() for name, value in jar.cookies.items()}
        written = msgspec.json.encode(_Written(jar.revision, plain, jar.at, jar.source))
        return self._seal.close(account, written.decode())

    def _parsed(self, account: str, stored: str | None) -> Jar | None:
        if not stored:
            self._unreadable.pop(account, None)
            return None
        try:
            written = msgspec.json.decode(self._seal.open(account, stored), type=_Written)
        except (ValueError, msgspec.DecodeError) as error:
            # Each is told once: it is read again and again.
            why = "they are damaged" if isinstance(error, msgspec.DecodeError) else str(error)
            known = self._unreadable.get(account)
            self._unreadable[account] = (stored, why)
            if known is None or known[0] != stored:
                log.error("stored cookies cannot be read", account=account, why=why)
            return None
        self._unreadable.pop(account, None)
        cookies = {name: Secret(value) for name, value in written.cookies.items()}
        return Jar(written.revision, cookies, written.at, written.source)


def _may_replace(jar: Jar, stored: Jar | None) -> bool:
    """A sign-in that was replaced over the API while its old cookies were being rotated must not come back; one
    that works where the stored one has died since, must."""
    if stored is None or stored.revision != jar.revision:
        return True
    return stored.cookies.get(PSID) == jar.cookies.get(PSID) or jar.at - stored.at > _REPLACED


def _key(account: str) -> str:
    return f"jar:{account}"
