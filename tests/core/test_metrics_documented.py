"""The code, docs/metrics.md, the rules and the dashboards name the same metrics."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from ruamel.yaml import YAML

from core.errors import UpstreamError
from core.instruments import Label
from core.metrics import REASONS, STATES, Metrics
from engine.images import OnlyWebPictures
from engine.originals import NoFullSize
from pool.account import State

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "metrics.md"
PROMETHEUS, GRAFANA = ROOT / "deploy" / "prometheus", ROOT / "deploy" / "grafana"
NAME = re.compile(r"(?<![\w:])(?:gempool|process)_[a-z0-9_]+(?![\w:])")
RECORDED = re.compile(r"(?<![\w:])[a-z_]\w*:[\w:]+")
SUFFIX = re.compile(r"_(?:bucket|sum|count)$")
NOT_SHOWN = re.compile(r"^\| `(\w+)` \| (.+) \|$", re.MULTILINE)


class Told(NamedTuple):
    """A family as the page tells it."""

    kind: str
    unit: str
    meaning: str
    labels: dict[str, str]
    queries: list[str]


def coded() -> dict[str, tuple[str, dict[str, Label]]]:
    """Every family that is shown, with its kind and its labels."""
    metrics = Metrics()
    found: dict[str, tuple[str, dict[str, Label]]] = {
        family.name: (family.kind, dict(family.sets)) for family in metrics.families.all
    }
    for line in "".join(metrics.pieces()).splitlines():
        if line.startswith("# TYPE process_"):
            _, _, name, kind = line.split()
            found[name] = kind, {}
    return found


def documented() -> dict[str, Told]:
    found = {}
    for section in re.split(r"^### ", PAGE.read_text(encoding="utf-8"), flags=re.MULTILINE)[1:]:
        head, _, rest = re.split(r"^## ", section, flags=re.MULTILINE)[0].partition("\n")
        kind, _, unit = rest.strip().partition("\n")[0].partition(", ")
        prose = re.sub(r"```.*?```", "", rest, flags=re.DOTALL).strip().partition("\n")[2]
        meaning = re.sub(r"^- .*$", "", prose, flags=re.MULTILINE).strip()
        labels = dict(re.findall(r"^- `(\w+)`: (.+)$", rest, flags=re.MULTILINE))
        queries = re.findall(r"```promql\n(.+?)\n```", rest, flags=re.DOTALL)
        name = head.strip("`")
        assert name not in found, f"{name} is told twice"
        found[name] = Told(kind, unit, meaning, labels, queries)
    return found


def families_in(text: str) -> set[str]:
    """The families that a text names, histograms and summaries by their own name."""
    known = coded()
    return {name if name in known else SUFFIX.sub("", name) for name in NAME.findall(text)}


def test_the_page_has_every_family_and_no_other() -> None:
    """What is shown is told, and what is told is shown."""
    assert documented().keys() == coded().keys()


@pytest.mark.parametrize("name", sorted(coded()))
def test_a_family_is_told_as_it_is(name: str) -> None:
    """Its type, its unit, its meaning, each label with all its values, and a query of it."""
    kind, sets = coded()[name]
    told = documented()[name]
    assert told.kind == kind
    assert told.unit
    assert len(told.meaning.split()) > 2
    assert told.labels == {
        label: values if isinstance(values, str) else ", ".join(f"`{value}`" for value in values)
        for label, values in sets.items()
    }
    assert told.queries
    for query in told.queries:
        assert name in families_in(query)
        assert families_in(query) <= coded().keys()


def test_names_carry_their_units() -> None:
    """Times are seconds and say so, counters end with `_total`, and nothing else does."""
    for name, (kind, _) in coded().items():
        assert (kind == "counter") == name.endswith("_total"), name
        if kind in ("histogram", "summary") or "timestamp" in name or "_age" in name:
            assert name.endswith("_seconds"), name


def test_states_are_the_pools() -> None:
    """An account that could be in a state of another name would be shown in none."""
    assert set(STATES) == set(State)


def test_reasons_are_those_of_failures() -> None:
    """Every failure that moves a request on, and nothing else; a chat that is lost is told anew on the same account."""
    reasons: set[str] = {OnlyWebPictures.reason, NoFullSize.reason}
    waiting: list[type[UpstreamError]] = [UpstreamError]
    while waiting:
        one = waiting.pop()
        if one.__module__.startswith(("core.", "engine.", "pool.")):
            reasons.add(one.reason)
        waiting += one.__subclasses__()
    assert reasons - {"place_lost"} == set(REASONS)


# what the dashboards and the rules ask


def rules() -> Iterator[dict[str, Any]]:
    for path in sorted(PROMETHEUS.rglob("*.y*ml")):
        for group in YAML(typ="safe").load(path.read_text(encoding="utf-8")).get("groups", []):
            yield from group["rules"]


def panels() -> Iterator[str]:
    def walk(value: Any) -> Iterator[str]:
        if isinstance(value, dict):
            if isinstance(value.get("expr"), str):
                yield value["expr"]
            for part in value.values():
                yield from walk(part)
        elif isinstance(value, list):
            for part in value:
                yield from walk(part)

    for path in sorted(GRAFANA.rglob("*.json")):
        yield from walk(json.loads(path.read_text(encoding="utf-8")))


def asked_for() -> set[str]:
    """The families that a panel or an alert asks for, also by way of what is recorded for them."""
    recorded = {rule["record"]: str(rule["expr"]) for rule in rules() if "record" in rule}
    waiting = [*panels(), *(str(rule["expr"]) for rule in rules() if "alert" in rule)]
    found: set[str] = set()
    while waiting:
        expression = waiting.pop()
        found |= families_in(expression)
        waiting += [recorded.pop(name) for name in RECORDED.findall(expression) if name in recorded]
    return found


def test_rules_and_dashboards_ask_for_what_there_is() -> None:
    """Wherever they name a metric, in a query, a variable or a test, it is one of the code's."""
    for folder in (PROMETHEUS, GRAFANA):
        for path in folder.rglob("*"):
            if path.suffix in (".json", ".yml", ".yaml"):
                unknown = families_in(path.read_text(encoding="utf-8")) - coded().keys()
                assert not unknown, f"{path.relative_to(ROOT)}: {unknown}"


def test_what_is_recorded_is_there() -> None:
    """No panel and no rule asks for a recorded series that no rule records."""
    recorded = {rule["record"] for rule in rules() if "record" in rule}
    for expression in (*panels(), *(str(rule["expr"]) for rule in rules())):
        assert set(RECORDED.findall(expression)) <= recorded, expression


def test_every_family_is_looked_at() -> None:
    """By a panel or an alert; those that are not stand on the page with the reason, and none that is."""
    excused = dict(NOT_SHOWN.findall(PAGE.read_text(encoding="utf-8").partition("## Not on a dashboard")[2]))
    assert coded().keys() - asked_for() == excused.keys()
    assert all(excused.values())
