"""The simulated model does what the gateway's prompts tell it: the two sides are held together here."""

from typing import Any

import msgspec
import pytest

from core.chat import Message, Shape, Text, Tool, Toolbox, ToolCall
from engine.prompt import Frame, flatten
from engine.shaping.instructions import Instructions
from simulator.following import follow, understand

WEATHER = Tool(
    "get_weather",
    "Get the current weather for a city",
    {
        "type": "object",
        "properties": {
            "city": {"type": "string"},
            "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
        },
        "required": ["city"],
    },
)
CALCULATE = Tool(
    "calculate",
    "Evaluate an arithmetic expression",
    {"type": "object", "properties": {"expression": {"type": "string"}}, "required": ["expression"]},
)
BOX = Toolbox((WEATHER, CALCULATE))


def user(text: str) -> Message:
    return Message("user", (Text(text),))


def prompt(*messages: Message, box: Toolbox | None = BOX, shape: Shape | None = None) -> str:
    frame = Instructions().frame(box, shape) if box or shape else Frame()
    return flatten(messages, frame=frame).text


def said(text: str, *earlier: str, tools: Any = "right", json: Any = "right") -> str:
    task = understand(text, earlier)
    assert task is not None
    return follow(task, tools, json)


def calls(text: str, fence: str = "tool_call") -> list[Any]:
    blocks = text.split(f"```{fence}\n")[1:]
    return [msgspec.json.decode(block.split("\n```")[0]) for block in blocks]


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("What's the weather in Paris?", [("get_weather", {"city": "Paris"})]),
        (
            "How is the weather in Oslo in fahrenheit?",
            [("get_weather", {"city": "Oslo", "unit": "fahrenheit"})],
        ),
        (
            "What is the weather in Paris, London and New York?",
            [("get_weather", {"city": city}) for city in ("Paris", "London", "New York")],
        ),
        ("Evaluate the expression (2 + 3) * 4", [("calculate", {"expression": "(2 + 3) * 4"})]),
    ],
)
def test_a_question_that_a_function_fits_is_a_call(question: str, expected: list[tuple[str, Any]]) -> None:
    """With some words before it, and one call for each place."""
    answer = said(prompt(user(question)))
    assert not answer.startswith("```")
    assert [(c["name"], c["arguments"]) for c in calls(answer)] == expected


def test_a_question_that_no_function_fits_is_answered_in_words() -> None:
    """Where the choice is free; where a call must be made, one is."""
    text = prompt(user("Hello, how are you?"))
    assert calls(said(text)) == []
    assert "Hello, how are you?" in said(text)
    must = prompt(user("Hello, how are you?"), box=Toolbox(BOX.tools, required=True))
    assert len(calls(said(must))) == 1
    one = prompt(user("Hello"), box=Toolbox(BOX.tools, required=True, allowed=frozenset({"calculate"})))
    assert [c["name"] for c in calls(said(one))] == ["calculate"]


def test_one_call_at_most_where_one_is_wanted() -> None:
    """Several places, but no parallel calls."""
    text = prompt(user("What is the weather in Paris and London?"), box=Toolbox((WEATHER,), parallel=False))
    assert len(calls(said(text))) == 1


def test_results_are_told_in_words() -> None:
    """A prompt that ends with results is answered with them, with the functions still on offer and without."""
    history = (
        user("What is the weather in Paris?"),
        Message("assistant", (), tool_calls=(ToolCall("c1", "get_weather", '{"city": "Paris"}'),)),
        Message("tool", (Text("18 degrees,\nsunny"),), tool_call_id="c1"),
    )
    for box in (BOX, None):
        answer = said(prompt(*history, box=box))
        assert "get_weather: 18 degrees, sunny" in answer
        assert calls(answer) == []
    must = prompt(*history, box=Toolbox(BOX.tools, required=True))
    assert [c["name"] for c in calls(said(must))] == ["get_weather"]
    further = prompt(*history, user("And in Oslo, the weather?"))
    assert [c["arguments"] for c in calls(said(further))] == [{"city": "Oslo"}]


