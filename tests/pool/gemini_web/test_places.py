"""Going on in a chat: the place is what the web app gave, and what it refuses blames nobody."""

import pytest

from core.chat import Delta, Place
from core.errors import AccountThrottled, PlaceLost, SessionSuspect
from pool.gemini_web.session import GeminiWebSession
from pool.upstream import Done, UpstreamEvent
from simulator import Simulator, fault
from tests.support.adapter import Open, ask, journal, prompts, text_of, until

KEPT = {"temporary": False}


def place_of(events: list[UpstreamEvent], account: str = "account-1") -> Place:
    done = events[-1]
    assert isinstance(done, Done)
    return Place(account, done.cid, done.rid, done.rcid, done.context)


async def begun(session: GeminiWebSession, text: str = "My name is Ada") -> Place:
    return place_of(await ask(session, text, **KEPT))


@pytest.mark.parametrize("stream", [True, False])
async def test_a_prompt_goes_on_where_the_last_answer_stands(
    web: Simulator, open_session: Open, stream: bool
) -> None:
    """With the place of an answer the next prompt is the chat's next turn, and the model has both in mind."""
    session = await open_session()
    first = await ask(session, "My name is Ada", stream=stream, **KEPT)
    place = place_of(first)
    assert place.context
    second = await ask(session, "What is my name?", stream=stream, place=place, **KEPT)
    assert "Turn 2 of this chat." in text_of(second)
    assert place_of(second).cid == place.cid
    seen = web.conversation("account-1", place.cid)
    assert [prompt for prompt, _ in seen] == ["My name is Ada", "What is my name?"]
    assert [answer for _, answer in seen] == [text_of(first), text_of(second)]


async def test_two_answers_branch_from_one_turn(web: Simulator, open_session: Open) -> None:
    """Gone on with twice from the same turn, neither branch knows of the other."""
    session = await open_session()
    place = await begun(session)
    left = place_of(await ask(session, "Left", place=place, **KEPT))
    right = place_of(await ask(session, "Right", place=place, **KEPT))
    end = place_of(await ask(session, "On", place=left, **KEPT))
    for turn, said in ((left, ["Left"]), (right, ["Right"]), (end, ["Left", "On"])):
        seen = web.conversation("account-1", turn.cid, turn.rid)
        assert [prompt for prompt, _ in seen] == ["My name is Ada", *said]


async def test_a_temporary_chat_has_no_context(web: Simulator, open_session: Open) -> None:
    """What is not kept carries no mark of the history, and no chat is in the account's list."""
    session = await open_session()
    place = place_of(await ask(session, "Secretly"))
    assert (place.context, journal(web, "account-1")["chats"]) == ("", [])


@pytest.mark.parametrize("form", ["1050", "400", "7", "new"])
@pytest.mark.parametrize("stream", [True, False])
async def test_a_refused_place_is_lost(web: Simulator, open_session: Open, form: str, stream: bool) -> None:
    """However the web app refuses the chat, or answers in another one instead: nothing is handed out, and the
    failure is of the place alone."""
    session = await open_session()
    place = await begun(session)
    web.set_fault("account-1", fault("chat_lost", form=form, times=1))
    handed_out: list[UpstreamEvent] = []
    with pytest.raises(PlaceLost):
        handed_out += await ask(session, "And now?", place=place, stream=stream, **KEPT)
    assert handed_out == []
    assert text_of(await ask(session, "And now?", place=place, **KEPT))


async def test_a_chat_that_is_begun_by_mistake_does_not_stay(web: Simulator, open_session: Open) -> None:
    """Where the web app answers in a new chat, that one is deleted again."""
    session = await open_session()
    place = await begun(session)
    web.set_fault("account-1", fault("chat_lost", form="new", times=1))
    with pytest.raises(PlaceLost):
        await ask(session, "And now?", place=place, **KEPT)
    await until(lambda: [chat["cid"] for chat in journal(web, "account-1")["chats"]] == [place.cid])


async def test_an_erased_chat_is_lost(web: Simulator, open_session: Open) -> None:
    """The account's owner emptied its history: nobody's mistake, and the account is well."""
    session = await open_session()
    place = await begun(session)
    web.erase_chats("account-1")
    with pytest.raises(PlaceLost):
        await ask(session, "And now?", place=place, **KEPT)


async def test_another_accounts_place_is_never_sent(web: Simulator, open_session: Open) -> None:
    """No id of one account's chat travels with another's cookies."""
    place = await begun(await open_session(0))
    other = await open_session(1)
    with pytest.raises(PlaceLost, match="another account"):
        await ask(other, "And now?", place=place, **KEPT)
    assert prompts(web, "account-2") == 0


async def test_other_failures_in_a_place_are_the_accounts(web: Simulator, open_session: Open) -> None:
    """A throttled account is throttled, with a place or without; without one a 400 is a matter for a probe."""
    session = await open_session()
    place = await begun(session)
    web.set_fault("account-1", fault("http_429"))
    with pytest.raises(AccountThrottled):
        await ask(session, "And now?", place=place, **KEPT)
    web.set_fault("account-1", fault("http_400"))
    with pytest.raises(SessionSuspect):
        await ask(session, "And now?", **KEPT)
    with pytest.raises(PlaceLost):
        await ask(session, "And now?", place=place, **KEPT)


async def test_a_place_with_a_model_and_thinking(web: Simulator, open_session: Open) -> None:
    """The chat goes on under the model that it was begun with, and other options travel along."""
    session = await open_session()
    place = place_of(await ask(session, "One", model="gemini-pro", **KEPT))
    events = await ask(session, "Two", model="gemini-pro", thinking=True, place=place, **KEPT)
    assert any(isinstance(event, Delta) for event in events)
    last = web.journal()[-1]
    assert (last.model, last.thinking, last.temporary, last.cid) == ("Pro", True, False, place.cid)
