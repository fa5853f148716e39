"""docs/logs.md has every event that the gateway logs, and no other."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "logs.md"
PACKAGES = sorted(
    init.parent for init in ROOT.glob("*/__init__.py") if init.parent.name not in ("simulator", "tests")
)
LEVELS = {"info": "info", "warning": "warning", "error": "error", "exception": "error"}
ROW = re.compile(r"^\| `([^`]+)` \| ([a-z, ]+) \| ([^|]*) \| ([^|]+) \|$", re.MULTILINE)


class Logged(NamedTuple):
    """One call. facts: its keywords; open: it hands on more that only the running code knows."""

    logger: str
    event: str
    levels: frozenset[str]
    facts: frozenset[str]
    open: bool


def calls(source: str) -> Iterator[Logged]:
    """What a module logs from info up."""
    tree = ast.parse(source)
    loggers: dict[str, str] = {}
    chosen: dict[
        str, tuple[str, frozenset[str]]
    ] = {}  # by a name: its logger, and the levels that it may have
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name, value = node.targets[0].id, node.value
            if isinstance(value, ast.Call) and ast.unparse(value.func) == "structlog.get_logger":
                loggers[name] = ast.literal_eval(value.args[0])
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            ways = [node.value.body, node.value.orelse] if isinstance(node.value, ast.IfExp) else []
            found = [
                way for way in ways if isinstance(way, ast.Attribute) and ast.unparse(way.value) in loggers
            ]
            if found:
                levels = frozenset(LEVELS[way.attr] for way in found if way.attr in LEVELS)
                chosen[node.targets[0].id] = loggers[ast.unparse(found[0].value)], levels
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call) or not node.args:
            continue
        function = node.func
        if (
            isinstance(function, ast.Attribute)
            and ast.unparse(function.value) in loggers
            and function.attr in LEVELS
        ):
            logger, levels = loggers[ast.unparse(function.value)], frozenset({LEVELS[function.attr]})
        elif isinstance(function, ast.Name) and function.id in chosen:
            logger, levels = chosen[function.id]
        elif (
            isinstance(function, ast.Call)
            and ast.unparse(function.func) == "getattr"
            and ast.unparse(function.args[0]) in loggers
        ):
            logger, levels = loggers[ast.unparse(function.args[0])], frozenset({"warning", "error"})
        else:
            continue
        first = node.args[0]
        facts = frozenset(word.arg for word in node.keywords if word.arg not in (None, "exc_info"))
        is_open = any(word.arg is None for word in node.keywords)
        for text in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
            assert isinstance(text, ast.Constant), f"an event is a sentence of its own: {ast.unparse(node)}"
            yield Logged(logger, str(text.value), levels, frozenset(map(str, facts)), is_open)


def logged() -> dict[tuple[str, str], Logged]:
    """By logger and event, all calls of one event as one."""
    found: dict[tuple[str, str], Logged] = {}
    for package in PACKAGES:
        for path in package.rglob("*.py"):
            for one in calls(path.read_text(encoding="utf-8")):
                key = one.logger, one.event
                same = found.get(key, one)
                found[key] = Logged(
                    *key, same.levels | one.levels, same.facts | one.facts, same.open or one.open
                )
    return found


class Told(NamedTuple):
    levels: frozenset[str]
    facts: frozenset[str]
    meaning: str


def told() -> dict[tuple[str, str], Told]:
    found: dict[tuple[str, str], Told] = {}
    for section in re.split(r"^## ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        title = section.partition("\n")[0].strip()
        if not title.startswith("`gempool."):
            continue
        for event, levels, facts, meaning in ROW.findall(section):
            key = title.strip("`"), event
            assert key not in found, f"{key} is told twice"
            found[key] = Told(
                frozenset(levels.split(", ")), frozenset(re.findall(r"`(\w+)`", facts)), meaning
            )
    return found


def test_every_event_is_on_the_page_and_no_other() -> None:
    """Whoever greps for one finds what it means; what is not logged any more is not promised."""
    assert told().keys() == logged().keys()


def test_an_event_is_told_as_it_is() -> None:
    """Its levels, and all facts that it has."""
    for key, one in logged().items():
        row = told()[key]
        assert row.levels == one.levels, key
        assert row.facts >= one.facts if one.open else row.facts == one.facts, key
        assert len(row.meaning.split()) > 2, key


def test_loggers_are_named_after_packages() -> None:
    """One name for one place: `gempool.` and a word."""
    assert all(re.fullmatch(r"gempool\.[a-z_]+", logger) for logger, _ in logged())
