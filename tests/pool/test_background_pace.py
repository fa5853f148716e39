"""How many accounts background picks leave ready: as many as live requests will take, by the rate at which they come."""

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest
import redis

from core.secret import Secret
from pool.account import NO_EFFECT, AccountConfig
from pool.store import Picked, Refused, Store


class Pace:
    """What the store knows of the rate of live picks."""

    def __init__(self, client: redis.Redis) -> None:
        self._client = client

    def set(self, per_second: float) -> None:
        """From now on it is held to be this, whatever comes."""
        never = 9 * 10**15
        rate = per_second / 1000
        self._client.hset("{gempool}:pace", mapping={"at": never, "live": 0, "slow": rate, "fast": rate})

    @property
    def per_second(self) -> float:
        slow, fast = self._client.hmget("{gempool}:pace", "slow", "fast")
        return 1000 * max(float(slow or 0), float(fast or 0))

    def passed(self, seconds: float) -> None:
        """So much more time lies behind us since the last estimate and the last background pick."""
        for field in ("at", "taken"):
            if self._client.hexists("{gempool}:pace", field):
                self._client.hincrby("{gempool}:pace", field, -round(seconds * 1000))

    @property
    def all(self) -> dict[Any, Any]:
        return dict(self._client.hgetall("{gempool}:pace"))


@pytest.fixture
def pace(empty_valkey: str) -> Iterator[Pace]:
    with redis.Redis.from_url(empty_valkey, decode_responses=True) as client:
        yield Pace(client)


async def fill(store: Store, n: int, per_minute: int = 0, **changes: Any) -> None:
    for i in range(n):
        await store.upsert(AccountConfig(id=f"a{i}", secure_1psid=Secret(f"a{i}"), **changes), i, per_minute)
        await store.register(f"a{i}", ("flash",), "[]")


async def behind(store: Store, lease: str, replica: str = "r", **options: Any) -> Picked | Refused:
    return await store.pick(
        replica, lease, ("flash",), lease_ttl=60.0, be_woken=True, background=True, **options
    )


async def live(store: Store, lease: str, replica: str = "r") -> Picked | Refused:
    return await store.pick(replica, lease, ("flash",), lease_ttl=60.0)


async def given(store: Store, most: int = 50, **options: Any) -> tuple[int, Refused]:
    """How many background picks are granted one after the other, and what the next one is told."""
    for number in range(most):
        answer = await behind(store, f"b{number}", **options)
        if isinstance(answer, Refused):
            return number, answer
    raise AssertionError("nothing was kept")


# The mean is the rate times how long the account is gone. P(Poisson(0.5) <= 1, 2) is 0.910, 0.986; P(Poisson(1) <= 2, 3)
# is 0.920, 0.981; P(Poisson(2) <= 4, 5) is 0.947, 0.983.
@pytest.mark.parametrize(
    ("mean", "kept"), [(0.0, 1), (0.2, 1), (0.5, 2), (1.0, 3), (2.0, 5), (40.0, 11), (1e6, 11)]
)
async def test_as_many_are_kept_as_live_requests_will_take(
    store: Store, pace: Pace, mean: float, kept: int
) -> None:
    """A background pick leaves ready what live requests take until the account is back, but for one time in fifty; more
    than all other accounts it cannot leave."""
    await fill(store, 12, max_concurrency=4, min_interval=8.0)
    pace.set(mean / 8)
    granted, refused = await given(store)
    assert granted == 12 - kept
    assert refused.reason == "kept" if kept > 1 else "spacing"


@pytest.mark.parametrize(
    ("settings", "gone"),
    [
        ({"max_concurrency": 4, "min_interval": 2.0}, 2),
        ({"max_concurrency": 1}, 4),
        ({"max_concurrency": 1, "min_interval": 2.0}, 4),
        ({"max_concurrency": 1, "min_interval": 8.0}, 8),
        ({"max_concurrency": 4, "min_interval": 60.0}, 10),
        ({"max_concurrency": 4, "per_minute": 1}, 10),
    ],
)
async def test_it_depends_on_how_long_the_account_is_gone(
    store: Store, pace: Pace, settings: dict[str, Any], gone: int
) -> None:
    """That is its spacing, 4 seconds at least where its last slot is taken, and 10 seconds at most."""
    await fill(store, 8, **settings)
    pace.set(1 / gone)
    assert (await given(store))[0] == 8 - 3


