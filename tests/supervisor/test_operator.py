"""The operator's desk over real pools on one store."""

import asyncio
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis

from core.errors import AccountThrottled, NotFound, SessionExpired, StoreUnavailable, UsageLimitReached
from engine.service import HandedIn, Turn, View
from journal import Facts
from supervisor.operator import NOT_IN_FILE
from supervisor.readings import AWAY, Work
from supervisor.reasons import WHY
from tests.fakes.sessions import FakeWeb
from tests.support.adapter import until, until_so
from tests.support.caring import TABLE, Ward, account
from tests.support.journals import served
from tests.support.operators import Office, Replica, Watcher
from tests.support.store import valkey

TWO = [account("alice", tags=("images",)), account("bob")]
CALM = {"probe_interval": 30.0, "reprobe_first": 30.0, "reprobe_max": 60.0}
"""Nothing is probed by itself while a test runs."""


@pytest.fixture
async def office(ward: Ward) -> AsyncIterator[Office]:
    office = Office(ward)
    yield office
    await office.close()


async def is_(replica: Replica, account: str, state: str) -> None:
    async def so() -> bool:
        return (await replica.standing(account)).state == state

    await until_so(so, 5)


async def test_a_view_tells_every_account_as_it_stands(office: Office) -> None:
    """In the roster's order, with what is known of cookies, sessions and models, and what happens next."""
    accounts = [*TWO, account("carol", enabled=False)]
    replica = await office.replica(FakeWeb(), accounts, ready=False, **CALM)
    await is_(replica, "alice", "active")
    await is_(replica, "bob", "active")
    await until(lambda: replica.carer.supervisor.leader.is_leader)
    await asyncio.sleep(0.1)  # the view is no older than that
    view = await replica.operator.view()
    assert [standing.id for standing in view.accounts] == ["alice", "bob", "carol"]
    alice, bob, carol = view.accounts
    assert {alice.order, bob.order} == {1, 2}
    assert (alice.state, alice.reason, alice.why, alice.cookie_source) == ("active", "", "", "file")
    assert alice.tags == ("images",)
    assert alice.models == tuple(model.id for model in TABLE)
    assert alice.session_open
    assert alice.next == "probe"
    assert alice.next_at == alice.next_probe
    assert alice.next_rotation is not None
    assert alice.cookies_at is not None
    assert alice.cookies_at <= view.now.time
    assert (carol.state, carol.reason, carol.next, carol.order) == ("disabled", "by configuration", "", 0)
    assert carol.why == WHY["disabled", "by configuration"]
    assert view.now.accounts == {"active": 2, "disabled": 1}
    assert (view.now.ready, view.now.why, view.now.store_ok) == (True, "", True)
    assert view.now.capacity == 4
    name = replica.carer.pool.replica
    assert (view.now.replica, view.now.replicas, view.now.leader) == (name, 1, name)
    assert (view.now.version, view.now.alerts_configured) == ("1.2.3", True)


async def test_who_serves_next_is_told(office: Office) -> None:
    """The least recently used account is the first in order, and moves to the end when it has served."""
    replica = await office.replica(FakeWeb(), [account(name) for name in ("a", "b", "c")], **CALM)
    watcher = Watcher(replica.operator.turns())
    await watcher.next()
    for _ in range(4):
        before = {standing.order: id for id, standing in watcher.accounts.items()}
        lease = await replica.carer.pool.lease(["gemini-flash"])
        assert lease.account == before[1]
        await lease.release()
        await watcher.until(lambda _, last=lease.account: watcher.accounts[last].order == 3)
        assert [watcher.accounts[before[2]].order, watcher.accounts[before[3]].order] == [1, 2]
    await watcher.leave()


async def test_an_account_that_expires_is_told_with_what_to_do(office: Office) -> None:
    """A turn says why it cannot serve, since when, and when it is probed next; another one that it is back."""
    web = FakeWeb()
    replica = await office.replica(web, TWO)
    watcher = Watcher(replica.operator.turns())
    assert isinstance(await watcher.next(), View)
    web.probe_errors["bob"] = web.open_errors["bob"] = SessionExpired("gone")
    turn = await watcher.until(lambda _: watcher.accounts["bob"].state == "quarantined")
    assert isinstance(turn, Turn)
    bob = watcher.accounts["bob"]
    assert (bob.reason, bob.order, bob.why) == ("expired", 0, WHY["quarantined", "expired"])
    assert bob.next == "probe"
    assert bob.next_at is not None
    assert bob.since is not None
    assert bob.since < bob.next_at
    told = [entry for what in watcher.told for entry in what.happened if entry.account == "bob"]
    assert ("state", "active", "quarantined", "expired") in [
        (e.kind, e.before, e.after, e.outcome) for e in told
    ]
    assert turn.now.accounts == {"active": 1, "quarantined": 1}
    await watcher.until(lambda _: watcher.accounts["bob"].probe_outcome == "expired")
    web.probe_errors.clear()
    web.open_errors.clear()
    await watcher.until(lambda _: watcher.accounts["bob"].state == "active")
    assert (watcher.accounts["bob"].why, watcher.accounts["bob"].order) == ("", 2)
    await watcher.leave()


