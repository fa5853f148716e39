"""The page's files: what is vendored, how much a visit loads, and words in both languages."""

import gzip
import hashlib
import json
import re
from pathlib import Path
from typing import Any, get_args

import pytest

from batches import policy
from core import errors
from pool.exports import PSID, PSIDTS, ExportError, parse
from supervisor.incidents import Kind
from supervisor.reasons import WHY

STATIC = Path(__file__).parents[2] / "routes" / "admin" / "static"
VENDOR = STATIC / "vendor"
LIMIT = 300_000
"""Bytes of all that a visit loads, uncompressed."""


def words(name: str) -> dict[str, str]:
    """A dictionary of the page: JSON, but for its first words, comments and last comma."""
    text = (STATIC / "app" / "words" / f"{name}.js").read_text(encoding="utf-8")
    body = text[text.index("export default") + len("export default") :].strip().rstrip(";")
    body = re.sub(r"^\s*//.*$", "", body, flags=re.MULTILINE)
    found: dict[str, str] = json.loads(re.sub(r",\s*}$", "}", body))
    return found


def holes(text: str) -> list[str]:
    return sorted(set(re.findall(r"\{\w+\}", text)))


@pytest.mark.parametrize("part", ["", "-play"])
def test_both_languages_say_the_same_things(part: str) -> None:
    """Every key of one dictionary stands in the other, with the same names to put in; no key twice."""
    english, chinese = words(f"en{part}"), words(f"zh{part}")
    assert english
    assert english.keys() == chinese.keys()
    # Chinese has one form for all numbers, so where English says "one" it may say it or the number.
    differ = [
        key
        for key in english
        if holes(english[key]) != holes(chinese[key])
        and not (key.endswith(".one") and not holes(english[key]))
    ]
    assert differ == []
    assert [key for key, text in (english | chinese).items() if not text.strip()] == []
    for language in ("en", "zh"):
        text = (STATIC / "app" / "words" / f"{language}{part}.js").read_text(encoding="utf-8")
        keys = re.findall(r'^\s*"([^"]+)":', text, re.MULTILINE)
        assert len(keys) == len(set(keys))


def test_the_two_parts_of_a_dictionary_do_not_meet() -> None:
    """A key stands in one part, so that no part changes the words of another's."""
    assert set(words("en")) & set(words("en-play")) == set()


def test_every_reason_of_the_supervisor_has_words() -> None:
    """What the gateway gives as a reason is told in the page's own words, in both languages."""
    english = words("en")
    assert [
        reason for _, reason in WHY if reason and f"reason.{reason}" not in english and reason != "by hand"
    ] == []
    assert [state for state, _ in WHY if f"state.{state}" not in english] == []


def kinds_of(sentence: str, path: str) -> str:
    """The first word whose sign a module of the page finds in the gateway's sentence; '' for none."""
    text = (STATIC / "app" / "views" / path).read_text(encoding="utf-8")
    signs = re.findall(r'^  \["([\w.]+)", /(.+)/\],$', text, re.MULTILINE)
    assert signs
    return next((word for word, sign in signs if re.search(sign, sentence)), "")


def test_every_kind_of_alert_and_every_error_has_words() -> None:
    """Kinds of alerts are told in the page's own words, and no word is left of one that is no more; so is each error's code, and
    each reason of an upstream's failure that a probe may find."""
    known = words("en") | words("en-play")
    assert {key.removeprefix("alert.") for key in known if key.startswith("alert.")} == set(get_args(Kind))
    pending: list[type[errors.GatewayError]] = [errors.GatewayError]
    codes = set()
    while pending:
        one = pending.pop()
        pending += one.__subclasses__()
        if one is not errors.UpstreamError:
            codes.add(one.reason if issubclass(one, errors.UpstreamError) else one.code)
    assert len(codes) > 25
    assert sorted(code for code in codes if f"outcome.{code}" not in known) == []


def test_every_reason_why_a_batch_waits_has_words() -> None:
    """They are known by what is recognisable in the gateway's sentences."""
    known = words("en") | words("en-play")
    for sentence in (*policy._WHY.values(), policy.UNREACHABLE, policy.TRIED_AGAIN, "No account can serve."):
        assert kinds_of(sentence, "parts/batchlook.js") in known, sentence


