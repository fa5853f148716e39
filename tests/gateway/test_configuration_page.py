"""docs/configuration.md tells every setting as the code has it."""

import re
from pathlib import Path

from gateway.reference import rewritten
from gateway.settings import FILE_SECTIONS, all_settings
from gateway.sources import variable

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_the_tables_are_those_of_the_code() -> None:
    """Where this fails, `make docs` brings the page up to date."""
    page = PAGE.read_text(encoding="utf-8")
    assert rewritten(page) == page


def test_every_setting_is_on_the_page_and_nothing_else() -> None:
    """Both ways: no setting without a line, no line without a setting."""
    page = PAGE.read_text(encoding="utf-8")
    in_file = {key for key in all_settings() if key.partition(".")[0] in FILE_SECTIONS}
    assert set(re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", page, re.MULTILINE)) == in_file
    assert set(re.findall(r"`(GEMPOOL__\w+)` *[|,]", page)) == {variable(key) for key in in_file}
    plain = {setting.env for setting in all_settings().values() if setting.env}
    assert plain <= set(re.findall(r"`([A-Z][A-Z0-9_]+)`", page))
