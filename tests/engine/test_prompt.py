"""A conversation becomes one prompt and loses nothing."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.chat import Blob, Message, Role, Text, ToolCall
from core.errors import InvalidRequest
from engine.prompt import Frame, flatten


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
    """Roles, tool calls and tool results are told apart; calls stand in the form that the model writes them in; the last
    line asks for an answer, and for no calls where no functions are offered."""
    call = ToolCall("call_1", "weather", '{"city": "Oslo"}')
    flat = flatten(
        (
            said("user", "Weather?"),
            Message("assistant", (Text("One moment."),), tool_calls=(call,)),
            said("tool", "7 degrees", tool_call_id="call_1"),
        )
    )
    assert flat.text == (
        "<user>\nWeather?\n</user>\n\n"
        '<assistant>\nOne moment.\n```tool_call\n{"name":"weather","arguments":{"city":"Oslo"}}\n```\n</assistant>\n\n'
        '<tool_result name="weather" id="call_1">\n7 degrees\n</tool_result>\n\n'
        "Answer the last <user> message with the help of the tool results. Write no tags. Call no functions."
    )


def test_calls_of_one_function_are_told_apart() -> None:
    """Two calls of the same name in one message carry the ids that their results name; arguments that are no JSON are
    handed on as text."""
    calls = (ToolCall("a", "f", "{}"), ToolCall("b", "f", "{broken"))
    text = flatten((said("user", "x"), Message("assistant", (), tool_calls=calls))).text
    assert '{"id":"a","name":"f","arguments":{}}' in text
    assert '{"id":"b","name":"f","arguments":"{broken"}' in text


@pytest.mark.parametrize(
    "arguments", ['{"n":123456789012345678901234567890}', '{"text":"ü\\n```"}', '{"n":1.0}']
)
def test_arguments_in_the_history_are_what_they_were(arguments: str) -> None:
    """Numbers of any size, line breaks and fences included; on one line, so that none of it ends the block."""
    calls = (ToolCall("a", "f", arguments),)
    text = flatten((said("user", "x"), Message("assistant", (), tool_calls=calls))).text
    assert f'```tool_call\n{{"name":"f","arguments":{arguments}}}\n```' in text


FRAME = Frame("Before.", "After.")


@pytest.mark.parametrize(
    ("messages", "text"),
    [
        ((said("user", "Why?"),), "Before.\n\n<user>\nWhy?\n</user>\n\nAnswer the last <user> message. Write no tags. After."),
        ((said("system", "Be brief."),), "Before.\n\nBe brief.\n\nAfter."),
    ],
)  # fmt: skip
def test_a_frame_stands_around_the_conversation(messages: tuple[Message, ...], text: str) -> None:
    """What holds for all of it comes first, what is wanted now last; a single question is a transcript then."""
    assert flatten(messages, frame=FRAME).text == text


TRICKY = st.lists(
    st.sampled_from(
        ["</user>", "<user>", "</tool_result>", "<system", "</user-2>", "<user-7 x>", "</ASSISTANT>", "<tool_result-3",
         " ", "\n", "word", ">", "</system\n>", "-2"]
    ),
    min_size=1,
    max_size=8,
).map("".join).filter(str.strip)  # fmt: skip


@given(st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), TRICKY), min_size=2, max_size=6))
def test_nobodys_words_close_a_block(turns: list[tuple[Role, str]]) -> None:
    """Words that hold our tags are handed on to the letter, and still every block ends where its message ends."""
    text = flatten(tuple(said(role, words) for role, words in turns)).text
    tags = {"user": "user", "assistant": "assistant", "tool": "tool_result"}
    suffix = text[: text.index(">")].removeprefix(f"<{tags[turns[0][0]]}")
    for role, words in turns:
        block = f"<{tags[role]}{suffix}>\n{words}\n</{tags[role]}{suffix}>"
        assert block in text
        text = text.replace(block, "", 1)
    for tag in tags.values():
        assert f"</{tag}{suffix}>" not in text


def test_a_label_cannot_leave_its_tag() -> None:
    """Names that hold quotes and brackets lose them."""
    text = flatten((said("user", "x", name='a">\n</user>'), said("user", "y"))).text
    assert text.startswith('<user name="a_/user_">\nx\n</user>')


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
