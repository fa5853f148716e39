"""The quick look at a text misses nothing that the patterns would mask."""

from hypothesis import given
from hypothesis import strategies as st

from core.masking import _PLACES, _VALUES, mask

PARTS = st.sampled_from(
    [
        "g.a000zwi9xQ7", "sidts-CjIB5H03P", "AIzaSyA1234567890", "gp-" + "k" * 43, "v1.1732240000." + "n" * 22 + "." + "m" * 43,
        "http://user:pass@10.0.0.5:3128", "socks5://a:b@c", "__Secure-1PSID=abc", "SID: xyz", "sid=abc", "NID=1", "AEC=2",
        "Bearer abc", "bearer\tabc", "BASIC abc", "?key=abc", "&KEY=abc", "api_key=abc", "ba\u017fic abc", "bas\u0131c abc", "x-goog-api-key=k",
        "plain words", "inside", "ünï", " ", "\n", '"', "=", ":", "@",
    ]
)  # fmt: skip


@given(st.lists(st.one_of(PARTS, st.text(max_size=5)), max_size=8).map("".join))
def test_what_a_pattern_would_mask_is_masked(text: str) -> None:
    """The same as if every pattern were tried on every text."""
    whole = text
    for pattern, replacement in (*_VALUES, *_PLACES):
        whole = pattern.sub(replacement, whole)
    assert mask(text) == whole
