"""Alerts to the operator: each incident once over all replicas, paced, retried, and never in anybody's way.

What comes in is put on a queue and claimed in the store (`ledger`), in order. What this replica has claimed
is told by a task of its own, which keeps at it until the note is on every device, the incident is over, or
its time has run out.
"""

import asyncio
import itertools
import random
import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Protocol, TypeVar

import structlog
from msgspec import Struct
from msgspec.structs import replace

from core.clock import Clock
from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.tasks import Tasks
from journal import Happened, Noting, into_nothing
from supervisor.bark import Delivery
from supervisor.desk import Desk, Swapping
from supervisor.incidents import POOL, Incident, pool_incidents
from supervisor.ledger import (
    CLAIM_SECONDS,
    Ledger,
    claim,
    delivered,
    goes_on,
    renewed,
    resolve,
    wait_before,
)
from supervisor.notes import DEFAULT_ENVIRONMENT, Note, note_of

log = structlog.get_logger("gempool.supervisor")

T = TypeVar("T")

QUEUE = 256
PARALLEL = 4
_STORE_RETRY = 1.0
_SLICE = CLAIM_SECONDS / 3
_BACKOFF_FIRST, _BACKOFF_CAP = 1.0, _SLICE
_STARTING_IS_WELL = 60.0


class AlertsSettings(Struct, frozen=True):
    """Times in seconds. min_interval: between two alerts of a kind about one subject. max_age: an alert that
    could not be told for so long is given up. admin_url: '' leaves links out."""

    pool_below: int = 1
    min_interval: float = 600.0
    max_age: float = 3600.0
    environment: str = DEFAULT_ENVIRONMENT
    admin_url: str = ""


class Transport(Protocol):
    """What is needed of `supervisor.bark.Bark`."""

    @property
    def devices(self) -> Sequence[int]: ...
    async def push(self, note: Note, devices: Sequence[int] | None = None) -> list[Delivery]: ...


