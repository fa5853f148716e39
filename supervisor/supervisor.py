"""Keeps the accounts well: probes, rotates, takes up newer cookies, and brings accounts back from quarantine."""

import asyncio
from collections.abc import Iterable, Mapping
from contextlib import aclosing, suppress
from datetime import UTC, datetime

import structlog
from apscheduler.schedulers.asyncio import AsyncIOScheduler

from core.clock import Clock
from core.errors import (
    AccountRejected,
    GatewayError,
    InvalidRequest,
    NotFound,
    SessionExpired,
    SessionSuspect,
    StoreUnavailable,
    UpstreamError,
)
from core.metrics import Metrics
from core.secret import Secret
from core.tasks import Tasks
from engine.service import CookieStatus, HandedIn, ModelCooldown, Replaced
from journal import Happened, Kind, Noting, into_nothing
from pool import AccountConfig, Pool, Shared, State
from pool.account import Record, state_of
from pool.exports import ExportError, parse
from pool.member import jar_of
from pool.roster import LONGEST_COOKIE, NOT_IN_COOKIE
from pool.upstream import Credentials
from supervisor.jars import CHANNEL, PSID, PSIDTS, Jars
from supervisor.leader import Leader
from supervisor.policy import Need, need, plan
from supervisor.settings import SupervisorSettings

log = structlog.get_logger("gempool.supervisor")

LEASE = "supervisor"
"""Whoever holds it leads."""
_AT_ONCE = 100
"""Accounts after which a round lets others go first: streams must not wait for thousands of them."""
_SWEEP = 300.0
_POLL = 30.0
"""Seconds after which stored cookies are looked at though no message came: the net under a lost one."""


