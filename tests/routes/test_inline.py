"""JSON whose pictures are coded as they are sent."""

import base64
import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from routes.inline import PIECE, Inline, encoded
from routes.sse import framed


class Item(msgspec.Struct):
    text: str
    picture: Inline | str


@given(st.lists(st.tuples(st.text(), st.binary(max_size=50), st.text()), max_size=6))
def test_it_is_the_json_that_whole_base64_would_make(items: list[tuple[str, bytes, str]]) -> None:
    """Whatever stands around the pictures, and with the length told beforehand."""
    pieces = encoded([Item(text, Inline(data, prefix)) for text, data, prefix in items])
    plain = [Item(text, prefix + base64.b64encode(data).decode()) for text, data, prefix in items]
    assert pieces.joined() == msgspec.json.encode(plain)
    assert len(pieces) == len(pieces.joined())


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE - 1, PIECE, PIECE + 1, 3 * PIECE + 2])
def test_no_piece_is_large(size: int) -> None:
    """A picture of any size is cut such that its base64 fits together again."""
    data = bytes(i % 251 for i in range(size))
    pieces = encoded({"a": Inline.data_url(data, "image/png"), "b": 1})
    assert max(len(piece) for piece in pieces) <= PIECE * 4 // 3
    assert len(pieces) == sum(len(piece) for piece in pieces)
    found = json.loads(pieces.joined())
    assert found == {"a": "data:image/png;base64," + base64.b64encode(data).decode(), "b": 1}


def test_an_event_with_a_picture_is_one_line() -> None:
    """Also where the text around it holds what ends a line for some readers."""
    raw = framed(encoded(Item("a\u2028b\x85", Inline(b"picture")))).joined()
    assert raw.startswith(b"data: {")
    assert raw.endswith(b"}\n\n")
    assert len(raw.decode().splitlines()) == 2
    assert json.loads(raw[6:]) == {"text": "a\u2028b\x85", "picture": base64.b64encode(b"picture").decode()}


def test_what_is_no_part_of_a_wire_struct_is_a_fault() -> None:
    """It is not written as something else."""
    values: list[Any] = [object(), {"a": object()}]
    for value in values:
        with pytest.raises(NotImplementedError):
            encoded(value)
