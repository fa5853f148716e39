"""Sessions of the operator's page: statements that are signed, so that no store has to know who is signed in.

A token reads `v1.EXPIRY.ID.MAC`: wall clock seconds, the session's id, which is chance, and an HMAC-SHA256 of what stands before
it. Whoever has the same admin key and state key believes it: every replica, also after a restart. Another admin key ends them
all. A renewed token has the id of the one before, so that whoever ends the session ends every copy of any of its tokens.
"""

import base64
import hashlib
import hmac
import re
import secrets
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Final

from msgspec import Struct

from access.keys import hashed, is_digest
from core.secret import Secret

LIFE: Final = 12 * 3600.0
"""Seconds that a session lasts, where nothing else is said."""

_TOKEN = re.compile(r"(v1\.([1-9][0-9]{0,11})\.([A-Za-z0-9_-]{22}))\.([A-Za-z0-9_-]{43})", re.ASCII)
_PURPOSE = b"gempool page session\0"


class Session(Struct, frozen=True):
    """One that is believed. id: whoever has it can neither sign in with it nor make a token of it. expires_at: wall clock
    seconds."""

    id: str
    expires_at: float


class Ended:
    """Sessions that were ended before their time, each remembered until no token of it can be good any more. Times are wall
    clock seconds."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}
        self._watching: dict[str, list[Callable[[], None]]] = {}

    def __len__(self) -> int:
        return len(self._until)

    def __contains__(self, id: str) -> bool:
        return id in self._until

    def add(self, ended: Iterable[tuple[str, float]], now: float) -> None:
        """Note ids and until when to remember them, and tell at once who watches them. What is over is forgotten."""
        for id, until in ended:
            known = id in self._until
            self._until[id] = max(until, self._until.get(id, 0.0))
            if not known:
                for tell in tuple(self._watching.get(id, ())):
                    tell()
        for id in [id for id, until in self._until.items() if until <= now]:
            del self._until[id]

    @contextmanager
    def telling(self, id: str, tell: Callable[[], None]) -> Iterator[None]:
        """Call `tell` where the session is ended meanwhile, also where it has been already. It must neither wait nor raise."""
        self._watching.setdefault(id, []).append(tell)
        try:
            if id in self._until:
                tell()
            yield
        finally:
            self._watching[id].remove(tell)
            if not self._watching[id]:
                del self._watching[id]


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
        self.ended = Ended()
        """Those that nobody is to believe any more. A token of one is not read."""

    def issue(self, now: float, id: str = "") -> tuple[Secret, Session]:
        """A token, and the session that it stands for: a new one, or the one of that id, which goes on. now: wall clock seconds."""
        session = Session(id or secrets.token_urlsafe(16), float(int(now + self.life)))
        said = f"v1.{int(session.expires_at)}.{session.id}"
        return Secret(f"{said}.{self._mac(said)}"), session

    def read(self, token: str, now: float) -> Session | None:
        """The session that the token stands for; None where it was not issued here, was changed, or is over."""
        found = _TOKEN.fullmatch(token)
        if found is None:
            return None
        said, expires_at, id, mac = found.groups()
        # As text: the last character of 43 has bits to spare, and no other spelling of a signature is one.
        if not hmac.compare_digest(self._mac(said), mac) or int(expires_at) <= now or id in self.ended:
            return None
        return Session(id, float(expires_at))

    def end(self, session: Session, now: float) -> float:
        """Believe no token of the session any more, in this process. Until when that has to be remembered, wall clock seconds."""
        # A replica that has not heard yet may renew a copy until then, and set its clock a little later than ours.
        until = max(session.expires_at, now + 2 * self.life)
        self.ended.add([(session.id, until)], now)
        return until

    def wears_off(self, session: Session, now: float) -> bool:
        """Whether more than half of it is over, so that whoever still uses it gets a new one."""
        return session.expires_at - now < self.life / 2

    def _mac(self, said: str) -> str:
        mac = hmac.digest(self._key, said.encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(mac).rstrip(b"=").decode()