class Supervisor:
    """One in every replica; the one that leads probes and rotates for all.

    jars: where newer cookies than the roster's are kept; the pool opens its sessions from there. note: takes what becomes of
    probes, rotations and handed-in cookies, and who leads.
    """

    def __init__(
        self,
        pool: Pool,
        shared: Shared,
        jars: Jars,
        settings: SupervisorSettings,
        metrics: Metrics,
        clock: Clock,
        note: Noting = into_nothing,
    ) -> None:
        self._pool = pool
        self._shared = shared
        self._jars = jars
        self._note_down = note
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._tasks = Tasks("supervisor")
        self._scheduler = AsyncIOScheduler(timezone=UTC)
        self._parallel = asyncio.Semaphore(settings.parallel)
        self._in_care: set[str] = set()
        self._shown: set[str] = set()
        """Accounts whose next probe is in the metrics."""
        self._unsaved: set[str] = set()
        """Accounts whose rotated cookies the store has not taken yet."""
        self.leader = Leader(shared, LEASE, pool.replica, settings.lease_ttl, clock, self._leadership)

    # life

    def start(self, predecessors: Iterable[str] = ()) -> None:
        """Run for the lead, listen for newer cookies, and begin the rounds.

        predecessors: replicas that are known to be dead; the lead of one of them is free at once.
        """
        s = self._settings
        often = min(5.0, s.probe_interval / 8, s.rotate_interval / 8, s.reprobe_first / 4)
        self._tasks.spawn(self.leader.run(predecessors), "lead")
        self._tasks.spawn(self._listen(), "listen")
        for job, seconds in (
            (self.look, max(0.05, often)),
            (self._sweep, _SWEEP),
            (self._catch_up, min(_POLL, s.rotate_interval / 2)),
        ):
            self._scheduler.add_job(
                job, "interval", seconds=seconds, max_instances=1, coalesce=True, misfire_grace_time=None
            )
        self._scheduler.start()

    async def close(self) -> None:
        """End the rounds, keep the cookies as they are now, and let another replica lead. The pool must still be
        open."""
        if self._scheduler.running:
            self._scheduler.shutdown(wait=False)
        await self._tasks.close()
        await asyncio.gather(*(self._save(config) for config in self._pool.configs()))
        with suppress(StoreUnavailable):
            await self.leader.resign()

    # rounds

    async def look(self) -> None:
        """One round: whatever is due is begun, by the leader alone. Nothing is waited for."""
        if not self.leader.is_leader:
            self._metrics.account_next_probe.clear()
            self._shown = set()
            return
        try:
            now, records = await self._pool.records()
        except StoreUnavailable:
            return
        await self._show(records, now)
        for number, record in enumerate(records, 1):
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
            what = need(record, now, self._settings)
            if record.id in self._unsaved:
                what = "rotate"
            if what != "nothing" and record.id not in self._in_care:
                self._in_care.add(record.id)
                self._tasks.spawn(self._care(record, what), f"{what} {record.id}")

    async def _show(self, records: Iterable[Record], now: float) -> None:
        family, shown = self._metrics.account_next_probe, set[str]()
        for number, record in enumerate(records, 1):
            if (probe := plan(record, now, self._settings).probe) is not None:
                family.labels(record.id).set(probe)
                shown.add(record.id)
            if number % _AT_ONCE == 0:
                await asyncio.sleep(0)
        family.drop("account", self._shown - shown)
        self._shown = shown

    async def idle(self) -> None:
        """Wait until nothing that a round began still runs."""
        while self._in_care:
            await self._clock.sleep(0.01)

    async def _care(self, record: Record, what: Need) -> None:
        try:
            async with self._parallel:
                with suppress(StoreUnavailable, NotFound):
                    await self._act(record, what)
        finally:
            self._in_care.discard(record.id)

    async def _act(self, record: Record, what: Need) -> None:
        account = record.id
        if account in self._unsaved:
            await self._keep(self._pool.config(account))
            return
        # Two replicas may both believe that they lead, one of them still for a moment.
        if not await self._shared.take_once(*self._claim(record, what)):
            return
        if not self.leader.is_leader:
            return
        if what == "rotate" and self._pool.jar(account):
            await self._rotate(self._pool.config(account))
        else:
            await self._probe(account)

    def _claim(self, record: Record, what: Need) -> tuple[str, float]:
        """What is done, and the seconds that nobody else does the same: well below the time to the next appointment of its kind.
        That an account was probed while it was well does not put off what it needs in quarantine."""
        s = self._settings
        if what == "rotate":
            return f"rotate:{record.id}", s.rotate_interval / 10
        if record.quarantine:
            return f"reprobe:{record.id}", s.reprobe_first / 2
        return f"probe:{record.id}", s.probe_interval / 2

    async def _probe(self, account: str) -> None:
        finding = await self._pool.probe_now(account)
        self._note("probe", account, finding.reason or finding.outcome, finding.detail)

    def _note(self, kind: Kind, account: str, outcome: str, detail: str = "") -> None:
        self._note_down(Happened(self._clock.now(), kind, account, outcome=outcome, detail=detail))

    async def _rotate(self, config: AccountConfig) -> None:
        account, detail = config.id, ""
        try:
            fresh = await self._pool.rotate(account, self._settings.probe_timeout)
            outcome, doubtful = ("ok", False) if fresh else ("empty", True)
        except UpstreamError as error:
            outcome, detail = error.reason, str(error)
            doubtful = isinstance(error, SessionExpired | SessionSuspect | AccountRejected)
            log.warning("rotation failed", account=account, reason=outcome, detail=str(error))
        except GatewayError as error:
            outcome, detail, doubtful = error.code, error.message, False
            log.error("rotation failed", account=account, reason=outcome, detail=error.message)
        if outcome == "ok":
            log.info("cookies rotated", account=account)
            await self._keep(config)
        self._note("rotation", account, outcome, detail)
        await self._pool.rotated(account, outcome)
        if doubtful:  # no proof of anything: a probe decides
            await self._probe(account)

    async def _keep(self, config: AccountConfig) -> None:
        """Store the cookies of the account's session as the newest, now or in a later round."""
        account = config.id
        self._unsaved.add(account)
        jar = self._pool.jar(account)
        current = bool(jar) and self._pool.config(account).revision == config.revision
        if not (current and await self._jars.write(config, jar, self._clock.now(), "rotation")):
            log.warning("rotated cookies were overtaken by newer ones", account=account)
        self._unsaved.discard(account)

    async def _sweep(self) -> None:
        if self.leader.is_leader:
            with suppress(StoreUnavailable):
                await self._pool.sweep()

    def _leadership(self, leading: bool) -> None:
        self._metrics.leader.set(leading)
        if leading:
            self._note("leader", "", "leads")
            self._tasks.spawn(self.look(), "first look")

    # cookies

    async def _listen(self) -> None:
        while True:
            try:
                async for account in self._shared.listen(CHANNEL):
                    if account:
                        await self._take_up(account)
                    else:
                        await self._catch_up()
            except StoreUnavailable:
                await self._clock.sleep(1.0)

    async def _catch_up(self) -> None:
        with suppress(StoreUnavailable):
            async with aclosing(self._jars.unread(self._pool.configs())) as unread:
                async for config in unread:
                    await self._take_up(config.id)

    async def _take_up(self, account: str) -> None:
        """Use the stored cookies in this replica's session where they are others than we know."""
        try:
            config = self._pool.config(account)
        except NotFound:
            return
        before = self._jars.known(config)
        jar = await self._jars.read(config)
        if jar is None and before is not None:
            await self._jars.restore(config, before)  # the store may have lost its data
        elif jar is not None and jar != before:
            log.info("newer cookies adopted", account=account, source=jar.source)
            self._pool.adopt(account, jar.credentials)

    async def _save(self, config: AccountConfig) -> None:
        """Keep what the session's jar has gained. Cookies that another replica rotated since are left alone."""
        jar = self._pool.jar(config.id)
        if not jar:
            return
        try:
            stored = await self._jars.read(config)
            if stored is None or config.id in self._unsaved or _same_sign_in(stored.cookies, jar):
                await self._jars.write(config, jar, self._clock.now(), "session")
        except StoreUnavailable:
            log.warning("cookies could not be saved", account=config.id)

    async def replace_cookies(self, account: str, given: HandedIn) -> Replaced:
        """See `engine.service.CookieService`. Raises NotFound, InvalidRequest, StoreUnavailable."""
        config = self._pool.config(account)
        cookies = _checked(given, self._clock.now())
        for other in self._pool.configs():
            taken = {other.secure_1psid, self._pool.jar(other.id).get(PSID)}
            if other.id != account and cookies.secure_1psid in taken:
                raise InvalidRequest(
                    f"This cookie belongs to the account {other.id!r} already. Export the cookies of {account!r}.",
                    param="secure_1psid",
                )
        finding, jar = await self._pool.try_cookies(account, cookies)
        kept = finding.outcome != "dead"
        if kept:
            await self._jars.write(config, jar or jar_of(cookies), self._clock.now(), "api")
            if finding.outcome == "well":
                finding = await self._pool.renew(account)
            else:
                self._pool.adopt(account, cookies)
        state, reason = await self._state(account)
        log.info("cookies handed in", account=account, kept=kept, probe=finding.reason or finding.outcome)
        probe = finding.outcome if finding.outcome != "dead" else finding.reason
        self._note(
            "cookies", account, probe, finding.detail if kept else "they were refused and are not used"
        )
        return Replaced(account, kept, probe, finding.detail, state, reason)

    async def cookies_status(self) -> list[CookieStatus]:
        """See `engine.service.CookieService`. Raises StoreUnavailable."""
        now, records = await self._pool.records()
        return [self._status(record, now) for record in records]

    async def _state(self, account: str) -> tuple[str, str]:
        now, records = await self._pool.records()
        for record in records:
            if record.id == account:
                return state_of(record, now)
        return State.DRAINING, "removed"

    def _status(self, record: Record, now: float) -> CookieStatus:
        state, reason = state_of(record, now)
        next_ = plan(record, now, self._settings)
        until = record.cooldown.until if state is State.COOLING and record.cooldown is not None else 0.0
        return CookieStatus(
            id=record.id,
            state=state,
            reason=reason,
            since=_iso(record.changed_at),
            cooling_until=_iso(until),
            cooling_models={
                lane: ModelCooldown(cooldown.reason, _iso(cooldown.until))
                for lane, cooldown in record.lane_cooldowns.items()
                if cooldown.until > now
            },
            cookie_age_seconds=round(max(0.0, now - record.cookies_at), 1) if record.cookies_at else None,
            last_proved=_iso(record.proved_at),
            last_probe=_iso(record.probed_at),
            last_probe_outcome=record.probe_outcome,
            next_probe=_iso(next_.probe),
            last_rotation=_iso(record.rotation_tried_at),
            rotation_outcome=record.rotation_outcome,
            next_rotation=_iso(next_.rotate),
        )


