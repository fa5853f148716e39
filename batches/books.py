"""What the store knows of batches. One truth: every step is one script, so that counts, outcomes and who runs what agree
at every moment, whoever dies in between.
"""

import asyncio
import hashlib
import secrets
from collections.abc import AsyncGenerator, Awaitable, Iterator, Sequence
from contextlib import aclosing
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import structlog
from msgspec import Struct

from batches.rows import batch_of, fingerprint_of
from core.chat import PictureWish
from core.errors import Conflict, IdempotencyKeyReused, StoreUnavailable, TooManyBatches, UnknownBatch
from core.wire import Address, Script, ServerError, Wire, WireError, unavailable
from engine import Sealing
from engine.service import (
    Batch,
    BatchKind,
    BatchOrder,
    BatchPage,
    BatchState,
    Numbered,
    Outcome,
)

log = structlog.get_logger("gempool.batches")

_LUA = Path(__file__).parent / "lua"
CLOCK = (_LUA / "clock.lua").read_text()
"""Lua that sets NOW to the store's time in milliseconds."""
_FILLING = 600.0
"""Seconds after which the prompts of a batch are dropped that was never completed."""
_PIECE = 256 * 1024
"""Bytes of prompts that are sent at a time, so that a large batch holds nothing else up."""
_PAGE = 50
"""Outcomes that are read at a time."""
_TAKEN_IN, _LOST = 1, 5
"""What `create.lua` says of a batch that is new."""
_LOOK = 0.05
_LOOKS = 60
"""How often, and so many seconds apart, a store is asked whether it has written down what it was told."""
_UNFINISHED_WAIT = 30.0
"""Seconds after which who has too many unfinished batches may look again."""

_BY_WORKERS = frozenset({"claim", "finish", "again", "beat", "news"})

T = TypeVar("T")


class Task(Struct, frozen=True):
    """A task that is this worker's for now. tries: the runs so far that counted. prompt: None where it cannot be read."""

    batch: str
    index: int
    token: str
    tries: int
    prompt: str | None
    kind: BatchKind
    model: str
    wish: PictureWish | None
    caller: str


class Idle(Struct, frozen=True):
    """Nothing to claim. seconds: until a task is due by itself, None where only news can change that. full: as many run as may."""

    seconds: float | None
    full: bool


class Tally(Struct, frozen=True):
    """How much there is to do over all replicas: unfinished batches, tasks that wait, tasks that run. demand: the live requests
    that are reckoned with."""

    open: int
    waiting: int
    running: int
    demand: int = 0


