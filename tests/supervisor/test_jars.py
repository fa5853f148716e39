"""Cookies in the store: newest first, encrypted, bound to their account."""

from collections.abc import AsyncIterator

import pytest

from core.secret import Secret
from pool import AccountConfig, Shared
from supervisor.jars import PSID, PSIDTS, Jars, Seal

ALICE = AccountConfig("alice", Secret("g.a000-alice"), Secret("sidts-1"))
KEY = Secret("correct horse battery staple")


@pytest.fixture
async def shared(empty_valkey: str) -> AsyncIterator[Shared]:
    shared = Shared(empty_valkey)
    yield shared
    await shared.close()


def jar(psidts: str, psid: str = "g.a000-alice") -> dict[str, Secret]:
    return {PSID: Secret(psid), PSIDTS: Secret(psidts), "NID": Secret("n")}


async def newest(jars: Jars, account: AccountConfig = ALICE) -> list[str]:
    return [found.secure_1psidts.reveal() for found in await jars.newest(account)]


async def test_the_stored_jar_is_tried_first(shared: Shared) -> None:
    """After a rotation a new process opens with the rotated cookies, the whole jar, and then with the roster's."""
    assert await newest(Jars(shared, Seal(KEY))) == ["sidts-1"]
    assert await Jars(shared, Seal(KEY)).write(ALICE, jar("sidts-2"), 1.0, "rotation")
    found = await Jars(shared, Seal(KEY)).newest(ALICE)
    assert found[0].jar == {"NID": Secret("n")}
    assert [one.secure_1psidts.reveal() for one in found] == ["sidts-2", "sidts-1"]


async def test_an_operators_newer_cookies_win(shared: Shared) -> None:
    """With other cookies in the roster the stored jar counts no more, and is replaced by the next one."""
    jars = Jars(shared, Seal(Secret("")))
    await jars.write(ALICE, jar("sidts-2"), 1.0, "rotation")
    newer = AccountConfig("alice", Secret("g.a000-alice"), Secret("sidts-9"))
    assert await newest(jars, newer) == ["sidts-9"]
    await jars.write(newer, jar("sidts-10"), 2.0, "rotation")
    assert await newest(jars, newer) == ["sidts-10", "sidts-9"]


async def test_a_late_rotation_does_not_undo_new_cookies(shared: Shared) -> None:
    """Cookies of another sign-in that were handed in stay, when the old ones' rotation ends after that."""
    jars = Jars(shared, Seal(KEY))
    assert await jars.write(ALICE, jar("sidts-5", psid="g.a000-new"), 10.0, "api")
    assert not await jars.write(ALICE, jar("sidts-2"), 12.0, "rotation")
    assert (await newest(jars))[0] == "sidts-5"
    assert await jars.write(ALICE, jar("sidts-3"), 100.0, "rotation")


async def test_nothing_can_be_read_at_rest(shared: Shared) -> None:
    """With a key neither the values nor their names stand in the store; without one they do."""
    await Jars(shared, Seal(KEY)).write(ALICE, jar("sidts-secret"), 1.0, "rotation")
    stored = await shared.get("jar:alice")
    assert stored is not None
    assert "sidts" not in stored
    assert PSID not in stored
    await Jars(shared, Seal(Secret(""))).write(ALICE, jar("sidts-plain"), 1.0, "rotation")
    assert "sidts-plain" in (await shared.get("jar:alice") or "")


@pytest.mark.parametrize("reader", [Secret(""), Secret("another key")])
async def test_another_key_reads_nothing(shared: Shared, reader: Secret) -> None:
    """Without the key that they were written with the roster's cookies are used, and nothing breaks."""
    await Jars(shared, Seal(KEY)).write(ALICE, jar("sidts-2"), 1.0, "rotation")
    assert await newest(Jars(shared, Seal(reader))) == ["sidts-1"]


async def test_one_accounts_jar_is_no_other_accounts(shared: Shared) -> None:
    """An encrypted jar moved to another account's key is not accepted."""
    await Jars(shared, Seal(KEY)).write(ALICE, jar("sidts-2"), 1.0, "rotation")
    await shared.put("jar:bob", await shared.get("jar:alice") or "")
    bob = AccountConfig("bob", Secret("g.a000-alice"), Secret("sidts-1"))
    assert await newest(Jars(shared, Seal(KEY)), bob) == ["sidts-1"]


@pytest.mark.parametrize("damage", ["", "{", "[]", "sealed1:", "sealed1:AAAA", "sealed1:%%%"])
async def test_damage_is_survived(shared: Shared, damage: str) -> None:
    """What cannot be read does not count."""
    await shared.put("jar:alice", damage)
    assert await newest(Jars(shared, Seal(KEY))) == ["sidts-1"]


async def test_while_the_store_is_away_the_last_known_count(shared: Shared) -> None:
    """A session that is opened then gets the newest cookies that this replica has seen."""
    jars = Jars(shared, Seal(KEY))
    await jars.write(ALICE, jar("sidts-2"), 1.0, "rotation")
    await shared.close()
    assert await newest(jars) == ["sidts-2", "sidts-1"]


async def test_what_cannot_be_read_may_be_newer(shared: Shared) -> None:
    """A reader with another key knows that it may lack the newest cookies, and that it does not once they are
    readable or gone."""
    await Jars(shared, Seal(KEY)).write(ALICE, {PSID: Secret("g.a")}, 1.0, "rotation")
    reader = Jars(shared, Seal(Secret("another key")))
    await reader.newest(ALICE)
    assert "GEMPOOL_STATE_KEY" in reader.missing(ALICE)
    own = Jars(shared, Seal(KEY))
    await own.newest(ALICE)
    assert own.missing(ALICE) == ""
    await shared.delete("jar:alice")
    await reader.newest(ALICE)
    assert reader.missing(ALICE) == ""