async def test_a_cooldown_tells_its_end(office: Office) -> None:
    """An account that was asked too much says until when it rests, and that it returns by itself."""
    web = FakeWeb()
    replica = await office.replica(web, TWO, **CALM)
    web.generate_errors["alice"] = AccountThrottled("slow down", retry_after=20.0)
    pool = replica.carer.pool
    lease = await pool.lease(["gemini-flash"], only="alice")
    await lease.release(AccountThrottled("slow down", retry_after=20.0))
    await is_(replica, "alice", "cooling")
    alice = await replica.standing("alice")
    view = await replica.operator.view()
    assert (alice.reason, alice.why) == ("throttled", WHY["cooling", "throttled"])
    assert (alice.next, alice.next_at, alice.order) == ("return", alice.until, 0)
    assert alice.until is not None
    assert 15 < alice.until - view.now.time <= 20
    checked = await replica.operator.clear("alice", "admin:page")
    assert (checked.account.state, checked.account.until) == ("active", None)


async def test_one_reading_serves_all_who_look(office: Office) -> None:
    """Readings go on while anybody looks, no more of them for many; when the last has gone they end."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    readings = replica.readings
    watchers = [Watcher(replica.operator.turns()) for _ in range(20)]
    views = await asyncio.gather(*(watcher.next() for watcher in watchers))
    assert readings.count <= 2
    assert all(isinstance(view, View) for view in views)
    before = readings.count
    await until(lambda: readings.count >= before + 3)
    for watcher in watchers:
        await watcher.leave()
    await until(lambda: not readings.reads)
    after = readings.count
    await asyncio.sleep(0.3)
    assert readings.count == after


async def test_who_looks_again_begins_with_a_view(office: Office) -> None:
    """Whether others look or nobody does, the first that is told is everything."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    for _ in range(3):
        watcher = Watcher(replica.operator.turns())
        first = await watcher.next()
        assert isinstance(first, View)
        assert set(watcher.accounts) == {"alice", "bob"}
        await watcher.leave()


async def test_a_quiet_desk_gives_a_sign_of_life(office: Office) -> None:
    """Where nothing changes there is a turn at least every five seconds, and not every second."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    watcher = Watcher(replica.operator.turns())
    await watcher.next()
    await until(lambda: replica.carer.supervisor.leader.is_leader)
    turn = await watcher.until(
        lambda what: isinstance(what, Turn) and not (what.accounts or what.happened or what.minutes), 12
    )
    assert turn.now.time > watcher.told[0].now.time
    assert len(watcher.told) < 12
    await watcher.leave()


async def test_who_looks_slowly_gets_one_turn_for_many(office: Office) -> None:
    """Nothing piles up behind somebody who does not read: the changes come merged, the last state of each account."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    slow, quick = Watcher(replica.operator.turns()), Watcher(replica.operator.turns())
    await slow.next()
    await quick.next()
    for number in range(3):
        for action, state in ((replica.operator.disable, "disabled"), (replica.operator.enable, "active")):
            replica.journal.served(served(replica.carer.supervisor._clock.now(), f"{number}{state}"))
            await action("alice", "admin:page")
            await quick.until(lambda _, state=state: quick.accounts["alice"].state == state)
    ids = {f"{number}{state}" for number in range(3) for state in ("disabled", "active")}
    await quick.until(lambda _: ids <= {e.id for what in quick.told for e in what.served})
    turns = [what for what in quick.told if isinstance(what, Turn)]
    assert len(turns) >= 6
    turn = await slow.next()
    assert isinstance(turn, Turn)
    assert slow.accounts == quick.accounts
    assert {entry.id for entry in turn.served} == ids
    assert len([entry for entry in turn.happened if entry.kind == "state"]) == 6
    assert slow.minutes == quick.minutes
    await slow.leave()
    await quick.leave()


