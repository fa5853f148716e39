"""What those who look are told, as laws."""

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from engine.service import Now, Standing, Turn, View
from journal import Mark, Minute, News
from pool import Change, Changes
from supervisor.outlook import HAPPENED, SERVED, TURN_SERVED, merged, says_something, turned, whole
from tests.support.journals import happened, served

NOW = Now(
    time=60_000.0, ready=True, why="", store_ok=True, accounts={}, capacity=0, in_flight=0, waiting=0, replica="r", replicas=1,
    leader="r", version="1", started=0.0, alerts_pending=0, alerts_configured=False, batches_open=0, tasks_waiting=0,
    tasks_running=0, broken_files={},
)  # fmt: skip
STANDING = Standing(
    id="", state="active", reason="", why="", since=None, until=None, next="", next_at=None, order=0, in_flight=0,
    max_concurrency=1, min_interval=0.0, last_used=None, cookies_at=None, cookie_source="file", rotation_at=None,
    rotation_outcome="", next_rotation=None, proved_at=None, probed_at=None, probe_outcome="", next_probe=None, failures=0,
    last_resort=False, session_open=True, egress="direct",
)  # fmt: skip


def _standings(found: dict[str, int], line: list[str]) -> tuple[Standing, ...]:
    """line: who serves next, of those that can."""
    return tuple(
        replace(STANDING, id=id, in_flight=n, order=line.index(id) + 1 if id in line else 0)
        for id, n in sorted(found.items())
    )


accounts = st.dictionaries(st.sampled_from("abcd"), st.integers(0, 3), max_size=4).flatmap(
    lambda found: st.lists(st.sampled_from(sorted(found) or ["a"]), unique=True).map(
        lambda line: _standings(found, [id for id in line if id in found])
    )
)
minutes = st.dictionaries(st.integers(0, 3), st.integers(1, 9), max_size=3).map(
    lambda found: tuple(
        Minute(59_940 + 60 * n, {}, {"ok": count}, {}, {}) for n, count in sorted(found.items())
    )
)
readings = st.lists(
    st.tuples(accounts, minutes, st.integers(0, 3), st.integers(0, 2)), min_size=2, max_size=8
)


def _read(
    step: int, reading: tuple[tuple[Standing, ...], tuple[Minute, ...], int, int]
) -> tuple[Now, tuple[Standing, ...], Changes, News]:
    standings, counted, requests, happenings = reading
    now = replace(NOW, time=NOW.time + step)
    changes = tuple(
        Change(now.time - n / 10, "active", account="a", from_="cooling") for n in range(happenings)
    )
    news = News(
        now.time,
        Mark(),
        tuple(served(now.time - n / 10, f"{step}.{n}") for n in range(requests)),
        tuple(happened(now.time - 0.05 - n / 10, f"{step}.{n}") for n in range(happenings)),
        counted,
        {},
    )
    return now, standings, Changes(now.time, 0, "", changes, 1), news


class Page:
    """Applies what it is told."""

    def __init__(self, view: View) -> None:
        self.accounts = {standing.id: standing for standing in view.accounts}
        self.minutes = {minute.start: minute for minute in view.minutes}
        self.served = [entry.id for entry in view.served]
        self.happened = list(view.happened)

    def apply(self, turn: Turn) -> None:
        self.accounts.update((standing.id, standing) for standing in turn.accounts)
        for id in turn.gone:
            self.accounts.pop(id, None)  # it may have come and gone in between
        if turn.order is not None:
            self.accounts = {
                id: replace(standing, order=turn.order.index(id) + 1 if id in turn.order else 0)
                for id, standing in self.accounts.items()
            }
        self.minutes.update((minute.start, minute) for minute in turn.minutes)
        self.served = [*(entry.id for entry in turn.served), *self.served]
        self.happened = [*turn.happened, *self.happened]

    def agrees_with(self, view: View) -> None:
        assert self.accounts == {standing.id: standing for standing in view.accounts}
        assert self.minutes == {minute.start: minute for minute in view.minutes}
        assert self.served == [entry.id for entry in view.served]
        assert self.happened == list(view.happened)


@given(readings, st.data())
def test_turns_tell_what_a_view_would(
    all_: list[tuple[tuple[Standing, ...], tuple[Minute, ...], int, int]], data: st.DataObject
) -> None:
    """Whoever applies every turn, or any of them merged, knows what somebody knows who asks for everything."""
    view = whole(*_read(0, all_[0]))
    quick, slow = Page(view), Page(view)
    untold: Turn | None = None
    for step, reading in enumerate(all_[1:], 1):
        view, turn = turned(view, *_read(step, reading))
        quick.apply(turn)
        quick.agrees_with(view)
        untold = turn if untold is None else merged(untold, turn)
        if data.draw(st.booleans()):
            slow.apply(untold)
            untold = None
            slow.agrees_with(view)


def test_a_turn_of_the_line_is_short() -> None:
    """Where an account has served, the others have moved up: a list of names tells it, not each of them whole."""
    line = tuple(replace(STANDING, id=id, order=at) for at, id in enumerate("abcd", 1))
    moved = tuple(replace(one, order=one.order - 1 or 4) for one in line)
    moved = (replace(moved[0], last_used=1.0), *moved[1:])
    _, turn = turned(whole(*_read(0, (line, (), 0, 0))), *_read(1, (moved, (), 0, 0)))
    assert (turn.accounts, turn.order) == ((moved[0],), ("b", "c", "d", "a"))
    assert says_something(replace(turn, accounts=()), NOW)


def test_a_turn_without_news_says_nothing() -> None:
    """Time alone is no news; a number of the whole is."""
    view = whole(*_read(0, ((STANDING,), (), 0, 0)))
    _, quiet = turned(view, *_read(1, ((STANDING,), (), 0, 0)))
    assert not says_something(quiet, view.now)
    now, *rest = _read(1, ((STANDING,), (), 0, 0))
    _, loud = turned(view, replace(now, waiting=1), *rest)
    assert says_something(loud, view.now)


def test_views_and_turns_are_bounded() -> None:
    """However much happens, a page is told no more than it can show."""
    now, standings, changes, news = _read(1, ((STANDING,), (), 0, 0))
    many = replace(
        news,
        served=tuple(served(now.time, str(n)) for n in range(400)),
        happened=tuple(happened(now.time, str(n)) for n in range(800)),
    )
    view = whole(now, standings, changes, many)
    turn: Turn | None = None
    for _ in range(3):
        view, new = turned(view, now, standings, changes, many)
        turn = new if turn is None else merged(turn, new)
    assert turn is not None
    assert (len(view.served), len(view.happened)) == (SERVED, HAPPENED)
    assert (len(turn.served), len(turn.happened)) == (TURN_SERVED, 200)