class Books:
    """All methods raise `core.errors.StoreUnavailable` where the store does not answer.

    url: `redis://`, `rediss://` or `unix://`. seal: what prompts and outcomes lie in the store as. keep: seconds for which an
    ended batch is known. max_open: unfinished batches that one owner may have. timeout: seconds, for connecting and for
    each answer. clock: Lua that sets NOW.
    """

    def __init__(
        self,
        url: str,
        seal: Sealing,
        *,
        keep: float,
        max_open: int,
        prefix: str = "{gempool-batches}:",
        timeout: float = 5.0,
        clock: str = CLOCK,
    ) -> None:
        self._wire = Wire(Address(url), timeout)
        self._seal = seal
        self._keep = _ms(keep)
        self._max_open = max_open
        self._prefix = prefix
        self._unanswered: dict[str, str] = {}
        """By worker, the token of a claim whose answer was lost. The store may have given a task for it, so the next claim asks
        for that one: the worker lives, and nobody would take the task from it."""
        names = (
            "fill",
            "known",
            "create",
            "claim",
            "finish",
            "again",
            "beat",
            "leave",
            "cancel",
            "read",
            "list",
        )
        common = f"{clock}\n{(_LUA / 'common.lua').read_text()}"
        self._scripts = {
            name: Script(name, f"{common}\n{(_LUA / f'{name}.lua').read_text()}", self._wire.database)
            for name in names
        }

    # what callers want

    async def create(self, order: BatchOrder) -> tuple[Batch, bool]:
        """Take the batch in, as a whole or not at all; False with the one that the order's key stands for already.

        Raises IdempotencyKeyReused, TooManyBatches.
        """
        id = f"batch_{secrets.token_hex(12)}"
        fingerprint = await asyncio.to_thread(fingerprint_of, order)
        pieces = self._pieces(id, order.prompts)
        while piece := await asyncio.to_thread(next, pieces, None):
            await self._run("fill", id, _ms(_FILLING), *piece)
        answer = await self._run(
            "create",
            id,
            order.owner,
            _digest(order.key),
            fingerprint,
            self._max_open,
            self._keep,
            order.kind,
            order.model,
            order.form,
            "" if order.wish is None else msgspec.json.encode(order.wish).decode(),
            order.caller,
            len(order.prompts),
            order.concurrency,
        )
        if answer == [_LOST]:
            log.warning("a batch was not taken in: the store has lost its prompts", batch=id)
            raise unavailable()
        if answer != [_TAKEN_IN] and (known := await self._obstacle(order, answer)) is not None:
            return known, False
        await self._written_down()
        return await self.find(id, order.owner), True

    async def known(self, order: BatchOrder) -> Batch | None:
        """The batch that the order's key stands for already; None where it would be taken in. Raises what `create` does."""
        fingerprint = await asyncio.to_thread(fingerprint_of, order) if order.key else ""
        answer = await self._run("known", order.owner, _digest(order.key), fingerprint, self._max_open)
        return await self._obstacle(order, answer)

    async def _obstacle(self, order: BatchOrder, answer: Sequence[Any]) -> Batch | None:
        match answer:
            case [2, id]:
                return await self.find(str(id), order.owner)
            case [3]:
                raise IdempotencyKeyReused(
                    "This 'Idempotency-Key' was sent before with another request. Take a new key for a new batch.",
                    param="Idempotency-Key",
                )
            case [4, unfinished]:
                raise TooManyBatches(
                    f"You have {unfinished} unfinished batches, and there may be {self._max_open}. Wait until one has"
                    " ended, or cancel one.",
                    retry_after=_UNFINISHED_WAIT,
                )
        return None

    async def find(self, id: str, owner: str | None) -> Batch:
        """How the batch stands. owner: None for anybody's. Raises UnknownBatch."""
        [found] = await self._rows(owner, [id])
        if found is None:
            raise UnknownBatch(id)
        return found

    async def listed(
        self, owner: str | None, *, limit: int, after: str = "", state: BatchState | None = None
    ) -> BatchPage:
        """Newest first; those after `after`. Raises UnknownBatch where that one is not known."""
        found: list[Batch] = []
        last, total, more = after, 0, True
        page = max(limit + 1, _PAGE if state is not None else 0)
        while more and len(found) <= limit:
            total, ids = await self._run("list", owner or "", last, page)
            if total < 0:
                if last == after:
                    raise UnknownBatch(after, "after")
                break  # it has expired meanwhile, and so has all that is older
            rows = await self._rows(owner, ids)
            found += [row for row in rows if row is not None and state in (None, row.state)]
            more = len(ids) == page
            last = ids[-1] if ids else last
        return BatchPage(tuple(found[:limit]), total, len(found) > limit)

    async def cancel(self, id: str, owner: str | None) -> tuple[Batch, bool]:
        """What has not begun never runs. False where it was cancelled before. Raises UnknownBatch, and Conflict where it has
        ended otherwise."""
        verdict = await self._run("cancel", id, owner or "", self._keep)
        if verdict == 0:
            raise UnknownBatch(id)
        if verdict == 1:
            await self._written_down()
        batch = await self.find(id, owner)
        if verdict == 3:
            raise Conflict(f"The batch '{id}' has ended ({batch.state}): there is nothing left to cancel.")
        return batch, verdict == 1

    async def outcomes(
        self, batch: Batch, *, ok: bool, offset: int = 0, limit: int | None = None
    ) -> AsyncGenerator[list[Outcome], None]:
        """The results or errors that `batch` counts, by index, in lists of a bounded size."""
        if not batch.outcomes or limit == 0:
            return
        ended = await self._call("LRANGE", f"{self._prefix}ended:{batch.id}", 0, batch.outcomes - 1)
        sign = "+" if ok else "-"
        indexes = sorted(int(entry[1:]) for entry in ended if entry[0] == sign)[offset:]
        indexes = indexes if limit is None else indexes[:limit]
        for at in range(0, len(indexes), _PAGE):
            yield await self._outcomes(batch.id, indexes[at : at + _PAGE])

    async def since(self, id: str, after: int, limit: int = _PAGE) -> list[Numbered]:
        """The outcomes that come after number `after`, in the order in which their tasks ended."""
        ended = await self._call("LRANGE", f"{self._prefix}ended:{id}", after, after + limit - 1)
        outcomes = await self._outcomes(id, [int(entry[1:]) for entry in ended]) if ended else []
        return [Numbered(after + place, outcome) for place, outcome in enumerate(outcomes, 1)]

    async def news(self) -> AsyncGenerator[str, None]:
        """Ids of batches that have changed; '' at first, once it listens. Ends with StoreUnavailable when the connection is
        lost; who listens again must look for what was missed."""
        try:
            async with aclosing(self._wire.listen(f"{self._prefix}news")) as messages:
                async for message in messages:
                    yield message
        except WireError as error:
            raise _failed("news", error) from error

    # what workers do

    async def claim(self, worker: str, ttl: float, limit: int) -> Task | Idle:
        """The next task, where fewer than `limit` run over all replicas; batches take turns. ttl: seconds after which a worker
        that was not heard of loses its tasks."""
        token = self._unanswered.pop(worker, "") or secrets.token_urlsafe(12)
        try:
            got, *facts = await self._run("claim", worker, token, _ms(ttl), limit, self._keep)
        except BaseException:
            self._unanswered[worker] = token
            raise
        if not got:
            why, ms = facts
            return Idle(None if ms < 0 else ms / 1000, why == "full")
        id, index, tries, sealed, kind, model, wish, caller = facts
        prompt, wished = self._prompt(id, index, sealed), None
        try:
            wished = msgspec.json.decode(wish, type=PictureWish) if wish else None
        except msgspec.DecodeError:
            prompt = None
            log.error(
                "a prompt cannot be read",
                batch=id,
                index=index,
                why="it wants a picture in a way not known here",
            )
        return Task(
            batch=id,
            index=index,
            token=token,
            tries=tries,
            prompt=prompt,
            kind=kind,
            model=model,
            wish=wished,
            caller=caller,
        )

    async def finish(self, worker: str, task: Task, outcome: Outcome) -> bool:
        """The task has ended. False, and nothing is written, where it is another worker's by now or will never run. Harmless
        when repeated, and worth repeating where the store was lost a moment later: it may come back without its last words."""
        text = msgspec.json.encode(outcome).decode()
        sealed = self._seal.close(_outcome_name(task.batch, task.index), text)
        sign = "+" if outcome.ok else "-"
        return bool(
            await self._run("finish", worker, task.token, task.batch, task.index, sign, sealed, self._keep)
        )

    async def again(self, worker: str, task: Task, seconds: float, *, counted: bool, why: str = "") -> bool:
        """The task did not end. False where the claim was lost, or this was said before.

        counted: the run was a try, and the task alone waits so long. Otherwise no task of its batch is claimed for so
        long. `why` is told of the batch until one of its tasks has ended.
        """
        return bool(
            await self._run(
                "again",
                worker,
                task.token,
                task.batch,
                task.index,
                _ms(seconds),
                int(counted),
                why,
                self._keep,
            )
        )

    async def beat(self, worker: str, ttl: float, *, replica: str = "", demand: int = 0) -> Tally:
        """A sign of life; '' only reads. Tasks of workers that were silent for their ttl come back, and their runs count.

        demand: how many live requests `replica` reckons with, until it was not heard of for the ttl; '' reckons with none.
        """
        answer = await self._run("beat", worker, _ms(ttl), self._keep, replica, demand)
        unfinished, pending, running, demands = answer
        return Tally(unfinished, pending - running, running, demands)

    async def leave(self, worker: str, *, died: bool = False) -> int:
        """All its tasks come back; how many. died: their runs count as tries, since one of them may be what it died of."""
        return int(await self._run("leave", worker, int(died), self._keep))

    async def close(self) -> None:
        await self._wire.close()

    # how it is done

    async def _written_down(self) -> None:
        """Wait until a store that keeps an append-only file has handed it over to its system, so that a kill of the store
        takes nothing back that a caller was told. It delays that for as long as it syncs the file, two seconds at most."""
        for _ in range(_LOOKS):
            try:
                facts = str(await self._call("INFO", "persistence"))
            except StoreUnavailable:
                return  # it was told, and may be there; nobody knows
            if "aof_enabled:1" not in facts or "aof_buffer_length:0\r" in facts:
                return
            await asyncio.sleep(_LOOK)

    def _pieces(self, id: str, prompts: Sequence[str]) -> Iterator[list[str | int]]:
        piece: list[str | int] = []
        size = 0
        for index, prompt in enumerate(prompts):
            sealed = self._seal.close(_prompt_name(id, index), prompt)
            piece += (index, sealed)
            size += len(sealed)
            if size > _PIECE or len(piece) > 2000:
                yield piece
                piece, size = [], 0
        if piece:
            yield piece

    def _prompt(self, id: str, index: int, sealed: str | None) -> str | None:
        if sealed is None:
            log.error("a prompt is lost", batch=id, index=index)
            return None
        try:
            return self._seal.open(_prompt_name(id, index), sealed)
        except ValueError as error:
            log.error("a prompt cannot be read", batch=id, index=index, why=str(error))
            return None

    async def _outcomes(self, id: str, indexes: Sequence[int]) -> list[Outcome]:
        if not indexes:
            return []
        stored = await self._call("HMGET", f"{self._prefix}outcomes:{id}", *indexes)
        return [
            self._outcome(id, index, sealed.partition("\n")[2])
            for index, sealed in zip(indexes, stored, strict=True)
            if sealed is not None  # it has expired between two pages
        ]

    def _outcome(self, id: str, index: int, sealed: str) -> Outcome:
        try:
            return msgspec.json.decode(self._seal.open(_outcome_name(id, index), sealed), type=Outcome)
        except (ValueError, msgspec.DecodeError) as error:
            log.error("what became of a task cannot be read", batch=id, index=index, why=str(error))
            message = "The gateway cannot read this task's outcome any more: its key for what is stored was changed."
            return Outcome(index, 0, 0.0, code="unreadable", message=message)

    async def _rows(self, owner: str | None, ids: Sequence[str]) -> list[Batch | None]:
        if not ids:
            return []
        rows = await self._run("read", owner or "", *ids)
        return [_read(id, row) if row else None for id, row in zip(ids, rows, strict=True)]

    async def _run(self, script: str, *arguments: str | int) -> Any:
        return await _observed(script, self._scripts[script].run(self._wire, [self._prefix], *arguments))

    async def _call(self, *arguments: str | int) -> Any:
        return await _observed(str(arguments[0]), self._wire.call(*arguments))


def _read(id: str, row: Sequence[str]) -> Batch | None:
    try:
        return batch_of(id, row)
    except msgspec.ValidationError as error:
        log.error("a batch cannot be read", batch=id, why=str(error))
        return None


def _digest(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest() if key else ""


def _prompt_name(id: str, index: int) -> str:
    return f"prompt:{id}:{index}"


def _outcome_name(id: str, index: int) -> str:
    return f"outcome:{id}:{index}"


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


async def _observed(operation: str, call: Awaitable[T]) -> T:
    try:
        return await call
    except (WireError, ServerError) as error:
        raise _failed(operation, error) from error


def _failed(operation: str, error: Exception) -> StoreUnavailable:
    if operation not in _BY_WORKERS:  # who ask again and again, and say once that the store is away
        log.warning(
            "store command failed", operation=operation, error=type(error).__name__, detail=str(error)
        )
    return unavailable()
