# ruff: noqa: ASYNC240  # files are what these tests are about
"""The watch over the accounts file: what it takes live, what it refuses, and when."""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import structlog.testing

from core.metrics import Metrics
from core.secret import Secret
from gateway.watch import AccountsWatch
from pool import AccountConfig, AccountView, RosterError, load_roster
from tests.support.adapter import until


class QuickClock:
    """Ten times as fast as the machine's."""

    def now(self) -> float:
        return time.time()

    def monotonic(self) -> float:
        return time.monotonic() * 10

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds / 10)


class Recorder:
    """A pool that remembers what it was told, and fails as often as it is asked to."""

    def __init__(self) -> None:
        self.accounts: dict[str, AccountConfig] = {}
        self.calls: list[str] = []
        self.failures = 0
        self.opened: set[str] = set()

    async def apply(
        self, added: Sequence[AccountConfig], changed: Sequence[AccountConfig], removed: Sequence[str]
    ) -> None:
        if self.failures:
            self.failures -= 1
            raise RuntimeError("out of order")
        for account in added:
            assert account.id not in self.accounts
            self.calls.append(f"+{account.id}")
            self.accounts[account.id] = account
        for account in changed:
            assert account.id in self.accounts
            self.calls.append(f"~{account.id}")
            self.accounts[account.id] = account
        for id in removed:
            self.calls.append(f"-{id}")
            del self.accounts[id]

    async def snapshot(self, offset: int = 0, limit: int = 200) -> tuple[list[AccountView], int]:
        from pool.account import Record, State

        blank = dict.fromkeys(Record.__struct_fields__, 0)
        views = [
            AccountView(Record(**{**blank, "id": id}), State.ACTIVE, "", 0, id in self.opened, None)
            for id in self.accounts
        ]
        return views, len(views)


class Watched:
    """An accounts file with a watch on it."""

    def __init__(self, path: Path, environment: dict[str, str]) -> None:
        self.path = path
        self.pool = Recorder()
        self.metrics = Metrics()
        self.told: list[RosterError | None] = []
        roster = load_roster(path, environment)
        self.pool.accounts = {account.id: account for account in roster.accounts}
        self.watch = AccountsWatch(
            path, environment, roster, self.pool, self.metrics, QuickClock(), self.told.append
        )

    @property
    def broken(self) -> float | None:
        return self.metrics.registry.get_sample_value("gempool_config_broken", {"file": str(self.path)})

    async def has(self, *ids: str) -> None:
        await until(lambda: list(self.pool.accounts) == list(ids))


@asynccontextmanager
async def watching(path: Path, text: str, **environment: str) -> AsyncIterator[Watched]:
    save(path, text)
    watched = Watched(path, environment)
    watched.watch.start()
    try:
        yield watched
    finally:
        await watched.watch.close()


def save(path: Path, text: str) -> None:
    """As a script does: in place."""
    path.write_text(text)
    path.chmod(0o600)


def replace(path: Path, text: str) -> None:
    """As an editor does: a new file takes the old one's place."""
    save(path.with_suffix(".new"), text)
    path.with_suffix(".new").replace(path)


def entry(id: str, psid: str = "", more: str = "") -> str:
    return f"  - {{id: {id}, secure_1psid: {psid or 'g.a000' + id}{more}}}\n"


def roster(*entries: str) -> str:
    return "accounts:\n" + "".join(entries)


A, B, C = entry("a"), entry("b"), entry("c")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "accounts.yaml"


@pytest.mark.parametrize("write", [save, replace])
async def test_a_saved_change_is_applied(path: Path, write: Callable[[Path, str], None]) -> None:
    """Added, changed and removed accounts reach the pool, written in place or by replacing the file; what
    stays the same is left alone, and newcomers come before the others go."""
    async with watching(path, roster(A, B)) as watched:
        write(path, roster(entry("b", more=", max_concurrency: 5"), C))
        await watched.has("b", "c")
        assert watched.pool.calls == ["+c", "~b", "-a"]
        assert watched.pool.accounts["b"].max_concurrency == 5
        assert watched.broken == 0


async def test_a_file_that_comes_in_by_a_symlink(path: Path, tmp_path: Path) -> None:
    """Mounted configurations change by swapping a symlink; the path itself never changes."""
    for name, text in (("one", roster(A)), ("two", roster(A, B))):
        (tmp_path / name).mkdir()
        save(tmp_path / name / "accounts.yaml", text)
    (tmp_path / "data").symlink_to("one")
    link = tmp_path / "linked.yaml"
    link.symlink_to("data/accounts.yaml")
    watched = Watched(link, {})
    watched.watch.start()
    (tmp_path / "fresh").symlink_to("two")
    (tmp_path / "fresh").replace(tmp_path / "data")
    await watched.has("a", "b")
    await watched.watch.close()


