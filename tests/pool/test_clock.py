"""The store's clock is set back by an hour: nothing waits until the old time has come again."""

from collections.abc import AsyncIterator
from typing import Any

import pytest
import redis

from core.metrics import Metrics
from core.secret import Secret
from pool.account import OK, AccountConfig, Effect, Policy, State, state_of
from pool.store import Picked, Refused, Store

CLOCK = "local NOW = tonumber(redis.call('GET', KEYS[1] .. 'test-clock'))"
TTL = 15.0
HOUR = 3600


class Moved:
    """A store, and the time that it goes by, in seconds."""

    def __init__(self, url: str) -> None:
        self.store = Store(url, Metrics(), Policy(), clock=CLOCK)
        self._client = redis.Redis.from_url(url)
        self._now = 1_000_000.0
        self._picks = 0
        self.pass_(0)

    def pass_(self, seconds: float) -> None:
        """Negative: the clock is set back."""
        self._now += seconds
        self._client.set("{gempool}:test-clock", round(self._now * 1000))

    async def account(self, *, a_minute: int = 0, **fields: Any) -> None:
        await self.store.upsert(AccountConfig(id="a", secure_1psid=Secret("a"), **fields), 0, a_minute)
        await self.store.register("a", ("flash", "pro"), "[]")

    async def pick(self, lane: str = "flash", replica: str = "r", **options: Any) -> Picked | Refused:
        self._picks += 1
        return await self.store.pick(
            replica, f"l{self._picks}", (lane,), **{"lease_ttl": TTL, "soft": 0, **options}
        )

    async def close(self) -> None:
        await self.store.close()
        self._client.close()


@pytest.fixture
async def moved(empty_valkey: str) -> AsyncIterator[Moved]:
    found = Moved(empty_valkey)
    yield found
    await found.close()


async def test_spacing_is_no_longer_than_it_was(moved: Moved) -> None:
    """An account that is spaced by a second can be picked after a second, by live and background requests, also where it has so many
    picks a minute."""
    await moved.account(min_interval=1.0)
    await moved.store.beat("r", TTL)
    for background in (False, True):
        assert isinstance(await moved.pick(), Picked)
        await moved.store.release("r", f"l{moved._picks}", OK)
        moved.pass_(-HOUR)
        refused = await moved.pick()
        assert isinstance(refused, Refused)
        assert refused.seconds is not None
        assert 0 < refused.seconds <= 1.0
        moved.pass_(2)
        assert isinstance(await moved.pick(background=background), Picked)
        await moved.store.release("r", f"l{moved._picks}", OK)
        moved.pass_(2)
        await moved.store.beat("r", TTL)


async def test_uses_a_minute_keep_their_distance(moved: Moved) -> None:
    """Ten uses, a minute apart, of an account that may have ten a minute: they do not all count as of this moment."""
    await moved.account(a_minute=10)
    for _ in range(10):
        assert isinstance(await moved.pick(), Picked)
        await moved.store.release("r", f"l{moved._picks}", OK)
        moved.pass_(60)
    await moved.store.beat("r", TTL)
    moved.pass_(-HOUR)
    for _ in range(9):
        assert isinstance(await moved.pick(), Picked)
        await moved.store.release("r", f"l{moved._picks}", OK)


@pytest.mark.parametrize(
    "effect",
    [Effect("throttled", "throttled", 60.0), Effect("lane", "quota", 60.0), Effect("egress", "ip", 60.0)],
    ids=lambda effect: str(effect.kind),
)
async def test_cooldowns_keep_their_distance(moved: Moved, effect: Effect) -> None:
    """What had twenty seconds left has twenty seconds left, and not an hour more."""
    await moved.account()
    await moved.pick()
    await moved.store.release("r", "l1", effect)
    cooldown = await moved.pick()
    assert isinstance(cooldown, Refused)
    assert cooldown.seconds is not None
    moved.pass_(cooldown.seconds - 20)
    await moved.store.beat("r", TTL)
    moved.pass_(-HOUR)
    left = await moved.pick()
    assert isinstance(left, Refused)
    assert left.seconds == pytest.approx(20)
    moved.pass_(20.1)
    assert isinstance(await moved.pick(), Picked)


async def test_leases_of_the_dead_come_back_in_their_time(moved: Moved) -> None:
    """Those of a replica that fell silent before the clock was set back."""
    await moved.account(max_concurrency=1)
    assert isinstance(await moved.pick(replica="dead"), Picked)
    await moved.store.beat("r", TTL)
    moved.pass_(-HOUR)
    assert isinstance(await moved.pick(), Refused)
    moved.pass_(TTL + 1)
    assert isinstance(await moved.pick(), Picked)


async def test_care_is_due_in_its_time(moved: Moved) -> None:
    """What was last looked at, proved and rotated is not in the future: the next time would be an hour late."""
    await moved.account()
    await moved.store.probed("a", "well")
    await moved.store.rotated("a", "ok")
    moved.pass_(60)
    await moved.store.beat("r", TTL)
    moved.pass_(-HOUR)
    await moved.store.beat("r", TTL)
    now, _, (record,) = await moved.store.page()
    assert [now - at for at in (record.probed_at, record.proved_at, record.cookies_at)] == [60, 60, 60]
    assert state_of(record, now)[0] is State.ACTIVE


async def test_a_clock_that_is_kept_right_changes_nothing(moved: Moved) -> None:
    """Less than a second back is what clocks do."""
    await moved.account(min_interval=5.0)
    await moved.pick()
    await moved.store.release("r", "l1", OK)
    await moved.store.beat("r", TTL)
    moved.pass_(-0.5)
    refused = await moved.pick()
    assert isinstance(refused, Refused)
    assert refused.seconds == pytest.approx(5.5)
