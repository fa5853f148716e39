"""A conversation becomes one prompt and loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Blob, Message, Role, Text, ToolCall
from core.errors import InvalidRequest
from engine.prompt import flatten


def said(role: Role, text: str, **more: object) -> Message:
    return Message(role, (Text(text),), **more)  # type: ignore[arg-type]


@given(st.text(min_size=1).filter(str.strip))
def test_a_single_question_is_asked_as_it_stands(text: str) -> None:
    """One user message goes through to the letter."""
    assert flatten((said("user", text),)).text == text


WORDS = st.text(st.characters(categories=["L", "N"]), min_size=3, max_size=12)


@given(
    st.lists(
        st.tuples(st.sampled_from(["system", "user", "assistant", "tool"]), WORDS), min_size=1, max_size=8
    )
)
def test_nothing_that_was_said_is_lost(turns: list[tuple[Role, str]]) -> None:
    """Whatever the roles, every message's text stands in the prompt, system text first, the rest in order."""
    text = flatten(tuple(said(role, words) for role, words in turns)).text
    at = 0
    for _, words in sorted(turns, key=lambda turn: turn[0] != "system"):
        at = text.index(words, at)


def test_instructions_stand_before_the_question() -> None:
    """A system message and a question need no transcript."""
    text = flatten((said("system", "Be brief."), said("user", "Why?"))).text
    assert text == "<system>\nBe brief.\n</system>\n\nWhy?"


def test_a_conversation_is_a_transcript_that_ends_with_what_to_do() -> None:
    """Roles, tool calls and tool results are told apart; the last line asks for an answer."""
    call = ToolCall("call_1", "weather", '{"city":"Oslo"}')
    flat = flatten(
        (
            said("user", "Weather?"),
            Message("assistant", (), tool_calls=(call,)),
            said("tool", "7 degrees", tool_call_id="call_1", name="weather"),
        )
    )
    assert flat.text == (
        "<user>\nWeather?\n</user>\n\n"
        '<assistant>\n[called weather with {"city":"Oslo"}]\n</assistant>\n\n'
        '<tool_result name="weather">\n7 degrees\n</tool_result>\n\n'
        "Answer the last <user> message with the help of the tool results. Write no tags."
    )


def test_an_answer_that_breaks_off_is_continued() -> None:
    """A last message of the assistant's own asks for its continuation."""
    text = flatten((said("user", "Count."), said("assistant", "1, 2,"))).text
    assert text.endswith("Continue the last <assistant> message from where it ends. Write no tags.")


def test_files_are_numbered_where_they_stand() -> None:
    """Two pictures in a conversation are told apart by number, and go along in that order."""
    one, two = Blob(b"1", "image/png", "a.png"), Blob(b"2", "image/jpeg")
    flat = flatten(
        (
            Message("user", (Text("first"), one)),
            said("assistant", "seen"),
            Message("user", (two, Text("and this?"))),
        )
    )
    assert flat.files == (one, two)
    assert "first\n[attached file 1: a.png]" in flat.text
    assert "[attached file 2: image/jpeg]\nand this?" in flat.text


def test_a_single_picture_needs_no_number() -> None:
    """One picture with one question: the question alone."""
    flat = flatten((Message("user", (Text("What is this?"), Blob(b"1", "image/png"))),))
    assert flat.text == "What is this?"


def test_a_picture_without_a_word_is_still_asked_about() -> None:
    """The web app takes no empty prompt, so one is written."""
    assert flatten((Message("user", (Blob(b"1", "image/png"),)),)).text == "See the attached file."


@pytest.mark.parametrize(
    "messages", [(), (Message("user"),), (said("user", " \n "),), (said("system", " "),)]
)
def test_nothing_to_answer_is_the_callers_mistake(messages: tuple[Message, ...]) -> None:
    """Empty and blank conversations name the field."""
    with pytest.raises(InvalidRequest) as error:
        flatten(messages)
    assert error.value.param == "messages"
