"""Cookies and alerts as another version kept them: read, or left aside and replaced; nothing stops."""

import asyncio
from dataclasses import dataclass

from hypothesis import example, given, settings
from hypothesis import strategies as st

from core.secret import Secret
from pool import AccountConfig
from supervisor.desk import Desk
from supervisor.jars import PSID, PSIDTS, Jars, Seal
from supervisor.ledger import claim, is_mine
from tests.fakes.shared import Found
from tests.support.hostile import bounded, examples, octets, otherwise

LOOP = asyncio.Runner()
ALICE = AccountConfig("alice", Secret("g.a000-alice"), Secret("sidts-1"))
NEW = {PSID: Secret("g.a000-alice"), PSIDTS: Secret("sidts-2")}
KEYS = [Seal(Secret("")), Seal(Secret("correct horse battery staple"))]
JAR = f'{{"revision": "{ALICE.revision}", "cookies": {{"{PSID}": "g.a000x", "NID": "n"}}, "at": 1.5, "source": "api"}}'
LEDGER = '{"open": {"pool_empty": {"holder": "r", "until": 9.5, "told": true}}, "closing": {"holder": "r", "until": 9.5}, "shown": "pool_empty", "told_at": {"pool_empty": 1.5}}'  # fmt: skip
SEALED = octets(b"sealed1:", b"AAAA", b"=", b"-").map(
    lambda data: "sealed1:" + data.decode("utf-8", "replace")
)


@dataclass
class Sealed:
    """Text that stands sealed in the store: what is wrong is inside."""

    text: str


@settings(max_examples=examples(30))
@given(otherwise(JAR) | SEALED | otherwise(JAR).map(Sealed), st.sampled_from(KEYS))
@example(JAR, KEYS[0])
@example(Sealed(JAR), KEYS[1])
def test_any_stored_jar_is_cookies_or_left_aside(stored: str | Sealed, seal: Seal) -> None:
    """The roster's own cookies count in any case, those that were kept as this version does before them, and the next
    rotation is kept."""
    text = seal.close("alice", stored.text) if isinstance(stored, Sealed) else stored

    async def used() -> None:
        jars = Jars(Found(text), seal)  # type: ignore[arg-type]
        found = await jars.newest(ALICE)
        assert found[-1].secure_1psid == ALICE.secure_1psid
        if stored in (JAR, Sealed(JAR)):
            assert found[0].secure_1psid.reveal() == "g.a000x"
        jars.missing(ALICE)
        assert await jars.write(ALICE, NEW, 1e20, "rotation")  # later than any that may be kept
        assert (await jars.newest(ALICE))[0].secure_1psidts == NEW[PSIDTS]

    with bounded():
        LOOP.run(used())


@settings(max_examples=examples(30))
@given(otherwise(LEDGER))
@example(LEDGER)
def test_any_stored_ledger_is_read_or_begun_anew(stored: str) -> None:
    """An alert is claimed all the same, and then stands beside those that could be read."""

    async def used() -> None:
        desk = Desk(Found(stored))
        before = await desk.read("pool")
        if stored == LEDGER:
            assert list(before.open) == ["pool_empty"]
        assert await desk.change("pool", lambda ledger: claim(ledger, "expired", "me", 1e12))
        after = await desk.read("pool")
        assert is_mine(after, "expired", "me")
        assert {**after.open, **before.open} == after.open

    with bounded():
        LOOP.run(used())
