"""Cookies in the store: newest first, encrypted, bound to their account."""

from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest
import redis.asyncio

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


async def unread(jars: Jars, *accounts: AccountConfig) -> list[str]:
    """Who is to be read, and they are."""
    found = []
    async for account in jars.unread(accounts):
        found.append(account.id)
        await jars.read(account)
    return found


async def test_only_what_changed_is_read_again(shared: Shared) -> None:
    """However many accounts there are: everybody once, then those whose cookies another replica has replaced, or the
    roster."""
    bob = AccountConfig("bob", Secret("g.a000-bob"), Secret("sidts-b"))
    jars, elsewhere = Jars(shared, Seal(KEY)), Jars(shared, Seal(KEY))
    assert await unread(jars, ALICE, bob) == ["alice", "bob"]
    assert await unread(jars, ALICE, bob) == []
    await elsewhere.write(ALICE, jar("sidts-2"), 1.0, "rotation")
    assert await unread(jars, ALICE, bob) == ["alice"]
    assert await unread(jars, ALICE, bob) == []
    await elsewhere.write(ALICE, jar("sidts-3"), 2.0, "session")
    assert await unread(jars, ALICE, AccountConfig("bob", Secret("g.a000-bob"), Secret("sidts-b2"))) == [
        "alice",
        "bob",
    ]


async def test_what_was_not_read_to_its_end_is_told_again(shared: Shared) -> None:
    """A store that goes away in the middle of a round costs no account its newer cookies."""
    jars = Jars(shared, Seal(KEY))
    await Jars(shared, Seal(KEY)).write(ALICE, jar("sidts-2"), 1.0, "rotation")
    async with aclosing(jars.unread([ALICE])) as first:
        async for account in first:
            assert account is ALICE
            break
    assert await unread(jars, ALICE) == ["alice"]


async def test_cookies_that_the_store_has_lost_are_told_until_they_are_back(
    shared: Shared, empty_valkey: str
) -> None:
    """So that whoever knows them puts them back; the same of those that an older version wrote, without a mark."""
    jars = Jars(shared, Seal(KEY))
    await jars.write(ALICE, jar("sidts-2"), 1.0, "rotation")
    assert await unread(jars, ALICE) == ["alice"]
    known = jars.known(ALICE)
    assert known is not None
    async with redis.asyncio.Redis.from_url(empty_valkey) as client:
        await client.delete("{gempool}:shared:jars")
        assert await unread(jars, ALICE) == ["alice"]
        assert await unread(jars, ALICE) == ["alice"]
        await client.flushdb()
    assert await unread(jars, ALICE) == ["alice"]
    await jars.restore(ALICE, known)
    assert await unread(jars, ALICE) == ["alice"]
    assert await unread(jars, ALICE) == []
    assert (await newest(Jars(shared, Seal(KEY))))[0] == "sidts-2"
