"""The house of drills: how long a scene lasts, and gateways that are ready to be put through one."""

from pathlib import Path

import pytest
from msgspec import Struct

from tests.drills.callers import Callers
from tests.drills.verdict import Sound
from tests.support.processes import Gateway, Gateways, Web, wait_for


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "long: a scene that has no short form")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.getoption("--long"):
        items[:] = [item for item in items if item.get_closest_marker("long") is None]


class Scale(Struct, frozen=True):
    """How much a scene does: little in `make test`, much in `make drill`."""

    long: bool

    def of(self, short: int, long: int) -> int:
        return long if self.long else short


@pytest.fixture(scope="session")
def scale(request: pytest.FixtureRequest) -> Scale:
    return Scale(bool(request.config.getoption("--long")))


@pytest.fixture(autouse=True)
def few_log_lines(caplog: pytest.LogCaptureFixture) -> None:
    """Thousands of requests' lines would hide what a failure says."""
    caplog.set_level("WARNING", logger="httpx")


class House:
    """Starts gateways for a scene."""

    def __init__(self, directory: Path, web: Web, gateways: Gateways) -> None:
        self.web = web
        self.gateways = gateways
        self._directory = directory

    def start(self, accounts: Path | None = None, /, **environment: str) -> Gateway:
        """One that is ready, with a session for each account, and a folder for temporary files of its own."""
        temporary = self._directory / f"temporary-{len(list(self._directory.iterdir()))}"
        temporary.mkdir()
        gateway = self.gateways.start(accounts, TMPDIR=str(temporary), **environment).ready()
        return self.all_open(gateway)

    def all_open(self, gateway: Gateway) -> Gateway:
        wait_for(lambda: len(gateway.lines("session opened")) >= len(self.web.accounts))
        # What comes last, what works on pictures, takes tens of MB.
        wait_for(lambda: gateway.lines("the start is complete"))
        return gateway

    def warm(
        self,
        gateway: Gateway,
        *,
        many: int = 16,
        answers: int = 200,
        words: int = 0,
        relay: int | None = None,
        seconds: float = 40,
    ) -> Sound:
        """Give it a load like that of the scene, and take down what it holds then. More: see Sound."""
        with Callers(gateway.url, many=many, words=words, seed=1) as callers:
            callers.go_on(answers, seconds)
        return Sound(gateway, self.web, words=words, relay=relay)


@pytest.fixture
def house(tmp_path: Path, upstream: Web, gateways: Gateways) -> House:
    return House(tmp_path, upstream, gateways)
