"""Whether a file of a picture has come to its end."""

from hypothesis import given
from hypothesis import strategies as st

from core.wholeness import is_whole
from simulator.painting import Look, Painter

FILES = {kind: Painter().file(Look(3, 64, 64, "none", kind), 0) for kind in ("png", "jpeg", "webp")}  # type: ignore[arg-type]


@given(st.sampled_from(sorted(FILES)), st.data())
def test_a_file_that_lacks_its_end_is_not_whole(kind: str, data: st.DataObject) -> None:
    """Wherever it was cut off; with a little more behind its end it is whole all the same."""
    file = FILES[kind]
    cut = data.draw(st.integers(16, len(file) - 1))
    assert is_whole(file, f"image/{kind}")
    assert is_whole(file + b"\0" * data.draw(st.integers(0, 100)), f"image/{kind}")
    assert not is_whole(file[:cut], f"image/{kind}")
