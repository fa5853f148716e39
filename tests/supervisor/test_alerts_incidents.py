"""What is worth an alert, and how it reads."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool import State, StateChange
from supervisor.incidents import (
    Incident,
    account_incidents,
    incidents_of,
    pool_incidents,
    pool_level,
)
from supervisor.notes import ID_BYTES, note_id, note_of

STATES = ("active", "cooling", "starting", "quarantined", "disabled", "draining")
counts = st.dictionaries(st.sampled_from(STATES), st.integers(0, 6), max_size=6)
ENOUGH = {"active": 9}


def change_of(before: str | None, after: str, reason: str = "", account: str = "a") -> StateChange:
    return StateChange(account, None if before is None else State(before), State(after), reason, 0.0)


def kinds(change: StateChange, egress: str = "") -> list[tuple[str, str]]:
    return [(i.kind, i.subject) for i in incidents_of(change, ENOUGH, ENOUGH, egress=egress)]


@pytest.mark.parametrize(
    ("change", "egress", "expected"),
    [
        (change_of("active", "quarantined", "expired"), "", [("expired", "account:a")]),
        (change_of("starting", "quarantined", "location"), "", [("rejected", "account:a")]),
        (change_of("quarantined", "active"), "", [("recovered", "account:a")]),
        (change_of("quarantined", "cooling", "throttled"), "", [("recovered", "account:a")]),
        (change_of("quarantined", "disabled", "by hand"), "", [("recovered", "account:a")]),
        (change_of("active", "cooling", "ip_blocked"), "proxy-1", [("ip_blocked", "egress:proxy-1")]),
        (change_of("cooling", "active", ""), "proxy-1", [("recovered", "egress:proxy-1")]),
        (change_of("active", "cooling", "throttled"), "proxy-1", []),
        (change_of("active", "quarantined", "by hand"), "", []),
        (change_of("starting", "starting"), "", []),
        (change_of(None, "active"), "", []),
        (change_of(None, "quarantined", "expired"), "", [("expired", "account:a")]),
    ],
)
def test_a_change_means_what_it_means(
    change: StateChange, egress: str, expected: list[tuple[str, str]]
) -> None:
    """Expired and rejected are told, a short rest is not; what the operator did himself is no incident."""
    assert kinds(change, egress) == expected


def test_a_blocked_address_is_one_incident_for_all_behind_it() -> None:
    """Five accounts behind one proxy are blocked together and make one alert."""
    changes = [change_of("active", "cooling", "ip_blocked", f"a{n}") for n in range(5)]
    assert {subject for change in changes for _, subject in kinds(change, "direct")} == {"egress:direct"}


def test_the_pool_is_judged_when_its_level_changes() -> None:
    """From enough to too few to none and back, one incident a step; numbers go with it."""
    change = change_of("active", "cooling", "throttled")

    def told(before: int, after: int) -> list[tuple[str, int, int]]:
        found = incidents_of(
            change,
            {"active": before, "quarantined": 5 - before},
            {"active": after, "quarantined": 5 - after},
            3,
        )
        return [(i.kind, i.well, i.total) for i in found]

    assert told(5, 4) == []
    assert told(3, 2) == [("pool_below", 2, 5)]
    assert told(1, 0) == [("pool_empty", 0, 5)]
    assert told(2, 3) == []
    assert told(3, 4) == [("recovered", 4, 5)]


def test_counts_that_are_not_known_yet_say_nothing() -> None:
    """A replica that has not heard from the store raises no alarm."""
    change = change_of("starting", "active")
    assert all(i.account for i in incidents_of(change, {}, {}, 3))


def test_accounts_that_start_or_cool_are_not_missing() -> None:
    """A start and a burst of 429s ring nobody's phone; a start without end does."""
    assert pool_level({"starting": 3, "cooling": 1}, 2) == "well"
    assert pool_level({"starting": 3}, 1, starting_is_well=False) == "empty"
    assert pool_level({"disabled": 3}, 1) == "well"
    assert pool_level({}, 1) == "well"


def test_one_of_one_is_well() -> None:
    """The all-clear's margin never asks for more accounts than there are."""
    assert pool_level({"active": 1}, 1) == "well"
    assert pool_level({"active": 2}, 5) == "well"
    assert pool_level({"active": 1, "quarantined": 1}, 5) == "below"


@given(counts, st.integers(0, 8))
def test_a_pool_with_everybody_well_is_well(states: dict[str, int], minimum: int) -> None:
    """However high the threshold is set."""
    assert pool_level({**states, "quarantined": 0}, minimum) == "well"


@given(counts, st.integers(0, 8))
def test_one_more_that_is_well_never_makes_it_worse(states: dict[str, int], minimum: int) -> None:
    """Levels follow the number of well accounts."""
    order = ["empty", "below", "between", "well"]
    sick = states.get("quarantined", 0)
    if sick:
        better = {**states, "quarantined": sick - 1, "active": states.get("active", 0) + 1}
        assert order.index(pool_level(better, minimum)) >= order.index(pool_level(states, minimum))


@given(counts, st.integers(0, 8))
def test_an_alert_and_an_all_clear_never_come_at_once(states: dict[str, int], minimum: int) -> None:
    """At most one incident about the pool."""
    assert len(pool_incidents(states, minimum)) <= 1


@given(st.text(max_size=200), st.sampled_from(["gempool", "home", "x" * 100]))
def test_ids_fit_apns(name: str, environment: str) -> None:
    """64 bytes at most, whatever the name."""
    assert len(note_id(f"account:{name}", environment).encode()) <= ID_BYTES


def test_the_all_clear_takes_the_alerts_place() -> None:
    """Same id for the same subject; accounts, ways out, files and the pool have different ones."""
    alert, clear = (note_of(Incident(kind, account="alice"), "gempool") for kind in ("expired", "recovered"))  # type: ignore[arg-type]
    assert alert.id == clear.id == "gw-alice"
    others = [
        Incident("ip_blocked", egress="direct"),
        Incident("config_broken", file="f"),
        Incident("pool_empty"),
    ]
    assert len({note_of(i, "gempool").id for i in others} | {alert.id}) == 4
    assert note_of(Incident("expired", account="alice"), "home").id != alert.id


def test_every_kind_says_what_to_do() -> None:
    """No words are missing, and the link leads to the account where there is one."""
    incidents = [
        i for s in ("quarantined", "cooling") for i in account_incidents("a", s, "ip_blocked", "proxy-1")
    ]
    incidents += [
        Incident("expired", account="a"),
        Incident("pool_below", well=1, total=3),
        Incident("pool_empty", total=3),
        Incident("config_broken", file="accounts.yaml", detail="line 3"),
        Incident("recovered", account="a", detail="disabled"),
        Incident("recovered", egress="direct"),
        Incident("recovered", file="accounts.yaml"),
        Incident("recovered", well=3, total=3),
    ]
    notes = [note_of(incident, "home", "https://x.example/admin/") for incident in incidents]
    assert all(note.title.startswith("home: ") and note.body.endswith((".", "3")) for note in notes)
    assert {note.url for note in notes} == {"https://x.example/admin", "https://x.example/admin#account-a"}
    assert note_of(Incident("pool_empty"), "home").url == ""
