"""One account as one replica holds it, and what a look at it told."""

import asyncio
from typing import Literal

from msgspec import Struct

from core.secret import Secret
from pool.account import AccountConfig
from pool.upstream import Credentials, Session

PSID = "__Secure-1PSID"

Outcome = Literal["well", "dead", "unsure"]


class Finding(Struct, frozen=True):
    """What a probe or a fresh session told about an account.

    well: it is. dead: it is not, and `reason` (expired, rejected, terms_pending, ...) says how. unsure: nothing
    was learnt about the account itself, as with a network fault of ours. `detail` is free of secrets.
    """

    outcome: Outcome
    reason: str = ""
    detail: str = ""


WELL = Finding("well")


class Held:
    """A session and the number of leases that use it; a replaced one is closed when the last has ended."""

    __slots__ = ("retired", "session", "users")

    def __init__(self, session: Session) -> None:
        self.session = session
        self.users = 0
        self.retired = False


class Member:
    """One account in this replica. `in_flight` counts this replica's leases."""

    def __init__(self, config: AccountConfig, order: int) -> None:
        self.config = config
        self.order = order
        self.held: Held | None = None
        self.in_flight = 0
        self.attempts = 0
        """Sessions that were tried since the last one that opened."""
        self.first_open_pending = config.enabled
        self.next_try = 0.0
        """Monotonic second of the next attempt to open a session, 0.0 where none is planned."""
        self.wanted = asyncio.Event()
        """A session should be opened, now or after the planned wait."""
        self.hurry = asyncio.Event()
        """Do not wait any longer."""
        self.untold = False
        """The store was away when it should have learnt something about the account."""
        self.quarantined = False
        """The store keeps it in quarantine: the supervisor tries it again, not this replica's own timer."""
        self.busy = asyncio.Lock()
        """One opening or check at a time."""
        self.keeper: asyncio.Task[None] | None = None
        self.judge: asyncio.Task[None] | None = None


def jar_of(cookies: Credentials) -> dict[str, Secret]:
    """Everything by name."""
    named = {PSID: cookies.secure_1psid, "__Secure-1PSIDTS": cookies.secure_1psidts}
    return {**cookies.jar, **{name: value for name, value in named.items() if value}}
