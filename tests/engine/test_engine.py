"""While one account is well, no caller sees an error."""

import asyncio
import time

import pytest

from core.errors import (
    DeadlineExceeded,
    GatewayError,
    NoAccount,
    PoolBusy,
    RequestTooLarge,
    UnknownModel,
    UpstreamFailed,
)
from engine import EngineSettings
from pool import Policy, PoolSettings
from simulator import Fault, Simulator, fault
from tests.support.adapter import journal, prompts, until, until_so
from tests.support.replicas import Replica, Replicas, accounts_of, answered, question, streamed

FAULTS = [
    fault("expired"), fault("guest"), fault("http_429"), fault("http_500"), fault("http_503"), fault("http_403"),
    fault("error_1013"), fault("error_1037"), fault("error_1050"), fault("error_1052"), fault("error_1060"),
    fault("slow_first_token", seconds=30), fault("stall", frames=0), fault("drop_before_first"),
    fault("drop_mid", frames=0), fault("empty"), fault("garbage"), fault("garbage", form="frame"),
    fault("garbage", form="bytes"), fault("rpc_fail", on=("rpc",), status=500), fault("ip_block"),
    fault("refuse_connect"), fault("truncate", frames=0), fault("status", code=1021),
]  # fmt: skip

QUICK = EngineSettings(first_content_timeout=0.4, silence_timeout=0.4, deadline=20, connect_timeout=2)


def name_of(value: object) -> str:
    if not isinstance(value, Fault):
        return str(value)
    return f"{value.kind}-{value.status or value.code or value.form}".rstrip("-")


async def both_ways(replica: Replica, number: int) -> str:
    return await answered(replica, f"question {number}", stream=number % 2 == 0)


@pytest.mark.parametrize("bad", FAULTS, ids=name_of)
@pytest.mark.parametrize("count", [1, 2])
async def test_no_caller_sees_a_fault(web: Simulator, replicas: Replicas, bad: Fault, count: int) -> None:
    """Each fault on one or two of three accounts, 20 requests in a row and 20 at once, streamed and not:
    all are answered, and a bad account is not asked again and again."""
    replica = await replicas.start(web, settings=QUICK)
    for n in range(count):
        web.set_fault(f"account-{n + 1}", bad)
    for n in range(20):
        assert f"question {n}" in await both_ways(replica, n)
    for answer in await asyncio.gather(*(both_ways(replica, n) for n in range(20))):
        assert "question" in answer
    refused = [p.account for p in web.journal() if p.outcome.startswith("fault:")]
    for n in range(count):
        assert refused.count(f"account-{n + 1}") <= 12
    answered_by = [p.account for p in web.journal() if p.outcome == "answered"]
    assert len(answered_by) == 40


@pytest.mark.parametrize("bad", ["http_500", "http_429", "drop_before_first", "error_1037", "expired"])
async def test_moving_on_is_quick(web: Simulator, replicas: Replicas, bad: str) -> None:
    """A failover itself adds less than 50 ms."""
    replica = await replicas.start(web)
    await answered(replica, "warm", stream=False)
    await answered(replica, "warm", stream=False)
    await answered(replica, "warm", stream=False)
    plain = await timed(replica)
    await timed(replica), await timed(replica)
    web.set_fault("account-1", fault(bad))
    failed_over = await timed(replica)
    assert replica.value("gempool_failovers_total", reason=reason_of(bad)) == 1
    assert failed_over - plain < 0.05


def reason_of(bad: str) -> str:
    return {"http_429": "throttled", "error_1037": "usage_limit", "expired": "suspect"}.get(bad, "unstable")


async def timed(replica: Replica) -> float:
    started = time.perf_counter()
    await answered(replica, "x", stream=False)
    return time.perf_counter() - started


async def test_strict_rotation(web: Simulator, replicas: Replicas) -> None:
    """30 requests one after the other over two replicas: ten for each account, always the least recently
    used."""
    pair = [await replicas.start(web), await replicas.start(web)]
    for n in range(30):
        await answered(pair[n % 2], f"n{n}", stream=n % 3 == 0)
    order = [p.account for p in web.journal()]
    assert len(order) == 30
    assert all(order[n] == order[n % 3] for n in range(30))
    assert len(set(order[:3])) == 3


async def test_never_more_than_an_account_may_run(web: Simulator, replicas: Replicas) -> None:
    """40 requests at once over two replicas and three accounts of concurrency two."""
    configs = accounts_of(web, max_concurrency=2)
    pair = [await replicas.start(web, accounts=configs), await replicas.start(web, accounts=configs)]
    web.set_defaults(first_delay=0.05)
    await asyncio.gather(*(answered(pair[n % 2], f"n{n}", stream=n % 3 == 0) for n in range(40)))
    for n in range(3):
        assert journal(web, f"account-{n + 1}")["max_running"] == 2