@pytest.mark.parametrize(
    ("paste", "kind"),
    [
        ("", "empty"),
        ("[]", "empty"),
        ("[1]", "format"),
        ("just some words", "format"),
        ("[{", "damaged"),
        ('[{"name": 1}]', "damaged"),
        (f"Cookie: {PSID}=a/b", "damaged"),
        (f"Cookie: {PSID}={'a' * 5000}", "damaged"),
        (f".google.com\tTRUE\t/\tTRUE\t0\t{PSID}\tx\n.google.com\tTRUE\n", "damaged"),
        (f"Cookie: {PSID}=", "signedout"),
        (f"Cookie: {PSIDTS}=x", "signedout"),
        ("Cookie: NID=x", "signedout"),
        (json.dumps([{"name": PSID, "value": "x", "domain": ".youtube.com"}]), "elsewhere"),
        (json.dumps([{"name": "sid", "value": "x", "domain": "example.org"}]), "elsewhere"),
        (json.dumps([{"name": PSID, "value": "x", "domain": ".google.com", "expires": 1}]), "expired"),
        (json.dumps([{"name": PSID, "value": each, "domain": ".google.com"} for each in "ab"]), "several"),
        (" " * 5_000_000, "long"),
    ],
)
def test_every_refused_paste_has_words(paste: str, kind: str) -> None:
    """What the gateway says of a paste that it cannot use is told in the page's own words."""
    with pytest.raises(ExportError) as caught:
        parse(paste, 1_800_000_000.0)
    assert kinds_of(str(caught.value), "cookies.js") == kind
    assert f"cookies.no.{kind}" in words("en")


def test_every_module_is_fetched_from_the_start() -> None:
    """The page's modules are named in its head: none is waited for in a chain, and none is missing later, when the gateway may be
    away. Words come in one language alone."""
    index = (STATIC / "index.html").read_text(encoding="utf-8")
    named = set(re.findall(r'(?:modulepreload" href|module" src)="/admin/([^"]+)"', index))
    assert named == {
        path.relative_to(STATIC).as_posix() for path in STATIC.rglob("*.js") if path.parent.name != "words"
    }


def test_what_is_vendored_is_what_was_published() -> None:
    """Each file of another project is its package's, but for the names in its imports; nothing else lies there, and the licences
    are with it."""
    listed: list[dict[str, Any]] = json.loads((VENDOR / "vendor.json").read_text(encoding="utf-8"))["files"]
    for entry in listed:
        text = (VENDOR / entry["file"]).read_text(encoding="utf-8")
        for published, ours in entry["imports"].items():
            assert f"from{ours}" in text
            text = text.replace(f"from{ours}", f"from{published}")
        assert hashlib.sha256(text.encode()).hexdigest() == entry["sha256"], entry["file"]
    assert {path.name for path in VENDOR.iterdir()} == {entry["file"] for entry in listed} | {
        "vendor.json",
        "LICENSES.txt",
    }
    licences = (VENDOR / "LICENSES.txt").read_text(encoding="utf-8")
    assert all(entry["package"] in licences for entry in listed)
    assert {entry["licence"] for entry in listed} <= {"MIT", "Apache-2.0"}


def test_a_visit_is_light() -> None:
    """All that the page can load in one language is below 300 kB, and a third of that on the wire."""
    loaded = [
        path
        for path in STATIC.rglob("*")
        if path.suffix in (".html", ".css", ".js", ".svg") and not path.name.startswith("zh")
    ]
    assert sum(path.stat().st_size for path in loaded) < LIMIT
    assert sum(len(gzip.compress(path.read_bytes())) for path in loaded) < LIMIT / 3


def test_the_page_names_no_other_host() -> None:
    """Nothing in the page's own files is loaded from elsewhere."""
    offenders = []
    for path in STATIC.rglob("*"):
        if path.suffix not in (".html", ".css", ".js") or VENDOR in path.parents:
            continue
        found = re.findall(r"https?://[^\s\"'`)]+", path.read_text(encoding="utf-8"))
        offenders += [
            f"{path.name}: {address}" for address in found if not address.startswith("http://www.w3.org/")
        ]
    assert offenders == []
