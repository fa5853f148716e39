"""Changes of the accounts file's text: what was meant is changed, and not a character more."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from pool.roster import RosterError, parse_roster
from pool.rosterfile import RosterText

FILE = Path("accounts.yaml")

FULL = """\
# The accounts.   Aligned   oddly.

accounts:
    # alice is ours
    - id: alice          # the first
      secure_1psid: 'g.a000alice'   # from Firefox
      # what she may do
      max_concurrency: 2
      # enabled: true

    # bob is bob's
    - secure_1psid:   "g.a000bob"
      id: "bob"
      tags: [ a,b ]

    -   id: carol
        secure_1psid: g.a000carol
        # tail of carol

# the end
defaults: { max_concurrency: 2,   min_interval: 1s }
"""


def changed(text: str, new: str) -> tuple[list[str], list[str]]:
    """The lines that went, and those that came."""
    old_lines, new_lines = text.splitlines(), new.splitlines()
    return [x for x in old_lines if x not in new_lines], [x for x in new_lines if x not in old_lines]


def test_a_value_is_replaced_in_its_quotes() -> None:
    """Comments, quotes and blanks around a value stay."""
    new = RosterText(FULL, FILE).with_fields("alice", {"secure_1psid": "g.a000new"})
    assert changed(FULL, new) == (
        ["      secure_1psid: 'g.a000alice'   # from Firefox"],
        ["      secure_1psid: 'g.a000new'   # from Firefox"],
    )
    new = RosterText(FULL, FILE).with_fields("bob", {"secure_1psid": "g.a000new"})
    assert changed(FULL, new)[1] == ['    - secure_1psid:   "g.a000new"']


def test_a_field_is_added_at_the_entrys_indent() -> None:
    """A field that was not there comes behind the cookie, on a line of its own."""
    new = RosterText(FULL, FILE).with_fields("carol", {"enabled": False, "secure_1psidts": "sidts-x"})
    assert changed(FULL, new) == ([], ["        enabled: false", "        secure_1psidts: sidts-x"])
    assert new.index("g.a000carol") < new.index("sidts-x") < new.index("# tail of carol")


def test_an_entry_is_added_behind_the_last() -> None:
    """At the same indent, behind the comments of the last entry, before what follows the list."""
    new = RosterText(FULL, FILE).with_entry({"id": "dave", "secure_1psid": "g.a000dave"})
    assert changed(FULL, new) == ([], ["    - id: dave", "      secure_1psid: g.a000dave"])
    assert new.index("# tail of carol") < new.index("dave") < new.index("# the end")


@pytest.mark.parametrize(
    ("id", "gone", "stays"),
    [
        (
            "alice",
            ["id: alice", "# what she may do", "# enabled: true"],
            ["# alice is ours", "# bob is bob's"],
        ),
        ("bob", ["g.a000bob", "tags"], ["# bob is bob's", "alice", "carol"]),
        ("carol", ["g.a000carol", "# tail of carol"], ["# the end", "bob"]),
    ],
)
def test_an_entry_is_removed(id: str, gone: list[str], stays: list[str]) -> None:
    """With what stands inside of it; its neighbours and the comments between them stay."""
    new = RosterText(FULL, FILE).without(id)
    assert not [part for part in gone if part in new]
    assert [part for part in stays if part in new] == stays
    assert changed(FULL, new)[1] == []


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment\n",
        "accounts:\n",
        "accounts: # none yet\n",
        "accounts: []\n",
        "accounts: null",
        "accounts: []   # none\ndefaults: {enabled: true}\n",
        "defaults: {enabled: true}\n",
        "defaults: {enabled: true}",
        '{"accounts": []}',
        '{"accounts": [{"id": "x", "secure_1psid": "g.a000x"}]}\n',
        "accounts: [{id: x, secure_1psid: g.a000x}]\n",
        "accounts:\n- id: x\n  secure_1psid: g.a000x",
        "accounts:\r\n  - id: x\r\n    secure_1psid: g.a000x\r\n",
        "accounts:\n  - id: x\n    secure_1psid: |\n      g.a000x\n\ndefaults: {}\n",
        "\ufeffaccounts:\n  - {id: x, secure_1psid: g.a000x}\n",
    ],
)
def test_every_shape_of_file(text: str) -> None:
    """Empty, JSON, without a last line break, with Windows' line breaks: an entry can be added, changed,
    disabled and removed, and comments stay."""
    added = RosterText(text, FILE).with_entry({"id": "new", "secure_1psid": "g.a000new"})
    edited = RosterText(added, FILE).with_fields("new", {"secure_1psid": "g.a000newer", "enabled": False})
    account = parse_roster(edited.removeprefix("\ufeff"), FILE, {}).accounts[-1]
    assert (account.id, account.secure_1psid.reveal(), account.enabled) == ("new", "g.a000newer", False)
    if "\r\n" in text:
        assert edited.count("\n") == edited.count("\r\n")
    assert edited.startswith("\ufeff") == text.startswith("\ufeff")
    for comment in ("# only a comment", "# none yet", "# none"):
        assert (comment in text) <= (comment in edited)
    gone = RosterText(edited, FILE).without("new")
    assert "new" not in gone
    assert parse_roster(gone.removeprefix("\ufeff"), FILE, {}).accounts == (
        parse_roster(text.removeprefix("\ufeff"), FILE, {}).accounts
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("accounts: [\n", "not valid YAML"),
        ("accounts: {}\n", "list of accounts"),
        ("accounts: [a]\n", "list of accounts"),
        ("- a\n", "list of accounts"),
        ("accounts:\n- {id: a, secure_1psid: &x g.a}\n- {id: b, secure_1psid: *x}\n", "edit it by hand"),
        ("accounts:\n- {id: a}\n- {id: a}\n", "used 2 times"),
        ("accounts:\n- {id: b}\n", "there is no account a; the file has b"),
    ],
)
def test_what_cannot_be_changed_is_refused(text: str, words: str) -> None:
    """Rather no change than one that was not meant; the remedy is told."""
    with pytest.raises(RosterError, match=words):
        RosterText(text, FILE).with_fields("a", {"secure_1psid": "g.a000new"})


WORD = st.text("abcdefgh", min_size=1, max_size=6)
COMMENT = st.none() | WORD
STYLE = st.sampled_from(["{}", "'{}'", '"{}"'])


@st.composite
def files(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A file as people write them, with comments anywhere, and its ids."""
    ids = draw(st.lists(WORD, min_size=1, max_size=4, unique=True))
    dash = draw(st.integers(0, 4))
    deep = " " * (dash + 2)
    lines = ["# first", "accounts:" + draw(st.sampled_from(["", "  # list"]))]
    for number, id in enumerate(ids):
        if above := draw(COMMENT):
            lines.append(f"{' ' * dash}# above{number} {above}")
        fields = [f"id: {draw(STYLE).format(id)}", f"secure_1psid: {draw(STYLE).format('g.a000' + id)}"]
        if draw(st.booleans()):
            fields.append("enabled: true")
        fields = draw(st.permutations(fields))
        for place, field in enumerate(fields):
            end = f"   # beside{number}{place} {word}" if (word := draw(COMMENT)) else ""
            lines.append((f"{' ' * dash}- " if place == 0 else deep) + field + end)
        if draw(st.booleans()):
            lines.append("")
    if draw(st.booleans()):
        lines += ["# below", "defaults: {max_concurrency: 3}"]
    return "\n".join(lines) + draw(st.sampled_from(["", "\n", "\n\n"])), ids


def comments(text: str) -> list[str]:
    return [line[line.index("#") :] for line in text.splitlines() if "#" in line]


@settings(max_examples=50)
@given(files(), st.data())
def test_comments_survive(file: tuple[str, list[str]], data: st.DataObject) -> None:
    """Whatever is set, added or removed, every comment outside a removed entry stays, in its order, and the
    data are those that were meant."""
    text, ids = file
    id = data.draw(st.sampled_from(ids))
    before = YAML(typ="safe", pure=True).load(text)
    set_ = RosterText(text, FILE).with_fields(id, {"enabled": False, "secure_1psidts": "sidts-1"})
    assert comments(set_) == comments(text)
    for entry in before["accounts"]:
        if entry["id"] == id:
            entry |= {"enabled": False, "secure_1psidts": "sidts-1"}
    assert YAML(typ="safe", pure=True).load(set_) == before
    added = RosterText(text, FILE).with_entry({"id": "new", "secure_1psid": "g.a000new"})
    assert comments(added) == comments(text)
    assert RosterText(added, FILE).without("new").rstrip() == text.rstrip()
    removed = RosterText(text, FILE).without(id)
    number = ids.index(id)
    assert comments(removed) == [c for c in comments(text) if not c.startswith(f"# beside{number}")]
