"""A web app that does what the test says: sessions without a network, behind the pool's own port."""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from typing import TypeAlias

from core.chat import Delta
from core.errors import GatewayError, SessionExpired
from core.secret import Secret
from pool.upstream import Bounds, Credentials, Done, Offered, Prompt, UpstreamEvent

FLASH = Offered("gemini-flash", "Flash", "quick", frozenset({"gemini-3-flash"}))
PRO = Offered("gemini-pro", "Pro", "thorough", frozenset())

Scene: TypeAlias = UpstreamEvent | GatewayError | asyncio.Event
"""A step of an answer: what is handed out, what is raised, or what is waited for."""


class FakeSession:
    """Answers with the account's name. `web` decides what goes wrong."""

    def __init__(
        self, web: "FakeWeb", account: str, offered: tuple[Offered, ...], credentials: Credentials
    ) -> None:
        self._web = web
        self.account = account
        self.offered = offered
        self.closed = False
        self._jar = {
            "__Secure-1PSID": credentials.secure_1psid,
            "__Secure-1PSIDTS": credentials.secure_1psidts,
            **credentials.jar,
        }

    async def generate(self, prompt: Prompt, bounds: Bounds) -> AsyncGenerator[UpstreamEvent, None]:
        self._web.prompts[self.account] += 1
        self._web.asked.append((self.account, prompt, bounds))
        for scene in self._web.next_answer(self.account):
            if isinstance(scene, asyncio.Event):
                await scene.wait()
            elif isinstance(scene, GatewayError):
                raise scene
            else:
                yield scene
                if isinstance(scene, Done):
                    return
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
        self._web.rotations[self.account] += 1
        if (error := self._web.rotate_errors.get(self.account)) is not None:
            raise error
        if self.account in self._web.rotates_empty:
            return False
        self._jar["__Secure-1PSIDTS"] = Secret(f"sidts-{self.account}-{self._web.rotations[self.account]}")
        return True

    def jar(self) -> Mapping[str, Secret]:
        return dict(self._jar)

    def adopt(self, jar: Mapping[str, Secret]) -> None:
        self._jar.update(jar)

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
        self.rotations: Counter[str] = Counter()
        self.rotate_errors: dict[str, GatewayError] = {}
        self.rotates_empty: set[str] = set()
        self.dead_cookies: set[str] = set()
        """Values of `__Secure-1PSID` and `__Secure-1PSIDTS` that open no session any more."""
        self.prompts: Counter[str] = Counter()
        self.asked: list[tuple[str, Prompt, Bounds]] = []
        self.answers: dict[str, list[Sequence[Scene]]] = {}
        """Answers to come, by account; the last one is given again and again."""
        self.anybody: list[Sequence[Scene]] = []
        """The same for accounts without answers of their own, whoever is asked first."""
        self.sessions: list[FakeSession] = []
        self.opening = 0
        self.most_opening = 0

    def next_answer(self, account: str) -> Sequence[Scene]:
        """The scripted answer, () where the account answers with its name."""
        answers = self.answers.get(account, self.anybody)
        if not answers:
            return ()
        return answers.pop(0) if len(answers) > 1 else answers[0]

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
            if {credentials.secure_1psid.reveal(), credentials.secure_1psidts.reveal()} & self.dead_cookies:
                raise SessionExpired("the cookie is dead")
        finally:
            self.opening -= 1
        session = FakeSession(self, account, self.offered.get(account, (FLASH, PRO)), credentials)
        self.sessions.append(session)
        return session

    async def close(self) -> None:
        """Nothing runs beside the sessions."""
