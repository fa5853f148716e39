"""The accounts file: what it may say, and that every mistake names its place and its remedy."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.secret import Secret
from pool.roster import Roster, RosterError, diff, load_roster, parse_roster

ENVIRONMENT = {"ALICE_1PSID": "g.a000alice", "ALICE_1PSIDTS": "sidts-alice\n", "N": "3", "EMPTY": ""}
FILE = Path("accounts.yaml")


def parse(text: str) -> Roster:
    return parse_roster(text, FILE, ENVIRONMENT)


FULL = """\
# kept comment
accounts:
  - id: alice
    secure_1psid: ${ALICE_1PSID}
    secure_1psidts: ${ALICE_1PSIDTS}
    proxy: http://user:pass@10.0.0.5:3128
    enabled: false
    max_concurrency: ${N}
    min_interval: 500ms
    models: ["gemini-2.5-*"]
    tags: [images]
  - id: bob.2_x-y
    secure_1psid: g.a000bob
defaults: {max_concurrency: 4, min_interval: 2}
"""


def test_a_full_file() -> None:
    """Every field is read, `${ENV}` is followed, and defaults stand behind what an entry leaves out."""
    alice, bob = parse(FULL).accounts
    assert alice.id == "alice"
    assert alice.secure_1psid == Secret("g.a000alice")
    assert alice.secure_1psidts == Secret("sidts-alice")
    assert alice.proxy == Secret("http://user:pass@10.0.0.5:3128")
    assert (alice.enabled, alice.max_concurrency, alice.min_interval) == (False, 3, 0.5)
    assert (alice.models, alice.tags) == (("gemini-2.5-*",), ("images",))
    assert (bob.id, bob.max_concurrency, bob.min_interval) == ("bob.2_x-y", 4, 2.0)
    assert (bob.proxy, bob.enabled, bob.models, bob.tags) == (None, True, ("*",), ())


def test_built_in_defaults() -> None:
    """With neither entry nor defaults saying otherwise: two at a time, no spacing, every model."""
    (account,) = parse("accounts:\n  - {id: a, secure_1psid: g.a}").accounts
    assert (account.max_concurrency, account.min_interval, account.models) == (2, 0.0, ("*",))
    assert account.enabled


@pytest.mark.parametrize(
    "text", ["", "# nothing\n", "accounts:\n", "accounts: []\n", "defaults: {enabled: true}\n"]
)
def test_no_accounts(text: str) -> None:
    """An empty file and an empty list are allowed. Only the list says that there shall be none: where all entries
    are commented out, nothing is said."""
    assert parse(text).accounts == ()
    assert parse(text).blank == (text != "accounts: []\n")


@pytest.mark.parametrize(
    "text",
    [
        "accounts: !!python/object/apply:os.system ['true']\n",
        "accounts: " + "[" * 700,
        "accounts:\n  - id: a\n    secure_1psid: one-odd-value\n    secure_1psid: another-odd-value\n",
        "accounts:\n  - {id: a, secure_1psid: *odd-value}\n",
        'accounts:\n  - id: a\n    secure_1psid: "odd-value\n  other: [',
    ],
)
def test_every_mistake_is_an_error_without_a_value(text: str) -> None:
    """Whatever the YAML library trips over is the file's mistake, told without quoting a value."""
    with pytest.raises(RosterError) as caught:
        parse(text)
    assert "odd-value" not in str(caught.value)


def test_a_cookie_of_impossible_length() -> None:
    """Named with its line: the library would make a file's name of it."""
    with pytest.raises(RosterError, match="longer than 220") as caught:
        parse(f"accounts:\n  - id: a\n    secure_1psid: {'x' * 221}\n")
    assert (caught.value.line, caught.value.field) == (3, "accounts[0].secure_1psid")


def entry(**fields: str) -> str:
    merged = {"id": "a", "secure_1psid": "g.a000x", **fields}
    lines = "\n    ".join(f"{name}: {value}" for name, value in merged.items() if value != "-")
    return f"accounts:\n  - {lines}\n"


