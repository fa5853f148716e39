"""The callers' limits in a real Valkey, against a model of them and against many at once."""

import asyncio
import contextlib
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import redis
from hypothesis import given
from hypothesis import settings as examples
from hypothesis import strategies as st

from access import OFF, Caller, Limits, Rate, Standing
from core.errors import StoreUnavailable
from core.metrics import Metrics
from tests.support.store import valkey

CLOCK = "local NOW = tonumber(redis.call('GET', '{gempool}:test-clock'))"
"""Time as the test has set it, in microseconds."""
START = 1_700_000_000_000_000
SECOND = 1_000_000
ALICE, BOB = Caller("alice", "api"), Caller("bob", "api")
HOURLY, SPACED = Rate(60, 3600.0), Rate(1, 5.0)


class Bench:
    """Limits whose time the test sets."""

    def __init__(self, url: str, per_caller: Rate, per_model: Rate) -> None:
        self.store = redis.Redis.from_url(url, decode_responses=True)
        self.metrics = Metrics()
        self.limits = Limits(url, self.metrics, per_caller, per_model, clock=CLOCK)
        self.now = START
        self.turn(0)

    def turn(self, microseconds: int) -> None:
        self.now += microseconds
        self.store.set("{gempool}:test-clock", self.now)

    async def ask(self, caller: Caller = ALICE, model: str = "m") -> Standing:
        found = await self.limits.admit(caller, model)
        assert found is not None
        return found

    async def close(self) -> None:
        await self.limits.close()
        self.store.close()


@contextlib.asynccontextmanager
async def bench(url: str, per_caller: Rate = HOURLY, per_model: Rate = SPACED) -> AsyncIterator[Bench]:
    made = Bench(url, per_caller, per_model)
    made.store.flushall()
    made.turn(0)
    try:
        yield made
    finally:
        await made.close()


class Reference:
    """What the limits should say: the times of all admissions, and nothing clever."""

    def __init__(self) -> None:
        self.admitted: dict[tuple[str, ...], list[int]] = {}

    def ask(self, now: int, windows: list[tuple[tuple[str, ...], int, int]]) -> tuple[bool, int]:
        """Whether it is admitted, and how long until it would be."""
        waits = []
        for key, count, length in windows:
            inside = [at for at in self.admitted.get(key, []) if at > now - length]
            if len(inside) >= count:
                waits.append(inside[len(inside) - count] + length - now)
        if not waits:
            for key, _, _ in windows:
                self.admitted.setdefault(key, []).append(now)
        return not waits, max(waits, default=0)


STEPS = st.lists(
    st.tuples(
        st.one_of(st.integers(0, 20 * SECOND), st.sampled_from([0, 1, 10 * SECOND, 4 * SECOND])),
        st.sampled_from(["alice", "bob"]),
        st.sampled_from(["m", "n"]),
    ),
    max_size=40,
)


@examples(max_examples=60)
@given(steps=STEPS, count=st.integers(1, 5), per_model=st.integers(1, 3))
def test_it_does_what_its_model_does(
    valkey_url: str, steps: list[tuple[int, str, str]], count: int, per_model: int
) -> None:
    """Any callers at any times: admitted or refused as by the definition, with the wait after which it is admitted; no
    window of the length, wherever it begins, ever has more than its count."""

    async def play() -> None:
        all_, each = Rate(count, 10.0), Rate(per_model, 4.0)
        async with bench(valkey_url, all_, each) as b:
            model = Reference()
            for turn, caller, name in steps:
                b.turn(turn)
                windows = [((caller,), count, 10 * SECOND), ((caller, name), per_model, 4 * SECOND)]
                admitted, wait = model.ask(b.now, windows)
                standing = await b.ask(Caller(caller, "api"), name)
                assert standing.admitted is admitted
                if not admitted:
                    assert round(standing.reset * SECOND) == wait
                else:
                    inside = [at for at in model.admitted[caller,] if at > b.now - 10 * SECOND]
                    assert (standing.scope, standing.remaining) == ("caller", count - len(inside))
                    assert round(standing.reset * SECOND) == inside[0] + 10 * SECOND - b.now
            for key, times in model.admitted.items():
                most, length = (count, 10) if len(key) == 1 else (per_model, 4)
                assert all(b - a >= length * SECOND for a, b in zip(times, times[most:], strict=False))

    asyncio.run(play())


