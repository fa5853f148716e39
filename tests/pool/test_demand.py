from pool.demand import WINDOW, Demand


class Time:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def test_the_most_of_late_is_remembered() -> None:
    """What was used at once counts for a while after it has ended."""
    time = Time()
    demand = Demand(time)
    assert demand.peak() == 0
    for _ in range(3):
        demand.begin()
    demand.end()
    demand.end()
    time.now += WINDOW - 1
    demand.begin()
    assert demand.peak() == 3
    time.now += 2
    assert demand.peak() == 2


def test_what_lasts_counts_for_as_long_as_it_lasts() -> None:
    """A request that has an account for longer than is remembered is still there."""
    time = Time()
    demand = Demand(time)
    demand.begin()
    time.now += 10 * WINDOW
    assert demand.peak() == 1
    demand.end()
    assert demand.peak() == 0
