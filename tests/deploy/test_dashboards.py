"""The dashboards as files: current, and in step with what the gateway tells. Whether their queries find data is seen in test_monitoring.py."""

import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from core.metrics import Metrics
from deploy.grafana.build import FOLDER, dashboards
from deploy.grafana.words import FAILED
from tests.support.debian import debian

ROOT = Path(__file__).parents[2]
NAMES = sorted(dashboards())
OF_PROCESSES = {
    "process_start_time_seconds",
    "process_cpu_seconds_total",
    "process_resident_memory_bytes",
    "process_open_fds",
}
OF_PROMETHEUS = {"ALERTS"}


def load(name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / name).read_text(encoding="utf-8"))
    return found


def panels(name: str) -> list[dict[str, Any]]:
    return [panel for panel in load(name)["panels"] if panel["type"] != "row"]


def queries(name: str) -> Iterator[tuple[str, str]]:
    """The panel's title and the query."""
    for panel in panels(name):
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


def series() -> set[str]:
    """Every name that a query may use."""
    found = OF_PROCESSES | OF_PROMETHEUS
    for family in Metrics().families.all:
        suffixes = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count")}.get(
            family.kind, ("",)
        )
        found |= {family.name + suffix for suffix in suffixes}
    return found


def test_the_files_are_what_the_code_says() -> None:
    """`python -m deploy.grafana.build` writes them anew."""
    assert {path.name: path.read_text(encoding="utf-8") for path in FOLDER.iterdir()} == dict(dashboards())


@pytest.mark.parametrize("name", NAMES)
def test_every_panel_says_what_it_shows(name: str) -> None:
    """Title, description and unit; titles are unique in a dashboard, and so are the panels' numbers."""
    found = panels(name)
    assert all(panel["title"] and panel["description"].endswith((".", ")")) for panel in found)
    assert all(panel["fieldConfig"]["defaults"]["unit"] for panel in found)
    titles = [panel["title"] for panel in found]
    assert sorted(titles) == sorted(set(titles))
    numbers = [panel["id"] for panel in load(name)["panels"]]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize("name", NAMES)
def test_panels_do_not_overlap(name: str) -> None:
    """Each square of the 24 columns is at most one panel's."""
    taken: set[tuple[int, int]] = set()
    for panel in load(name)["panels"]:
        place = panel["gridPos"]
        squares = {
            (x, y)
            for x in range(place["x"], place["x"] + place["w"])
            for y in range(place["y"], place["y"] + place["h"])
        }
        assert not squares & taken, panel["title"]
        assert place["x"] + place["w"] <= 24
        taken |= squares


@pytest.mark.parametrize("name", NAMES)
def test_queries_ask_for_what_there_is(name: str) -> None:
    """Names of metrics and labels, and of the dashboard's own variables."""
    known, labels = series(), {"instance", "job", "le", "version", "alertname", "alertstate"}
    for family in Metrics().families.all:
        labels |= set(family.sets)
    variables = {variable["name"] for variable in load(name)["templating"]["list"]}
    builtin = {"__rate_interval", "__range"}
    for title, expr in queries(name):
        assert set(re.findall(r"\b(?:gempool|process)_[a-z_]+|\bALERTS\b", expr)) <= known, title
        assert set(re.findall(r"([a-z_]+)(?:=~|!~|!=|=)\"", expr)) <= labels, title
        assert set(re.findall(r"\$(\w+)", expr)) <= variables | builtin, title


@pytest.mark.parametrize("name", NAMES)
def test_rates_span_enough_scrapes(name: str) -> None:
    """A rate over time uses $__rate_interval, which is never less than four scrapes; a total over the range $__range. Fixed windows
    are hours, or they would fall between two points of a long time range."""
    for title, expr in queries(name):
        windows = set(re.findall(r"\[([^\]]+)\]", expr))
        assert windows <= {"$__rate_interval", "$__range", "1h"}, title
        for counter in re.findall(r"(?:rate|increase)\((\w+)", expr):
            assert counter.endswith(("_total", "_bucket", "_sum", "_count")), title


@pytest.mark.parametrize("name", NAMES)
def test_what_never_happened_is_shown_as_none(name: str, tmp_path: Path) -> None:
    """Before a counter's first event it has no series: panels show a 0 then, by Prometheus' own reckoning; and every event by
    the minute is shown so, as is the panel of refusals."""
    found = [(title, expr) for title, expr in queries(name) if " or on() " in expr]
    assert all(" or on() " in expr for _, expr in queries(name) if expr.startswith("60 * sum by"))
    if name == "overview.json":
        assert sum(title == "429 by kind" for title, _ in found) == 3
    cases = []
    for _, expr in found:
        labels = re.findall(r'"([a-z]+)", "none"', expr)
        filled = re.sub(r"\$__(?:rate_interval|range)", "1m", re.sub(r"\$(?:instance|account)\b", ".*", expr))
        shown = "{" + ", ".join(f'{label}="none"' for label in labels) + "}"
        cases.append({"expr": filled, "eval_time": "5m", "exp_samples": [{"labels": shown, "value": 0}]})
    tests = tmp_path / "none.json"  # which is YAML too
    tests.write_text(
        json.dumps({"rule_files": [], "tests": [{"input_series": [], "promql_expr_test": cases}]})
    )
    done = subprocess.run(
        [debian("promtool"), "test", "rules", tests], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", NAMES)
def test_replicas_that_tell_the_same_are_not_added_up(name: str) -> None:
    """What the store told is the same in all replicas: its maximum counts. What is each replica's own is added up."""
    same = "accounts|capacity|account_state|account_reason|account_models_cooling|account_\\w+_timestamp_seconds|cookie_age_seconds"
    same += "|replicas|batches_open|batch_tasks_pending"
    for title, expr in queries(name):
        for before in re.findall(rf"(.*?)gempool_(?:{same})\{{", expr):
            if "* (" not in before:  # the timeline, whose maximum is taken of all states at once
                assert re.search(r"max(?: by \([a-z, ]+\))? \($|max\($", before), title


@pytest.mark.parametrize("name", NAMES)
def test_dashboards_lead_to_one_another(name: str) -> None:
    """By their common tag, with the time range and variables kept."""
    board = load(name)
    (link,) = board["links"]
    assert set(link["tags"]) <= set(board["tags"])
    assert link["includeVars"]
    assert link["keepTime"]
    known = {load(other)["uid"] for other in NAMES}
    assert set(re.findall(r"/d/([\w-]+)", json.dumps(board))) <= known


def test_failures_are_the_same_as_in_the_rules() -> None:
    """Dashboards and alerts agree on the outcomes for which the gateway is to blame."""
    text = (ROOT / "deploy/prometheus/rules/recording.yml").read_text(encoding="utf-8")
    lists = set(re.findall(r'gempool_requests_total\{[^}]*outcome=~"(?:ok\|)?([^"]+)"', text))
    assert lists == {FAILED}