async def test_free_slots_need_no_reserve(store: Store, pace: Pace) -> None:
    """An account that can be picked again at once is given at any rate; who takes its last slot leaves all others."""
    await fill(store, 5, max_concurrency=2)
    pace.set(1000.0)
    assert (await given(store))[0] == 5 + 1


async def test_no_batch_starves(store: Store, pace: Pace) -> None:
    """Where live requests will need all that is ready, a background one is served every 5 seconds all the same, as long
    as one account stays ready."""
    await fill(store, 3, max_concurrency=1)
    pace.set(1000.0)
    assert isinstance(await behind(store, "1"), Picked)
    refused = await behind(store, "2")
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.reason) == ("busy", "kept")
    assert refused.seconds is not None
    assert 4 < refused.seconds <= 5
    pace.passed(refused.seconds)
    assert isinstance(await behind(store, "3"), Picked)
    pace.passed(5)
    refused = await behind(store, "4")
    assert isinstance(refused, Refused)
    assert (refused.verdict, refused.seconds) == ("busy", None)
    assert isinstance(await live(store, "5"), Picked)


async def test_who_is_back_sooner_is_told(store: Store, pace: Pace) -> None:
    """A background request that is refused for what live ones will need hears of the first account that returns before
    its turn would come."""
    await fill(store, 3, max_concurrency=4, min_interval=2.0)
    pace.set(1000.0)
    _, refused = await given(store)
    assert (refused.verdict, refused.reason) == ("wait", "spacing")
    assert refused.seconds is not None
    assert refused.seconds <= 2


async def test_the_rate_is_found_out(store: Store, pace: Pace) -> None:
    """After two seconds of live requests beside background ones the rate of the live ones is known, within a factor of 2;
    15 seconds after the last one it is next to nothing. Every replica knows it."""
    await fill(store, 30, max_concurrency=20)
    loop = asyncio.get_running_loop()
    started, number = loop.time(), 0
    while (now := loop.time()) < started + 2:
        while number < (now - started) * 20:
            number += 1
            await live(store, f"l{number}", replica=f"r{number % 2}")
            await store.release(f"r{number % 2}", f"l{number}", NO_EFFECT)
        for i in range(3):
            await behind(store, f"b{now}-{i}", replica=f"r{i}")
            await store.release(f"r{i}", f"b{now}-{i}", NO_EFFECT)
        await asyncio.sleep(0.02)
    rate = pace.per_second
    assert 10 <= rate <= 40
    pace.passed(15)
    await behind(store, "later", replica="another")
    assert pace.per_second < rate / 10


async def test_a_burst_is_noticed(store: Store, pace: Pace) -> None:
    """A burst after long idleness counts for what it is within a second or two."""
    await fill(store, 30, max_concurrency=20)
    await behind(store, "first")
    for second in range(2):
        for i in range(10):
            await live(store, f"l{second}-{i}")
        pace.passed(1)
        await behind(store, f"b{second}")
    assert 5 <= pace.per_second <= 20


async def test_after_a_pause_the_mean_over_it_counts(store: Store, pace: Pace) -> None:
    """Where nobody asked in the background for long, the first estimate is the mean since then."""
    await fill(store, 30, max_concurrency=20)
    await behind(store, "first")
    for i in range(100):
        await live(store, f"l{i}")
    pace.passed(50)
    await behind(store, "second")
    assert pace.per_second == pytest.approx(2, rel=0.1)


async def test_what_is_no_live_pick_does_not_count(store: Store, pace: Pace) -> None:
    """Accounts that are added or reinstated come to the tail of the order, and background picks do; none is a live
    request. A live pick leaves the estimate alone."""
    await fill(store, 5, max_concurrency=20)
    await behind(store, "first")
    for i in range(5):
        await store.quarantine(f"a{i}", "dead")
        await store.reinstate(f"a{i}")
        await behind(store, f"b{i}")
        await store.release("r", f"b{i}", NO_EFFECT)
    await fill(store, 30, max_concurrency=20)
    pace.passed(1)
    await behind(store, "second")
    assert pace.per_second == 0
    before = pace.all
    assert isinstance(await live(store, "live"), Picked)
    assert pace.all == before
