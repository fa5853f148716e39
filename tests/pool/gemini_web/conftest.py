"""The adapter against the simulator: the real library, real TLS, real sockets."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.secret import Secret
from pool.gemini_web import GeminiWebSessions
from pool.gemini_web.session import GeminiWebSession
from pool.upstream import Credentials
from simulator import Simulator
from tests.support.adapter import Open


@pytest.fixture
async def sessions(web: Simulator, tmp_path: Path) -> AsyncIterator[GeminiWebSessions]:
    """A factory that trusts the simulator's CA and makes no side calls."""
    factory = GeminiWebSessions(tmp_path / "private", ca_file=Path(web.ca_file), activity="off")
    yield factory
    await factory.close()


@pytest.fixture
async def impatient(web: Simulator, tmp_path: Path) -> AsyncIterator[GeminiWebSessions]:
    """A factory whose sessions try to delete a chat again after milliseconds."""
    factory = GeminiWebSessions(
        tmp_path / "impatient",
        ca_file=Path(web.ca_file),
        activity="off",
        forget_waits=(0.005, 0.005, 0.005),
    )
    yield factory
    await factory.close()


@pytest.fixture
async def open_session(web: Simulator, sessions: GeminiWebSessions) -> AsyncIterator[Open]:
    """Opens sessions of the simulator's accounts by number and closes them afterwards."""
    opened: list[GeminiWebSession] = []

    async def open_one(
        number: int = 0, *, factory: GeminiWebSessions = sessions, **changes: str
    ) -> GeminiWebSession:
        account = {**{key: str(value) for key, value in web.accounts[number].items()}, **changes}
        session = await factory.open(
            account["id"],
            Credentials(Secret(account["secure_1psid"]), Secret(account["secure_1psidts"])),
            account["proxy"],
            5,
        )
        assert isinstance(session, GeminiWebSession)
        opened.append(session)
        return session

    yield open_one
    for session in opened:
        await session.close()
