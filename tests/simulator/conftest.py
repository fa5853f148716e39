"""The unmodified library and bare requests against a simulator in the same process."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import loguru
import pytest
from gemini_webapi import GeminiClient

from simulator import AccountSpec, Simulator, SimulatorConfig
from tests.simulator.support import Bare, OpenBare, OpenClient, credentials

loguru.logger.disable("gemini_webapi")


@pytest.fixture(autouse=True)
def cookie_folder(tmp_path: Path) -> Iterator[Path]:
    """The library's cookie cache is private to a test; the variable is put back afterwards."""
    before = os.environ.get("GEMINI_COOKIE_PATH")
    folder = tmp_path / "cookies"
    os.environ["GEMINI_COOKIE_PATH"] = str(folder)
    yield folder
    if before is None:
        del os.environ["GEMINI_COOKIE_PATH"]
    else:
        os.environ["GEMINI_COOKIE_PATH"] = before


@pytest.fixture(scope="session")
def shared_directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One directory, so that the CA and the cookies are made once."""
    return tmp_path_factory.mktemp("simulator")


@pytest.fixture
async def sim(shared_directory: Path) -> AsyncIterator[Simulator]:
    """alice and bob with egresses of their own; carol and dave behind one office; dave's tier is free, without Pro."""
    accounts = (
        AccountSpec(id="alice"),
        AccountSpec(id="bob", tier="plus"),
        AccountSpec(id="carol", egress="office", tier="ultra"),
        AccountSpec(id="dave", egress="office", tier="free", models=("Flash", "Flash Thinking")),
    )
    simulator = Simulator(SimulatorConfig(accounts=accounts, directory=shared_directory))
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def open_client(sim: Simulator) -> AsyncIterator[OpenClient]:
    """Initialised clients of the unmodified library."""
    clients: list[GeminiClient] = []

    async def open_one(account: str = "alice", **changes: str) -> GeminiClient:
        has = {**credentials(sim, account), **changes}
        client = GeminiClient(
            has["secure_1psid"], has["secure_1psidts"], proxy=has["proxy"], verify=sim.ca_file
        )
        clients.append(client)
        await asyncio.wait_for(client.init(timeout=20, watchdog_timeout=10, auto_refresh=False), 20)
        return client

    yield open_one
    for client in clients:
        await client.close()


@pytest.fixture
async def open_bare(sim: Simulator) -> AsyncIterator[OpenBare]:
    opened: list[Bare] = []

    async def open_one(account: str = "alice", *, proxy_of: str = "", page: bool = True) -> Bare:
        bare = Bare(sim, account, proxy_of or account)
        opened.append(bare)
        if page:
            await bare.open()
        return bare

    yield open_one
    for bare in opened:
        await bare.close()
