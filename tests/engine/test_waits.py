"""What callers are told who must wait long."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from core.errors import FAR, PoolBusy, UsedUp
from engine.waits import busy
from pool import Policy
from simulator import Simulator, fault
from tests.support.replicas import Replica, Replicas, answered

NOW = datetime(2026, 11, 21, 23, 58, 30, tzinfo=UTC).timestamp()


@pytest.mark.parametrize("stream", [True, False])
async def test_a_used_up_model_says_so_and_when_it_resets(
    web: Simulator, replicas: Replicas, stream: bool
) -> None:
    """The request that meets the limit on every account, and those that come after it, are told the limit and
    the true wait; nobody is said to be busy."""
    replica = await replicas.start(web)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("error_1037", resets_in=7200))
    for _ in range(2):
        error = await refused(replica, stream)
        assert isinstance(error, UsedUp)
        assert error.retry_after is not None
        assert 7100 < error.retry_after <= 7201
        assert "usage limit" in error.message
        assert "busy" not in error.message
        told = re.search(r"at (\d\d:\d\d UTC on [-\d]+)", error.message)
        assert told is not None
        at = datetime.strptime(told[1], "%H:%M UTC on %Y-%m-%d").replace(tzinfo=UTC)
        assert timedelta(seconds=-5) < at - datetime.now(UTC) - timedelta(seconds=error.retry_after)
        assert at - datetime.now(UTC) < timedelta(seconds=error.retry_after + 65)


async def test_a_limit_on_one_account_beside_others_that_are_throttled_is_not_the_reason(
    web: Simulator, replicas: Replicas
) -> None:
    """The wait is the throttled accounts', so the limit is not named."""
    replica = await replicas.start(web, policy=Policy(throttle_base=60.0))
    web.set_fault("account-1", fault("error_1037", resets_in=7200))
    for n in (2, 3):
        web.set_fault(f"account-{n}", fault("http_429"))
    error = await refused(replica, False)
    assert not isinstance(error, UsedUp)
    assert error.retry_after is not None
    assert error.retry_after < FAR


async def refused(replica: Replica, stream: bool) -> PoolBusy:
    with pytest.raises(PoolBusy) as caught:
        await answered(replica, "x", stream=stream)
    return caught.value


@pytest.mark.parametrize("reason", ["throttled", "ip_blocked", "model_unavailable", "unstable", ""])
def test_nobody_is_busy_for_hours(reason: str) -> None:
    """Beyond two minutes the message says what the accounts wait for and until when, to the minute."""
    told = busy(PoolBusy("All accounts are busy.", retry_after=300.0), "m", reason, NOW)
    assert "busy" not in told.message
    assert told.message.endswith("returns at 00:04 UTC on 2026-11-22.")
    assert told.retry_after == 300.0


def test_a_short_wait_is_told_as_it_was() -> None:
    """Up to two minutes accounts are busy."""
    error = PoolBusy("All accounts are busy.", retry_after=FAR, reason="throttled")
    assert busy(error, "m", "throttled", NOW) is error