def _checked(given: HandedIn, now: float) -> Credentials:
    """Raises InvalidRequest, which names the field and never shows a value."""
    if given.export:
        try:
            found = parse(given.export.reveal(), now)
        except ExportError as error:
            raise InvalidRequest(f"'cookies' cannot be used: {error}", param="cookies") from None
        return Credentials(found.secure_1psid, found.secure_1psidts, found.others)
    for field in ("secure_1psid", "secure_1psidts"):
        if len(getattr(given, field).reveal()) > LONGEST_COOKIE:
            raise InvalidRequest(
                f"'{field}' is longer than {LONGEST_COOKIE} characters. Copy the cookie's value alone.",
                param=field,
            )
        if NOT_IN_COOKIE.search(getattr(given, field).reveal()):
            raise InvalidRequest(
                f"'{field}' holds characters that no such cookie has. Copy the cookie's value alone.",
                param=field,
            )
    if not given.secure_1psid:
        raise InvalidRequest(
            "'secure_1psid' is empty. Send the value of the cookie __Secure-1PSID, or an exporter's 'cookies'.",
            param="secure_1psid",
        )
    return Credentials(given.secure_1psid, given.secure_1psidts)


def _same_sign_in(one: Mapping[str, Secret], other: Mapping[str, Secret]) -> bool:
    return all(one.get(name) == other.get(name) for name in (PSID, PSIDTS))


def _iso(seconds: float | None) -> str | None:
    if not seconds:
        return None
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
