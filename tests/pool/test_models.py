"""Names of models: exact, in order, and as far as an account's allow-list goes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pool.models import PublicModel, catalogue, lanes_of, resolve
from pool.upstream import Offered

FLASH = Offered("gemini-flash", "Flash", "", frozenset({"gemini-3-flash", "3-flash"}))
PRO = Offered("gemini-pro", "Pro", "", frozenset({"gemini-3-pro"}))
TABLE = (
    PublicModel("gemini-3-flash-preview", ("gemini-3-flash", "gemini-flash", "default")),
    PublicModel("gemini-2.5-pro", ("gemini-2.5-pro", "gemini-pro")),
    PublicModel("gemini-3-pro-image-preview", ("gemini-3-pro", "default"), category="image", pixels=2048),
)


@pytest.mark.parametrize(
    ("name", "lanes"),
    [
        ("gemini-3-flash-preview", ("gemini-flash", "default")),
        ("GEMINI-3-Flash-Preview", ("gemini-flash", "default")),
        ("gemini-2.5-pro", ("gemini-pro",)),
        ("gemini-3-pro-image-preview", ("gemini-pro", "default")),
        ("gemini-pro", ("gemini-pro",)),
        ("3-FLASH", ("gemini-flash",)),
        ("flash", None),
        ("gemini", None),
        ("gpt-4", None),
        ("", None),
        ("default", None),
    ],
)
def test_resolve(name: str, lanes: tuple[str, ...] | None) -> None:
    """Public names by the table, upstream names and aliases as they are, nothing by likeness."""
    assert resolve(TABLE, (FLASH, PRO), name) == lanes


def test_public_names_without_any_offer() -> None:
    """Before anything is known, and where no account offers it, a public name keeps its table's names."""
    assert resolve(TABLE, (), "gemini-3-flash-preview") == ("default",)
    assert resolve(TABLE, (FLASH,), "gemini-2.5-pro") == ("gemini-2.5-pro", "gemini-pro")
    assert resolve(TABLE, (), "gemini-flash") is None


@pytest.mark.parametrize(
    ("allowed", "lanes"),
    [
        (("*",), ("gemini-flash", "gemini-pro", "default")),
        (("gemini-pro",), ("gemini-pro",)),
        (("gemini-flash",), ("gemini-flash", "default")),
        (("GEMINI-2.5-*",), ("gemini-pro",)),
        (("3-flash",), ("gemini-flash", "default")),
        (("default",), ("default",)),
        (("*image*",), ("gemini-pro", "default")),
        (("gemini",), ()),
        (("gemini-.lash",), ()),
        ((), ()),
    ],
)
def test_allow_lists(allowed: tuple[str, ...], lanes: tuple[str, ...]) -> None:
    """Patterns are held against upstream names, aliases and the public names that a lane serves; the
    account's default goes with the model behind it."""
    assert lanes_of(TABLE, (FLASH, PRO), allowed) == lanes


@given(st.text(max_size=12))
def test_patterns_are_not_expressions(pattern: str) -> None:
    """Without a star a pattern allows nothing but its own name."""
    lanes = lanes_of((), (FLASH, PRO), [pattern.replace("*", "")])
    assert lanes in ((), ("gemini-pro",), ("gemini-flash", "default"), ("default",))


def test_catalogue() -> None:
    """Public models first, then the accounts' own, none twice."""
    infos = catalogue(TABLE, (FLASH, PRO, FLASH))
    assert [(info.id, info.upstream) for info in infos] == [
        ("gemini-3-flash-preview", False),
        ("gemini-2.5-pro", False),
        ("gemini-3-pro-image-preview", False),
        ("gemini-flash", True),
        ("gemini-pro", True),
    ]
    assert infos[2].category == "image"
    assert [info.pixels for info in infos] == [1024, 1024, 2048, 1024, 1024]
