"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
READS_ENVIRONMENT = {"gateway/settings.py"}
SETS_ONE_VARIABLE = re.compile(r'^\s*os\.environ\["GEMINI_COOKIE_PATH"\] = ')


def tracked() -> list[Path]:
    """What a clone has: the files of the commit, and those that are about to join it."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def texts() -> Iterator[tuple[str, str]]:
    for path in tracked():
        try:
            yield str(path.relative_to(ROOT)), path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue


def sources() -> Iterator[tuple[str, str]]:
    return ((name, text) for name, text in texts() if name.endswith(".py"))


def test_directions_are_kept() -> None:
    """The contracts in pyproject.toml: who may import whom, and which module owns which library."""
    done = subprocess.run(
        [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_only_the_settings_read_the_environment() -> None:
    """Everything else is handed values. One line of the adapter sets what the library reads."""
    offenders = [
        f"{name}:{number}"
        for name, text in sources()
        if not name.startswith(("tests/", "benchmarks/")) and name not in READS_ENVIRONMENT
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(r"\bos\.(environ|getenv|putenv)\b|\bfrom os import .*\benviron\b", line)
        and not (name.startswith("pool/gemini_web") and SETS_ONE_VARIABLE.match(line))
    ]
    assert not offenders


def test_no_file_names_a_machine_or_a_registry() -> None:
    """A clone works anywhere: no path of somebody's machine, no package registry's address."""
    # Put together here, so that this file does not name them.
    machine = "|".join(["/" + "work/", "/" + "root/", "/" + "home/[a-z]", "/" + "Users/[a-z]"])
    registry = "|".join(
        ["py" + r"pi\.org", "pythonhosted" + r"\.org", "registry" + r"\.npmjs", "--index" + "-url "]
    )
    offenders = [
        f"{name}:{number}: {line.strip()[:80]}"
        for name, text in texts()
        for number, line in enumerate(text.splitlines(), 1)
        if re.search(rf"(?<![\w.])(?:{machine})|{registry}", line)
    ]
    assert not offenders


def test_the_locks_pin_by_hash() -> None:
    """Every requirement of both locks is one version with hashes, and the two agree."""
    pins: dict[str, dict[str, str]] = {}
    for lock in ("requirements.lock", "requirements-dev.lock"):
        text = (ROOT / lock).read_text(encoding="utf-8")
        blocks = re.findall(r"^([a-z0-9.-]+)==(\S+)[^\n]*\n((?:    --hash=\S+[^\n]*\n)+)", text, re.MULTILINE)
        assert len(blocks) == len(re.findall(r"^[a-z0-9.-]+==", text, re.MULTILINE))
        pins[lock] = {name: version for name, version, _ in blocks}
    assert pins["requirements.lock"]
    assert pins["requirements.lock"].items() <= pins["requirements-dev.lock"].items()


def test_tests_replace_parts_by_parts() -> None:
    """Collaborators are passed in, so no test patches code: neither mock.patch nor monkeypatch.setattr."""
    patching = re.compile(
        r"\b(?:mock|mocker)\.patch\b|\bmonkeypatch\.(?:setattr|delattr|setitem)\b|\bfrom unittest\b"
    )
    offenders = [
        f"{name}:{number}"
        for name, text in sources()
        if name.startswith("tests/") and name != "tests/arch/test_rules.py"
        for number, line in enumerate(text.splitlines(), 1)
        if patching.search(line)
    ]
    assert not offenders


def test_every_test_is_a_sentence() -> None:
    """The docstring of a test states the behaviour that it holds."""
    offenders = [
        f"{name}::{node.name}"
        for name, text in sources()
        if name.startswith("tests/") and Path(name).name.startswith("test_")
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
        and not ast.get_docstring(node)
    ]
    assert not offenders


def test_no_test_is_skipped() -> None:
    """A skipped test is a silent hole. Only what Debian's programs are for may be skipped, in one place that names the remedy."""
    skipping = re.compile(r"pytest\.(?:mark\.)?(?:skip|skipif|xfail)\b|pytest\.importorskip")
    offenders = [
        name
        for name, text in sources()
        if name.startswith("tests/")
        and name not in ("tests/arch/test_rules.py", "tests/support/debian.py")
        and skipping.search(text)
    ]
    assert not offenders


def test_commands_of_the_documents_exist() -> None:
    """Every `make target` and `gempool verb` that a document names is there."""
    import click

    from gateway.cli import main

    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert isinstance(main, click.Group)
    for name in ("README.md", "CONTRIBUTING.md"):
        text = (ROOT / name).read_text(encoding="utf-8")
        named = set(re.findall(r"`make ([a-z]+)|^\s*make ([a-z]+)", text, re.MULTILINE))
        assert {a or b for a, b in named} <= targets, name
        verbs = set(re.findall(r"(?:`|^\s*)gempool ([a-z]+)", text, re.MULTILINE))
        assert verbs <= set(main.commands), name
    assert "make run" in (ROOT / "README.md").read_text(encoding="utf-8")
    assert "make test" in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", ["README.md", "CONTRIBUTING.md", "docs/README.md", "docs/configuration.md"])
def test_links_of_the_documents_lead_somewhere(name: str) -> None:
    """A relative link names a file of the project."""
    page = ROOT / name
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    assert [link for link in links if not (page.parent / link).exists()] == []