async def test_while_the_store_is_away_the_desk_says_so(tmp_path: Path) -> None:
    """Within two seconds, with all that was known; when it is back there is everything anew. Actions are refused
    meanwhile."""
    with valkey(tmp_path) as (process, url):
        ward = Ward(url)
        office = Office(ward)
        replica = await office.replica(FakeWeb(), TWO, every=1.0, **CALM)
        watcher = Watcher(replica.operator.turns())
        view = await watcher.next()
        process.send_signal(signal.SIGSTOP)
        try:
            turn = await watcher.until(lambda what: not what.now.store_ok, 2.0)
            assert (turn.now.ready, turn.now.why) == (False, AWAY)
            assert turn.now.time >= view.now.time
            assert set(watcher.accounts) == {"alice", "bob"}
            again = await replica.operator.view()
            assert (again.now.store_ok, len(again.accounts)) == (False, 2)
            late = Watcher(replica.operator.turns())
            assert not (await late.next()).now.store_ok
            await late.leave()
            with pytest.raises(StoreUnavailable):
                await replica.operator.disable("alice", "admin:page")
        finally:
            process.send_signal(signal.SIGCONT)
        back = await watcher.until(lambda what: what.now.store_ok, 10.0)
        assert isinstance(back, View)
        assert len(back.accounts) == 2
        await watcher.leave()
        await office.close()
        await ward.close()


async def test_a_replica_without_its_store_has_a_view(tmp_path: Path) -> None:
    """One that never reached it says so, and knows of no account."""
    ward = Ward(f"unix://{tmp_path}/nowhere")
    office = Office(ward)
    replica = await office.replica(FakeWeb(), TWO, ready=False, **CALM)
    view = await replica.operator.view()
    assert (view.now.store_ok, view.now.ready, view.now.why, view.accounts) == (False, False, AWAY, ())
    await office.close()
    await ward.close()


async def test_a_store_that_lost_its_data_is_told_anew(office: Office) -> None:
    """Who looks gets a view with what is there now, not changes to what is no more."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    watcher = Watcher(replica.operator.turns())
    await watcher.next()
    client = redis.Redis.from_url(office.ward.url)
    client.flushall()
    client.close()
    await watcher.until(lambda what: isinstance(what, View))
    await watcher.until(lambda _: {s.state for s in watcher.accounts.values()} == {"active"}, 10)
    await watcher.leave()


async def test_an_account_that_is_no_more_is_gone(office: Office) -> None:
    """A turn names it, the log over all accounts tells it, and what is done with it is refused by name."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    watcher = Watcher(replica.operator.turns())
    await watcher.next()
    await replica.carer.pool.apply((), (), ("bob",))
    turn = await watcher.until(lambda what: isinstance(what, Turn) and what.gone)
    assert set(watcher.accounts) == {"alice"}
    assert [(e.before, e.after, e.outcome) for e in turn.happened if e.account == "bob"] == [
        ("active", "", "removed")
    ]
    operator = replica.operator
    for call in (operator.probe, operator.enable, operator.disable, operator.clear):
        with pytest.raises(NotFound, match="bob"):
            await call("bob", "admin:page")
    with pytest.raises(NotFound, match="bob"):
        await operator.history("bob")
    await watcher.leave()


async def test_what_people_did_is_in_the_accounts_history(office: Office) -> None:
    """Newest first: who did what, what probes told, handed-in cookies, and every change of state."""
    web = FakeWeb()
    replica = await office.replica(web, TWO, **CALM)
    operator = replica.operator
    assert (await operator.disable("bob", "admin:page")).account.why == WHY["disabled", "by hand"]
    assert (await operator.enable("bob", "ann")).account.state == "active"
    web.probe_errors["bob"] = web.open_errors["bob"] = SessionExpired("the session is a guest's")
    checked = await operator.probe("bob", "ann")
    assert (checked.outcome, checked.account.state) == ("expired", "quarantined")
    assert checked.detail == "the session is a guest's"
    web.open_errors.clear()
    web.probe_errors.clear()
    fresh = account("bob").secure_1psidts
    await replica.carer.supervisor.replace_cookies("bob", HandedIn(account("fresh").secure_1psid, fresh))
    assert (await replica.standing("bob")).state in ("quarantined", "active")
    await replica.journal.flush()
    history = await operator.history("bob")
    assert [e.at for e in history] == sorted((e.at for e in history), reverse=True)
    # The store writes down the changes of state, the replica all else; between the two the order is that of milliseconds.
    states = [(e.outcome, e.before, e.after) for e in history[::-1] if e.kind == "state"]
    assert states == [
        ("", "", "starting"),
        ("", "starting", "active"),
        ("by hand", "active", "disabled"),
        ("", "disabled", "active"),
        ("expired", "active", "quarantined"),
        ("", "quarantined", "active"),
    ]
    others = [(e.kind, e.outcome) for e in history[::-1] if e.kind != "state"]
    assert others == [
        ("operator", "disable"),
        ("operator", "enable"),
        ("probe", "expired"),
        ("operator", "probe"),
        ("cookies", "well"),
    ]
    assert [e.detail for e in history if e.kind == "operator"] == ["ann", "ann", "admin:page"]
    assert [e.account for e in await operator.history("alice")] == ["alice"] * 2
    await asyncio.sleep(0.1)  # the view is no older than that
    assert (await replica.standing("bob")).cookie_source == "api"


