"""What requests say about the pictures that they want."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import GatewayError, InvalidRequest
from routes import wishes


@pytest.mark.parametrize(
    ("size", "aspect", "pixels"),
    [
        (None, "", 0),
        ("", "", 0),
        ("auto", "", 0),
        ("AUTO", "", 0),
        ("256x256", "1:1", 1024),
        ("1024x1024", "1:1", 1024),
        ("1024x1536", "2:3", 2048),
        ("1536x1024", "3:2", 2048),
        ("1792x1024", "16:9", 2048),
        ("1024x1792", "9:16", 2048),
        ("1920x1080", "16:9", 2048),
        ("2048X2048", "1:1", 2048),
        ("2049x2048", "1:1", 4096),
        ("3840 x 2160", "16:9", 4096),
        ("4096\u00d74096", "1:1", 4096),
        ("3000x1000", "21:9", 4096),
        ("5504x3072", "16:9", 4096),
        ("1K", "", 1024),
        ("2k", "", 2048),
        (" 4K ", "", 4096),
        ("16:9", "16:9", 0),
        ("8:10", "4:5", 0),
    ],
)
def test_a_size_is_a_ratio_and_a_long_side(size: str | None, aspect: str, pixels: int) -> None:
    """Pixels, steps and ratios are all understood; what is left open stays open."""
    assert wishes.size_of(size) == (aspect, pixels)


@pytest.mark.parametrize(
    ("size", "remedy"),
    [
        ("big", "Use auto, pixels"),
        ("8K", "Use auto, pixels"),
        ("1024", "Use auto, pixels"),
        ("1024x", "Use auto, pixels"),
        ("-1x5", "Use auto, pixels"),
        ("\u0661\u0662x5", "Use auto, pixels"),
        ("0x1024", "from 1 to 8192"),
        ("8193x8192", "from 1 to 8192"),
        ("999999x1", "from 1 to 8192"),
        ("3001x1000", "at most 3 times"),
        ("17:1", "Use one of 1:1"),
        ("0:0", "Use one of 1:1"),
    ],
)
def test_a_size_that_there_is_none_of_is_refused(size: str, remedy: str) -> None:
    """The field is named, and what would do."""
    with pytest.raises(InvalidRequest, match="'size'") as refused:
        wishes.size_of(size)
    assert remedy in refused.value.message
    assert refused.value.param == "size"


@given(st.integers(1, 4096), st.integers(1, 4096))
def test_the_nearest_ratio_is_nearest_both_ways(width: int, height: int) -> None:
    """Turning a picture turns its ratio, where the model knows both, and no other ratio is nearer."""

    def off(aspect: str) -> float:
        across, down = map(int, aspect.split(":"))
        return abs(math.log(width / height * down / across))

    found = wishes.nearest_aspect(width, height)
    assert off(found) <= min(off(aspect) for aspect in wishes.ASPECTS) + 1e-12
    turned = ":".join(reversed(found.split(":")))
    if turned in wishes.ASPECTS and min(width, height) * 2 > max(width, height):
        assert off(found) == pytest.approx(
            abs(math.log(height / width) - _log(wishes.nearest_aspect(height, width)))
        )


def _log(aspect: str) -> float:
    across, down = map(int, aspect.split(":"))
    return math.log(across / down)


@given(st.text(max_size=20))
def test_no_word_breaks_a_field(text: str) -> None:
    """It is understood or refused by the field's name."""
    for read in (wishes.size_of, wishes.aspect_of, wishes.format_of):
        try:
            read(text, "f")
        except GatewayError as error:
            assert error.param == "f"
    try:
        assert wishes.pixels_of(text, "f") in (0, *wishes.STEPS)
    except GatewayError as error:
        assert error.param == "f"