async def test_a_change_that_leaves_size_and_time_as_they_were(path: Path) -> None:
    """A file that was copied with its time, as `cp -p` and `rsync` do, is noticed as well."""
    async with watching(path, roster(A)) as watched:
        status = path.stat()
        with path.open("r+") as file:
            file.write(roster(entry("z")))
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
        watched.pool.opened = {"z"}
        await watched.has("z")


async def test_the_files_that_it_names_are_watched(path: Path, tmp_path: Path) -> None:
    """A new cookie in a `file:` secret is a change of the account; so is a secret that was missing."""
    save(tmp_path / "psid", "g.a000old\n")
    async with watching(path, roster(entry("a", "file:psid"))) as watched:
        save(tmp_path / "psid", "g.a000new\n")
        await until(lambda: watched.pool.accounts["a"].secure_1psid == Secret("g.a000new"))
        save(path, roster(entry("a", "file:psid"), entry("b", "file:later")))
        await until(lambda: watched.broken == 1)
        assert list(watched.pool.accounts) == ["a"]
        save(tmp_path / "later", "g.a000later")
        await watched.has("a", "b")
        assert watched.broken == 0


async def test_a_broken_file_keeps_what_runs(path: Path) -> None:
    """File, line, field and remedy are logged and told once; the metric is set until the file is well."""
    async with watching(path, roster(A, B)) as watched:
        with structlog.testing.capture_logs() as logs:
            save(path, roster(A, entry("b", more=", max_concurrency: 99")))
            await until(lambda: watched.broken == 1)
            save(path, roster(A))
            await watched.has("a")
            await until(lambda: watched.broken == 0)
        (error, mended) = watched.told
        assert mended is None
        assert isinstance(error, RosterError)
        (line,) = [line for line in logs if line["log_level"] == "error"]
        assert (line["file"], line["line"], line["field"]) == (str(path), 3, "accounts[1].max_concurrency")
        assert "from 1 to 8" in line["remedy"]
        assert not [line for line in logs if "g.a000" in str(line)]


@pytest.mark.parametrize("text", ["", "# nothing yet\n", None])
async def test_an_empty_or_vanished_file_takes_nobody_away(path: Path, text: str | None) -> None:
    """A full disk and a careless `>` leave an empty file. Nobody means by it that all accounts should go;
    `accounts: []` says that."""
    async with watching(path, roster(A)) as watched:
        if text is None:
            path.unlink()
        else:
            save(path, text)
        await until(lambda: watched.broken == 1)
        assert list(watched.pool.accounts) == ["a"]
        save(path, "accounts: []\n")
        await watched.has()


async def test_a_file_that_is_written_in_parts(path: Path) -> None:
    """Half a file is neither an error nor a shorter roster: it counts once it stands still."""
    async with watching(path, roster(A, B, C)) as watched:
        text = roster(A, B, C, entry("d"))
        with path.open("w") as file:
            for start in range(0, len(text), 20):
                file.write(text[start : start + 20])
                file.flush()
                await asyncio.sleep(0.01)
        await watched.has("a", "b", "c", "d")
        assert watched.pool.calls == ["+d"]
        assert watched.told == []


async def test_what_was_not_applied_is_tried_again(path: Path) -> None:
    """A fault while applying loses nothing and repeats nothing."""
    async with watching(path, roster(A)) as watched:
        watched.pool.failures = 2
        save(path, roster(B, C))
        watched.pool.opened = {"b"}
        await watched.has("b", "c")
        assert sorted(watched.pool.calls) == ["+b", "+c", "-a"]


async def test_the_old_ones_stay_until_a_new_one_serves(path: Path) -> None:
    """Where all accounts are replaced at once, there is always one that can answer."""
    async with watching(path, roster(A)) as watched:
        save(path, roster(B))
        await watched.has("a", "b")
        watched.pool.opened = {"b"}
        await watched.has("b")


async def test_a_world_readable_file_is_told_once(path: Path) -> None:
    """A warning with the remedy, not one for every save."""
    async with watching(path, roster(A)) as watched:
        with structlog.testing.capture_logs() as logs:
            path.chmod(0o644)
            await until(lambda: [line for line in logs if line["log_level"] == "warning"])
            path.write_text(roster(A, B))
            await watched.has("a", "b")
        (warning,) = [line for line in logs if line["log_level"] == "warning"]
        assert "chmod 600" in warning["warning"]


async def test_an_unchanged_file_changes_nothing(path: Path) -> None:
    """Saving the same again, or a comment, reaches no account."""
    async with watching(path, roster(A)) as watched:
        save(path, "# a note\n" + roster(A))
        replace(path, "# another\n" + roster(A))
        save(path, "# another\n" + roster(A, B))
        await watched.has("a", "b")
        assert watched.pool.calls == ["+b"]
        assert watched.pool.accounts["a"] == load_roster(path, {}).accounts[0]
