"""What every replica notes and any can read: gathered in memory, written to the store about once a second."""

import asyncio
import secrets
from collections import Counter, deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.clock import Clock
from core.errors import StoreUnavailable
from core.tasks import Tasks
from core.wire import Address, Script, ServerError, Wire, WireError, unavailable
from journal.entries import Facts, Happened, Minute, Served
from journal.gathered import Gathered, clean_happened, clean_served, minute_of

log = structlog.get_logger("gempool.journal")

_LUA = Path(__file__).parent / "lua"
CLOCK = (_LUA / "clock.lua").read_text()
"""Lua that sets NOW to the store's time in milliseconds."""

REQUESTS = 500
HAPPENINGS = 1000
ROUTINE = 200
"""Well probes and rotations, which would crowd out everything else."""
OF_ACCOUNT = 100
_OF_ACCOUNT_SECONDS = 30 * 86400
WAITING = 5000
"""Entries of each kind that are kept for a store that is away."""
_AT_ONCE = 200
_EVERY = 1.0
_FACTS_HOLD = 10.0
_LAST_WORDS = 1.0
"""Seconds that what is left may take to reach the store at the end."""

T = TypeVar("T", Served, Happened)


class Mark(Struct, frozen=True, gc=False):
    """How far somebody has read."""

    served: int = 0
    happened: int = 0
    routine: int = 0
    writes: int = 0
    epoch: str = ""


class News(Struct, frozen=True):
    """What was written since a mark. now: the store's time in seconds. Requests and happenings newest first; minutes oldest
    first, those that changed, whole. replicas: those that are alive, by name, and what they tell of themselves."""

    now: float
    mark: Mark
    served: tuple[Served, ...]
    happened: tuple[Happened, ...]
    minutes: tuple[Minute, ...]
    replicas: dict[str, Facts]