async def test_the_wait_that_is_told_is_the_true_one(empty_valkey: str) -> None:
    """A microsecond before its end the same request is refused, at its end it is admitted."""
    async with bench(empty_valkey, Rate(2, 3600.0), Rate(1, 5.0)) as b:
        assert (await b.ask()).admitted
        refused = await b.ask()
        assert (refused.admitted, refused.scope, refused.remaining, refused.reset) == (
            False,
            "caller_and_model",
            0,
            5.0,
        )
        b.turn(5 * SECOND - 1)
        assert not (await b.ask()).admitted
        b.turn(1)
        assert (await b.ask()).admitted
        last = await b.ask()
        assert (last.scope, last.reset) == ("caller", 3595.0)


async def test_a_refusal_counts_nothing_anywhere(empty_valkey: str) -> None:
    """A caller who is refused for one model loses nothing of what is left over all models."""
    async with bench(empty_valkey, Rate(3, 3600.0), Rate(1, 60.0)) as b:
        assert (await b.ask(model="m")).remaining == 2
        for _ in range(20):
            assert not (await b.ask(model="m")).admitted
        assert (await b.ask(model="n")).remaining == 1
        assert (await b.ask(model="o")).remaining == 0
        assert not (await b.ask(model="p")).admitted
        assert (
            b.metrics.registry.get_sample_value("gempool_rate_limited_total", {"scope": "caller_and_model"})
            == 20
        )
        assert b.metrics.registry.get_sample_value("gempool_rate_limited_total", {"scope": "caller"}) == 1


async def test_callers_do_not_share_and_spellings_of_a_model_do(empty_valkey: str) -> None:
    """Each caller has windows of its own; upper case makes no other model."""
    async with bench(empty_valkey) as b:
        assert (await b.ask(ALICE, "Gemini-Pro")).admitted
        assert not (await b.ask(ALICE, "gemini-pro")).admitted
        assert (await b.ask(BOB, "gemini-pro")).admitted


async def test_a_caller_may_have_rates_of_its_own(empty_valkey: str) -> None:
    """They go before those of everybody, in both directions; the operator is not limited."""
    async with bench(empty_valkey, Rate(1, 60.0), OFF) as b:
        big = Caller("big", "api", per_caller=Rate(3, 60.0))
        free = Caller("free", "api", per_caller=OFF)
        small = Caller("small", "api", per_caller_and_model=Rate(1, 600.0), per_caller=OFF)
        assert [(await b.ask(big)).admitted for _ in range(4)] == [True, True, True, False]
        assert await b.limits.admit(free, "m") is None
        assert await b.limits.admit(Caller("admin:1", "admin"), "m") is None
        assert [(await b.ask(small)).scope for _ in range(2)] == ["caller_and_model"] * 2
        assert [(await b.ask(ALICE)).admitted for _ in range(2)] == [True, False]


async def test_without_a_bound_the_store_is_not_asked(tmp_path: Path) -> None:
    """Both rates off: nothing is counted, and a store that is away does not matter."""
    limits = Limits(f"unix://{tmp_path / 'nobody'}", Metrics(), OFF, OFF)
    assert await limits.admit(ALICE, "m") is None
    await limits.close()


async def test_a_store_that_is_away_is_said(tmp_path: Path) -> None:
    """The same error as everywhere else, counted."""
    metrics = Metrics()
    limits = Limits(f"unix://{tmp_path / 'nobody'}", metrics, HOURLY, SPACED, timeout=0.1)
    with pytest.raises(StoreUnavailable):
        await limits.admit(ALICE, "m")
    assert metrics.registry.get_sample_value("gempool_store_errors_total", {"operation": "admit"}) == 1
    await limits.close()


async def test_two_replicas_admit_exactly_the_limit(empty_valkey: str) -> None:
    """Three hundred requests at once over two replicas, on one limit of fifty in the store's own time."""
    replicas = [Limits(empty_valkey, Metrics(), Rate(50, 3600.0), OFF) for _ in range(2)]
    standings = await asyncio.gather(*(replicas[i % 2].admit(ALICE, "m") for i in range(300)))
    assert sum(s.admitted for s in standings if s) == 50
    assert sorted(s.remaining for s in standings if s and s.admitted) == list(range(50))
    for replica in replicas:
        await replica.close()


async def test_what_a_frozen_store_reads_late_is_not_counted(tmp_path: Path) -> None:
    """Requests that were told that the store does not answer have not counted when it wakes up, though they lay in its
    socket all the while; those that it still answers in time have."""
    with valkey(tmp_path) as (store, url):
        limits = Limits(url, Metrics(), Rate(100, 3600.0), OFF, timeout=0.2)
        first = await limits.admit(ALICE, "m")
        assert first is not None
        assert first.remaining == 99
        store.send_signal(signal.SIGSTOP)
        told = await asyncio.gather(*(limits.admit(ALICE, "m") for _ in range(5)), return_exceptions=True)
        assert [type(error) for error in told] == [StoreUnavailable] * 5
        store.send_signal(signal.SIGCONT)
        awake = await limits.admit(ALICE, "m")
        assert awake is not None
        assert awake.remaining == 98
        store.send_signal(signal.SIGSTOP)
        waiting = asyncio.create_task(limits.admit(ALICE, "m"))
        await asyncio.sleep(0.05)
        store.send_signal(signal.SIGCONT)
        answered = await waiting
        assert answered is not None
        assert answered.remaining == 97
        await limits.close()