async def test_enabling_what_the_file_disables_says_where(office: Office) -> None:
    """The account stays as it is, and the answer names the remedy."""
    replica = await office.replica(
        FakeWeb(), [account("alice"), account("bob", enabled=False)], ready=False, **CALM
    )
    checked = await replica.operator.enable("bob", "admin:page")
    assert (checked.account.state, checked.detail) == ("disabled", NOT_IN_FILE)


async def test_a_well_account_that_is_probed_says_well(office: Office) -> None:
    """And what the probe told is shown at once."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    checked = await replica.operator.probe("alice", "admin:page")
    assert (checked.outcome, checked.detail, checked.account.probe_outcome) == ("well", "", "well")


async def test_two_replicas_are_one_desk(office: Office) -> None:
    """Requests, happenings, numbers and broken files of both are told by either; who came and went is told, too."""
    web = FakeWeb()
    one = await office.replica(web, TWO, **CALM)
    watcher = Watcher(one.operator.turns())
    await watcher.next()
    two = await office.replica(web, TWO, **CALM)
    names = {replica.carer.pool.replica for replica in (one, two)}
    await watcher.until(lambda what: what.now.replicas == 2)
    one.work = Work(3, 2, 1)
    one.facts = Facts(1, {"/etc/a": "line 1: bad"})
    two.facts = Facts(2, {"/etc/b": "line 2: worse"})
    for number, replica in enumerate((one, two)):
        clock = replica.carer.supervisor._clock
        replica.journal.served(served(clock.now(), f"r{number}"))
    await watcher.until(lambda what: what.now.alerts_pending == 3, 15)
    now = watcher.told[-1].now
    assert now.broken_files == {"/etc/a": "line 1: bad", "/etc/b": "line 2: worse"}
    assert (now.batches_open, now.tasks_waiting, now.tasks_running) == (3, 2, 1)
    for replica in (one, two):
        await asyncio.sleep(0.1)  # the view is no older than that
        view = await replica.operator.view()
        assert {entry.id for entry in view.served} == {"r0", "r1"}
        assert sum(minute.served["ok"] for minute in view.minutes) == 2
        assert {entry.replica for entry in view.happened if entry.kind == "replica"} == names
        leaders = [entry for entry in view.happened if entry.kind == "leader"]
        assert [(entry.outcome, view.now.leader) for entry in leaders] == [("leads", one.carer.pool.replica)]
    await two.carer.close()
    await watcher.until(lambda what: what.now.replicas == 1)
    gone = [e for what in watcher.told for e in what.happened if (e.kind, e.outcome) == ("replica", "left")]
    assert [entry.replica for entry in gone] == [two.carer.pool.replica]
    await watcher.leave()


async def test_watching_ends_when_the_gateway_stops(office: Office) -> None:
    """Nobody is left waiting for a turn that will not come."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    turns = replica.operator.turns()
    await anext(turns)
    replica.operator.interrupt()
    assert [what async for what in turns] == []
    with pytest.raises(StopAsyncIteration):
        await anext(replica.operator.turns())


async def test_models_that_rest_are_told(office: Office) -> None:
    """A usage limit of one model says until when, and the account goes on with the others."""
    replica = await office.replica(FakeWeb(), TWO, **CALM)
    lease = await replica.carer.pool.lease(["gemini-pro"], only="alice")
    await lease.release(UsageLimitReached("no more pro today"))
    await until_so(lambda: _rests(replica))
    alice = await replica.standing("alice")
    assert [(rest.model, rest.reason) for rest in alice.resting] == [("gemini-pro", "usage_limit")]
    assert alice.state == "active"


async def _rests(replica: Replica) -> bool:
    return bool((await replica.standing("alice")).resting)
