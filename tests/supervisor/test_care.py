"""Replicas that keep their accounts well, over sessions that do what the test says."""

import asyncio
import time
from typing import Any

import pytest
import redis.asyncio as redis
from msgspec import structs

from core.clock import SystemClock
from core.errors import (
    AccountRejected,
    AccountThrottled,
    EgressBlocked,
    GatewayError,
    InvalidRequest,
    NetworkFault,
    NotFound,
    SessionExpired,
    SessionSuspect,
    UpstreamUnstable,
)
from core.metrics import Metrics
from core.secret import Secret
from engine.service import HandedIn
from pool import Shared, State
from pool.account import Record
from supervisor.jars import PSID, PSIDTS, Jars, Seal
from supervisor.settings import SupervisorSettings
from supervisor.supervisor import Supervisor
from tests.fakes.sessions import FakeWeb
from tests.support.adapter import until, until_so
from tests.support.caring import Carer, Ward, account


def psidts(carer: Carer, name: str) -> str:
    return carer.pool.jar(name)[PSIDTS].reveal()


def dead(web: FakeWeb, name: str, error: GatewayError) -> None:
    web.probe_errors[name] = error
    web.open_errors[name] = error


def well(web: FakeWeb, name: str) -> None:
    web.probe_errors.pop(name, None)
    web.open_errors.pop(name, None)


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (SessionExpired("a guest's session"), "expired"),
        (AccountRejected("1021", why="terms_pending"), "terms_pending"),
        (AccountRejected("1060", why="location"), "location"),
        (AccountRejected("1020"), "rejected"),
    ],
)
async def test_a_dead_account_is_found_without_traffic(ward: Ward, error: GatewayError, reason: str) -> None:
    """Quarantined with its reason within two probe intervals; the others go on, and nobody is told twice."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a"), account("b")])
    dead(web, "a", error)
    await carer.is_("a", State.QUARANTINED, 0.8)
    assert await carer.state("a") == (State.QUARANTINED, reason)
    assert (await carer.state("b"))[0] is State.ACTIVE
    await until(lambda: any(c.state is State.QUARANTINED for c in carer.changes))
    await asyncio.sleep(0.5)
    assert [c.state for c in carer.changes if c.account == "a"].count(State.QUARANTINED) == 1


async def test_an_account_returns_by_itself(ward: Ward) -> None:
    """In quarantine it is tried at growing waits, and once it is well it works again in every replica."""
    web = FakeWeb()
    one = await ward.carer(web, [account("a")])
    other = await ward.carer(web, [account("a")])
    dead(web, "a", SessionExpired("dead"))
    await one.is_("a", State.QUARANTINED)
    before = web.opens["a"]
    await asyncio.sleep(1.0)
    assert 2 <= web.opens["a"] - before <= 4  # after 0.2, 0.4 and 0.8 s, by one of the two alone
    opens = len(web.sessions)
    well(web, "a")
    await one.is_("a", State.ACTIVE)
    await until(lambda: len(web.sessions) == opens + 2)
    lease = await other.pool.lease(("gemini-flash",))
    await lease.release()


async def test_the_probe_that_finds_it_dead_does_not_put_off_the_next(ward: Ward) -> None:
    """Found dead by an ordinary probe, an account is tried again as soon as one in quarantine is, and its record tells what the
    probe saw."""
    web = FakeWeb()
    settings = SupervisorSettings(
        probe_interval=4.0, rotate_interval=60.0, reprobe_first=0.1, reprobe_max=0.2, lease_ttl=1.0
    )
    carer = await ward.carer(web, [account("a")], settings)
    dead(web, "a", SessionExpired("dead"))
    await carer.is_("a", State.QUARANTINED, 5)
    (found,) = await carer.supervisor.cookies_status()
    assert found.last_probe_outcome == "expired"
    well(web, "a")
    await carer.is_("a", State.ACTIVE, 1.2)  # less than half of the interval between ordinary probes


@pytest.mark.parametrize(
    "error",
    [
        NetworkFault("no route"),
        UpstreamUnstable("HTTP 500", kind="http_5xx"),
        AccountThrottled("HTTP 429"),
        EgressBlocked("blocked"),
    ],
)
async def test_what_proves_nothing_quarantines_nobody(ward: Ward, error: GatewayError) -> None:
    """A fault of our network, of the upstream or of the way out leaves the account as it was."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    dead(web, "a", error)
    probes = web.probes["a"]
    await until(lambda: web.probes["a"] >= probes + 3)
    assert (await carer.state("a"))[0] is State.ACTIVE


