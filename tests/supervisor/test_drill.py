"""Random faults and recoveries over many accounts and several replicas: what must hold in the end and all along."""

import asyncio
import random
from itertools import pairwise

from core.errors import AccountRejected, GatewayError, NetworkFault, SessionExpired, UpstreamUnstable
from pool import Pool, State
from supervisor.settings import SupervisorSettings
from tests.fakes.sessions import FakeWeb
from tests.support.adapter import until_so
from tests.support.caring import Phone, Ward, account

ACCOUNTS = [f"a{n}" for n in range(20)]
HARD: dict[str, GatewayError] = {
    "expired": SessionExpired("dead"),
    "rejected": AccountRejected("rejected"),
    "terms_pending": AccountRejected("terms", why="terms_pending"),
}
SOFT: list[GatewayError] = [NetworkFault("no route"), UpstreamUnstable("HTTP 500", kind="http_5xx")]
DRILL = SupervisorSettings(
    probe_interval=0.3,
    rotate_interval=1.0,
    reprobe_first=0.1,
    reprobe_max=0.3,
    lease_ttl=0.6,
    probe_timeout=3.0,
)


async def test_two_hundred_faults_and_recoveries(ward: Ward) -> None:
    """Accounts die for different reasons, suffer faults that prove nothing and recover, while one
    leader dies. Nobody is quarantined without a cause, nobody dead is missed, and in the end all are well. The
    phone is never told the same thing twice in a row, and is told of the end of whatever it was told of."""
    chance = random.Random(7)  # noqa: S311 -- the same drill every time
    web = FakeWeb()
    roster = [account(name) for name in ACCOUNTS]
    phone = Phone()
    carers = [await ward.carer(web, roster, DRILL, phone=phone) for _ in range(3)]
    ever_dead: dict[str, set[str]] = {name: set() for name in ACCOUNTS}
    for n in range(200):
        name = chance.choice(ACCOUNTS)
        match chance.choice(["hard", "hard", "soft", "well", "well", "rotation", "traffic"]):
            case "hard":
                why, error = chance.choice(list(HARD.items()))
                web.probe_errors[name] = web.open_errors[name] = error
                ever_dead[name].add(why)
            case "soft":
                web.probe_errors[name] = web.open_errors[name] = chance.choice(SOFT)
            case "well":
                web.probe_errors.pop(name, None)
                web.open_errors.pop(name, None)
            case "rotation":
                web.rotates_empty ^= {name}
            case "traffic":
                living = next(carer for carer in carers if carer.alive)
                lease = await living.pool.lease(("gemini-flash",), exclude=set(web.open_errors))
                assert lease.account not in web.open_errors
                await lease.release()
        if n == 100:
            await next(carer for carer in carers if carer.supervisor.leader.is_leader).die()
        await asyncio.sleep(0.02)

    dead = {name: error for name, error in web.open_errors.items() if error in HARD.values()}
    survivor = next(carer for carer in carers if carer.alive)

    async def states() -> dict[str, tuple[State, str]]:
        views, _ = await survivor.pool.snapshot()
        return {view.record.id: (view.state, view.reason) for view in views}

    async def all_dead_are_found() -> bool:
        found = await states()
        return all(found[name][0] is State.QUARANTINED for name in dead)

    await until_so(all_dead_are_found, 3)
    for name, (state, reason) in (await states()).items():
        if state is State.QUARANTINED:
            assert reason in ever_dead[name]
    web.probe_errors.clear()
    web.open_errors.clear()

    async def all_well() -> bool:
        return all(state is State.ACTIVE for state, _ in (await states()).values())

    await until_so(all_well, 5)
    await until_so(lambda: _all_serve(survivor.pool), 5)
    counts = await survivor.store.counts()
    assert dict(counts.states) == {"active": 20}
    for name in ACCOUNTS:
        quarantines = [event for event in await survivor.store.events(name) if event.to == "quarantined"]
        assert {event.reason for event in quarantines} <= ever_dead[name]
        assert len([t for t in phone.told_about(name) if "back" not in t]) <= len(quarantines)

    async def all_told() -> bool:
        return all("back" in phone.told_about(name)[-1] for name in ACCOUNTS if phone.told_about(name))

    await until_so(all_told, 5)
    assert len(phone.notes) > len(ACCOUNTS)
    for name in ACCOUNTS:
        told = phone.told_about(name)
        assert all(one != next_one for one, next_one in pairwise(told)), told


async def _all_serve(pool: Pool) -> bool:
    served = set()
    for _ in range(len(ACCOUNTS)):
        one = await pool.lease(("gemini-flash",))
        served.add(one.account)
        await one.release()
    return served == set(ACCOUNTS)
