"""Keeps the pool at what the accounts file says while the gateway runs.

The file, and those that its `file:` values name, are looked at every half second: their status, and now and
then their content. A change counts once it has stood still for a moment, since editors replace files and
scripts write them in parts; a file that is broken counts once it still is on a second reading. Then it is
told, and the running accounts stay.
"""

import asyncio
import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Protocol, TypeAlias

import structlog

from core.clock import Clock
from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.tasks import Tasks
from pool import AccountConfig, AccountView, Roster, RosterError, diff, load_roster

log = structlog.get_logger("gempool.watch")

LOOK_EVERY = 0.5
STILL_FOR = 0.6
UNFINISHED_STILL_FOR = 1.2
"""The same for a file whose last line has no end: it may go on."""
STEP = 0.1
READ_AGAIN_AFTER = 0.5
CONTENT_EVERY = 10
"""Looks between two at the content, for changes that leave size and times as they were."""
HANDOVER = 10.0

Told: TypeAlias = Callable[[RosterError | None], None]
Status: TypeAlias = tuple[tuple[Path, tuple[int, ...]], ...]


class Accounts(Protocol):
    """What is needed of the pool."""

    async def apply(
        self, added: Sequence[AccountConfig], changed: Sequence[AccountConfig], removed: Sequence[str]
    ) -> None: ...

    async def snapshot(self, offset: int = 0, limit: int = 200) -> tuple[list[AccountView], int]: ...


