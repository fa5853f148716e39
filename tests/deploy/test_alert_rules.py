"""The rules of Prometheus as files. Whether they fire on real faults is seen in test_monitoring.py."""

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from core import errors
from core.metrics import Metrics
from deploy.grafana.words import FAILED
from tests.support.debian import debian

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy" / "prometheus"
RULES = sorted((DEPLOY / "rules").glob("*.yml"))
TESTS = sorted((DEPLOY / "tests").glob("*.yml"))
MONITORING = ROOT / "docs" / "monitoring.md"


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [debian("promtool"), *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False
    )


def load(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def rules() -> Iterator[dict[str, Any]]:
    for path in RULES:
        for group in load(path)["groups"]:
            yield from group["rules"]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


def codes(kind: type[errors.GatewayError]) -> Iterator[str]:
    """Of the errors that callers may read, apart from those that are theirs and those of one attempt."""
    if not issubclass(kind, errors.CallerError | errors.UpstreamError):
        yield kind.code
        for below in kind.__subclasses__():
            yield from codes(below)


def test_promtool_takes_the_configuration() -> None:
    """With the rules that it names, without a warning."""
    done = promtool("check", "config", "prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    assert f"{len(RULES)} rule files found" in done.stdout
    done = promtool("check", "rules", *RULES)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_promtool_finds_each_alert_where_it_belongs(path: Path) -> None:
    """The unit tests of the rules, at their true durations."""
    done = promtool("test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_has_a_unit_test() -> None:
    """That it fires, and that it does not."""
    text = "".join(path.read_text(encoding="utf-8") for path in TESTS)
    for alert in alerts():
        name = alert["alert"]
        assert f'alertname="{name}", alertstate="firing"' in text, name
        samples = re.findall(
            r"- \{expr: '(ALERTS[^']*)', eval_time: \w+\}", text
        )  # those that expect nothing
        assert any(name in expr or re.search(expr.partition("~")[2], name) for expr in samples), name


def test_each_alert_says_how_bad_it_is_and_what_to_do() -> None:
    """A severity of two, a summary of one line, a description that is more than that, and a time that it must have stood."""
    for alert in alerts():
        name, told = alert["alert"], alert["annotations"]
        assert alert["labels"]["severity"] in ("critical", "warning"), name
        assert re.fullmatch(r"\d+m", alert["for"]), name
        assert set(told) == {"summary", "description"}, name
        assert len(told["summary"]) < 120 < len(told["description"]), name
        assert told["description"].endswith("."), name


def test_alerts_are_in_the_runbook() -> None:
    """docs/monitoring.md has a heading for each alert and none for another, with the same severity."""
    text = MONITORING.read_text(encoding="utf-8")
    documented = dict(re.findall(r"^### (Gempool\w+)\n\n(critical|warning)", text, re.MULTILINE))
    assert documented == {alert["alert"]: alert["labels"]["severity"] for alert in alerts()}


def test_rules_ask_for_what_there_is() -> None:
    """Metrics of the gateway, or what other rules record."""
    known = {rule["record"] for rule in rules() if "record" in rule}
    for family in Metrics().families.all:
        known |= {family.name + suffix for suffix in ("", "_bucket", "_sum", "_count")}
    for rule in rules():
        text = rule["expr"] + str(rule.get("annotations", ""))
        assert set(re.findall(r"\bgempool[_:][a-z_:0-9]+", text)) <= known, rule


def test_a_failure_is_what_the_gateway_is_to_blame_for() -> None:
    """Every error that is neither the caller's nor that of one attempt, and no other."""
    assert sorted(FAILED.split("|")) == sorted(set(codes(errors.GatewayError)))


def test_what_leads_among_failures_is_explained() -> None:
    """Each outcome for which the gateway is to blame has its words in the alert, and its own in the runbook."""
    (alert,) = (alert for alert in alerts() if alert["alert"] == "GempoolRequestsFail")
    explained = re.findall(r'if eq \.Labels\.outcome "(\w+)" \}\}', alert["annotations"]["description"])
    assert sorted(explained) == sorted(FAILED.split("|"))
    told = MONITORING.read_text(encoding="utf-8").partition("### GempoolRequestsFail")[2].partition("### ")[0]
    assert set(FAILED.split("|")) <= set(re.findall(r"`(\w+)`", told))


def test_rules_count_what_an_account_was_to_answer() -> None:
    """Requests and their times are never counted without their kind, nor by names of routes."""
    for rule in rules():
        text = " ".join([rule["expr"], *rule.get("annotations", {}).values()])
        for labels in re.findall(
            r"gempool_(?:requests_total|request_duration_seconds_bucket|time_to_first_content_seconds_bucket)\{([^}]*)\}",
            text,
        ):
            assert re.search(r"""\bkind=(?:~['"]text\|picture['"]|"text")""", labels), rule
            assert "route" not in labels, rule
        assert not re.search(r"gempool_requests_total\b(?!\{)", text), rule


def test_the_scrape_is_as_often_as_grafana_believes() -> None:
    """$__rate_interval is reckoned from what the data source is told."""
    source = load(ROOT / "deploy/grafana/provisioning/datasources/prometheus.yaml")["datasources"][0]
    assert source["jsonData"]["timeInterval"] == load(DEPLOY / "prometheus.yml")["global"]["scrape_interval"]
