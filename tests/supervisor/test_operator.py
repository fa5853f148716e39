"""The operator's desk over real pools on one store."""

from collections.abc import AsyncIterator

import pytest

from core.errors import NotFound, SessionExpired
from engine.service import Turn, View
from journal import Facts
from supervisor.operator import NOT_IN_FILE
from supervisor.readings import Work
from supervisor.reasons import WHY
from tests.fakes.sessions import FakeWeb
from tests.support.adapter import until_so
from tests.support.caring import TABLE, Ward, account
from tests.support.journals import served
from tests.support.operators import Office, Watcher

THREE = [account("alice", tags=("images",)), account("bob"), account("carol", enabled=False)]


@pytest.fixture
async def office(ward: Ward) -> AsyncIterator[Office]:
    office = Office(ward)
    yield office
    await office.close()


async def test_a_view_tells_every_account_as_it_stands(office: Office) -> None:
    """In the roster's order, with what is known of cookies, sessions, models and what happens next."""
    replica = await office.replica(FakeWeb(), THREE, ready=False, probe_interval=30.0)
    await until_so(lambda: _states(replica, alice="active", bob="active"))
    view = await replica.operator.view()
    assert [standing.id for standing in view.accounts] == ["alice", "bob", "carol"]
    alice, bob, carol = view.accounts
    assert {alice.order, bob.order} == {1, 2}
    assert (alice.state, alice.reason, alice.why, alice.cookie_source) == ("active", "", "", "file")
    assert alice.tags == ("images",)
    assert alice.models == tuple(model.id for model in TABLE)
    assert alice.session_open
    assert alice.next == "rotation"
    assert alice.next_at == alice.next_rotation
    assert alice.next_probe is not None
    assert alice.cookies_at is not None
    assert alice.cookies_at <= view.now.time
    assert (carol.state, carol.reason, carol.next, carol.order) == ("disabled", "by configuration", "", 0)
    assert carol.why == WHY["disabled", "by configuration"]
    assert view.now.accounts == {"active": 2, "disabled": 1}
    assert (view.now.ready, view.now.why, view.now.store_ok) == (True, "", True)
    assert view.now.capacity == 4
    assert (view.now.replica, view.now.replicas) == (replica.carer.pool.replica, 1)
    assert (view.now.version, view.now.alerts_configured) == ("1.2.3", True)
    await until_so(lambda: _leads(replica))


async def _leads(replica: "Office | object") -> bool:
    view = await replica.operator.view()  # type: ignore[attr-defined]
    return bool(view.now.leader == view.now.replica)


async def _states(replica: object, **states: str) -> bool:
    view = await replica.operator.view()  # type: ignore[attr-defined]
    found = {standing.id: standing.state for standing in view.accounts}
    return states.items() <= found.items()