class Alerts:
    """Tells incidents. `raise_` and its like return at once and never raise.

    transport: None where no device is named; incidents are then logged and counted only. redact: masks
    whatever looks like a secret in a text; the last net, since no incident carries one. holder: this
    replica's name, unique among the living. note: takes the alerts that were told or could not be.
    """

    def __init__(
        self,
        shared: Swapping,
        settings: AlertsSettings,
        transport: Transport | None,
        clock: Clock,
        metrics: Metrics,
        redact: Callable[[str], str],
        holder: str | None = None,
        jitter: Callable[[], float] = random.random,
        note: Noting = into_nothing,
    ) -> None:
        self._note_down = note
        self._desk = Desk(shared)
        self._settings = settings
        self._transport = transport
        self._clock = clock
        self._metrics = metrics
        self._redact = redact
        self._holder = holder or uuid.uuid4().hex[:12]
        self._jitter = jitter
        self._queue: asyncio.Queue[tuple[float, Incident]] = asyncio.Queue(QUEUE)
        self._room = asyncio.Event()
        self._room.set()
        self._tasks = Tasks("alerts")
        self._line = asyncio.Semaphore(PARALLEL)
        self._telling: dict[asyncio.Task[None], tuple[Incident, str]] = {}
        self._claims = itertools.count()
        self._starting_since: float | None = None
        self._noticed: set[tuple[str, str]] = set()
        """Where nobody can be told: what stands, by subject and kind."""

    # what others call

    def start(self) -> None:
        """Begin to work; what was raised before waits on the queue."""
        self._tasks.spawn(self._work(), "work")

    def raise_(self, incident: Incident) -> None:
        """Something is wrong, or (`recovered`) well again. To raise what stands already does nothing, so it
        may be done as often as one looks."""
        if self._transport is None:
            self._note_only(incident)
            return
        try:
            self._queue.put_nowait((self._clock.monotonic(), incident))
        except asyncio.QueueFull:
            self._count(incident, "dropped")
            log.error("alert dropped: too many wait", kind=incident.kind, subject=incident.subject)
        if self._queue.qsize() > QUEUE // 2:
            self._room.clear()
        self._show_pending()

    def raise_all(self, incidents: Iterable[Incident]) -> None:
        for incident in incidents:
            self.raise_(incident)

    async def room(self) -> None:
        """Wait until the queue is not filling up; for who raises very many that can wait."""
        await self._room.wait()

    def resolve(self, *, account: str = "", egress: str = "", file: str = "", detail: str = "") -> None:
        """All is well with the account, the way out or the file; with none of them given, with the pool."""
        self.raise_(Incident("recovered", account=account, egress=egress, file=file, detail=detail))

    def review(self, counts: Mapping[str, int]) -> None:
        """Look at the number of accounts by state over all replicas; for whoever looks now and then. Finds
        what single changes do not tell: accounts that take too long to start are not well."""
        now = self._clock.monotonic()
        if not counts.get("starting", 0):
            self._starting_since = None
        elif self._starting_since is None:
            self._starting_since = now
        since = self._starting_since
        starting_is_well = since is None or now - since < _STARTING_IS_WELL
        self.raise_all(pool_incidents(counts, self._settings.pool_below, starting_is_well))

    @property
    def pending(self) -> int:
        """Alerts that wait or are being told."""
        return self._queue.qsize() + len(self._telling)

    async def close(self) -> None:
        """Stop telling; what this replica had claimed is given back, for another one to tell."""
        unfinished = list(self._telling.values())
        await self._tasks.close()
        for incident, claimed in unfinished:
            with suppress(StoreUnavailable):
                await self._renew(incident, claimed, 0.0)

    # claiming, in order

    async def _work(self) -> None:
        while True:
            since, incident = await self._queue.get()
            if self._queue.qsize() <= QUEUE // 2:
                self._room.set()
            self._show_pending()
            # A name of its own for each claim: an older one of ours must not take a newer one for itself.
            claimed = f"{self._holder}:{next(self._claims)}"
            try:
                mine = await self._patiently(since, incident, partial(self._claimed, claimed))
            except StoreUnavailable:
                self._count(incident, "failed")
                log.error("alert given up: no store", kind=incident.kind, subject=incident.subject)
                continue
            if mine:
                self._tell(incident, claimed)

    def _claimed(self, holder: str, ledger: Ledger, incident: Incident) -> tuple[Ledger, bool]:
        now = self._clock.now()
        if incident.kind == "recovered":
            return resolve(ledger, holder, now)
        return claim(ledger, incident.kind, holder, now)

    def _tell(self, incident: Incident, claimed: str) -> None:
        task = self._tasks.spawn(self._deliver(incident, claimed), f"{incident.kind} {incident.subject}")
        self._telling[task] = (incident, claimed)
        task.add_done_callback(self._told)
        self._show_pending()

    def _told(self, task: asyncio.Task[None]) -> None:
        self._telling.pop(task, None)
        self._show_pending()

    # telling

    async def _deliver(self, incident: Incident, claimed: str) -> None:
        assert self._transport is not None  # noqa: S101 -- nothing is queued without one
        if not await self._paced(incident, claimed):
            self._count(incident, "superseded")
            return
        note = self._note(incident)
        left: Sequence[int] = self._transport.devices
        began, tries, told = self._clock.monotonic(), 0, False
        while left and await self._goes_on(incident, claimed, told):
            async with self._line:
                deliveries = await self._transport.push(note, left)
            for delivery in deliveries:
                self._metrics.alert_pushes.labels(delivery.outcome).inc()
            left = [delivery.device for delivery in deliveries if delivery.outcome != "ok"]
            if not told and len(left) < len(deliveries):
                told = True
                await self._has_told(incident, claimed, began)
            if not left:
                return
            tries += 1
            wait = min(_BACKOFF_CAP, _BACKOFF_FIRST * 2 ** min(tries - 1, 10)) * (0.5 + self._jitter() / 2)
            detail = "; ".join(sorted({delivery.detail for delivery in deliveries if delivery.detail}))
            facts = {
                "kind": incident.kind,
                "subject": incident.subject,
                "devices": len(left),
                "detail": detail,
            }
            if self._clock.monotonic() + wait - began > self._settings.max_age:
                if not told:
                    self._count(incident, "failed")
                log.error("alert given up", **facts)
                return
            log.warning("alert not delivered, trying again", seconds=round(wait, 1), **facts)
            await self._wait(incident, claimed, wait)
        if not told:
            self._count(incident, "superseded")

    async def _has_told(self, incident: Incident, claimed: str, since: float) -> None:
        self._count(incident, "told")
        log.info("alert sent", kind=incident.kind, subject=incident.subject)
        try:
            follow = await self._patiently(
                since, incident, lambda ledger, i: delivered(ledger, i.kind, claimed, self._clock.now())
            )
        except StoreUnavailable:
            return  # it may be told once more, by whoever takes it over
        for kind in follow:
            incident = replace(incident, kind=kind, detail="")
            if kind == "recovered":
                self._tell(incident, claimed)
            elif incident.subject != POOL:  # of the pool the next review knows the numbers
                self.raise_(incident)

    async def _paced(self, incident: Incident, claimed: str) -> bool:
        """Wait until an alert of this kind may be told. False where it is over by then."""
        while True:
            try:
                ledger = await self._desk.read(incident.subject)
            except StoreUnavailable:
                return True
            if not goes_on(ledger, incident.kind, claimed, told=False):
                return False
            wait = wait_before(ledger, incident.kind, self._clock.now(), self._settings.min_interval)
            if wait <= 0:
                return True
            await self._wait(incident, claimed, wait)

    async def _wait(self, incident: Incident, claimed: str, seconds: float) -> None:
        """At most a slice of it, with a sign of life to the other replicas."""
        with suppress(StoreUnavailable):
            await self._renew(incident, claimed, CLAIM_SECONDS)
        await self._clock.sleep(min(seconds, _SLICE))

    async def _goes_on(self, incident: Incident, claimed: str, told: bool = False) -> bool:
        try:
            ledger = await self._desk.read(incident.subject)
        except StoreUnavailable:
            return True
        return goes_on(ledger, incident.kind, claimed, told)

    def _note(self, incident: Incident) -> Note:
        note = note_of(incident, self._settings.environment, self._settings.admin_url)
        return replace(note, title=self._redact(note.title), body=self._redact(note.body))

    # the ledger

    async def _patiently(
        self, since: float, incident: Incident, decide: Callable[[Ledger, Incident], tuple[Ledger, T]]
    ) -> T:
        """Change the ledger, tried for as long as the alert may be old while the store is away."""
        while True:
            try:
                return await self._desk.change(incident.subject, lambda ledger: decide(ledger, incident))
            except StoreUnavailable:
                if self._clock.monotonic() - since > self._settings.max_age:
                    raise
                await self._clock.sleep(_STORE_RETRY)

    async def _renew(self, incident: Incident, claimed: str, seconds: float) -> None:
        now = self._clock.now()
        await self._desk.change(
            incident.subject,
            lambda ledger: (renewed(ledger, incident.kind, claimed, now, seconds), None),
        )

    # counting

    def _count(self, incident: Incident, outcome: str) -> None:
        self._metrics.alerts.labels(incident.kind, outcome).inc()
        if outcome != "superseded":  # of which nobody would have learnt anything
            what = incident.kind if incident.account else f"{incident.kind}: {incident.subject}"
            entry = Happened(self._clock.now(), "alert", incident.account, outcome=outcome, detail=what)
            self._note_down(entry)

    def _note_only(self, incident: Incident) -> None:
        if incident.kind == "recovered":
            self._noticed = {
                (subject, kind) for subject, kind in self._noticed if subject != incident.subject
            }
        elif (what := (incident.subject, incident.kind)) not in self._noticed:
            self._noticed.add(what)
            self._count(incident, "no_device")
            log.warning("incident", kind=incident.kind, subject=incident.subject, detail=incident.detail)

    def _show_pending(self) -> None:
        self._metrics.alerts_pending.set(self.pending)