async def test_after_the_first_content_the_caller_is_told(web: Simulator, replicas: Replicas) -> None:
    """A stream that breaks after its first content ends with an error and is not begun anew elsewhere."""
    replica = await replicas.start(web)
    web.set_defaults(frames=8, words=40, frame_delay=0.02)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("drop_mid", frames=4))
    with pytest.raises(UpstreamFailed, match="broke off"):
        await streamed(replica, question())
    assert sum(prompts(web, f"account-{n + 1}") for n in range(3)) == 1


async def test_a_whole_answer_is_begun_anew_elsewhere(web: Simulator, replicas: Replicas) -> None:
    """Who does not stream has seen nothing yet, so a break in the middle moves on, too."""
    replica = await replicas.start(web)
    web.set_defaults(frames=8, words=40, frame_delay=0.01)
    web.set_fault("account-1", fault("drop_mid", frames=4))
    web.set_fault("account-2", fault("truncate", frames=4))
    for n in range(6):
        assert f"n{n}" in await answered(replica, f"n{n}", stream=False)


@pytest.mark.parametrize("when", ["before the first content", "in the middle"])
@pytest.mark.parametrize("stream", [True, False])
async def test_leaving_frees_the_account(web: Simulator, replicas: Replicas, when: str, stream: bool) -> None:
    """A caller that goes away stops the upstream transfer and frees the account within a second."""
    configs = accounts_of(web, max_concurrency=1)[:1]
    replica = await replicas.start(web, accounts=configs)
    if when == "in the middle":
        web.set_defaults(frames=400, words=500, frame_delay=0.05)
    else:
        web.set_defaults(first_delay=20)
    asking = asyncio.ensure_future(answered(replica, "long", stream=stream))
    await until(lambda: journal(web, "account-1")["running"] == 1)
    asking.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asking
    await until(lambda: journal(web, "account-1")["running"] == 0)
    web.set_defaults(frames=2, words=0, frame_delay=0, first_delay=0)
    async with asyncio.timeout(1):
        assert "next" in await answered(replica, "next", stream=stream)


async def test_the_queue_is_first_come_first_served(web: Simulator, replicas: Replicas) -> None:
    """Waiting requests reach the account in the order in which they came."""
    replica = await replicas.start(web, accounts=accounts_of(web, max_concurrency=1)[:1])
    web.set_defaults(first_delay=0.02)
    asking = []
    for n in range(12):
        asking.append(asyncio.ensure_future(answered(replica, f"n{n:02}", stream=False)))
        await asyncio.sleep(0)
    await asyncio.gather(*asking)
    assert [p.text for p in web.journal()] == [f"n{n:02}" for n in range(12)]


async def test_a_full_queue_answers_at_once(web: Simulator, replicas: Replicas) -> None:
    """With a true wait, while those in the queue are served."""
    replica = await replicas.start(
        web, accounts=accounts_of(web, max_concurrency=1)[:1], pool=PoolSettings(queue_size=2)
    )
    web.set_defaults(first_delay=0.5)
    served = [asyncio.ensure_future(answered(replica, f"n{n}", stream=False)) for n in range(3)]
    await until(lambda: replica.value("gempool_queue_depth") == 2)
    started = time.monotonic()
    with pytest.raises(PoolBusy) as error:
        await answered(replica, "too many", stream=False)
    assert time.monotonic() - started < 0.4
    assert error.value.retry_after is not None
    assert error.value.retry_after >= 1
    assert len(await asyncio.gather(*served)) == 3


async def test_the_wait_that_is_told_is_true(web: Simulator, replicas: Replicas) -> None:
    """When all accounts cool, the error's wait is the earliest return, and then there is an answer."""
    configs = accounts_of(web)
    replica = await replicas.start(
        web,
        accounts=configs,
        settings=EngineSettings(queue_timeout=0.2),
        pool=PoolSettings(queue_timeout=0.2),
        policy=Policy(throttle_base=2.0),
    )
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("http_429"))
    started = time.monotonic()
    with pytest.raises((PoolBusy, NoAccount)) as error:
        await answered(replica, "x", stream=False)
    wait = error.value.retry_after
    assert wait is not None
    assert 1 <= wait <= 3
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("ok"))
    await asyncio.sleep(max(0, wait - (time.monotonic() - started)))
    assert await answered(replica, "y", stream=False)


async def test_the_deadline_ends_everything(web: Simulator, replicas: Replicas) -> None:
    """When no account answers within the deadline, the caller is told so then."""
    settings = EngineSettings(deadline=1, first_content_timeout=0.4)
    replica = await replicas.start(web, settings=settings)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("slow_first_token", seconds=30))
    started = time.monotonic()
    with pytest.raises(DeadlineExceeded):
        await answered(replica, "x", stream=True)
    assert time.monotonic() - started < 5