async def test_time_gives_back_what_was_used(empty_valkey: str) -> None:
    """With the store's own clock: after the wait that is told, and not before, a place is free."""
    limits = Limits(empty_valkey, Metrics(), Rate(2, 0.3), OFF)
    loop = asyncio.get_running_loop()
    admitted: list[float] = []
    while len(admitted) < 7:
        before = loop.time()
        standing = await limits.admit(ALICE, "m")
        assert standing is not None
        if standing.admitted:
            admitted.append(before)
        else:
            assert 0 < standing.reset <= 0.3
            await asyncio.sleep(standing.reset)
    # Taken before each call; the third after a call began within the window of the first at the earliest.
    assert all(late - early > 0.25 for early, late in zip(admitted, admitted[2:], strict=False))
    assert admitted[-1] - admitted[0] < 3
    await limits.close()


async def test_what_is_stored_is_bounded_and_goes_by_itself(empty_valkey: str) -> None:
    """No more members than the count, an end of life a little behind the window's, and one hash tag."""
    async with bench(empty_valkey, Rate(3, 60.0), Rate(2, 10.0)) as b:
        for _ in range(30):
            await b.ask()
            b.turn(7 * SECOND)
        keys = [key for key in b.store.scan_iter() if "limits" in key]
        assert len(keys) == 2
        assert all(key.startswith("{gempool}:") for key in keys)
        cards = {b.store.zcard(key): b.store.pttl(key) for key in keys}
        assert max(cards) <= 3
        assert all(0 < life <= 60_002 for life in cards.values())


async def test_a_clock_that_is_set_back_locks_nobody_out(empty_valkey: str) -> None:
    """What lies in the future then counts as of now: the wait is never longer than the window."""
    async with bench(empty_valkey, Rate(2, 60.0), OFF) as b:
        assert [(await b.ask()).admitted for _ in range(2)] == [True, True]
        b.turn(-86_400 * SECOND)
        refused = await b.ask()
        assert (refused.admitted, refused.reset) == (False, 60.0)
        b.turn(60 * SECOND)
        assert (await b.ask()).admitted


async def test_a_lower_count_holds_at_once(empty_valkey: str) -> None:
    """After a change of the configuration what was admitted before counts; the wait is until there is room again."""
    async with bench(empty_valkey, Rate(4, 60.0), OFF) as b:
        for _ in range(4):
            await b.ask()
            b.turn(SECOND)
        lower = Caller("alice", "api", per_caller=Rate(2, 60.0))
        refused = await b.ask(lower)
        # Of four, at 0, 1, 2 and 3 s, three must have left: the last of them at 62 s, and now it is 4 s.
        assert (refused.admitted, refused.reset) == (False, 58.0)


async def test_a_request_whose_answer_is_lost_counts_once(empty_valkey: str, tmp_path: Path) -> None:
    """The connection breaks after the store has counted and before it has told: the repeated command finds itself."""
    store_socket = empty_valkey.removeprefix("unix://")
    cut = asyncio.Event()
    lines: set[asyncio.Task[None]] = set()

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, dropping: bool) -> None:
        while data := await reader.read(65536):
            if dropping and cut.is_set():
                cut.clear()
                break
            writer.write(data)
        writer.close()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        inner_reader, inner_writer = await asyncio.open_unix_connection(store_socket)
        to_store = asyncio.create_task(carry(reader, inner_writer, False))
        lines.add(to_store)
        await carry(inner_reader, writer, True)
        inner_writer.close()

    server = await asyncio.start_unix_server(relay, tmp_path / "relay")
    limits = Limits(f"unix://{tmp_path / 'relay'}", Metrics(), Rate(10, 60.0), Rate(5, 60.0))
    first = await limits.admit(ALICE, "m")
    cut.set()
    second = await limits.admit(ALICE, "m")
    assert not cut.is_set()
    assert first is not None
    assert second is not None
    assert (first.remaining, second.remaining) == (9, 8)
    third = await limits.admit(ALICE, "m")
    assert third is not None
    assert third.remaining == 7
    await limits.close()
    server.close()
    await asyncio.gather(*lines, return_exceptions=True)
