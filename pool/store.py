"""What all replicas share about the accounts: who was used when, who holds leases, who cools.

Every decision is one Lua script (`lua/`), atomic, with the server's time, in one round trip. Redis 7.0
commands only.
"""

import time
from collections.abc import AsyncGenerator, Awaitable, Iterable, Iterator, Mapping, Sequence
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Any, Literal, TypeAlias, TypeVar

import msgspec
import structlog
from msgspec import Struct

from core.errors import StoreUnavailable
from core.metrics import Metrics
from core.wire import Address, Script, ServerError, Wire, WireError, unavailable
from pool.account import AccountConfig, Cooldown, Effect, Policy, Record

log = structlog.get_logger("gempool.pool")

T = TypeVar("T")

_LUA = Path(__file__).parent / "lua"
CLOCK = (_LUA / "clock.lua").read_text()


def _script(clock: str, database: int, name: str, *parts: str) -> Script:
    sources = ((_LUA / f"{part}.lua").read_text() for part in ("common", *parts, name))
    return Script(name, "\n".join((clock, *sources)), database)


class Picked(Struct, frozen=True, gc=False):
    """A lease was given. `in_flight` counts the account's calls over all replicas, this one included."""

    account: str
    lane: str
    in_flight: int


Verdict: TypeAlias = Literal["wait", "busy", "tried", "none"]


class Refused(Struct, frozen=True, gc=False):
    """No lease now.

    wait: the first account returns in `seconds`. busy: all are full or being probed, nobody knows for how long.
    tried: only accounts that the caller left out could serve. none: no account can serve these lanes; with the
    reason `lost` because the store knows none: it is new, or has lost its data. Where one account alone was wanted:
    wait, busy, or none with the reason `only`, because it cools, fails, or serves none of the lanes.
    A background request is also told `live` as the reason where live requests wait, and `kept` where what is free is
    left to them; `seconds` is then the time until it is served in spite of those still to come.
    seconds is None where no time is known.
    """

    verdict: Verdict
    seconds: float | None
    reason: str


class Counts(Struct, frozen=True):
    """Accounts by state, and the sum of the concurrency limits of those that are active or cooling."""

    states: Mapping[str, int]
    capacity: int


class Event(Struct, frozen=True, rename={"from_": "from"}):
    """A change of an account's state; `at` in seconds of the store's clock."""

    at: float
    from_: str
    to: str
    reason: str


class Change(Struct, frozen=True, rename={"from_": "from"}):
    """A change of any account's state, or a replica's coming or going; `at` in seconds of the store's clock.

    account: '' where it is a replica. from_: '' for an account that is new, to: '' for one that is gone. Of a replica `to` is
    `came`, `left` or `lost`.
    """

    at: float
    to: str
    account: str = ""
    replica: str = ""
    from_: str = ""
    reason: str = ""


class Changes(Struct, frozen=True):
    """What a reader has not seen yet. logged: how many entries the log was ever given in this epoch, which ends where the store
    loses its data."""

    now: float
    logged: int
    epoch: str
    changes: tuple[Change, ...]
    replicas: int