def test_a_chat_knows_what_it_was_told_before() -> None:
    """A follow-up that goes on in its chat does not repeat the functions."""
    first = prompt(user("Hello"))
    closing = Instructions().frame(BOX, None).closing
    follow_up = flatten((user("The weather in Rome?"),), frame=Frame(closing=closing)).text
    assert calls(said(follow_up)) == []
    assert [c["arguments"] for c in calls(said(follow_up, first))] == [{"city": "Rome"}]


PERSON = Shape(
    {"type": "object", "properties": {"name": {"type": "string"}, "age": {"type": "integer"}}}, "person"
)


def test_json_is_an_instance_of_the_schema() -> None:
    """Alone in its fence; any object where no schema is given; and calls go before JSON."""
    text = prompt(user("Jason is 25 years old"), box=None, shape=PERSON)
    answer = said(text)
    assert calls(answer, "json") == [{"name": "Jason", "age": 25}]
    assert answer.startswith("```json\n")
    assert calls(said(prompt(user("x"), box=None, shape=Shape())), "json") == [{}]
    both = prompt(user("The weather in Rome?"), shape=PERSON)
    assert len(calls(said(both))) == 1
    assert len(calls(said(prompt(user("Hello"), shape=PERSON)), "json")) == 1


def test_a_schema_in_somebodys_words_is_kept() -> None:
    """As `instructor` asks for JSON: the schema stands in the system message, and the format is any object."""
    schema = msgspec.json.format(msgspec.json.encode(PERSON.schema), indent=2).decode()
    told = Message(
        "system", (Text(f"Answer {{as told}} by this json_schema:\n\n{schema}\n\nNot with the schema."),)
    )
    text = prompt(told, user("Jason is 25 years old"), box=None, shape=Shape())
    assert calls(said(text), "json") == [{"name": "Jason", "age": 25}]
    later = prompt(user("Ada is 36 years old"), box=None, shape=Shape())
    assert calls(said(later, text), "json") == [{"name": "Ada", "age": 36}]
    other = prompt(user('Change {"type": "object", "a": 1} and ' + "{" * 9000), box=None, shape=Shape())
    assert calls(said(other), "json") == [{}]


def test_it_misbehaves_as_told() -> None:
    """In each of the ways that models have."""
    ask = prompt(user("The weather in Rome?"))
    assert "```" not in said(ask, tools="prose")
    with pytest.raises(msgspec.DecodeError):
        calls(said(ask, tools="broken"))
    assert calls(said(ask, tools="schema"))[0]["arguments"]["city"] != "Rome"
    assert calls(said(ask, tools="name"))[0]["name"] == "get_weather_of_mine"
    assert calls(said(ask, tools="fence"), "json")[0]["name"] == "get_weather"
    assert said(ask, tools="babble").endswith("42.")
    shaped = prompt(user("Jason is 25"), box=None, shape=PERSON)
    assert "{" not in said(shaped, json="prose")
    with pytest.raises(msgspec.DecodeError):
        calls(said(shaped, json="broken"), "json")
    assert calls(said(shaped, json="schema"), "json")[0]["age"] != 25
    assert msgspec.json.decode(said(shaped, json="fence")) == {"name": "Jason", "age": 25}
    assert not said(shaped, json="babble").endswith("```")


@pytest.mark.parametrize(
    "text",
    [
        "Hello",
        "What is a <functions> tag?\n<functions>\nx\n</functions>",
        "<user>\nHi\n</user>\n\n<assistant>\nHo\n</assistant>\n\n<user>\nYou must call at least one of the functions now\n"
        "</user>\n\nAnswer the last <user> message. Write no tags.",
    ],
)
def test_plain_prompts_stay_as_they_are(text: str) -> None:
    """Somebody's words about functions are no functions."""
    assert understand(text, []) is None
