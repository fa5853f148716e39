"""Secrets that stand in files of their own (`API_KEY_FILE`), as container engines hand them out."""

import os
from pathlib import Path

import pytest

from core.secret import Secret
from gateway.run import SHARED_SERVICES
from gateway.settings import SettingsError, all_settings, load, secret_names
from gateway.sources import IN_FILE


def refused(environ: dict[str, str]) -> str:
    with pytest.raises(SettingsError) as error:
        load(environ)
    return str(error.value)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "secret"


def test_every_secret_may_be_a_file() -> None:
    """What a table of the documents says of each: nine names, among them none that is no secret."""
    assert set(secret_names()) == {
        "API_KEY",
        "ADMIN_KEY",
        "REDIS_URL",
        "GEMPOOL_STATE_KEY",
        "S3_ACCESS_KEY",
        "S3_SECRET_KEY",
        "BARK_URL",
        "BARK_KEYS",
        "BARK_ENCRYPTION_KEY",
    }
    plain = {setting.env for setting in all_settings().values()}
    assert not {name + IN_FILE for name in secret_names()} & plain


def test_a_file_stands_for_the_value(file: Path) -> None:
    """The end of the line, and what an editor of another system adds, are no part of the secret."""
    file.write_bytes(b"\xef\xbb\xbfan admin key\r\n\n")
    assert load({"ADMIN_KEY_FILE": str(file)}).admin_key == Secret("an admin key")
    file.write_text("redis://:pw@valkey:6379/0\n")
    assert load({"REDIS_URL_FILE": str(file)}).redis_url == Secret("redis://:pw@valkey:6379/0")
    file.write_text("0123456789abcdef")
    assert load({"GEMPOOL_STATE_KEY_FILE": str(file)}).state_key == Secret("0123456789abcdef")


def test_a_list_may_have_a_line_for_each_entry(file: Path) -> None:
    """Keys are kept one below the other, or separated by commas as in the variable."""
    file.write_text("one\n\n  two, three\n")
    assert load({"API_KEY_FILE": str(file)}).api_keys == (Secret("one"), Secret("two"), Secret("three"))


def test_an_empty_variable_names_no_file() -> None:
    """Compose hands on what is not set as an empty variable."""
    assert load({"API_KEY_FILE": " ", "API_KEY": "one"}).api_keys == (Secret("one"),)


def test_both_are_refused(file: Path) -> None:
    """Nobody should have to guess which of the two counts."""
    file.write_text("one")
    told = refused({"API_KEY": "two", "API_KEY_FILE": str(file)})
    assert told == "API_KEY and API_KEY_FILE are both set. Keep one of them."


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (None, "does not exist. Make the file, or name another."),
        (b" \n", "is empty. Write the secret into it, or take the variable away."),
        (b"hush\nhush\n", "has 2 lines. Write the secret into it as one line."),
        (b"\xffhush", "is not UTF-8 text. Write the secret into it as text."),
        (b"hush" * 20_000, "has more than 65536 bytes. Name the file that holds the secret alone."),
    ],
)
def test_a_file_that_will_not_do_is_named(file: Path, content: bytes | None, told: str) -> None:
    """The variable, the file and the remedy, and nothing of what stands in it."""
    if content is not None:
        file.write_bytes(content)
    assert refused({"ADMIN_KEY_FILE": str(file)}) == f"ADMIN_KEY_FILE: {file} {told}"


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    """A folder in its place is what an engine makes of a secret whose file is missing on the host."""
    told = refused({"ADMIN_KEY_FILE": str(tmp_path)})
    assert told.startswith(f"ADMIN_KEY_FILE: {tmp_path} cannot be read (Is a directory). Make it a file")


def test_a_pipe_is_not_waited_for(file: Path) -> None:
    """Nobody may ever write into it; the start says so at once, with the variable."""
    os.mkfifo(file)
    told = refused({"API_KEY_FILE": str(file), "HOST": "0.0.0.0"})
    assert told == f"API_KEY_FILE: {file} is no regular file. Write the secret into a file, and name that."


def test_a_value_that_will_not_do_is_told_with_its_file(file: Path) -> None:
    """What is wrong with the value is told as for a variable, the value itself stays unseen."""
    file.write_text("https://not-a-store/hush")
    told = refused({"REDIS_URL_FILE": str(file)})
    assert told.startswith(f"REDIS_URL_FILE ({file}): its value (not shown) is not the address of a store.")
    assert "hush" not in told


def test_a_slip_in_the_name_is_told(file: Path) -> None:
    """A name of ours that is nearly right is no accident."""
    told = refused({"GEMPOOL_STATEKEY_FILE": str(file)})
    assert told == "GEMPOOL_STATEKEY_FILE is not a setting. Did you mean GEMPOOL_STATE_KEY_FILE?"


def test_the_demo_leaves_shared_services_alone_however_they_are_given() -> None:
    """Its accounts have no business in a store that real replicas share, named by a file or not."""
    shared = {name for name in secret_names() if name.startswith(("REDIS", "S3", "BARK"))}
    assert shared <= SHARED_SERVICES
