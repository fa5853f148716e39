"""The accounts as this replica holds them: a session each, opened and mended in the background."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress

import msgspec
import structlog

from core.clock import Clock
from core.errors import (
    StoreUnavailable,
)
from core.metrics import Metrics
from core.secret import Secret
from core.tasks import Tasks
from pool.account import AccountConfig, Record, State
from pool.member import PSID, WELL, Finding, Held, Member, jar_of
from pool.models import PublicModel, lanes_of, offered_of
from pool.opening import Opening
from pool.settings import PoolSettings
from pool.store import Store
from pool.upstream import Credentials, Offered, Session

log = structlog.get_logger("gempool.pool")


class Members:
    """Opens sessions side by side but bounded, tries again with growing, jittered waits, and judges the
    ones that are under suspicion. Nothing here ever blocks a start or a request.

    changed: called when an account came or went, so that who waits asks again. cookies: what opens sessions.
    """

    def __init__(
        self,
        store: Store,
        opening: Opening,
        table: Sequence[PublicModel],
        settings: PoolSettings,
        metrics: Metrics,
        clock: Clock,
        tasks: Tasks,
        changed: Callable[[], None],
    ) -> None:
        self._store = store
        self._opening = opening
        self._table = tuple(table)
        self._settings = settings
        self._metrics = metrics
        self._clock = clock
        self._tasks = tasks
        self._changed = changed
        self._members: dict[str, Member] = {}
        self.without_session: dict[str, Member] = {}
        """Accounts that this replica cannot use now, whatever the store says."""
        self._offered: tuple[Offered, ...] | None = None
        """Of the sessions that are open, until one comes or goes: every request asks, and there may be thousands."""
        self._next_order = 0
        self._news = asyncio.Event()
        """Of an account that was not tried before."""

    def __iter__(self) -> Iterator[Member]:
        return iter(self._members.values())

    def __len__(self) -> int:
        return len(self._members)

    def get(self, account: str) -> Member | None:
        return self._members.get(account)

    @property
    def offered(self) -> tuple[Offered, ...]:
        """What the accounts with a session offer; an account that was asked for later adds, never replaces."""
        if self._offered is None:
            models: dict[str, Offered] = {}
            for member in self._members.values():
                if member.held is not None:
                    for model in member.held.session.offered:
                        models.setdefault(model.name, model)
            self._offered = tuple(models.values())
        return self._offered

    @property
    def starting(self) -> bool:
        """Some account has not finished its first attempt to open a session."""
        return any(m.first_open_pending for m in self.without_session.values())

    async def tried(self) -> None:
        """Wait until no account is `starting` any more."""
        while self.starting:
            self._news.clear()
            await self._news.wait()

    def next_try(self) -> float | None:
        """Seconds until the next account tries to come back; None where none does."""
        times = [m.next_try for m in self.without_session.values() if m.next_try > 0]
        times += [m.next_try for m in self._members.values() if m.wanted.is_set() and m.next_try > 0]
        return max(0.0, min(times) - self._clock.monotonic()) if times else None

    async def add(self, config: AccountConfig) -> None:
        """Take an account in and open its session in the background."""
        member = Member(config, self._next_order)
        self._next_order += 1
        self._members[config.id] = member
        self.without_session[config.id] = member
        await self._told(member, self._tell(member))
        if config.enabled:
            self._want(member, after=0.0)
        member.keeper = self._tasks.spawn(self._keep(member), f"keep {config.id}")

    async def change(self, config: AccountConfig) -> None:
        """New settings; with new cookies or another proxy a new session, too."""
        member = self._members[config.id]
        old, member.config = member.config, config
        await self._told(member, self._tell(member))
        if (old.revision, old.proxy, old.enabled) != (config.revision, config.proxy, config.enabled):
            member.attempts = 0
            if config.enabled:
                self._now(member)
        elif old.models != config.models and member.held is not None:
            await self._told(member, self._register(member, member.held.session))

    async def remove(self, account: str) -> None:
        """Nothing new for the account; its session ends with its last lease."""
        member = self._members.pop(account)
        self.without_session.pop(account, None)
        self._news.set()
        for task in (member.keeper, member.judge):
            if task is not None:
                task.cancel()
        # Where the store is away, the housekeeping drops what no roster knows once it is back.
        await self._try_store(self._store.remove(account))
        self._swap(member, None)

    async def tell(self, everything: bool) -> None:
        """Tell the store what it missed while it was away, or everything where it has lost its data."""
        for member in list(self._members.values()):
            if not (everything or member.untold):
                continue
            await self._tell(member)
            if member.held is not None and member.untold:
                await self._welcome(member, member.held.session)
            elif member.held is not None:
                await self._register(member, member.held.session)
            member.untold = False

    def hold(self, member: Member) -> Held:
        assert member.held is not None  # noqa: S101 -- the caller has looked; without await in between
        member.held.users += 1
        member.in_flight += 1
        self._show_in_flight(member)
        return member.held

    def let_go(self, member: Member, held: Held) -> None:
        held.users -= 1
        member.in_flight -= 1
        self._show_in_flight(member)
        self._close_if_done(held)

    def quarantined(self, account: str) -> None:
        """The store has quarantined the account: whoever supervises tries it again, see `check`."""
        if (member := self._members.get(account)) is not None:
            self._rest(member)

    def hasten(self, account: str) -> None:
        """Another replica proved the account well: try now where a session is wanted."""
        member = self._members.get(account)
        if member is not None and (member.wanted.is_set() or member.quarantined):
            self._now(member)

    def learn(self, account: str, state: State) -> None:
        """What the store says of the account: told by a message, and asked for now and then in case one was
        lost."""
        member = self._members.get(account)
        if member is None or member.busy.locked() or state in (State.DISABLED, State.DRAINING):
            return
        if state is State.QUARANTINED:
            if not (member.first_open_pending or member.hurry.is_set()):
                self._rest(member)
        elif member.quarantined:
            self._now(member)
        elif member.held is None and member.config.enabled and not member.wanted.is_set():
            self._want(member, after=self._wait(self._settings.reprobe_first, 1))

    async def check(self, account: str) -> Finding | None:
        """Probe the account over its session, or try to open one; None where this replica has no such account.

        Takes no lease. Tells the store of a dead account, and of one that came back from quarantine.
        """
        member = self._members.get(account)
        if member is None:
            return None
        async with member.busy:
            probed = finding = WELL
            if member.held is not None and not member.quarantined:
                probed = finding = await self._opening.probe(account, member.held.session)
            if member.held is None or member.quarantined or probed.outcome == "dead":
                # A dead session's page token may be stale while the cookies are good: a fresh one tells.
                finding = await self._open(member)
                self._opened(member, finding)
        self._metrics.probes.labels(account, finding.reason or finding.outcome).inc()
        if probed.outcome == "dead" and finding.outcome == "unsure":
            self.suspect(account)
        self._changed()
        return finding

    async def reopen(self, account: str) -> Finding | None:
        """A fresh session with the newest cookies, whatever the old one is worth."""
        member = self._members.get(account)
        if member is None:
            return None
        async with member.busy:
            finding = await self._open(member)
            self._opened(member, finding)
        self._changed()
        return finding

    async def try_cookies(self, account: str, cookies: Credentials) -> tuple[Finding, Mapping[str, Secret]]:
        """Open a session with these cookies and close it again: what it told, and its jar ({} where it did
        not open). The account stays as it is. Raises KeyError where there is no such account."""
        return await self._opening.trial(self._members[account].config, cookies)

    def adopt(self, account: str, cookies: Credentials) -> None:
        """Somebody else has newer cookies for the account: into the live session, or a new one with them."""
        member = self._members.get(account)
        if member is None or not member.config.enabled:
            return
        held = member.held
        if held is None or member.quarantined or held.session.jar().get(PSID) != cookies.secure_1psid:
            self._now(member)
        else:
            held.session.adopt(jar_of(cookies))

    def suspect(self, account: str) -> None:
        """Probe the account in the background and decide; one judge at a time."""
        member = self._members.get(account)
        if member is not None and (member.judge is None or member.judge.done()):
            member.judge = self._tasks.spawn(self._judge(member), f"judge {account}")

    async def close(self) -> None:
        """Close every session. The tasks must have ended."""
        sessions = [m.held.session for m in self._members.values() if m.held is not None]
        for member in self._members.values():
            member.held = None
        self._offered = None
        self._metrics.sessions_open.set(0)
        await asyncio.gather(*(self._opening.close(session) for session in sessions))

    # background

    async def _keep(self, member: Member) -> None:
        while True:
            await member.wanted.wait()
            await self._pause(member)
            async with member.busy:
                if not member.config.enabled:
                    self._was_tried(member)
                    self._settled(member)
                    continue
                if not member.wanted.is_set():
                    continue  # a check was quicker
                self._opened(member, await self._open(member))
            self._changed()

    def _opened(self, member: Member, finding: Finding) -> None:
        """What follows from an attempt to open a session."""
        self._was_tried(member)
        if finding.outcome == "well":
            self._settled(member)
        elif finding.outcome == "dead" or (member.quarantined and not member.hurry.is_set()):
            self._rest(member)
        else:
            member.attempts += 1
            self._want(member, after=self._wait(self._settings.reprobe_first, member.attempts))

    def _was_tried(self, member: Member) -> None:
        member.first_open_pending = False
        self._news.set()

    def _settled(self, member: Member) -> None:
        member.quarantined = False
        member.attempts = 0
        member.next_try = 0.0
        member.wanted.clear()

    def _rest(self, member: Member) -> None:
        """In quarantine: nothing to try here until somebody says so."""
        self._settled(member)
        member.quarantined = True

    async def _pause(self, member: Member) -> None:
        wait = member.next_try - self._clock.monotonic()
        if wait > 0:
            try:
                async with asyncio.timeout(wait):
                    await member.hurry.wait()
            except TimeoutError:
                pass
        member.hurry.clear()

    async def _open(self, member: Member) -> Finding:
        """Open a session, tell the store what it serves, and end a quarantine; a dead account is put into one."""
        account = member.config.id
        session, finding, config, tried = await self._opening.open(member)
        if session is None:
            if finding.outcome != "dead":
                return finding
            if config.revision != member.config.revision or await self._opening.newest(config) != tried:
                self._now(member)
                return Finding("unsure", "cookies_changed", "the cookies were replaced in the meantime")
            if why := self._opening.missing(config):
                # Other replicas may hold newer ones that are well: this one has no say.
                log.error("session did not open", account=account, reason="cookies_unreadable", detail=why)
                self._swap(member, None)
                return Finding("unsure", "cookies_unreadable", why)
            log.warning(
                "account is not usable", account=account, reason=finding.reason, detail=finding.detail
            )
            self._swap(member, None)
            await self._try_store(self._store.quarantine(account, finding.reason, config.revision))
            return finding
        if config.revision != member.config.revision or self._members.get(account) is not member:
            await self._opening.close(session)
            return Finding("unsure", "cookies_changed", "the account was changed in the meantime")
        self._swap(member, session)
        await self._told(member, self._welcome(member, session))
        log.info("session opened", account=account, models=[model.name for model in session.offered])
        return WELL

    async def _welcome(self, member: Member, session: Session) -> None:
        await self._register(member, session)
        await self._store.reinstate(member.config.id)

    async def _register(self, member: Member, session: Session) -> None:
        lanes = lanes_of(self._table, session.offered, member.config.models)
        if not lanes:
            log.warning("the allow-list leaves the account no model", account=member.config.id)
        offered = msgspec.json.encode(session.offered).decode()
        behind_default = session.offered[0].name if session.offered else ""
        await self._store.register(member.config.id, lanes, offered, behind_default)

    async def _judge(self, member: Member) -> None:
        """Probe until it is decided. The account stays parked until then."""
        settings, account, tries = self._settings, member.config.id, 0
        while member.held is not None and not member.quarantined:
            finding = await self.check(account)
            if finding is None or finding.outcome == "dead":
                break
            if finding.outcome == "well":
                await self._try_store(self._store.unpark(account))
                break
            tries += 1
            wait = self._wait(settings.suspect_retry, tries, settings.reprobe_max)
            park = wait + settings.probe_timeout + settings.open_timeout
            await self._try_store(self._store.park(account, park))
            await self._clock.sleep(wait)
        self._changed()

    # small parts

    async def _tell(self, member: Member) -> None:
        await self._store.upsert(member.config, member.order, self._settings.requests_per_minute)

    async def _told(self, member: Member, call: Awaitable[object]) -> None:
        try:
            await call
        except StoreUnavailable:
            member.untold = True

    async def _try_store(self, call: Awaitable[object]) -> None:
        # What is lost here is found again: the next call or probe of the account fails the same way.
        with suppress(StoreUnavailable):
            await call

    def _now(self, member: Member) -> None:
        """Open a session at once, whatever was planned."""
        self._want(member, after=0.0)
        member.hurry.set()

    def _want(self, member: Member, after: float) -> None:
        member.next_try = self._clock.monotonic() + after
        member.wanted.set()

    def _wait(self, first: float, attempt: int, cap: float | None = None) -> float:
        """Doubles with every attempt; a quarter of jitter keeps the accounts apart."""
        wait = min(cap or self._settings.reprobe_max, first * 2.0 ** min(attempt - 1, 20))
        return wait * random.uniform(0.875, 1.125)  # noqa: S311 -- spreads load, guards nothing

    def _show_in_flight(self, member: Member) -> None:
        if self._members.get(member.config.id) is member:  # one that was removed is shown no more
            self._metrics.account_in_flight.labels(member.config.id).set(member.in_flight)

    def _swap(self, member: Member, session: Session | None) -> None:
        old, member.held = member.held, None if session is None else Held(session)
        if session is None:
            if member.config.id in self._members:
                self.without_session[member.config.id] = member
        else:
            self.without_session.pop(member.config.id, None)
        self._offered = None
        self._metrics.sessions_open.set(len(self._members) - len(self.without_session))
        if old is not None:
            old.retired = True
            self._close_if_done(old)

    def _close_if_done(self, held: Held) -> None:
        if held.retired and held.users == 0:
            self._tasks.spawn(self._opening.close(held.session), "close session")


def offered_by(records: Iterable[Record]) -> tuple[Offered, ...]:
    """The models that the store's accounts offer, whichever replica opened them."""
    models: dict[str, Offered] = {}
    # Most accounts offer the same.
    for offered in dict.fromkeys(record.offered_json for record in records if record.offered_json):
        for model in offered_of(offered):
            models.setdefault(model.name, model)
    return tuple(models.values())
