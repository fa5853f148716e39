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
        facts = {word.arg for word in node.keywords if word.arg not in (None, "exc_info")}
        more = [handed_on(word.value, tree) for word in node.keywords if word.arg is None]
        facts |= {fact for found, _ in more for fact in found}
        is_open = any(unknown for _, unknown in more)
        for text in [first.body, first.orelse] if isinstance(first, ast.IfExp) else [first]:
            assert isinstance(text, ast.Constant), f"an event is a sentence of its own: {ast.unparse(node)}"
            yield Logged(logger, str(text.value), levels, frozenset(map(str, facts)), is_open)


def handed_on(value: ast.expr, tree: ast.Module) -> tuple[set[str], bool]:
    """The facts of a dictionary that a call hands on (`**facts`), as far as the source tells, and whether there may be more: a
    literal, a name that the module gives one, or a function of the module that makes one."""
    if isinstance(value, ast.Dict):
        return keys_of(value)
    if isinstance(value, ast.Name):
        return made_in(tree, value.id)
    if isinstance(value, ast.Call) and isinstance(value.func, ast.Name):
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef) and node.name == value.func.id:
                return made_in(node, None)
    return set(), True


def made_in(scope: ast.AST, name: str | None) -> tuple[set[str], bool]:
    """The keys of the dictionaries that a name gets there; for None of all that are returned or named there."""
    facts: set[str] = set()
    unknown, seen = False, False
    for node in ast.walk(scope):
        literal: ast.expr | None = None
        if isinstance(node, ast.Assign | ast.AnnAssign):
            target = node.targets[0] if isinstance(node, ast.Assign) else node.target
            if isinstance(target, ast.Subscript) and isinstance(target.value, ast.Name):
                if name in (None, target.value.id):
                    if isinstance(target.slice, ast.Constant):
                        facts.add(str(target.slice.value))
                    else:
                        unknown = True
            elif isinstance(target, ast.Name) and name in (None, target.id):
                literal = node.value
        elif isinstance(node, ast.Return) and name is None:
            literal = node.value
        for one in [literal.body, literal.orelse] if isinstance(literal, ast.IfExp) else [literal]:
            if isinstance(one, ast.Dict):
                found, more = keys_of(one)
                facts, unknown, seen = facts | found, unknown or more, True
    return facts, unknown or not seen


def keys_of(literal: ast.Dict) -> tuple[set[str], bool]:
    known = {str(key.value) for key in literal.keys if isinstance(key, ast.Constant)}
    return known, len(known) < len(literal.keys)


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
    # The request's facts are a table of their own.
    request = "gempool.access", "request"
    page = PAGE.read_text(encoding="utf-8")
    table = page.partition("| fact | meaning |")[2].partition("\n\n")[0]
    cells = re.findall(r"^\| ([^|]+) \|", table, re.MULTILINE)
    names = frozenset(name for cell in cells for name in re.findall(r"`(\w+)`", cell))
    found[request] = found[request]._replace(facts=names)
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


def test_facts_that_are_handed_on_are_known() -> None:
    """Those of `**facts` count where the source has them: as a literal, under a name, or made by a function."""
    source = """
import structlog
log = structlog.get_logger("gempool.x")
def why(found):
    return {"code": 1} if found else {}
def tell(found, more):
    facts = {"kind": 1, "detail": 2}
    facts["left"] = 3
    log.info("named", one=1, **facts)
    log.info("made", **why(found))
    log.info("literal", **{"a": 1})
    log.info("not told", **more)
"""
    assert {one.event: (set(one.facts), one.open) for one in calls(source)} == {
        "named": ({"one", "kind", "detail", "left"}, False),
        "made": ({"code"}, False),
        "literal": ({"a"}, False),
        "not told": (set(), True),
    }
    alerts = logged()["gempool.supervisor", "alert given up"]
    assert set(alerts.facts) == {"kind", "subject", "devices", "detail"}


def test_loggers_are_named_after_packages() -> None:
    """One name for one place: `gempool.` and a word."""
    assert all(re.fullmatch(r"gempool\.[a-z_]+", logger) for logger, _ in logged())