@pytest.mark.parametrize(
    ("text", "line", "field", "words"),
    [
        ("- a\n", 1, "", "mapping with the key `accounts`"),
        ("accounts: {a: 1}\n", 1, "accounts", "must be a list"),
        ("accounts:\n  - just text\n", 2, "accounts[0]", "mapping of fields"),
        ("account: []\n", 1, "account", "known are accounts, defaults"),
        ("defaults: [a]\n", 1, "defaults", "mapping of fields"),
        ("defaults:\n  secure_1psid: x\n", 2, "defaults.secure_1psid", "not a known field"),
        ("accounts: [\n", None, "", "not valid YAML: expected the node content, but found '<stream end>'"),
        ("accounts: [a\n", None, "", "not valid YAML: expected ',' or ']', but got '<stream end>'"),
        (entry(cookies="x"), 4, "accounts[0].cookies", "known are id, secure_1psid"),
        (entry(id="-"), 2, "accounts[0].id", "1 to 63 letters"),
        (entry(id='"-a"'), 2, "accounts[0].id", "beginning with a letter"),
        (entry(id="a/b"), 2, "accounts[0].id", "letters, digits"),
        (entry(id="x" * 64), 2, "accounts[0].id", "1 to 63"),
        (entry(secure_1psid="-"), 2, "accounts[0].secure_1psid", "missing or empty"),
        (entry(secure_1psid='""'), 3, "accounts[0].secure_1psid", "missing or empty"),
        (entry(secure_1psid="${EMPTY}"), 3, "accounts[0].secure_1psid", "missing or empty"),
        (entry(secure_1psid="${NOT_THERE}"), 3, "accounts[0].secure_1psid", "NOT_THERE is not set"),
        (entry(secure_1psid="file:/nowhere/at/all"), 3, "accounts[0].secure_1psid", "cannot be read"),
        (entry(secure_1psid="[a]"), 3, "accounts[0].secure_1psid", "must be text"),
        (entry(secure_1psid="g.a/../b"), 3, "accounts[0].secure_1psid", "copy the cookie's value alone"),
        (entry(secure_1psid="'a; b=c'"), 3, "accounts[0].secure_1psid", "copy the cookie's value alone"),
        (entry(secure_1psidts="\"'quoted'\""), 4, "accounts[0].secure_1psidts", "quote"),
        (entry(secure_1psidts='"a\\tb"'), 4, "accounts[0].secure_1psidts", "control character"),
        (entry(proxy="10.0.0.5:3128"), 4, "accounts[0].proxy", "such as http://"),
        (entry(proxy="ftp://host"), 4, "accounts[0].proxy", "such as http://"),
        (entry(proxy="http://host:99999"), 4, "accounts[0].proxy", "such as http://"),
        (entry(proxy="http://"), 4, "accounts[0].proxy", "such as http://"),
        (entry(enabled="maybe"), 4, "accounts[0].enabled", "true or false"),
        (entry(max_concurrency="0"), 4, "accounts[0].max_concurrency", "from 1 to 8"),
        (entry(max_concurrency="9"), 4, "accounts[0].max_concurrency", "from 1 to 8"),
        (entry(max_concurrency="true"), 4, "accounts[0].max_concurrency", "from 1 to 8"),
        (entry(max_concurrency="1.5"), 4, "accounts[0].max_concurrency", "from 1 to 8"),
        (entry(min_interval="2 days"), 4, "accounts[0].min_interval", "500ms, 2s"),
        (entry(min_interval="-1"), 4, "accounts[0].min_interval", "500ms, 2s"),
        (entry(models="all"), 4, "accounts[0].models", 'models: ["*"]'),
        (entry(tags="[1]"), 4, "accounts[0].tags", "list of words"),
        (entry() + "defaults:\n  max_concurrency: 20\n", 5, "defaults.max_concurrency", "from 1 to 8"),
        (entry() + "  - id: a\n    secure_1psid: other\n", 4, "accounts[1].id", "line 2"),
        (entry() + "  - id: b\n    secure_1psid: g.a000x\n", 5, "accounts[1].secure_1psid", "account a"),
    ],
)
def test_mistakes_name_their_place(text: str, line: int | None, field: str, words: str) -> None:
    """A broken file says file, line, field, and what to do; it never shows a cookie."""
    with pytest.raises(RosterError) as caught:
        parse(text)
    error = caught.value
    assert error.file == "accounts.yaml"
    if line is not None:
        assert error.line == line
    assert error.field == field
    assert words in str(error)
    assert str(error).startswith("accounts.yaml")
    assert "g.a000x" not in str(error)


