"""What an account needs, as laws over any record."""

import math

from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs

from pool.account import Cooldown, Record, State, state_of
from supervisor.policy import need, plan
from supervisor.settings import SupervisorSettings

SETTINGS = SupervisorSettings(probe_interval=300, rotate_interval=600, reprobe_first=30, reprobe_max=1800)
NOW = 1_000_000.0

times = st.one_of(st.just(0.0), st.floats(NOW - 100_000, NOW))
records = st.builds(
    Record,
    id=st.sampled_from(["alice", "bob", "carol"]),
    revision=st.just("r"),
    max_concurrency=st.just(2),
    min_interval=st.just(0.0),
    egress=st.just("direct"),
    lanes=st.just(("flash",)),
    in_flight=st.integers(0, 2),
    last_used=times,
    use_order=st.just(1),
    enabled=st.booleans(),
    disabled_by_hand=st.booleans(),
    removed=st.booleans(),
    opened=st.booleans(),
    quarantine=st.sampled_from(["", "expired", "rejected"]),
    quarantined_at=times,
    cooldown=st.one_of(st.none(), st.builds(Cooldown, st.floats(NOW, NOW + 100), st.just("throttled"))),
    lane_cooldowns=st.just({}),
    consecutive_failures=st.just(0),
    times_ejected=st.just(0),
    throttle_level=st.just(0),
    half_open=st.booleans(),
    last_resort=st.booleans(),
    changed_at=times,
    offered_json=st.just("[]"),
    proved_at=times,
    probed_at=times,
    probe_failures=st.integers(0, 100),
    cookies_at=times,
    rotation_tried_at=times,
    rotation_failures=st.integers(0, 100),
)


@given(records)
def test_only_accounts_that_may_serve_are_cared_for(record: Record) -> None:
    """Disabled, removed and never opened accounts are left alone; one in quarantine is probed, never rotated."""
    state, _ = state_of(record, NOW)
    found = plan(record, NOW, SETTINGS)
    if state in (State.DISABLED, State.DRAINING, State.STARTING):
        assert (found.probe, found.rotate, need(record, NOW, SETTINGS)) == (None, None, "nothing")
    elif state is State.QUARANTINED:
        assert found.probe is not None
        assert found.rotate is None
    else:
        assert found.probe is not None
        assert found.rotate is not None


@given(records, st.floats(0, 100_000))
def test_the_plan_is_the_same_for_every_replica_and_holds_until_something_happens(
    record: Record, later: float
) -> None:
    """Nothing in it depends on when or where it is reckoned, and what is due stays due."""
    record = structs.replace(record, cooldown=None)
    assert plan(record, NOW, SETTINGS) == plan(record, NOW + later, SETTINGS)
    if need(record, NOW, SETTINGS) != "nothing":
        assert need(record, NOW + later, SETTINGS) != "nothing"


@given(records)
def test_a_well_account_is_never_unproved_for_longer_than_an_interval(record: Record) -> None:
    """A probe is due within one interval of the last proof, and not before most of it has passed."""
    record = structs.replace(record, enabled=True, disabled_by_hand=False, removed=False, opened=True)
    record = structs.replace(record, quarantine="")
    probe = plan(record, NOW, SETTINGS).probe
    assert probe is not None
    proved = max(record.proved_at, record.probed_at)
    assert probe <= proved + SETTINGS.probe_interval
    if record.probed_at == 0 or proved - record.probed_at < 11 * SETTINGS.probe_interval:
        assert probe >= proved + 0.8 * SETTINGS.probe_interval


@given(records)
def test_cookies_are_rotated_before_they_are_old(record: Record) -> None:
    """The first attempt is due before the interval is over; after failures the next one waits, but never longer
    than an interval."""
    record = structs.replace(record, enabled=True, disabled_by_hand=False, removed=False, opened=True)
    record = structs.replace(record, quarantine="")
    rotate = plan(record, NOW, SETTINGS).rotate
    assert rotate is not None
    if record.rotation_failures == 0:
        assert record.cookies_at + 0.8 * 600 <= rotate < record.cookies_at + 600
    else:
        assert rotate <= max(record.cookies_at, record.rotation_tried_at) + 600


@given(records, st.integers(0, 60))
def test_waits_in_quarantine_grow_to_their_bound(record: Record, failures: int) -> None:
    """Each probe that failed doubles the wait, from `reprobe_first` to `reprobe_max`, a tenth more or less."""
    record = structs.replace(record, enabled=True, disabled_by_hand=False, removed=False)
    record = structs.replace(record, quarantine="expired", probe_failures=failures)
    probe = plan(record, NOW, SETTINGS).probe
    assert probe is not None
    wait = probe - max(record.quarantined_at, record.probed_at)
    wanted = min(1800.0, 30.0 * 2**failures)
    assert 0.9 * wanted - 1e-3 <= wait <= 1.1 * wanted + 1e-3
    assert math.isfinite(wait)


def test_traffic_excuses_only_so_many_probes() -> None:
    """A guest's session answers prompts as well: an account in constant use is probed now and then."""
    record = Record(
        **dict.fromkeys(("revision", "egress", "quarantine", "offered_json"), ""),  # type: ignore[arg-type]
        id="alice", max_concurrency=1, min_interval=0, lanes=(), in_flight=0, last_used=0, use_order=0, enabled=True,
        disabled_by_hand=False, removed=False, opened=True, quarantined_at=0, cooldown=None, lane_cooldowns={},
        consecutive_failures=0, times_ejected=0, throttle_level=0, half_open=False, last_resort=False, changed_at=0,
        cookies_at=NOW,
    )  # fmt: skip
    busy = structs.replace(record, proved_at=NOW, probed_at=NOW - 2 * 300)
    assert need(busy, NOW, SETTINGS) == "nothing"
    assert need(structs.replace(busy, probed_at=NOW - 13 * 300), NOW, SETTINGS) == "probe"
