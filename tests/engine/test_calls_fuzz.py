"""Calls that callers say the model has made: whatever stands in them, the history is told and known again."""

from hypothesis import given, settings
from hypothesis import strategies as st

from core.chat import Ask, Message, Text, ToolCall
from engine.conversing import digest
from engine.prompt import written
from tests.support.hostile import bounded, examples, texts

DEEP = st.tuples(st.sampled_from(("[", '{"a":', "[{")), st.integers(50, 3000)).map(
    lambda one: one[0] * one[1]
)


def told(arguments: str) -> None:
    call = ToolCall("call_1", "f", arguments)
    history = (Message("user", (Text("hi"),)), Message("assistant", (), tool_calls=(call,)))
    ask = Ask("m", history, caller="ada")
    with bounded():
        assert digest(ask, history) == digest(ask, history)
        assert '"f"' in written(call)


@settings(max_examples=examples(60))
@given(texts('{"a":', "1.0", "9" * 5000, "1e999") | DEEP)
def test_any_arguments_are_told(arguments: str) -> None:
    """Also what is no JSON, or nested beyond what is read."""
    told(arguments)


def test_depth_is_no_way_out() -> None:
    """Whole JSON of any depth, also where reading it just succeeds and writing it does not."""
    for depth in (100, 400, 900, 100_000):
        told("[" * depth + "]" * depth)
    for depth in range(850, 1010):
        assert '"f"' in written(ToolCall("call_1", "f", "[" * depth + "]" * depth))