async def test_a_refused_probe_is_decided_by_a_fresh_session(ward: Ward) -> None:
    """A stale page token is refused as a dead cookie is: the account stays where a fresh session opens."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    web.probe_errors["a"] = SessionSuspect("HTTP 401")
    opens = web.opens["a"]
    await until(lambda: web.opens["a"] > opens)
    assert (await carer.state("a"))[0] is State.ACTIVE
    web.open_errors["a"] = SessionExpired("dead after all")
    await carer.is_("a", State.QUARANTINED)


async def test_traffic_spares_the_probe(ward: Ward) -> None:
    """An account that has just answered a prompt is not probed; one that is idle is."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a"), account("b", models=("gemini-pro",))])
    await until(lambda: web.probes["b"] > 0)
    probes = web.probes.copy()
    for _ in range(20):
        lease = await carer.pool.lease(("gemini-flash",))
        await lease.release()
        await asyncio.sleep(0.05)
    assert web.probes["b"] >= probes["b"] + 2
    assert web.probes["a"] <= probes["a"] + 1


async def test_a_probe_needs_no_free_place(ward: Ward) -> None:
    """An account whose only place is taken for long is probed all the same."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a", max_concurrency=1)])
    lease = await carer.pool.lease(("gemini-flash",))
    probes = web.probes["a"]
    await until(lambda: web.probes["a"] > probes)
    await lease.release()


async def test_replicas_do_not_double(ward: Ward) -> None:
    """Three replicas probe and rotate as often as one would."""
    web = FakeWeb()
    for _ in range(3):
        await ward.carer(web, [account("a")], probe_interval=1.0, rotate_interval=1.5)
    web.probes.clear()
    web.rotations.clear()
    await asyncio.sleep(3.0)
    assert 2 <= web.probes["a"] <= 4
    assert 1 <= web.rotations["a"] <= 3


async def test_another_takes_over_from_a_dead_leader(ward: Ward) -> None:
    """When the leader dies without a word probes go on within its lease's life."""
    web = FakeWeb()
    first = await ward.carer(web, [account("a")])
    await until(lambda: first.supervisor.leader.is_leader)
    heir = await ward.carer(web, [account("a")])
    assert not heir.supervisor.leader.is_leader
    await first.die()
    dead(web, "a", SessionExpired("dead"))
    await until(lambda: heir.supervisor.leader.is_leader, 0.6 + 0.3)
    await heir.is_("a", State.QUARANTINED, 1.5)


async def test_rotated_cookies_reach_every_replica_within_a_second(ward: Ward) -> None:
    """The leader rotates before the interval is over; the other replica's live session sends the new value."""
    web = FakeWeb()
    pair = [await ward.carer(web, [account("a")], rotate_interval=1.2) for _ in range(2)]
    opens = web.opens["a"]
    await until(lambda: web.rotations["a"] >= 1, 1.2 + 0.5)
    await until(lambda: {psidts(carer, "a") for carer in pair} == {"sidts-a-1"}, 1)
    assert web.opens["a"] == opens
    [status] = await pair[1].supervisor.cookies_status()
    assert status.cookie_age_seconds is not None
    assert status.cookie_age_seconds < 1.2
    assert status.rotation_outcome == "ok"


async def test_a_restart_goes_on_with_the_newest_cookies(ward: Ward) -> None:
    """Whatever the roster still says, also when its old value has died meanwhile and the store holds secrets."""
    web = FakeWeb()
    first = await ward.carer(web, [account("a")], rotate_interval=1.0, key="state key")
    await until(lambda: web.rotations["a"] >= 1)
    await first.supervisor.idle()
    await first.close()
    web.dead_cookies.add("sidts-a")
    again = await ward.carer(web, [account("a")], key="state key")
    assert psidts(again, "a").startswith("sidts-a-")


async def test_the_jar_is_saved_at_the_end(ward: Ward) -> None:
    """Cookies that a session gained between rotations are there after a restart."""
    web = FakeWeb()
    first = await ward.carer(web, [account("a")])
    web.sessions[-1].adopt({"NID": Secret("gained")})
    await first.close()
    again = await ward.carer(web, [account("a")])
    assert again.pool.jar("a")["NID"] == Secret("gained")


