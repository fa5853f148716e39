"""Pictures through the real library: whatever goes wrong on the way, another account draws, and no chat stays."""

import asyncio

import pytest

from core.chat import Ask, Message, Picture, PictureWish, Text
from core.errors import PromptRefused, UsedUp
from simulator import Fault, Script, Simulator, fault
from tests.support.adapter import journal, prompts, until
from tests.support.replicas import Replica, Replicas, question

MODEL = "gemini-3-flash-preview"

FAULTS = [
    fault("http_500", on=("image",)), fault("http_403", on=("image",)), fault("http_429", on=("image",)),
    fault("truncate", on=("image",), frames=3), fault("garbage", on=("image",), form="html"),
    fault("drop_mid", on=("image",), frames=3), fault("http_500"), fault("error_1037"), fault("expired"),
]  # fmt: skip


def wished(text: str = "a lantern in the fog", **wish: object) -> Ask:
    return Ask(MODEL, (Message("user", (Text(text),)),), picture=PictureWish(**wish))  # type: ignore[arg-type]


async def drawn(replica: Replica, ask: Ask) -> Picture:
    (picture,) = (await replica.engine.answer(ask)).pictures
    return picture


def chats_left(web: Simulator) -> int:
    """Chats that stand in the accounts' histories; temporary ones never do."""
    return sum(len(journal(web, account["id"])["chats"]) for account in web.accounts)


@pytest.mark.parametrize("bad", FAULTS, ids=lambda bad: f"{bad.kind}-{'-'.join(bad.on)}")
async def test_a_picture_that_cannot_be_had_is_drawn_elsewhere(
    web: Simulator, replicas: Replicas, bad: Fault
) -> None:
    """One account of three fails: at its answer, or at any hop of the download. Six pictures come all the same."""
    replica = await replicas.start(web)
    web.set_fault("account-1", bad)
    for n in range(6):
        picture = await drawn(replica, wished(f"lantern {n}"))
        assert (picture.mime, picture.width >= 1024) == ("image/png", True)
    await until(lambda: chats_left(web) == 0)


@pytest.mark.parametrize(("pixels", "size"), [(1024, 1024), (2048, 2048)])
@pytest.mark.parametrize("aspect", ["", "16:9"])
async def test_size_and_aspect_reach_the_web_app(
    web: Simulator, replicas: Replicas, pixels: int, size: int, aspect: str
) -> None:
    """By the prompt's lines and by the way of the download."""
    replica = await replicas.start(web)
    picture = await drawn(replica, wished(aspect=aspect, pixels=pixels))
    assert max(picture.width, picture.height) >= size
    assert (picture.width > picture.height) == bool(aspect)


async def test_a_refusal_costs_one_prompt(web: Simulator, replicas: Replicas) -> None:
    """The model's words, and no other account."""
    replica = await replicas.start(web)
    web.set_defaults(picture_reply="refusal")
    with pytest.raises(PromptRefused, match=r"(?i)can't"):
        await replica.engine.answer(wished())
    assert sum(prompts(web, f"account-{n}") for n in (1, 2, 3)) == 1


async def test_the_days_pictures_are_another_accounts(web: Simulator, replicas: Replicas) -> None:
    """The text that says so is understood; when all say it, the caller is told to come back."""
    replica = await replicas.start(web)
    web.queue_reply(Script(picture_reply="quota"))
    assert await drawn(replica, wished())
    web.set_defaults(picture_reply="quota")
    with pytest.raises(UsedUp):
        await replica.engine.answer(wished())


async def test_web_pictures_are_refused_at_last(web: Simulator, replicas: Replicas) -> None:
    """After two accounts have shown them."""
    replica = await replicas.start(web)
    web.set_defaults(picture_reply="web")
    with pytest.raises(PromptRefused, match=r"from the web|on the web"):
        await replica.engine.answer(wished())
    assert sum(prompts(web, f"account-{n}") for n in (1, 2, 3)) == 2


async def test_several_at_once_are_spread(web: Simulator, replicas: Replicas) -> None:
    """Six pictures over three accounts, two each."""
    replica = await replicas.start(web)
    await asyncio.gather(*(drawn(replica, wished(f"lantern {n}")) for n in range(6)))
    assert [prompts(web, f"account-{n}") for n in (1, 2, 3)] == [2, 2, 2]
    await until(lambda: chats_left(web) == 0)


@pytest.mark.parametrize("stream", [True, False])
async def test_a_chat_that_draws_stays_temporary(web: Simulator, replicas: Replicas, stream: bool) -> None:
    """A picture in a text request comes along, and nothing of it stays in the account."""
    replica = await replicas.start(web)
    ask = question("Please draw a picture of a fox", stream=stream)
    events = [event async for event in replica.engine.stream(ask)]
    assert len([event for event in events if isinstance(event, Picture)]) == 1
    assert chats_left(web) == 0
