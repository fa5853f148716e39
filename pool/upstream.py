"""The port to the web app: what the pool and the engine need of one account's session.

`pool.gemini_web` is the adapter that real traffic goes through. It raises nothing but
`core.errors.UpstreamError`s and `core.errors.CallerError`s, and `asyncio.CancelledError`.
"""

from collections.abc import AsyncGenerator, Mapping
from typing import Protocol, TypeAlias

from msgspec import Struct

from core.chat import Blob, Delta, Picture, Place
from core.secret import Secret


class Credentials(Struct, frozen=True):
    """What opens a session. `jar` holds further cookies by name (of domain .google.com)."""

    secure_1psid: Secret
    secure_1psidts: Secret
    jar: Mapping[str, Secret] = {}


class Bounds(Struct, frozen=True, gc=False):
    """Separate bounds of one call, in seconds. `total` is what is left of the request's deadline."""

    connect: float
    first_content: float
    silence: float
    total: float


class Prompt(Struct, frozen=True):
    """One prompt for one account. `model` is a name that the account's session resolved, or None for
    the account's default. A temporary chat leaves nothing in the account's history.

    originals: the answer's pictures are wanted as the model made them, which needs a chat that is not temporary.
    Otherwise, and where one cannot be had, copies come that are scaled to 2048 pixels at most. forget: delete the chat afterwards, in the background.
    """

    text: str
    files: tuple[Blob, ...] = ()
    model: str | None = None
    thinking: bool = False
    temporary: bool = True
    originals: bool = False
    forget: bool = False
    place: Place | None = None
    """Go on in this chat of the account's; the text is then what is new in it."""
    stream: bool = True
    """False: the caller wants the whole answer, so one delta at the end is enough."""


class Offered(Struct, frozen=True):
    """A model that an account offers. `name` is canonical (`gemini-flash`); `aliases` are further names,
    lower case, that mean it and nothing else."""

    name: str
    display_name: str
    description: str
    aliases: frozenset[str]


class Done(Struct, frozen=True, gc=False):
    """Ends every answer that is whole. The ids name the chat that it stands in; `rewritten` says that the
    upstream changed text which had been handed out already. web_pictures: how many pictures the model found on
    the web; they are not handed out. context: the web app's own mark of a chat that is kept, '' for others."""

    cid: str = ""
    rid: str = ""
    rcid: str = ""
    rewritten: bool = False
    web_pictures: int = 0
    context: str = ""


UpstreamEvent: TypeAlias = Delta | Picture | Done


class Session(Protocol):
    """One account's live session in this replica. A failed call never harms another running call."""

    @property
    def offered(self) -> tuple[Offered, ...]:
        """The models that the account offers, the account's default first."""

    def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        """Send the prompt and yield its answer; the last event is `Done`.

        Text is final: what was yielded is never taken back, and streamed and whole answers are the
        same. Closing or cancelling the generator stops the upstream transfer at once.
        """

    async def probe(self, timeout: float) -> None:
        """One cheap authenticated call. Returns where the account is well; raises what is wrong:
        `SessionExpired`, `AccountRejected`, or a soft error that proves nothing about the cookies."""

    async def rotate(self, timeout: float) -> bool:
        """Ask for a fresh `__Secure-1PSIDTS`. True where the jar holds a new one afterwards."""

    def jar(self) -> Mapping[str, Secret]:
        """All cookies of the session by name, as they are now."""

    def adopt(self, jar: Mapping[str, Secret]) -> None:
        """Take newer cookies of the same sign-in; every request from now on sends them."""

    async def close(self) -> None:
        """Drop the session. Running calls are ended as `UpstreamUnstable`."""


class SessionFactory(Protocol):
    """Opens sessions; one account's cookies travel through that account's own client and proxy only."""

    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> Session:
        """A session that was proved to be the account's own, not a guest's."""

    async def close(self) -> None:
        """End what runs beside the sessions. They are closed by whoever opened them."""
