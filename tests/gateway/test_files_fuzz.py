"""Files that people hand in, whatever is in them: understood, or refused in words, at once."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.batching.prompts import BadLines, lines_of
from pool.exports import ExportError, parse
from tests.support.hostile import bounded, examples, octets, texts

LINES = (b'"a prompt"\n', b'{"prompt": "a"}\n', b'{"prompt": "a", "id": ', b'"model": "m"}', b'{"prompt": "', b"\\ud800", b"\n", b"\r\n", b"\xff\xfe", b"[", b"9")  # fmt: skip
COOKIES = (".google.com\tTRUE\t/\tTRUE\t0\t__Secure-1PSID\tg.a000x\n", "#HttpOnly_", "# Netscape HTTP Cookie File\n", "Cookie: ", "__Secure-1PSID=g.a000x; ", "curl 'https://gemini.google.com' -H 'cookie: ", '[{"name": "__Secure-1PSID", "value": "g.a000x", "domain": ".google.com"', ', "expirationDate": ', "}]")  # fmt: skip


@settings(max_examples=examples(40))
@given(octets(*LINES))
def test_any_file_is_a_batch_or_refused(data: bytes) -> None:
    """Prompts, each with its line's number, or BadLines and nothing else."""
    with bounded():
        try:
            lines = lines_of(data, "prompts.jsonl")
        except BadLines as error:
            assert "prompts.jsonl" in str(error)
        else:
            assert all(line.prompt.strip() for line in lines)
            assert [line.number for line in lines] == sorted({line.number for line in lines})


@settings(max_examples=examples(40))
@given(
    st.lists(
        st.tuples(
            texts().filter(str.strip), st.none() | st.text(min_size=1, max_size=8) | st.integers(0, 2**60)
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_any_prompts_that_are_written_as_lines_are_read(
    prompts: list[tuple[str, str | int | None]], escaped: bool
) -> None:
    """As they were written, with their ids and in their order, and blank lines between them left out."""
    lines = [
        json.dumps(prompt if id is None else {"prompt": prompt, "id": id}, ensure_ascii=escaped)
        for prompt, id in prompts
    ]
    found = lines_of("\n\n".join(lines).encode(), "prompts.jsonl")
    assert [(line.prompt, line.id) for line in found] == prompts
    assert [line.number for line in found] == [2 * n + 1 for n in range(len(prompts))]


@pytest.mark.parametrize("inner", [b"%s", b'{"prompt": "a", "id": %s}'])
def test_a_line_that_is_nested_too_deeply_is_named(inner: bytes) -> None:
    """As any other line that is no prompt."""
    with pytest.raises(BadLines, match=r"prompts\.jsonl:2: "):
        lines_of(b'"a"\n' + inner % (b"[" * 100_000 + b"]" * 100_000), "prompts.jsonl")


@settings(max_examples=examples(40))
@given(texts(*COOKIES))
def test_any_export_is_cookies_or_refused(text: str) -> None:
    """Cookies of one account, or ExportError and nothing else; its words show no cookie."""
    with bounded():
        try:
            found = parse(text, 1_800_000_000.0)
        except ExportError as error:
            assert "g.a000x" not in str(error)
        else:
            assert found.secure_1psid
