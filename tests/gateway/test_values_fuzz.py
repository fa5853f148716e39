"""What operators write, whatever it is: a value, or the error that the start or the reload tells."""

import datetime
import warnings
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gateway.settings import SettingsError, all_settings, load
from gateway.values import FILE, PATH
from pool.roster import RosterError, parse_roster
from pool.rosterfile import RosterText
from tests.support.hostile import bounded, examples, texts

SETTINGS = all_settings()
KINDS = {key: setting.kind for key, setting in SETTINGS.items()}
WORDS = ("[", '["', "~", "~nobody-of-that-name/x", "1/0s", "1h", "10.0.0.0/8", "::1", "https://", "s", "e5", "inf", "nan", "*", "\u0661")  # fmt: skip
YAML_VALUES = st.one_of(
    texts(*WORDS),
    st.text(max_size=6),
    st.integers(),
    st.just(int("f" * 5000, 16)),  # YAML writes it in hexadecimal; Python has no decimals for it
    st.floats(),
    st.booleans(),
    st.just(datetime.date(2026, 1, 1)),
    st.recursive(st.text(max_size=3), lambda inner: st.lists(inner, max_size=3), max_leaves=5),
    st.dictionaries(st.text(max_size=3), st.text(max_size=3), max_size=2),
)


@settings(max_examples=examples(120))
@given(st.sampled_from(sorted(KINDS)), YAML_VALUES)
def test_any_value_of_any_setting_is_read_or_refused(key: str, raw: Any) -> None:
    """A value, or ValueError and nothing else, at once."""
    with bounded():
        try:
            KINDS[key].parse(raw)
        except ValueError:
            return


@settings(max_examples=examples(40))
@given(
    st.dictionaries(
        st.sampled_from(sorted(s.env for s in SETTINGS.values() if s.env)), texts(*WORDS), max_size=3
    )
)
def test_any_environment_starts_or_says_why_not(environ: dict[str, str]) -> None:
    """Settings, or SettingsError with one line or more for the operator."""
    with bounded():
        try:
            load({name: text.replace("\0", "") for name, text in environ.items()})
        except SettingsError as error:
            assert str(error)


@pytest.mark.parametrize("text", ["~nobody-of-that-name/x", "x" * 5000, "/proc/1/root/x"])
def test_a_path_that_leads_nowhere_is_a_wrong_value(text: str) -> None:
    """No home of that name, a name that is too long, a folder that may not be looked into: the start tells that the value is
    wrong, and does not end in a traceback."""
    with pytest.raises(ValueError):  # noqa: PT011 -- each setting has words of its own
        FILE.parse(text)
    if not text.startswith("~"):
        assert PATH.parse(text) == Path(text)


ENTRY = "accounts:\n- id: a\n  secure_1psid: g.a000x\n"
FIELDS = ("\n  max_concurrency: ", "\n  min_interval: ", "\n  proxy: ", "\n  models: ", "\n  enabled: ", "\n- id: ", "defaults:\n  ", "${X}", "file:x", "&a ", "*a", "0x" + "f" * 5000, "!!binary ", "!!timestamp ", "? [a]: b", "{}", "2026-01-01", "%YAML 9.9\n")  # fmt: skip


@settings(max_examples=examples(120))
@example(["!!set x"], False, "")
@given(
    st.lists(st.sampled_from(FIELDS) | st.text(max_size=6), max_size=6),
    st.booleans(),
    st.sampled_from(("9" * 5000, "", "x")),
)
def test_any_accounts_file_is_read_or_refused(parts: list[str], begun: bool, variable: str) -> None:
    """Accounts, or RosterError and nothing else: a running gateway reads the file again whenever it is saved."""
    text = (ENTRY if begun else "") + "".join(parts)
    try:
        parse_roster(text, Path("accounts.yaml"), {"X": variable})
    except RosterError as error:
        assert error.message
    try:
        RosterText(text, Path("accounts.yaml")).with_fields("a", {"enabled": False})
    except RosterError as error:
        assert error.message


GATEWAY = ("server:\n", "  log_level: ", "limits:\n  per_caller: ", "access:\n  keys:\n  - ", "&a ", "*a\n", "<<: *a\n", "0x" + "f" * 5000, "!!binary ", "!!timestamp ", "? [a]: b\n", "{" * 400, "[" * 400, "\t", "%YAML 9.9\n", "\0")  # fmt: skip


@settings(max_examples=examples(20))
@example(["%YAML 9.9\n---\n", "server:\n"])
@example(["!!set x"])
@given(st.lists(st.sampled_from(GATEWAY) | st.text(max_size=6), max_size=6))
def test_any_settings_file_is_read_or_refused(parts: list[str]) -> None:
    """Settings, or what the operator is told; no traceback, and nothing on stderr."""
    with TemporaryDirectory() as folder, bounded():
        path = Path(folder) / "gateway.yaml"
        path.write_bytes("".join(parts).encode("utf-8", "surrogatepass"))
        try:
            load({"GEMPOOL_CONFIG_FILE": str(path)})
        except SettingsError as error:
            assert str(error)


def test_an_anchor_that_is_given_twice_is_no_remark_with_a_cookie_in_it() -> None:
    """YAML allows it; the parser's own remark would go to stderr and quote the line."""
    text = "accounts:\n- {id: &a x, secure_1psid: &a g.a000secret}\n"
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        assert parse_roster(text, Path("accounts.yaml"), {}).accounts[0].id == "x"
        RosterText(text, Path("accounts.yaml"))
    assert not said


@pytest.mark.parametrize(
    "field", ["max_concurrency", "min_interval", "id", "enabled", "proxy", "models", "tags"]
)
@pytest.mark.parametrize(
    "value",
    ["${X}", "0x" + "f" * 5000, "[[[1]]]", "{a: {b: c}}", "2026-01-01", "!!binary aGk=", "1e999", "-.inf"],
)
def test_no_value_of_an_account_escapes(field: str, value: str) -> None:
    """Numbers of thousands of digits included, as text, in the environment, or in hexadecimal."""
    entry = f"accounts:\n- {field}: {value}\n  secure_1psid: g.a000x\n" + (
        "" if field == "id" else "  id: a\n"
    )
    try:
        parse_roster(entry, Path("accounts.yaml"), {"X": "9" * 5000})
    except RosterError as error:
        assert field in str(error)
