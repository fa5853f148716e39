"""The adapter against the simulator: the real library, real TLS, real sockets."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.secret import Secret
from pool.gemini_web import GeminiWebSessions
from pool.gemini_web.session import GeminiWebSession
from pool.upstream import Credentials
from simulator import Simulator, SimulatorConfig
from tests.support.adapter import Open


@pytest.fixture(autouse=True)
def environment() -> Iterator[None]:
    """The adapter tells the library its cookie folder through the environment; put it back."""
    before = os.environ.get("GEMINI_COOKIE_PATH")
    yield
    if before is None:
        os.environ.pop("GEMINI_COOKIE_PATH", None)
    else:
        os.environ["GEMINI_COOKIE_PATH"] = before


@pytest.fixture(scope="session")
def simulator_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Shared, so that the CA is made once."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture
async def web(simulator_directory: Path) -> AsyncIterator[Simulator]:
    """A simulator with two accounts, which must not have seen anything that Google would object to."""
    simulator = Simulator(SimulatorConfig(accounts=2, directory=simulator_directory))
    await simulator.start()
    simulator.reset()
    try:
        yield simulator
        assert [(a.kind, a.detail) for a in simulator.anomalies()] == []
    finally:
        await simulator.stop()


@pytest.fixture
async def sessions(web: Simulator, tmp_path: Path) -> AsyncIterator[GeminiWebSessions]:
    """A factory that trusts the simulator's CA and makes no side calls."""
    factory = GeminiWebSessions(tmp_path / "private", ca_file=Path(web.ca_file), activity="off")
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
