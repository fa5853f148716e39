"""What another version kept of accounts: left out where it is not understood; nothing stops."""

from typing import Any

import msgspec
import pytest
import redis

from core.secret import Secret
from pool.account import AccountConfig
from pool.members import offered_by
from pool.models import PublicModel, offered_of, public_names
from pool.store import Store
from pool.upstream import Offered

ODD = ["", "{", "1", "[]", '{"at": 1}', '{"at": "x", "from": "a", "to": "b", "reason": ""}', "2 state a b"]


@pytest.fixture
def raw(empty_valkey: str) -> Any:
    client = redis.Redis.from_url(empty_valkey, decode_responses=True)
    yield client
    client.close()


async def test_entries_of_the_log_that_are_not_understood_are_left_out(store: Store, raw: Any) -> None:
    """An account's own, and what befell all of them; those around them are told."""
    await store.upsert(AccountConfig(id="a", secure_1psid=Secret("x")), 0)
    await store.register("a", ("flash",), "[]")
    events = await store.events("a")
    known = await store.changes()
    assert events
    assert known.changes
    kept = [key for key in raw.keys() if raw.type(key) == "list"]  # noqa: SIM118  a command of the store's
    assert len(kept) == 2
    for key in kept:
        for text in ODD:
            raw.lpush(key, text)
    [count] = [key for key in raw.keys() if key.endswith("logged")]  # noqa: SIM118
    raw.incrby(count, len(ODD))
    assert await store.events("a") == events
    assert (await store.changes()).changes == known.changes


TABLE = [PublicModel("m", ("fast",)), PublicModel("any", ("default",))]
"""`fast` is what the account itself calls `flash`; whoever has the default serves the second, whatever it offers."""
OFFERED = '[{"name": "flash", "display_name": "Flash", "description": "", "aliases": ["fast"]}]'


@pytest.mark.parametrize(
    "offered", ['[{"name": "x"}]', "{", '["flash"]', "null", '[{"name": 1, "aliases": []}]']
)
async def test_models_that_are_not_understood_are_not_offered(store: Store, offered: str) -> None:
    """Until the account is opened by this version; what it serves is told by its lanes."""
    assert offered_of(offered) == ()
    await store.upsert(AccountConfig(id="a", secure_1psid=Secret("x")), 0)
    await store.register("a", ("flash",), offered)
    _, _, page = await store.page(0, 10)
    assert offered_by(page) == ()
    assert public_names(TABLE, offered, ("flash", "default")) == ("any",)


@pytest.mark.parametrize(
    "offered", [OFFERED, OFFERED.replace("}]", ', "new": 1}]')], ids=["unchanged", "with a field more"]
)
async def test_models_that_are_understood_are_offered(store: Store, offered: str) -> None:
    """As this version wrote them, and as one that adds fields does."""
    await store.upsert(AccountConfig(id="a", secure_1psid=Secret("x")), 0)
    await store.register("a", ("flash", "default"), offered)
    _, _, page = await store.page(0, 10)
    flash = Offered("flash", "Flash", "", frozenset({"fast"}))
    assert msgspec.json.decode(msgspec.json.encode((flash,))) == msgspec.json.decode(OFFERED)
    assert offered_of(offered) == offered_by(page) == (flash,)
    assert public_names(TABLE, offered, ("flash", "default")) == ("m", "any")
    assert public_names(TABLE, offered, ("default",)) == ("any",)