async def test_a_pool_that_failed_as_a_whole_comes_back_as_a_whole(
    web: Simulator, replicas: Replicas
) -> None:
    """More accounts fail than may be ejected; once they are well again every one of them is used."""
    replica = await replicas.start(web, policy=Policy(eject_base=0.3, eject_cap=0.3))
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("http_500"))
    for _ in range(3):
        with pytest.raises(GatewayError):
            await answered(replica, "x", stream=False)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("ok"))

    async def all_used() -> bool:
        web.clear_journal()
        for n in range(6):
            await answered(replica, f"n{n}", stream=False)
        return len({p.account for p in web.journal()}) == 3

    await until_so(all_used)


@pytest.mark.parametrize("bad", ["http_400", "http_403", "http_429", "http_500"])
async def test_one_request_does_not_hammer(web: Simulator, replicas: Replicas, bad: str) -> None:
    """When every account fails, each is asked a handful of times, and the error fits the failure."""
    replica = await replicas.start(web, policy=Policy(throttle_base=0.1))
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault(bad))
    with pytest.raises(GatewayError) as error:
        await answered(replica, "x", stream=False)
    assert error.value.status == (429 if bad == "http_429" else 503)
    for n in range(3):
        assert prompts(web, f"account-{n + 1}") <= 3


async def test_a_prompt_that_is_too_large_upstream_is_the_callers(web: Simulator, replicas: Replicas) -> None:
    """HTTP 413 is not tried elsewhere and blames nobody."""
    replica = await replicas.start(web)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("http_413"))
    with pytest.raises(RequestTooLarge):
        await answered(replica, "x", stream=False)
    assert sum(prompts(web, f"account-{n + 1}") for n in range(3)) == 1


async def test_our_deadline_in_the_middle_of_a_stream_blames_nobody(
    web: Simulator, replicas: Replicas
) -> None:
    """The caller is told that the deadline ran out; the account stays as it was."""
    settings = EngineSettings(deadline=0.6)
    replica = await replicas.start(web, settings=settings)
    web.set_defaults(frames=100, words=300, frame_delay=0.05)
    for _ in range(6):
        with pytest.raises(DeadlineExceeded):
            await streamed(replica, question())
    views, _ = await replica.pool.snapshot()
    assert [view.record.consecutive_failures for view in views] == [0, 0, 0]


async def test_all_accounts_dead(web: Simulator, replicas: Replicas) -> None:
    """Quarantined accounts are not asked; the error says when to come back."""
    replica = await replicas.start(web, pool=PoolSettings(reprobe_first=30, suspect_retry=0.1))
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("expired"))
    with pytest.raises(GatewayError):
        await answered(replica, "x", stream=False)

    async def all_quarantined() -> bool:
        return (await replica.engine.status()).accounts.get("quarantined", 0) == 3

    await until_so(all_quarantined)
    with pytest.raises(NoAccount) as error:
        await answered(replica, "x", stream=False)
    assert error.value.retry_after is not None
    assert not (await replica.engine.status()).ready


async def test_an_account_comes_back(web: Simulator, replicas: Replicas) -> None:
    """Expired: the request that finds out is told when to come back, once a probe has decided. Good again: after the
    next probe, as the supervisor makes them, it serves without a restart."""
    replica = await replicas.start(
        web, accounts=accounts_of(web)[:1], pool=PoolSettings(reprobe_first=0.2, suspect_retry=0.1)
    )
    web.set_fault("account-1", fault("expired"))
    with pytest.raises(NoAccount):
        await answered(replica, "x", stream=False)
    web.set_fault("account-1", fault("ok"))
    found = await replica.pool.probe_now("account-1")
    assert found.outcome == "well"
    assert await answered(replica, "y", stream=False)


async def test_an_unknown_model_is_the_callers_mistake(web: Simulator, replicas: Replicas) -> None:
    """The error lists the known ones; no account is asked."""
    replica = await replicas.start(web)
    with pytest.raises(UnknownModel, match="gemini-3-flash-preview"):
        await replica.engine.answer(question(model="gpt-7", stream=False))
    assert sum(prompts(web, f"account-{n + 1}") for n in range(3)) == 0


async def test_usage_and_attempts_are_told(web: Simulator, replicas: Replicas) -> None:
    """The last event says how many accounts were asked and what the answer weighs; the same in both ways."""
    replica = await replicas.start(web)
    for n in range(3):
        web.set_fault(f"account-{n + 1}", fault("http_500", times=1))
    whole = await replica.engine.answer(question("weigh me", stream=False))
    assert whole.finish.attempts == 4
    events = [event async for event in replica.engine.stream(question("weigh me"))]
    assert events[-1].usage == whole.finish.usage  # type: ignore[union-attr]
    assert whole.finish.model == "gemini-flash"
