"""The documents hang together: links lead somewhere, pages are found from the index, translations keep step, commands exist."""

import re
import unicodedata
from pathlib import Path

import click
import pytest

from gateway.cli import main

ROOT = Path(__file__).parents[2]
INDEX = ROOT / "docs" / "README.md"
PAGES = sorted(
    {
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "deploy").rglob("*.md"),
        ROOT / "simulator" / "README.md",
    }
)
TRANSLATIONS = [page for page in PAGES if page.name.endswith(".zh-CN.md")]
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s]+)\)")
HEADING = re.compile(r"^(#+) +(.+)$", re.MULTILINE)


def name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def prose(page: Path) -> str:
    """The page without its blocks of code."""
    return FENCE.sub("", page.read_text(encoding="utf-8"))


def anchors(page: Path) -> set[str]:
    """What a link may name behind '#', as code hosts make it of headings."""
    found: set[str] = set()
    for _, heading in HEADING.findall(prose(page)):
        text = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).strip().lower()
        kept = "".join(c for c in text if c in " -_" or unicodedata.category(c)[0] in "LN")
        found.add(kept.replace(" ", "-"))
    return found


def targets(page: Path) -> set[Path]:
    """Files and folders of the project that the page links to."""
    links = (link.partition("#")[0] for link in LINK.findall(prose(page)))
    return {(page.parent / link).resolve() for link in links if link and "://" not in link}


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path) -> None:
    """A relative link names a file or folder of the project, and a heading that is there."""
    broken = []
    for link in LINK.findall(prose(page)):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        there = (page.parent / path).resolve() if path else page
        if (
            not there.exists()
            or not there.is_relative_to(ROOT)
            or (anchor and there.suffix == ".md" and anchor not in anchors(there))
        ):
            broken.append(link)
    assert broken == []


def test_every_page_is_found_from_the_index() -> None:
    """Whoever opens docs/README.md finds all of docs/, the decisions as a folder."""
    linked = targets(INDEX)
    assert (ROOT / "docs" / "decisions").resolve() in linked
    pages = {page.resolve() for page in (ROOT / "docs").glob("*.md")} - {INDEX.resolve()}
    assert {page.name for page in pages - linked} == set()


def test_the_front_page_leads_to_the_index() -> None:
    """And to each of the pages that a newcomer needs first, in both languages."""
    for front, first in (("README.md", "first-hour.md"), ("README.zh-CN.md", "first-hour.zh-CN.md")):
        assert {INDEX.resolve(), (ROOT / "docs" / first).resolve()} <= targets(ROOT / front)


def test_there_are_translations() -> None:
    """The tests below look at something."""
    assert {"README.zh-CN.md", "first-hour.zh-CN.md"} == {page.name for page in TRANSLATIONS}


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name)
def test_translations_keep_step(page: Path) -> None:
    """The same commands to the letter, the same headings by number and level, the same names in code, and the same links,
    but for those to a translation, or to a picture of the page in the other language."""
    original = page.with_name(page.name.replace(".zh-CN.md", ".md"))
    ours, theirs = page.read_text(encoding="utf-8"), original.read_text(encoding="utf-8")
    assert FENCE.findall(ours) == FENCE.findall(theirs)
    levels = [[level for level, _ in HEADING.findall(prose(one))] for one in (page, original)]
    assert levels[0] == levels[1]
    links = [
        [re.sub(r"\.zh-CN(?=\.md)|-zh(?=\.png$)", "", link) for link in LINK.findall(prose(one))]
        for one in (page, original)
    ]
    assert sorted(links[0]) == sorted(links[1])
    words = [set(re.findall(r"`([^`\n]+)`", prose(one))) for one in (page, original)]
    assert words[0] == words[1]
    assert original.name in "".join(LINK.findall(ours))
    assert page.name in "".join(LINK.findall(theirs))


@pytest.mark.parametrize("page", TRANSLATIONS, ids=name)
def test_translations_are_translated(page: Path) -> None:
    """Most of the prose is Chinese, and so is each heading but for names."""
    text = re.sub(r"`[^`]*`|\]\([^)]*\)|<[^>]*>", "", prose(page))
    chinese = sum("一" <= c <= "鿿" for c in text)
    latin = sum(c.isascii() and c.isalpha() for c in text)
    assert chinese > latin


def test_pictures_say_what_they_show() -> None:
    """Each has words for those who do not see it, and is no larger than a page should carry."""
    for page in PAGES:
        for words, link in re.findall(r"!\[([^\]]*)\]\(([^)]+)\)", prose(page)):
            assert len(words) > 10, f"{name(page)}: {link}"
            if "://" not in link:
                assert (page.parent / link).stat().st_size < 600_000, link


@pytest.mark.parametrize("page", [page for page in PAGES if "decisions" not in page.parts], ids=name)
def test_commands_exist(page: Path) -> None:
    """Every `make target`, and every verb of `gempool` down to the last, that a page names."""
    text = page.read_text(encoding="utf-8")
    made = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    asked = re.findall(r"(?:`|^\s*|\$\(|&& )make ([a-z]+)\b", text, re.MULTILINE)
    assert set(asked) <= made
    for words in re.findall(r"(?:`|^\s*|\| )(?:\.venv/bin/)?gempool ((?:[a-z]+ ?)+)", text, re.MULTILINE):
        command: click.Command = main
        for word in words.split():
            if not isinstance(command, click.Group):
                break
            found = command.commands.get(word)
            assert found is not None, f"gempool {words}"
            command = found
