"""The flat layout: every folder is a top-level package, so its name must be nobody else's."""

import sys
from importlib.metadata import packages_distributions
from pathlib import Path

ROOT = Path(__file__).parents[2]
OURS = "gemini-pool-gateway"


def packages() -> list[Path]:
    return sorted(init.parent for init in ROOT.glob("*/__init__.py"))


def test_there_are_packages() -> None:
    """The other tests of this file look at something."""
    assert {"core", "gateway"} <= {package.name for package in packages()}


def test_no_package_hides_the_standard_library() -> None:
    """`import X` must not depend on which of two folders comes first on the path."""
    assert not {package.name for package in packages()} & set(sys.stdlib_module_names)


def test_no_installed_distribution_has_a_package_of_the_same_name() -> None:
    """A dependency that brought its own `pool` would break one of the two."""
    theirs = {name for name, owners in packages_distributions().items() if set(owners) - {OURS}}
    assert not {package.name for package in packages()} & theirs


def test_every_package_says_what_it_is() -> None:
    """Whoever opens a folder reads first what lives there."""
    silent = []
    for init in ROOT.glob("*/**/__init__.py"):
        parts = init.relative_to(ROOT).parts
        if parts[0].startswith(".") or parts[0] in ("data", "tests"):
            continue
        if not init.read_text(encoding="utf-8").lstrip().startswith('"""'):
            silent.append(str(init.relative_to(ROOT)))
    assert not silent


def test_tests_are_not_packages() -> None:
    """With an __init__.py under tests/, `import pool` would find the tests of the pool."""
    assert not list((ROOT / "tests").rglob("__init__.py"))