class Journal:
    """Notes at once and never raises; what reads or writes raises `core.errors.StoreUnavailable` and nothing else.

    url: `redis://`, `rediss://` or `unix://`. replica: this process's name, unique among the living. timeout: seconds, for
    connecting and for each answer. every: seconds between two writes. waiting: entries of each kind that are kept while the store
    is away; then the oldest are dropped. store_clock: Lua that sets NOW. Times of entries are the writer's, and told in
    the store's.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        replica: str,
        *,
        prefix: str = "{gempool-journal}:",
        timeout: float = 2.0,
        every: float = _EVERY,
        waiting: int = WAITING,
        store_clock: str = CLOCK,
    ) -> None:
        self._wire = Wire(Address(url), timeout)
        self._clock = clock
        self._replica = replica
        self._prefix = prefix
        self._every = every
        self._bound = waiting
        # A name of its own for each process: numbers of writes begin anew with it.
        self._collector = f"{replica}:{secrets.token_hex(4)}"
        self._writes = 0
        self._served: deque[Served] = deque()
        self._happened: deque[Happened] = deque()
        self._underway: Gathered | None = None
        """What was sent and may have been written or not; it is sent again before anything else."""
        self.dropped: Counter[str] = Counter()
        """Entries that were lost since the store was written last."""
        self._away = False
        self._told = (Facts(), float("-inf"))
        self._flushing = asyncio.Lock()
        self._tasks = Tasks("journal")
        self.facts: Callable[[], Facts] = Facts
        """What this replica tells of itself with each write."""
        common = f"{store_clock}\n{(_LUA / 'common.lua').read_text()}"
        self._write, self._look = (
            Script(f"journal_{name}", f"{common}\n{(_LUA / f'{name}.lua').read_text()}")
            for name in ("write", "look")
        )

    # noting

    def served(self, entry: Served) -> None:
        """A request has ended."""
        self._note(self._served, clean_served(entry), "requests")

    def happened(self, entry: Happened) -> None:
        """Something happened. replica '' is this one."""
        self._note(self._happened, clean_happened(entry, self._replica), "happenings")

    # life

    def start(self) -> None:
        self._tasks.spawn(self._keep_writing(), "write")

    async def close(self) -> None:
        """Write what is left, briefly, and say that this replica is gone."""
        await self._tasks.close()
        self.facts = Facts
        with suppress(StoreUnavailable, TimeoutError):
            async with asyncio.timeout(_LAST_WORDS):
                await self.flush(leaving=True)
        if left := len(self._served) + len(self._happened) + (self._underway is not None):
            log.warning("the journal's last entries were not written", entries=left)
        await self._wire.close()

    async def flush(self, *, leaving: bool = False) -> None:
        """Write what was noted; what cannot be written is kept."""
        async with self._flushing:
            facts, now = self.facts(), self._clock.monotonic()
            told, at = self._told
            nothing = not (self._served or self._happened or self._underway)
            if nothing and not leaving and facts == told and now - at < _FACTS_HOLD / 3:
                return
            while True:
                batch = self._underway or self._cut()
                self._underway = batch
                await self._written(batch, facts, 0.0 if leaving else _FACTS_HOLD)
                self._underway = None
                if not (self._served or self._happened):
                    break
            self._told = (facts, now)
            if self.dropped:
                log.warning("the journal has lost entries while the store was away", **self.dropped)
                self.dropped.clear()

    # reading

    async def look(self, mark: Mark = Mark(), requests: int = REQUESTS) -> News:  # noqa: B008 -- frozen
        """What was written since `mark`; all that is kept without one."""
        seen = (mark.served, mark.happened, mark.routine, mark.writes, mark.epoch)
        answer = await self._run(self._look, *seen, requests)
        now, served, happened, routine, writes, epoch, requested, noted, usual, minutes, here = answer
        entries = [*await _read(noted, Happened), *await _read(usual, Happened)]
        return News(
            now / 1000,
            Mark(served, happened, routine, writes, epoch),
            _newest_first(await _read(requested, Served)),
            _newest_first(entries),
            tuple([await self._minute(minute) for minute in minutes]),
            {name: _facts(text) for name, text in zip(here[::2], here[1::2], strict=True)},
        )

    async def recent(self, limit: int = REQUESTS) -> tuple[Served, ...]:
        """The last requests over all replicas, newest first."""
        return (await self.look(requests=limit)).served

    async def happenings(self) -> tuple[Happened, ...]:
        """What happened over all replicas, newest first."""
        return (await self.look(requests=0)).happened

    async def minutes(self) -> tuple[Minute, ...]:
        """The last 90 minutes in which anything was counted, oldest first."""
        return (await self.look(requests=0)).minutes

    async def history(self, account: str, limit: int = OF_ACCOUNT) -> tuple[Happened, ...]:
        """What was noted about one account, newest first."""
        key = f"{self._prefix}happened:{account}"
        rows = await self._observed(self._wire.call("LRANGE", key, 0, limit - 1))
        return tuple(await _read(rows, Happened))

    # how it is done

    async def _minute(self, minute: int) -> Minute:
        flat = await self._observed(self._wire.call("HGETALL", f"{self._prefix}m:{minute}"))
        return minute_of(minute * 60, flat)

    def _note(self, line: deque[T], entry: T, what: str) -> None:
        if len(line) >= self._bound:
            line.popleft()
            self.dropped[what] += 1
        line.append(entry)

    def _cut(self) -> Gathered:
        self._writes += 1
        served = [self._served.popleft() for _ in range(min(_AT_ONCE, len(self._served)))]
        happened = [self._happened.popleft() for _ in range(min(_AT_ONCE, len(self._happened)))]
        return Gathered(self._writes, served, happened)

    async def _written(self, batch: Gathered, facts: Facts, hold: float) -> None:
        now = self._clock.now()
        try:
            await self._run(
                self._write,
                self._collector,
                batch.number,
                self._replica,
                msgspec.json.encode(facts).decode(),
                round(hold * 1000),
                REQUESTS,
                HAPPENINGS,
                ROUTINE,
                OF_ACCOUNT,
                _OF_ACCOUNT_SECONDS,
                len(batch.served),
                len(batch.happened),
                len(batch.counts),
                *batch.arguments(now),
            )
        except StoreUnavailable as error:
            if isinstance(error.__cause__, ServerError) and str(error.__cause__).startswith("ERR"):
                # A fault of ours: what the store will never take must not stand in the way of the rest.
                log.error("a write of the journal was refused", detail=str(error.__cause__))
                self.dropped["refused"] += len(batch.served) + len(batch.happened)
                return
            raise

    async def _keep_writing(self) -> None:
        while True:
            try:
                await self.flush()
                self._is_away(False)
            except StoreUnavailable as error:
                self._is_away(True, str(error.__cause__))
            except Exception:
                # Noting goes on whatever is wrong with one entry.
                self._underway = None
                log.exception("the journal was not written")
            await self._clock.sleep(self._every)

    def _is_away(self, away: bool, why: str = "") -> None:
        if away and not self._away:
            log.warning("the journal cannot be written; its entries are kept for now", why=why)
        elif self._away and not away:
            log.info("the journal is written again")
        self._away = away

    async def _run(self, script: Script, *arguments: str | int | float) -> Any:
        return await self._observed(script.run(self._wire, [self._prefix], *arguments))

    async def _observed(self, call: Awaitable[Any]) -> Any:
        try:
            return await call
        except (WireError, ServerError) as error:
            raise unavailable() from error


async def _read(rows: Sequence[str], kind: type[T]) -> list[T]:
    """Entries with the store's time; one that another version wrote in another way is left out. Lets others go first now and
    then, since there may be many."""
    found: list[T] = []
    for number, row in enumerate(rows, 1):
        if number % _AT_ONCE == 0:
            await asyncio.sleep(0)
        at, _, text = row.partition(" ")
        with suppress(ValueError):  # of the time, or msgspec's own
            found.append(replace(msgspec.json.decode(text, type=kind), at=int(at) / 1000))
    return found


def _newest_first(entries: list[T]) -> tuple[T, ...]:
    """Replicas write one after the other what they noted side by side."""
    return tuple(sorted(entries, key=lambda entry: -entry.at))


def _facts(text: str) -> Facts:
    try:
        return msgspec.json.decode(text, type=Facts)
    except msgspec.MsgspecError:
        return Facts()
