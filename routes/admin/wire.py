"""Bodies of the page's own routes; the rest are `engine.service`'s structs as they are."""

from msgspec import Struct

from engine.service import Standing
from journal import Happened


class SignIn(Struct):
    """key: the admin key."""

    key: str


class SessionState(Struct):
    """What the page asks first. needed: somebody has to sign in, and is not by being on this machine. expires_at: wall clock
    seconds, None without a session. why: a sentence where nobody can sign in, else ''."""

    needed: bool
    signed_in: bool
    expires_at: float | None
    version: str
    why: str


class SignedOut(Struct):
    """Where a sign-out could not be told to other replicas. told: false. why: a sentence."""

    told: bool
    why: str


class AccountDetail(Struct):
    """history: newest first."""

    account: Standing
    history: tuple[Happened, ...]


class Bye(Struct):
    """Why a live stream has ended: `session_expired`, or `shutting_down`."""

    code: str
    message: str
