"""What the model cannot follow is answered all the same."""

from typing import Any

import pytest

from core.chat import Message, Shape, Text
from engine.prompt import flatten
from engine.shaping.instructions import Instructions
from simulator import Simulator
from simulator.model import TOO_MUCH
from tests.simulator.support import OpenClient

PLACE = '{"type":"string"}'


def asking_for(schema: str) -> str:
    """A prompt with the schema as it is written."""
    frame = Instructions().frame(None, Shape({"type": "string"}))
    text = flatten((Message("user", (Text("A city"),)),), frame=frame).text
    assert PLACE in text
    return text.replace(PLACE, schema)


@pytest.mark.parametrize(
    "schema",
    [
        '{"type":"integer","minimum":1' + "0" * 400 + "}",
        '{"type":"number","minimum":1e308,"multipleOf":1e-300}',
        '{"type":"integer","enum":[1' + "0" * 400 + "]}",
        '{"type":"string","minLength":9223372036854775808}',
        '{"type":"array","minItems":1000000000000}',
    ],
    ids=lambda schema: schema[:50],
)
async def test_hostile_schemas_are_answered_with_json(
    sim: Simulator, open_client: OpenClient, schema: str
) -> None:
    """The connection stays, and nothing of it is noted."""
    client = await open_client()
    answer = await client.generate_content(asking_for(schema), current_retry=0)
    assert answer.text.startswith("```json")
    assert sim.account("alice")["notes"] == []
    assert sim.anomalies() == []


async def test_what_breaks_the_model_is_an_answer_in_words(sim: Simulator, open_client: OpenClient) -> None:
    """A schema nested deeper than any reader reads: noted with the prompt's number, and the next prompt is answered."""
    client = await open_client()
    answer = await client.generate_content(asking_for("[" * 5000 + "]" * 5000), current_retry=0)
    assert answer.text == TOO_MUCH
    notes: Any = sim.account("alice")["notes"]
    assert [(note["kind"], note["seq"], note["error"]) for note in notes] == [
        ("not_followed", 1, "RecursionError")
    ]
    assert (await client.generate_content("Hello", current_retry=0)).text.startswith("You said: Hello")
    assert sim.anomalies() == []
