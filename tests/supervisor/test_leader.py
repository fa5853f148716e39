"""One leads at a time, by a lease in a real store, with time moved by hand."""

from collections.abc import AsyncIterator

import pytest

from pool import Shared
from supervisor.leader import Leader
from tests.support.adapter import until_so


class HandClock:
    def __init__(self) -> None:
        self.time = 1000.0

    def now(self) -> float:
        return self.time

    def monotonic(self) -> float:
        return self.time

    async def sleep(self, seconds: float) -> None:
        self.time += seconds


@pytest.fixture
async def shared(empty_valkey: str) -> AsyncIterator[Shared]:
    shared = Shared(empty_valkey)
    yield shared
    await shared.close()


async def test_one_leads_and_a_resignation_passes_it_on(shared: Shared) -> None:
    """Of two one leads; when it resigns the other does with its next step, and both were told."""
    told: list[tuple[str, bool]] = []
    a = Leader(shared, "x", "a", 5, HandClock(), lambda on: told.append(("a", on)))
    b = Leader(shared, "x", "b", 5, HandClock(), lambda on: told.append(("b", on)))
    for leader in (a, b, a):
        await leader.step()
    assert (a.is_leader, b.is_leader) == (True, False)
    await a.resign()
    await b.step()
    await a.step()
    assert (a.is_leader, b.is_leader) == (False, True)
    assert told == [("a", True), ("a", False), ("b", True)]


async def test_a_silent_leader_is_replaced_within_its_lease(shared: Shared) -> None:
    """One that dies without a word is followed by another as soon as its lease has run out."""
    dead = Leader(shared, "x", "dead", 0.3, HandClock(), lambda on: None)
    await dead.step()
    heir = Leader(shared, "x", "heir", 0.3, HandClock(), lambda on: None)

    async def leads() -> bool:
        await heir.step()
        return heir.is_leader

    assert not await leads()
    await until_so(leads, 0.6)


async def test_a_leader_that_was_stopped_does_not_believe_in_itself(shared: Shared) -> None:
    """Once its lease may have run out a leader is none, before it has asked anybody."""
    clock = HandClock()
    leader = Leader(shared, "x", "a", 5, clock, lambda on: None)
    await leader.step()
    clock.time += 4.9
    assert leader.is_leader
    clock.time += 0.2
    assert not leader.is_leader


async def test_without_the_store_it_leads_until_the_lease_ends(shared: Shared) -> None:
    """A store that is away for a moment ends nothing; one that stays away does."""
    clock = HandClock()
    leader = Leader(shared, "x", "a", 5, clock, lambda on: None)
    await leader.step()
    await shared.close()
    await leader.step()
    assert leader.is_leader
    clock.time += 6
    await leader.step()
    assert not leader.is_leader