@given(st.text(alphabet=st.characters(codec="utf-8"), min_size=1, max_size=40))
def test_cookies_are_taken_whole_or_refused(value: str) -> None:
    """Whatever stands in a cookie's place: it is taken as it is, but for blanks around it, or the error
    does not repeat it, and nothing dangerous ever gets through."""
    secret = "SECRET" + value + "SECRET"
    try:
        (account,) = parse_roster(
            "accounts: [{id: a, secure_1psid: '${COOKIE}'}]", FILE, {"COOKIE": secret}
        ).accounts
    except RosterError as error:
        assert "SECRET" not in str(error)
    else:
        assert account.secure_1psid.reveal() == secret
        assert not set(secret) & set("/;,'\" \t\r\n\\")
        assert ".." not in secret
        assert secret.isascii()
        assert secret.isprintable()


@given(st.integers(0, 80_000), st.sampled_from(["ms", "s", "m", "h", ""]))
def test_durations(number: int, unit: str) -> None:
    """A duration is its number times its unit; a bare number is in seconds; a day is the most."""
    seconds = number * {"ms": 0.001, "s": 1, "": 1, "m": 60, "h": 3600}[unit]
    text = entry(min_interval=f"{number}{unit}")
    if seconds > 86400:
        with pytest.raises(RosterError):
            parse(text)
    else:
        assert parse(text).accounts[0].min_interval == pytest.approx(seconds)


def test_broken_yaml_does_not_quote_the_line(tmp_path: Path) -> None:
    """What cannot be parsed is reported by line; the line itself may hold a cookie."""
    with pytest.raises(RosterError) as caught:
        parse('accounts:\n  - id: a\n    secure_1psid: "g.a000topsecret\n    x: [')
    assert "topsecret" not in str(caught.value)
    assert caught.value.line is not None


def test_reading_files(tmp_path: Path) -> None:
    """`file:` values are read, relative ones from beside the accounts file; a world-readable accounts file
    is a warning, a private one is not."""
    (tmp_path / "psid").write_text("g.a000fromfile\n")
    path = tmp_path / "accounts.yaml"
    path.write_text(f"accounts:\n  - {{id: a, secure_1psid: 'file:{tmp_path}/psid'}}\n")
    path.chmod(0o600)
    roster = load_roster(path, {})
    assert roster.accounts[0].secure_1psid == Secret("g.a000fromfile")
    assert roster.warnings == ()
    path.write_text("accounts:\n  - {id: a, secure_1psid: 'file:psid'}\n")
    path.chmod(0o644)
    files: set[Path] = set()
    roster = load_roster(path, {}, files)
    assert files == {path, tmp_path / "psid"}
    assert roster.accounts[0].secure_1psid == Secret("g.a000fromfile")
    assert "chmod 600" in roster.warnings[0]


def test_a_missing_file(tmp_path: Path) -> None:
    """A file that is not there is named."""
    with pytest.raises(RosterError, match=r"nobody\.yaml: the file does not exist"):
        load_roster(tmp_path / "nobody.yaml", {})


def test_repr_shows_no_secret() -> None:
    """Printing a roster shows neither cookies nor the proxy's password."""
    shown = repr(parse(FULL))
    assert "alice" in shown
    for secret in ("g.a000alice", "sidts-alice", "g.a000bob", "pass@"):
        assert secret not in shown


def test_diff() -> None:
    """The difference of two rosters: what is new, what is not the same any more, what is gone."""
    old = parse(
        "accounts:\n- {id: a, secure_1psid: x}\n- {id: b, secure_1psid: y}\n- {id: c, secure_1psid: z}\n"
    )
    new = parse(
        "accounts:\n- {id: d, secure_1psid: w}\n- {id: b, secure_1psid: y2}\n- {id: c, secure_1psid: z}\n"
    )
    change = diff(old, new)
    assert [account.id for account in change.added] == ["d"]
    assert [account.id for account in change.changed] == ["b"]
    assert change.removed == ("a",)
    nothing = diff(old, old)
    assert (nothing.added, nothing.changed, nothing.removed) == ((), (), ())