class AccountsWatch:
    """Watches one accounts file.

    roster: what the pool was started with. environment: for `${NAME}`, as it was at the start.
    told: called with the error when the file on disk is found broken (again, or in another way), and with
    None when it is well again; must not block.
    """

    def __init__(
        self,
        path: Path,
        environment: Mapping[str, str],
        roster: Roster,
        pool: Accounts,
        metrics: Metrics,
        clock: Clock,
        told: Told | None = None,
    ) -> None:
        self._path = path
        self._environment = environment
        self._running = {account.id: account for account in roster.accounts}
        self._warnings = set(roster.warnings)
        self._pool = pool
        self._broken = metrics.config_errors.labels(str(path))
        self._clock = clock
        self._told = told
        self._tasks = Tasks("watch")
        self._files = {path}
        self._status: Status = ()
        self._digest = ""
        self._looks = 0
        self._problem = ""

    def start(self) -> None:
        self._broken.set(0)
        self._tasks.spawn(self._watch(), "accounts file")

    async def close(self) -> None:
        await self._tasks.close()

    async def _watch(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                # The watch must outlive a fault of ours. What was not applied yet is tried again.
                self._forget()
                log.exception("the accounts file was not applied; trying again", file=str(self._path))
            await self._clock.sleep(LOOK_EVERY)

    async def _look(self) -> None:
        if not await asyncio.to_thread(self._is_changed) or not await self._stands_still():
            return
        try:
            roster = await self._read()
        except RosterError:
            before = await asyncio.to_thread(_status, self._files)
            await self._clock.sleep(READ_AGAIN_AFTER)
            if await asyncio.to_thread(_status, self._files) != before:
                self._forget()
                return
            try:
                roster = await self._read()
            except RosterError as error:
                self._is_broken(error)
                return
        await self._apply(roster)
        self._is_well(roster)

    def _forget(self) -> None:
        self._status, self._digest = (), ""

    def _is_changed(self) -> bool:
        self._looks += 1
        if _status(self._files) == self._status and self._looks % CONTENT_EVERY:
            return False
        return _digest(self._files) != self._digest

    async def _stands_still(self) -> bool:
        """Wait until nobody writes any more; False where somebody still does."""
        still, before = 0.0, await asyncio.to_thread(_status, self._files)
        while still < (UNFINISHED_STILL_FOR if await asyncio.to_thread(_is_cut, self._path) else STILL_FOR):
            await self._clock.sleep(STEP)
            still += STEP
            if await asyncio.to_thread(_status, self._files) != before:
                return False
        return True

    async def _read(self) -> Roster:
        return await asyncio.to_thread(self._read_now)

    def _read_now(self) -> Roster:
        """Read the file and remember what was read; status and content are taken before, so that what
        changes meanwhile is noticed the next time."""
        for _ in range(3):
            looked_at, named = set(self._files), set[Path]()
            self._status, self._digest = _status(looked_at), _digest(looked_at)
            try:
                roster = load_roster(self._path, self._environment, named)
            except RosterError:
                # It may have been read to the mistake only: keep an eye on the others, too.
                self._files |= named
                if named <= looked_at:
                    raise
                continue
            self._files = named
            if named == looked_at:
                break
        if roster.blank and self._running:
            message = "the file is empty, so the running accounts are kept; to remove all, write accounts: []"
            raise RosterError(self._path, None, "", message)
        return roster

    async def _apply(self, roster: Roster) -> None:
        """One account after the other, so that after a failure only the rest is done again; newcomers
        first, so that there is always one that can serve."""
        change = diff(Roster(tuple(self._running.values())), roster)
        for account in change.added:
            await self._pool.apply((account,), (), ())
            self._running[account.id] = account
        serving_on = any(account.enabled for account in roster.accounts if account not in change.added)
        if change.added and not serving_on:
            await self._one_opens({account.id for account in change.added if account.enabled})
        for account in change.changed:
            await self._pool.apply((), (account,), ())
            self._running[account.id] = account
        for id in change.removed:
            await self._pool.apply((), (), (id,))
            del self._running[id]
        if change.added or change.changed or change.removed:
            log.info(
                "accounts file applied",
                added=[account.id for account in change.added],
                changed=[account.id for account in change.changed],
                removed=list(change.removed),
            )

    async def _one_opens(self, newcomers: set[str]) -> None:
        """Where newcomers replace all that serve, the old ones go once a new one can take over."""
        deadline = self._clock.monotonic() + HANDOVER
        while newcomers and self._clock.monotonic() < deadline:
            try:
                views, _ = await self._pool.snapshot(0, 1000)
            except StoreUnavailable:
                views = []
            if any(view.session_open for view in views if view.record.id in newcomers):
                return
            await self._clock.sleep(0.05)

    def _is_broken(self, error: RosterError) -> None:
        self._broken.set(1)
        if str(error) == self._problem:
            return
        self._problem = str(error)
        log.error(
            "the accounts file is broken; the running accounts are kept",
            file=error.file,
            line=error.line,
            field=error.field,
            remedy=error.message,
        )
        if self._told is not None:
            self._told(error)

    def _is_well(self, roster: Roster) -> None:
        self._broken.set(0)
        for warning in roster.warnings:
            if warning not in self._warnings:
                log.warning("accounts file", warning=warning)
        self._warnings = set(roster.warnings)
        if self._problem:
            self._problem = ""
            log.info("the accounts file is well again", file=str(self._path))
            if self._told is not None:
                self._told(None)


def _status(files: Iterable[Path]) -> Status:
    """Changes with everything that an editor, a script or a swapped symlink does to one of the files."""
    found: list[tuple[Path, tuple[int, ...]]] = []
    for file in sorted(files):
        try:
            s = file.stat()
        except OSError:
            found.append((file, ()))
        else:
            found.append((file, (s.st_dev, s.st_ino, s.st_size, s.st_mtime_ns, s.st_ctime_ns, s.st_mode)))
    return tuple(found)


def _is_cut(path: Path) -> bool:
    """The file ends in the middle of a line."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(max(0, size - 1))
            return file.read(1) not in (b"\n", b"")
    except OSError:
        return False


def _digest(files: Iterable[Path]) -> str:
    """Of contents and modes; of contents alone, a file that is shut and opened again would stay broken."""
    digest = hashlib.sha256()
    for file in sorted(files):
        try:
            content, mode = file.read_bytes(), file.stat().st_mode
        except OSError as error:
            digest.update(f"{file}\0{error.errno}\0".encode())
        else:
            digest.update(f"{file}\0{mode}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()