class Store:
    """The scripts behind plain methods. All raise `core.errors.StoreUnavailable` and nothing else.

    url: `redis://`, `rediss://` or `unix://`. timeout: seconds, for connecting and for each answer. clock: Lua that
    sets NOW.
    """

    def __init__(
        self,
        url: str,
        metrics: Metrics,
        policy: Policy,
        *,
        prefix: str = "{gempool}:",
        timeout: float = 2.0,
        clock: str = CLOCK,
    ) -> None:
        self._prefix = prefix
        self._policy = policy
        self._metrics = metrics
        self._wire = Wire(Address(url), timeout)
        database = self._wire.database
        self._pick = _script(clock, database, "pick")
        self._release = _script(clock, database, "release", "effects")
        self._account = _script(clock, database, "account", "effects")
        self._beat = _script(clock, database, "beat")
        self._leave = _script(clock, database, "leave")
        self._page = _script(clock, database, "page")
        self._sweep = _script(clock, database, "sweep")
        self._changes = _script(clock, database, "changes")
        self._reclaim = _script(clock, database, "reclaim")
        p = policy
        self._ejection: tuple[int, ...] = (p.eject_after, _ms(p.eject_base), _ms(p.eject_cap))

    async def pick(
        self,
        replica: str,
        lease: str,
        lanes: Sequence[str],
        *,
        exclude: Sequence[str] = (),
        blind: Sequence[str] = (),
        lease_ttl: float,
        soft: int = 1,
        jitter: float = 0.0,
        be_woken: bool = False,
        only: str = "",
        background: bool = False,
    ) -> Picked | Refused:
        """Lease the least recently used account that can serve one of `lanes` now.

        lanes: in order of preference. exclude: accounts that the request has tried. blind: those that have no session
        in this replica. lease_ttl: seconds that this replica's leases live without a sign of
        life. soft: 0 never uses a cooling account; 1 uses one that was ejected as unstable where nothing
        else is left that would return sooner; 2 uses also throttled ones, and does not wait for busy ones.
        jitter: in [0, 1), lengthens the spacing by up to a tenth. be_woken: publish when one is free.
        only: this account or none, and only while it is well: it is not used while it cools, whatever `soft` says.
        background: nothing while a live request waits in any replica, and no account but one that leaves another ready
        for live requests in each of its lanes (or that is the only one to serve them); never a cooling one. As many
        others must be ready as live requests will take, at the rate at which they came lately, until the account is
        back (all others, if there are fewer), but for one background pick in 5 seconds, for which one is enough.
        """
        answer = await self._run(
            self._pick,
            replica,
            lease,
            _ms(lease_ttl),
            0 if background else soft,
            jitter,
            int(be_woken),
            only,
            len(blind) if background else "",
            len(lanes),
            *lanes,
            *exclude,
            *blind,
        )
        if answer[0] == 1:
            return Picked(answer[1], answer[2], answer[3])
        ms = answer[2]
        return Refused(answer[1], None if ms < 0 else ms / 1000, answer[3])

    async def release(self, replica: str, lease: str, effect: Effect) -> bool:
        """End the lease and apply the effect. False where it was not held any more (reaped, or released)."""
        arguments: tuple[int | float, ...] = ()
        seconds = self._policy.eject_cap if effect.kind == "ok" else effect.seconds
        if effect.kind == "throttled":
            arguments = (_ms(self._policy.throttle_base), _ms(self._policy.cooldown_cap), effect.jitter)
        elif effect.kind == "unstable":
            arguments = self._ejection
        answer = await self._run(
            self._release, replica, lease, effect.kind, effect.reason, _ms(seconds), *arguments
        )
        return bool(answer[0])

    async def upsert(self, account: AccountConfig, order: int, requests_per_minute: int = 0) -> str:
        """Make the account known, or change its settings; what it lives through stays. Returns its state."""
        return await self._verb(
            account.id,
            "upsert",
            order,
            account.revision,
            account.max_concurrency,
            _ms(account.min_interval),
            requests_per_minute,
            int(account.enabled),
            account.egress,
        )

    async def register(
        self, account: str, lanes: Sequence[str], offered_json: str, behind_default: str = ""
    ) -> str:
        """A session was opened: these are the lanes that the account serves. behind_default: the lane that
        `default` means on this account; the two cool together."""
        return await self._verb(account, "register", "\n".join(lanes), offered_json, behind_default)

    async def quarantine(self, account: str, reason: str, revision: str = "") -> str:
        """revision: of the cookies that were found dead; where other ones are in use by now nothing happens."""
        return await self._verb(account, "quarantine", reason, revision)

    async def reinstate(self, account: str) -> str:
        """End a quarantine: to the tail of the queue, one request at a time until one has succeeded."""
        return await self._verb(account, "reinstate")

    async def clear(self, account: str) -> str:
        """End all cooldowns of the account and forget its failures."""
        return await self._verb(account, "clear")

    async def disable(self, account: str) -> str:
        return await self._verb(account, "disable")

    async def enable(self, account: str) -> str:
        return await self._verb(account, "enable")

    async def remove(self, account: str) -> str:
        """No new calls; the account is gone ('gone') once the last one has ended ('draining' until then)."""
        return await self._verb(account, "remove")

    async def park(self, account: str, seconds: float, reason: str = "suspect") -> str:
        """Cool the account until a probe has decided."""
        return await self._verb(account, "park", _ms(seconds), reason)

    async def unpark(self, account: str) -> str:
        """A probe found the account well: end the parking, count the failure as instability."""
        return await self._verb(account, "unpark", "", "", "", *self._ejection)

    async def probed(self, account: str, outcome: str, again: bool = False) -> str:
        """A probe has ended. `well` ends the cooldown of an account that was unstable or under suspicion.
        again: the account was in quarantine before, and stays there."""
        return await self._verb(account, "probed", outcome, int(again))

    async def rotated(self, account: str, outcome: str) -> str:
        """A rotation has ended; after `ok` the cookies are new."""
        return await self._verb(account, "rotated", outcome)

    async def new_cookies(self, account: str) -> str:
        """Cookies that are newer than the roster's are in use from now on."""
        return await self._verb(account, "cookies")

    async def sweep(self) -> bool:
        """Count the accounts by state anew and let go of cooldowns that ended; True where a count was off."""
        return bool(await self._run(self._sweep))

    async def beat(self, replica: str, lease_ttl: float) -> tuple[bool, Counts]:
        """A sign of life. False: the store is new or lost its data, so tell it the accounts again, and then
        that this is `settled`."""
        known, flat = await self._run(self._beat, replica, _ms(lease_ttl), "")
        return bool(known), _counts(flat)

    async def settled(self, replica: str, lease_ttl: float) -> Counts:
        """The store knows the accounts: until it loses them, no pick is refused as `lost`."""
        _, flat = await self._run(self._beat, replica, _ms(lease_ttl), replica)
        return _counts(flat)

    async def reclaim(self, replica: str, lease: str, account: str, lane: str) -> bool:
        """Count a lease that the replica still holds; False where the store has it, or not the account."""
        return bool(await self._run(self._reclaim, replica, lease, account, lane))

    async def counts(self) -> Counts:
        _, flat = await self._run(self._beat, "", 0, "")
        return _counts(flat)

    async def leave(self, replica: str, *, died: bool = False) -> int:
        """Hand all leases of this replica back; their number."""
        return int(await self._run(self._leave, replica, int(died)))

    async def page(self, offset: int = 0, limit: int = 200) -> tuple[float, int, list[Record]]:
        """The store's time in seconds, the number of accounts, and a page of them in the roster's order."""
        now, total, rows, _ = await self._run(self._page, offset, limit)
        return now / 1000, total, [_record(account, fields) for account, fields in rows]

    async def live_replicas(self) -> int:
        """Number of replicas that gave a sign of life within their leases' life."""
        *_, live = await self._run(self._page, 0, 0)
        return int(live)

    async def events(self, account: str, limit: int = 200) -> list[Event]:
        """The account's last state changes, newest first."""
        raw = await self._call("events", "LRANGE", f"{self._prefix}log:{account}", 0, limit - 1)
        events = _read(raw, Event)
        return [msgspec.structs.replace(event, at=event.at / 1000) for event in events]

    async def changes(self, logged: int = 0, epoch: str = "") -> Changes:
        """What befell accounts and replicas since a reader saw `logged` entries of `epoch`, newest first, 1,000 at most."""
        now, logged, epoch, rows, live = await self._run(self._changes, logged, epoch)
        found = _read(rows, Change)
        changes = tuple(msgspec.structs.replace(change, at=change.at / 1000) for change in found)
        return Changes(now / 1000, logged, epoch, changes, int(live))

    async def leases(self, replica: str) -> set[str]:
        """The leases that the store holds for this replica."""
        return set(await self._call("leases", "HKEYS", f"{self._prefix}leases:{replica}"))

    async def wakes(self) -> AsyncGenerator[str, None]:
        """What the replicas tell one another: `free`, `reinstated <account>`, or a change of state as
        `state <account> <ms> <from> <to> <reason>`. Yields '' once it listens.

        Ends with `StoreUnavailable` when the connection is lost.
        """
        try:
            async with aclosing(self._wire.listen(f"{self._prefix}wake")) as messages:
                async for message in messages:
                    yield message
        except WireError as error:
            raise self._unavailable("wakes", error) from error

    async def close(self) -> None:
        await self._wire.close()

    async def _verb(self, account: str, verb: str, *arguments: str | int | float) -> str:
        return str(await self._run(self._account, account, verb, *arguments))

    async def _run(self, script: Script, *arguments: str | int | float) -> Any:
        return await self._observed(script.name, script.run(self._wire, [self._prefix], *arguments))

    async def _call(self, operation: str, *arguments: str | int | float) -> Any:
        return await self._observed(operation, self._wire.call(*arguments))

    async def _observed(self, operation: str, call: Awaitable[Any]) -> Any:
        started = time.perf_counter()
        try:
            answer = await call
        except (WireError, ServerError) as error:
            raise self._unavailable(operation, error) from error
        self._metrics.store_seconds.labels(operation).observe(time.perf_counter() - started)
        return answer

    def _unavailable(self, operation: str, error: Exception) -> StoreUnavailable:
        self._metrics.store_errors.labels(operation).inc()
        log.warning(
            "store command failed", operation=operation, error=type(error).__name__, detail=str(error)
        )
        return unavailable()