async def test_the_operators_newer_cookies_win(ward: Ward) -> None:
    """New cookies in the roster replace rotated ones at once, and end a quarantine without a restart."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")], rotate_interval=1.0, reprobe_first=60.0, reprobe_max=60.0)
    await until(lambda: web.rotations["a"] >= 1)
    web.dead_cookies.add("g.a000a")
    web.probe_errors["a"] = SessionExpired("dead")
    await carer.is_("a", State.QUARANTINED)
    web.probe_errors.clear()
    newer = account("a", secure_1psid=Secret("g.a000new"), secure_1psidts=Secret("sidts-new"))
    await carer.pool.apply([], [newer], [])
    await carer.is_("a", State.ACTIVE, 1)
    assert carer.pool.jar("a")[PSID] == Secret("g.a000new")


@pytest.mark.parametrize("how", ["empty", "401"])
async def test_a_failed_rotation_is_judged_by_a_probe(ward: Ward, how: str) -> None:
    """No new cookie, or 401: no proof of anything. The account stays while its probe is fine, and only then goes."""
    web = FakeWeb()
    if how == "empty":
        web.rotates_empty.add("a")
    else:
        web.rotate_errors["a"] = SessionExpired("HTTP 401")
    carer = await ward.carer(web, [account("a")], rotate_interval=0.8, probe_interval=60.0)
    await until(lambda: web.rotations["a"] >= 2)
    assert web.probes["a"] >= 1
    assert (await carer.state("a"))[0] is State.ACTIVE
    dead(web, "a", SessionExpired("dead"))
    await carer.is_("a", State.QUARANTINED, 2)


async def test_a_missed_message_harms_nobody(ward: Ward) -> None:
    """A replica that never heard of a rotation goes over to the newest cookies when the old value dies."""
    web = FakeWeb()
    pair = [await ward.carer(web, [account("a")], rotate_interval=1.2) for _ in range(2)]
    deaf = next(carer for carer in pair if not carer.supervisor.leader.is_leader)
    await deaf.supervisor._tasks.close()
    await until(lambda: web.rotations["a"] >= 1)
    web.dead_cookies.add("sidts-a")
    finding = await deaf.pool.probe_now("a")
    web.probe_errors["a"] = SessionExpired("the old value died")
    finding = await deaf.pool.probe_now("a")
    assert finding.outcome == "well"
    assert psidts(deaf, "a") != "sidts-a"
    assert (await deaf.state("a"))[0] is State.ACTIVE


async def test_cookies_handed_in_serve_at_once_everywhere(ward: Ward) -> None:
    """Good cookies end the quarantine in all replicas, are used after a restart, and their age is new."""
    web = FakeWeb()
    settings: dict[str, Any] = {"reprobe_first": 60.0, "reprobe_max": 60.0}
    pair = [await ward.carer(web, [account("a"), account("b")], **settings) for _ in range(2)]
    web.dead_cookies.add("g.a000a")
    web.probe_errors["a"] = SessionExpired("dead")
    await pair[0].is_("a", State.QUARANTINED)
    web.probe_errors.clear()
    answer = await pair[0].supervisor.replace_cookies("a", HandedIn(Secret("g.a000fresh"), Secret("sidts-f")))
    assert (answer.kept, answer.probe, answer.state) == (True, "well", "active")

    async def everywhere() -> bool:
        return all(carer.pool.jar("a").get(PSID) == Secret("g.a000fresh") for carer in pair)

    await until_so(everywhere, 1)
    await ward.close()
    again = await ward.carer(web, [account("a"), account("b")])
    assert again.pool.jar("a")[PSID] == Secret("g.a000fresh")


async def test_dead_cookies_handed_in_change_nothing(ward: Ward) -> None:
    """Refused ones are not kept, the account goes on with those it has, and the answer says what was found."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    web.dead_cookies.add("g.a000stale")
    answer = await carer.supervisor.replace_cookies("a", HandedIn(Secret("g.a000stale")))
    assert (answer.kept, answer.probe, answer.state) == (False, "expired", "active")
    assert carer.pool.jar("a")[PSID] == Secret("g.a000a")


async def test_wrong_cookies_are_refused_by_name(ward: Ward) -> None:
    """Another account's, an empty one, one with characters that could leave a folder, an unknown account."""
    carer = await ward.carer(FakeWeb(), [account("a"), account("b")])
    replace = carer.supervisor.replace_cookies
    for given, field in [
        (HandedIn(Secret("g.a000b")), "secure_1psid"),
        (HandedIn(), "secure_1psid"),
        (HandedIn(Secret("../../x")), "secure_1psid"),
        (HandedIn(Secret("g.a000x"), Secret("a;b")), "secure_1psidts"),
        (HandedIn(export=Secret("nothing of use")), "cookies"),
    ]:
        with pytest.raises(InvalidRequest) as caught:
            await replace("a", given)
        assert caught.value.param == field
        for value in (given.secure_1psid, given.export):
            assert not value or value.reveal() not in caught.value.message or field == "cookies"
    with pytest.raises(NotFound):
        await replace("nobody", HandedIn(Secret("g.a000x")))


