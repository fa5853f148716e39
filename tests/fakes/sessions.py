"""A web app that does what the test says: sessions without a network, behind the pool's own port."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping

from core.chat import Delta
from core.errors import GatewayError, SessionExpired
from core.secret import Secret
from pool.upstream import Bounds, Credentials, Done, Offered, Prompt, UpstreamEvent

FLASH = Offered("gemini-flash", "Flash", "quick", frozenset({"gemini-3-flash"}))
PRO = Offered("gemini-pro", "Pro", "thorough", frozenset())


class FakeSession:
    """Answers with the account's name. `web` decides what goes wrong."""

    def __init__(self, web: "FakeWeb", account: str, offered: tuple[Offered, ...]) -> None:
        self._web = web
        self.account = account
        self.offered = offered
        self.closed = False

    async def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        self._web.prompts[self.account] += 1
        if (error := self._web.generate_errors.get(self.account)) is not None:
            raise error
        yield Delta(f"{self.account}: {prompt.text}")
        yield Done()

    async def probe(self, timeout: float) -> None:
        self._web.probes[self.account] += 1
        await asyncio.sleep(0)
        if (error := self._web.probe_errors.get(self.account)) is not None:
            raise error

    async def rotate(self, timeout: float) -> bool:
        return False

    def jar(self) -> Mapping[str, Secret]:
        return {}

    async def close(self) -> None:
        self.closed = True


class FakeWeb:
    """The session factory. Errors are by account; an account in `holds` waits there to be opened."""

    def __init__(self) -> None:
        self.offered: dict[str, tuple[Offered, ...]] = {}
        self.open_errors: dict[str, GatewayError] = {}
        self.probe_errors: dict[str, GatewayError] = {}
        self.generate_errors: dict[str, GatewayError] = {}
        self.holds: dict[str, asyncio.Event] = {}
        self.opens: Counter[str] = Counter()
        self.probes: Counter[str] = Counter()
        self.prompts: Counter[str] = Counter()
        self.sessions: list[FakeSession] = []
        self.opening = 0
        self.most_opening = 0

    async def open(
        self, account: str, credentials: Credentials, proxy: str | None, timeout: float
    ) -> FakeSession:
        if not credentials.secure_1psid:
            raise SessionExpired("no cookie")
        self.opens[account] += 1
        self.opening += 1
        self.most_opening = max(self.most_opening, self.opening)
        try:
            await asyncio.sleep(0)
            if (hold := self.holds.get(account)) is not None:
                await hold.wait()
            if (error := self.open_errors.get(account)) is not None:
                raise error
        finally:
            self.opening -= 1
        session = FakeSession(self, account, self.offered.get(account, (FLASH, PRO)))
        self.sessions.append(session)
        return session