def _read(rows: Iterable[str], kind: type[T]) -> Iterator[T]:
    """Without those that another version wrote in another way."""
    for row in rows:
        with suppress(msgspec.DecodeError):
            yield msgspec.json.decode(row, type=kind)


def _ms(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _counts(flat: Sequence[str]) -> Counts:
    numbers = {flat[i]: int(flat[i + 1]) for i in range(0, len(flat), 2)}
    capacity = numbers.pop("capacity", 0)
    return Counts({state: n for state, n in numbers.items() if n > 0}, capacity)


def _seconds(raw: str | None) -> float:
    return float(raw) / 1000 if raw else 0.0


def _int(raw: str | None) -> int:
    return int(float(raw)) if raw else 0


def _record(account: str, raw: Sequence[str | None]) -> Record:
    (rev, mc, mi, on, off, dr, op, q, qs, cu, cr, lc, inf, lp, seq, ho, sh, cf, ej, tl, ss, eg, lanes, of) = (
        raw[:24]
    )
    pv, pb, po, pf, ca, ra, ro, rf = raw[24:]
    lane_cooldowns: dict[str, tuple[float, str]] = msgspec.json.decode(lc) if lc else {}
    return Record(
        id=account,
        revision=rev or "",
        max_concurrency=_int(mc),
        min_interval=_seconds(mi),
        egress=eg or "",
        lanes=tuple(lanes.split("\n")) if lanes else (),
        in_flight=_int(inf),
        last_used=_seconds(lp),
        use_order=_int(seq),
        enabled=on == "1",
        disabled_by_hand=off == "1",
        removed=dr == "1",
        opened=op == "1",
        quarantine=q or "",
        quarantined_at=_seconds(qs) if q else 0.0,
        cooldown=Cooldown(_seconds(cu), cr or "") if cu and cu != "0" else None,
        lane_cooldowns={lane: Cooldown(until / 1000, why) for lane, (until, why) in lane_cooldowns.items()},
        consecutive_failures=_int(cf),
        times_ejected=_int(ej),
        throttle_level=_int(tl),
        half_open=ho == "1",
        last_resort=sh == "1",
        changed_at=_seconds(ss),
        offered_json=of or "",
        proved_at=_seconds(pv),
        probed_at=_seconds(pb),
        probe_outcome=po or "",
        probe_failures=_int(pf),
        cookies_at=_seconds(ca),
        rotation_tried_at=_seconds(ra),
        rotation_outcome=ro or "",
        rotation_failures=_int(rf),
    )
