"""What exporters write is read; what cannot be used is refused in words that help and show no cookie."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secret import Secret
from pool.exports import PSID, PSIDTS, Exported, ExportError, parse

NOW = 1_800_000_000.0


def cookie(name: str, value: str, domain: str = ".google.com", **more: Any) -> dict[str, Any]:
    return {"name": name, "value": value, "domain": domain, "path": "/", "secure": True, **more}


def netscape(*rows: tuple[str, str, str], ends: int = 0, tab: str = "\t") -> str:
    head = "# Netscape HTTP Cookie File\n# This is a generated file! Do not edit.\n\n"
    return head + "".join(
        tab.join((f"#HttpOnly_{domain}", "TRUE", "/", "TRUE", str(ends), name, value)) + "\n"
        for domain, name, value in rows
    )


VALUE = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789_-", min_size=1, max_size=40)
OTHERS = st.dictionaries(st.sampled_from(["NID", "SAPISID", "SIDCC", "__Secure-3PSID"]), VALUE)


@given(VALUE, VALUE | st.just(""), OTHERS)
def test_every_format_tells_the_same(psid: str, psidts: str, others: dict[str, str]) -> None:
    """An export in any format, read again, is the cookies that were exported."""
    cookies = {PSID: psid, **({PSIDTS: psidts} if psidts else {}), **others}
    expected = Exported(Secret(psid), Secret(psidts), {name: Secret(v) for name, v in others.items()})
    listed = [cookie(name, value, expirationDate=NOW + 60) for name, value in cookies.items()]
    rows = [(".google.com", name, value) for name, value in cookies.items()]
    header = "; ".join(f"{name}={value}" for name, value in cookies.items())
    for text in (
        json.dumps(listed),
        json.dumps({"cookies": listed, "origins": []}, indent=2),
        "\ufeff" + json.dumps(listed),
        netscape(*rows),
        netscape(*rows, ends=int(NOW) + 60).replace("\n", "\r\n"),
        netscape(*rows, tab="  "),
        header,
        header + ";",
        f"Cookie: {header}\r\n",
        f"Host: gemini.google.com\nUser-Agent: x\ncookie: {header}\nAccept: */*\n",
        f"curl 'https://gemini.google.com/app' \\\n  -H 'accept: */*' \\\n  -H 'cookie: {header}' \\\n",
    ):
        assert parse(text, NOW) == expected


def test_other_sites_cookies_stay_out() -> None:
    """YouTube's and a country's Google have a PSID of their own, which is not the one."""
    text = json.dumps(
        [
            cookie(PSID, "wrong", ".youtube.com"),
            cookie(PSID, "right"),
            cookie(PSID, "wrong", ".google.de"),
            cookie("COMPASS", "x", "gemini.google.com", hostOnly=True),
            cookie("OLD", "x", expirationDate=NOW - 1),
            cookie("NID", "x", expirationDate=-1),
        ]
    )
    assert parse(text, NOW) == Exported(Secret("right"), Secret(""), {"NID": Secret("x")})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "is empty"),
        ("  \n", "is empty"),
        ("[]", "no cookie in the export"),
        ('[{"name": "__Secure-1PSID"', "broken in line 1"),
        ('{"a": 1}', "no list of cookies"),
        ("[1]", "no list of cookies"),
        ('[{"name": "__Secure-1PSID"}]', "Cookie 1 of the JSON lacks"),
        (json.dumps([cookie("NID", "SECRET")]), "not signed in, or the exporter leaves out HttpOnly"),
        (json.dumps([cookie(PSIDTS, "SECRET")]), "is missing; both are needed"),
        (json.dumps([cookie("sid", "SECRET", "example.org")]), "of example.org, not of google.com"),
        (json.dumps([cookie(PSID, "SECRET", ".youtube.com")]), "for youtube.com only"),
        (json.dumps([cookie(PSID, "SECRET", ".evilgoogle.com")]), "for evilgoogle.com only"),
        (json.dumps([cookie(PSID, "SECRET1"), cookie(PSID, "SECRET2")]), "several accounts"),
        (json.dumps([cookie(PSID, "SECRET", expirationDate=NOW - 86400)]), "has expired on 2027-01-14"),
        (json.dumps([cookie(PSID, "SECRET", expires=(NOW - 86400) * 1000)]), "has expired on 2027-01-14"),
        (json.dumps([cookie(PSID, "")]), "is empty: the browser is signed out"),
        (json.dumps([cookie(PSID, "SECRET/../x")]), "no such cookie has"),
        (json.dumps([cookie(PSID, "ok"), cookie(PSIDTS, "SECRET\n")]), "no such cookie has"),
        (netscape((".google.com", PSID, "SECRET"), ends=int(NOW) - 5), "has expired"),
        (netscape((".google.com", PSID, "SECRET")) + ".google.com\tTRUE\n", "Line 5 of cookies.txt"),
        ("just some SECRET words", "none of the formats"),
        ("Cookie: __Secure-1PSIDTS=SECRET", "is missing"),
        ("[" * 100_000, "broken"),
    ],
)
def test_what_is_missing_is_named(text: str, words: str) -> None:
    """The error says what is wrong and what to do, and repeats no value."""
    with pytest.raises(ExportError, match=words) as caught:
        parse(text, NOW)
    assert "SECRET" not in str(caught.value)


@given(st.text(max_size=200) | st.binary(max_size=200).map(lambda raw: raw.decode("latin-1")))
def test_anything_may_be_pasted(text: str) -> None:
    """No text makes it fail in any other way, and what it takes is fit for a header and a file's name."""
    try:
        found = parse(text, NOW)
    except ExportError as error:
        assert str(error)
    else:
        assert found.secure_1psid.reveal().isprintable()
        assert not set(found.secure_1psid.reveal()) & set("/;, \"'")


def test_an_export_does_not_print_itself() -> None:
    """Neither repr nor format shows a cookie."""
    assert "SECRET" not in f"{parse('__Secure-1PSID=SECRET; NID=SECRET')!r}"
