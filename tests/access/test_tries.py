"""How often somebody may be wrong."""

from hypothesis import given
from hypothesis import strategies as st

from access import Rate, Tries

TEN = Rate(10, 60.0)


@given(st.lists(st.tuples(st.sampled_from("ab"), st.integers(0, 120)), max_size=120))
def test_no_window_has_more_failures_than_the_rate(moves: list[tuple[str, int]]) -> None:
    """Whoever asks before each try, and waits as long as is said, never fails more than ten times in any minute, and is never
    kept waiting with fewer."""
    tries = Tries(TEN)
    now = 1000.0
    failed: dict[str, list[float]] = {"a": [], "b": []}
    for site, pause in moves:
        now += pause / 4  # exact in binary
        lately = [at for at in failed[site] if at > now - 60.0]
        wait = tries.wait(site, now)
        assert (wait > 0) is (len(lately) >= 10)
        if wait == 0:
            tries.failed(site, now)
            failed[site].append(now)
        else:
            assert tries.wait(site, now + wait) == 0


def test_memory_is_bounded() -> None:
    """Of more sites than are remembered those stay that failed last."""
    tries = Tries(Rate(1, 60.0), most=100)
    for n in range(1000):
        tries.failed(str(n), 0.0)
    assert len(tries) == 100
    assert tries.wait("999", 1.0) > 0
    assert tries.wait("0", 1.0) == 0