async def test_a_well_probe_ends_a_soft_ejection(ward: Ward) -> None:
    """A probe that finds an ejected account well lets it serve again, one request at first."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a"), account("b")], probe_interval=60.0)
    for _ in range(5):
        lease = await carer.pool.lease(("gemini-flash",), exclude={"b"})
        await lease.release(UpstreamUnstable("HTTP 500", kind="http_5xx"))
    assert (await carer.state("a"))[0] is State.COOLING
    await carer.pool.probe_now("a")
    assert (await carer.state("a"))[0] is State.ACTIVE
    views, _ = await carer.pool.snapshot()
    assert views[0].record.half_open


async def test_a_disabled_account_is_left_alone(ward: Ward) -> None:
    """By hand: no probe, no rotation, until it is enabled again."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    assert await carer.pool.disable("a") == "disabled"
    await carer.supervisor.idle()
    probes = web.probes["a"]
    await asyncio.sleep(0.6)
    assert web.probes["a"] == probes
    assert await carer.pool.enable("a") == "active"
    await until(lambda: web.probes["a"] > probes)
    with pytest.raises(NotFound):
        await carer.pool.disable("nobody")


async def test_a_sweep_mends_the_counts(ward: Ward) -> None:
    """Numbers that were lost or bent are counted anew."""
    carer = await ward.carer(FakeWeb(), [account("a"), account("b")])
    client = redis.Redis.from_url(ward.url)
    await client.hset("{gempool}:counts", mapping={"active": 7, "quarantined": 3})
    await client.aclose()
    await carer.pool.sweep()
    counts = await carer.store.counts()
    assert dict(counts.states) == {"active": 2}
    assert counts.capacity == 4


async def test_disabling_by_hand_ends_all_attempts(ward: Ward) -> None:
    """An account that was in quarantine when it was disabled is not tried by anybody."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    dead(web, "a", SessionExpired("dead"))
    await carer.is_("a", State.QUARANTINED)
    await carer.pool.disable("a")
    await carer.supervisor.idle()
    opens = web.opens["a"]
    await asyncio.sleep(1.5)  # beyond two signs of life and two re-probes
    assert web.opens["a"] == opens
    well(web, "a")
    await carer.pool.enable("a")
    await carer.is_("a", State.ACTIVE, 2)


async def test_a_store_that_lost_its_data_gets_the_cookies_back(ward: Ward) -> None:
    """What the replicas know is stored again, so that a restart after that goes on with the newest cookies."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")], rotate_interval=1.2)
    await until(lambda: web.rotations["a"] >= 1)
    await carer.supervisor.idle()
    client = redis.Redis.from_url(ward.url)
    await client.flushall()

    async def back() -> bool:
        return bool(await client.exists("{gempool}:shared:jar:a"))

    await until_so(back, 2)
    await client.aclose()


async def test_a_dead_session_that_cannot_be_judged_is_parked(ward: Ward) -> None:
    """The probe says expired and no fresh session opens for our network's sake: not quarantined, but no caller is
    sent there until it is decided."""
    web = FakeWeb()
    carer = await ward.carer(web, [account("a")])
    web.probe_errors["a"] = SessionExpired("dead?")
    web.open_errors["a"] = NetworkFault("no route")
    await carer.is_("a", State.COOLING)
    assert (await carer.state("a"))[1] == "suspect"
    web.open_errors["a"] = SessionExpired("dead")
    await carer.is_("a", State.QUARANTINED, 2)


class Crowd:
    """As much of a pool as a round asks for: many accounts, of which none needs anything."""

    replica = "one"

    def __init__(self, accounts: list[Record]) -> None:
        self.accounts = accounts

    async def records(self) -> tuple[float, list[Record]]:
        return time.time(), self.accounts


async def test_a_round_over_thousands_lets_others_go_first(empty_valkey: str) -> None:
    """Streams run in the same loop: while a round looks at 2,000 accounts they have their turn dozens of times. What it shows of
    accounts that are gone goes."""
    shared, metrics = Shared(empty_valkey), Metrics()
    now = time.time()
    blank: dict[str, Any] = dict.fromkeys(Record.__struct_fields__, 0)
    fields = {"quarantine": "", "opened": True, "enabled": True, "proved_at": now, "cookies_at": now}
    well = Record(**{**blank, **fields, "cooldown": None})
    crowd: Any = Crowd([structs.replace(well, id=f"a{n}") for n in range(2000)])
    jars = Jars(shared, Seal(Secret("")))
    supervisor = Supervisor(crowd, shared, jars, SupervisorSettings(), metrics, SystemClock())
    await supervisor.leader.step()
    turns = 0

    async def stream() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    beside = asyncio.create_task(stream())
    await supervisor.look()
    beside.cancel()
    assert turns > 30
    crowd.accounts = crowd.accounts[:3]
    await supervisor.look()
    shown = [s for f in metrics.registry.collect() for s in f.samples if "next_probe" in s.name]
    assert {sample.labels["account"] for sample in shown} == {"a0", "a1", "a2"}
    await supervisor.leader.resign()
    await supervisor.look()
    assert not [s for f in metrics.registry.collect() for s in f.samples if "next_probe" in s.name]
    await shared.close()
