"""Frames arrive cut anywhere and come out whole."""

import json

import pytest
from gemini_webapi.utils import StreamingFrameParser
from hypothesis import given
from hypothesis import strategies as st

from pool.frames import FrameReader, FramingError

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)


def frame(payload: object, *, ascii_only: bool = False) -> str:
    body = "\n" + json.dumps(payload, ensure_ascii=ascii_only) + "\n"
    return f"{len(body.encode('utf-16-le')) // 2}{body}"


def cut(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({place % (len(data) + 1) for place in places})
    return [data[a:b] for a, b in zip([0, *edges], [*edges, len(data)], strict=True)]


@given(
    payloads=st.lists(st.lists(TEXT, max_size=3), max_size=6),
    places=st.lists(st.integers(0, 10_000), max_size=12),
    ascii_only=st.booleans(),
    prefix=st.sampled_from([")]}'\n\n", ""]),
)
def test_cut_anywhere(payloads: list[list[str]], places: list[int], ascii_only: bool, prefix: str) -> None:
    """Whatever the cuts, also inside a character, every frame comes out once and as it was."""
    body = prefix + "".join(frame(p, ascii_only=ascii_only) for p in payloads)
    reader = FrameReader()
    seen = [json.loads(f) for piece in cut(body.encode(), places) for f in reader.feed(piece)]
    assert seen == payloads
    assert reader.pending == 0


@given(st.lists(st.lists(TEXT, max_size=3), min_size=1, max_size=4))
def test_agrees_with_the_library(payloads: list[list[str]]) -> None:
    """The library's own parser reads the same out of the same body."""
    body = ")]}'\n\n" + "".join(frame(p) for p in payloads)
    ours = [part for f in FrameReader().feed(body.encode()) for part in json.loads(f)]
    assert ours == StreamingFrameParser().feed(body)


def test_one_byte_at_a_time_is_not_quadratic_in_scans() -> None:
    """A frame of three-byte characters that trickles in is measured a logarithmic number of times."""

    class Counting(FrameReader):
        scans = 0

        def _measure(self) -> int:
            self.scans += 1
            return super()._measure()

    reader = Counting()
    out: list[bytes] = []
    for byte in frame(["漢" * 4000]).encode():
        out += reader.feed(bytes([byte]))
    assert [json.loads(f) for f in out] == [["漢" * 4000]]
    assert reader.scans < 40


@pytest.mark.parametrize(
    "body",
    [
        b"<html>busy</html>",
        b")]}'\n\n<html>",
        b"12345678901234\n[]",
        b"0\n",
        b"99999999999\n",
        b'7\n["\xff\xfe"]\n',
    ],
)
def test_what_is_no_frame_is_said_so_at_once(body: bytes) -> None:
    """HTML, absurd counts and bytes that are no UTF-8 raise; nothing waits for more."""
    with pytest.raises(FramingError):
        FrameReader().feed(body)


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=5))
def test_random_bytes_raise_nothing_else(data: bytes, places: list[int]) -> None:
    """Random bytes either wait for more, are frames, or are refused; nothing else escapes."""
    reader = FrameReader()
    try:
        for piece in cut(data, places):
            reader.feed(piece)
    except FramingError:
        pass
