"""Why no account can serve, as an operator reads it."""

from collections.abc import Mapping, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.account import State
from pool.outage import outage

Q, D, S, A, C = State.QUARANTINED, State.DISABLED, State.STARTING, State.ACTIVE, State.COOLING


@pytest.mark.parametrize(
    ("states", "known", "opening", "why"),
    [
        ({}, [], True, "The accounts are being opened."),
        ({S: 3}, [(S, "")] * 3, True, "The accounts are being opened."),
        ({S: 2}, [(S, "")] * 2, False, "No account can serve: 2 have not been opened yet."),
        (
            {Q: 2},
            [(Q, "expired"), (Q, "expired")],
            False,
            "No account can serve: 2 are quarantined (expired).",
        ),
        (
            {Q: 3, D: 1},
            [(Q, "expired"), (Q, "terms_pending"), (Q, "expired"), (D, "by hand")],
            False,
            "No account can serve: 3 are quarantined (2 expired, 1 terms pending), 1 is disabled (by hand).",
        ),
        ({Q: 1, S: 2}, [], True, "No account can serve: 1 is quarantined, 2 are being opened."),
        ({A: 1, C: 2}, [], False, "No account can serve: 1 has no open session here, 2 rest and have no open session here."),
        ({}, [], False, "No account can serve."),
    ],
)  # fmt: skip
def test_it_counts_the_accounts_by_what_is_wrong(
    states: Mapping[str, int], known: Sequence[tuple[State, str]], opening: bool, why: str
) -> None:
    """How many are in which state, and why; while the first sessions are being opened nothing is wrong."""
    assert outage(states, known, open_here=0, opening=opening) == why


@given(
    st.dictionaries(st.sampled_from([Q, D, S]), st.integers(1, 9)),
    st.lists(st.tuples(st.sampled_from([Q, D, S]), st.sampled_from(["", "expired", "by hand"]))),
)
def test_reasons_are_told_only_where_they_are_known(
    states: Mapping[State, int], known: Sequence[tuple[State, str]]
) -> None:
    """What this replica learnt may be older than the count: where the two differ, only the count is told."""
    told = outage({str(state): count for state, count in states.items()}, known, open_here=1, opening=False)
    for state, count in states.items():
        if sum(one == state for one, _ in known) != count:
            part = next(part for part in told.split(": ")[1].split(", ") if _words(state) in part)
            assert "(" not in part
            assert part.startswith(f"{count} ")


def _words(state: State) -> str:
    return {Q: "quarantined", D: "disabled", S: "opened"}[state]
