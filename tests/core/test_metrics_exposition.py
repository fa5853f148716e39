"""What a scraper reads is well formed, and says what was counted."""

import math
import threading
from collections.abc import Iterable

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import generate_latest
from prometheus_client.parser import text_string_to_metric_families

from core.instruments import PIECE, Families
from core.metrics import STATES, Metrics

Samples = dict[tuple[str, frozenset[tuple[str, str]]], float]


def shown(pieces: Iterable[str]) -> Samples:
    """What a parser of Prometheus' format reads: each series' name and labels, and its value."""
    found: Samples = {}
    for family in text_string_to_metric_families("".join(pieces)):
        for sample in family.samples:
            key = sample.name, frozenset(sample.labels.items())
            assert key not in found, key
            found[key] = sample.value
    return found


def all_of(families: Families) -> list[str]:
    return [piece for family in families.all for piece in family.pieces()]


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return shown(metrics.pieces()).get((name, frozenset(labels.items())))


ACCOUNTS = st.sampled_from(["alice", "bob", 'quo"te', "back\\slash", "new\nline", "ünï", "a,b={}"])
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("count"), ACCOUNTS, st.floats(0, 1e12)),
        st.tuples(st.just("set"), ACCOUNTS, st.floats(allow_nan=False)),
        st.tuples(st.just("observe"), ACCOUNTS, st.floats(-1, 1e6)),
        st.tuples(st.just("show"), ACCOUNTS, st.just(0.0)),
    ),
    max_size=40,
)


@given(STEPS)
def test_it_says_what_prometheus_own_library_would(steps: list[tuple[str, str, float]]) -> None:
    """Whatever was counted, and shown in between: parsed, it is the same as that library's text of the same."""
    metrics = Metrics()
    for step, account, number in steps:
        if step == "count":
            metrics.upstream_calls.labels(account, "ok").inc(number)
        elif step == "set":
            metrics.account_proved.labels(account).set(number)
        elif step == "observe":
            metrics.request_seconds.labels(account, "text").observe(number)
            metrics.upstream_seconds.labels(account).observe(number)
        else:
            list(metrics.pieces())
    ours = shown(metrics.pieces())
    theirs = shown([generate_latest(metrics.registry).decode()])
    moving = {key for key in ours if key[0].startswith("process_")}
    assert ours.keys() == theirs.keys()
    assert {key: ours[key] for key in ours.keys() - moving} == {
        key: theirs[key] for key in theirs.keys() - moving
    }


def test_a_histogram_adds_up() -> None:
    """Each bucket holds what is at most its bound, the last one all; count and sum go with it."""
    families = Families()
    histogram = families.histogram("h_seconds", "h", (0.1, 1.0)).labels()
    for seconds in (0.05, 0.1, 0.5, 3.0):
        histogram.observe(seconds)
    found = {
        (name, dict(labels).get("le")): number for (name, labels), number in shown(all_of(families)).items()
    }
    assert found == {
        ("h_seconds_bucket", "0.1"): 2,
        ("h_seconds_bucket", "1.0"): 3,
        ("h_seconds_bucket", "+Inf"): 4,
        ("h_seconds_count", None): 4,
        ("h_seconds_sum", None): 3.65,
    }


@pytest.mark.parametrize("number", [0, 1, 1.5, -2, 1e-9, 1732240000.123456, math.inf, -math.inf, True])
def test_a_gauge_shows_any_number(number: float) -> None:
    """To its last digit, also where it moved before."""
    families = Families()
    gauge = families.gauge("g", "g").labels()
    for now in (7, number):
        gauge.set(now)
        assert shown(all_of(families)) == {("g", frozenset()): now}


def test_a_number_that_is_none_is_shown_as_such() -> None:
    """NaN is a word of the format."""
    families = Families()
    families.gauge("g", "g").labels().set(math.nan)
    (found,) = shown(all_of(families)).values()
    assert math.isnan(found)


def test_many_series_come_in_pieces() -> None:
    """Others have their turn between them; put together they are whole, each series in one of them."""
    families = Families()
    family = families.histogram("h_seconds", "h", (1.0,), account="an account")
    for n in range(2 * PIECE + 1):
        family.labels(f"a{n}").observe(n)
    pieces = all_of(families)
    assert len(pieces) == 3
    assert max(piece.count("h_seconds_count{") for piece in pieces) == PIECE
    assert len(shown(pieces)) == 4 * (2 * PIECE + 1)
    for piece in pieces[1:]:
        assert piece.startswith("h_seconds_bucket{")


def test_what_is_known_beforehand_is_there_from_the_start() -> None:
    """So a rate sees the first step: it goes from 0 to 1, not from nothing."""
    metrics = Metrics()
    assert value(metrics, "gempool_rate_limited_total", scope="caller") == 0
    assert value(metrics, "gempool_batch_tasks_total", kind="chat", outcome="retried") == 0
    assert value(metrics, "gempool_stage_duration_seconds_count", stage="queue") == 0
    assert value(metrics, "gempool_stream_rewrites_total") == 0
    assert value(metrics, "gempool_probes_total", account="alice", outcome="well") is None


def test_accounts_that_are_no_more_are_not_shown() -> None:
    """In any family; not even where a last call of theirs ends later. One that comes back is shown anew."""
    metrics = Metrics()

    def move(account: str) -> None:
        metrics.upstream_calls.labels(account, "ok").inc()
        metrics.upstream_seconds.labels(account).observe(1)
        for state in STATES:
            metrics.account_state.labels(account, state).set(state == "active")

    def seen() -> set[str]:
        return {dict(labels)["account"] for _, labels in shown(metrics.pieces()) if "account" in dict(labels)}

    move("alice")
    move("bob")
    metrics.only_accounts(["alice", "bob"])
    assert seen() == {"alice", "bob"}
    metrics.only_accounts(["alice"])
    assert seen() == {"alice"}
    metrics.upstream_calls.labels("bob", "cancelled").inc()
    metrics.only_accounts(["alice"])
    assert seen() == {"alice"}
    metrics.only_accounts(["alice", "bob"])
    move("bob")
    assert value(metrics, "gempool_upstream_calls_total", account="bob", outcome="ok") == 1


def test_threads_lose_nothing() -> None:
    """Pictures are worked on in threads, which count too."""
    families = Families()
    counter = families.counter("c_total", "c", word=("a",))
    histogram = families.histogram("h_seconds", "h", (1.0,)).labels()

    def count() -> None:
        for _ in range(5_000):
            counter.labels("a").inc()
            histogram.observe(0.5)

    threads = [threading.Thread(target=count) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = shown(all_of(families))
    assert found["c_total", frozenset({("word", "a")})] == 20_000
    assert found["h_seconds_count", frozenset()] == 20_000
    assert found["h_seconds_sum", frozenset()] == 10_000


def test_a_counter_only_grows() -> None:
    """What would make it fall is a fault of ours, as is a label too few or too many."""
    families = Families()
    counter = families.counter("c_total", "c", word=("a",))
    with pytest.raises(ValueError, match="only grows"):
        counter.labels("a").inc(-1)
    with pytest.raises(ValueError, match="labels word"):
        counter.labels()
    with pytest.raises(ValueError, match="labels word"):
        counter.labels("a", "b")
