"""A real Prometheus that scrapes often, with this project's own rules in a faster time."""

import math
import re
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
from ruamel.yaml import YAML

from tests.support.debian import debian
from tests.support.ports import free_ports
from tests.support.processes import ROOT, wait_for

DEPLOY = ROOT / "deploy" / "prometheus"
NO_TLS = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
"""Knows no CA: to read them anew for each client costs more than the requests."""
SCRAPE = 1.0
FASTER = 100.0
"""Every `for` and every range of the rules, in expressions and in what they tell, is divided by this: `for: 15m` are 9 seconds, a
rate over 5 minutes is one over 3 seconds, which are three scrapes."""
LEAST = 6.0
"""No alert waits for less, so that scrapes that come late on a busy machine are no incident."""

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def seconds(duration: str) -> float:
    """Of one number and one unit."""
    found = re.fullmatch(r"(\d+)(ms|s|m|h|d)", duration)
    assert found, duration
    return int(found[1]) * _UNITS[found[2]]


def written(duration: float) -> str:
    return f"{math.ceil(duration * 1000)}ms"


def faster(rules: Any, thresholds: Mapping[str, tuple[str, str]]) -> Any:
    """The rules of a file, in the time of `FASTER`. thresholds: by alert, a number of seconds and what it is here."""

    def scaled(text: str) -> str:
        return re.sub(
            r"(\[|offset )(\d+\w+)", lambda found: found[1] + written(seconds(found[2]) / FASTER), text
        )

    for group in rules["groups"]:
        for rule in group["rules"]:
            rule["expr"] = scaled(rule["expr"])
            rule["annotations"] = {name: scaled(text) for name, text in rule.get("annotations", {}).items()}
            if "for" in rule:
                rule["for"] = written(max(LEAST, seconds(rule["for"]) / FASTER))
            if (change := thresholds.get(rule.get("alert", ""))) is not None:
                assert rule["expr"].count(change[0]) == 1, rule
                rule["expr"] = rule["expr"].replace(*change)
    return rules


class Prometheus:
    """Through its HTTP API."""

    def __init__(self, url: str) -> None:
        self._http = httpx.Client(base_url=f"{url}/api/v1", timeout=30, verify=NO_TLS)

    def _get(self, path: str, **parameters: str | float) -> Any:
        answer = self._http.get(path, params=parameters)
        assert answer.status_code == 200, answer.text
        return answer.json()["data"]

    def ready(self) -> bool:
        try:
            return self._http.get("/status/buildinfo").status_code == 200
        except httpx.HTTPError:
            return False

    def instant(self, expr: str) -> list[float]:
        """The finite values of all series, now."""
        found = self._get("/query", query=expr)["result"]
        return [value for series in found if math.isfinite(value := float(series["value"][1]))]

    def over_time(self, expr: str, since: float) -> list[float]:
        """All finite values of all series, since then."""
        found = self._get("/query_range", query=expr, start=since, end=time.time(), step=SCRAPE)["result"]
        values = (float(value) for series in found for _, value in series["values"])
        return [value for value in values if math.isfinite(value)]

    def fired(self, since: float) -> set[str]:
        """The alerts that fired at any time since then."""
        expr = 'ALERTS{alertstate="firing"}'
        found = self._get("/query_range", query=expr, start=since, end=time.time(), step=SCRAPE)["result"]
        return {series["metric"]["alertname"] for series in found}

    def alerts(self) -> list[dict[str, Any]]:
        """Those that are pending or firing."""
        found: list[dict[str, Any]] = self._get("/alerts")["alerts"]
        return found

    def firing(self) -> dict[str, dict[str, str]]:
        """The annotations of those that fire, by name; of several of a name one."""
        return {
            one["labels"]["alertname"]: one["annotations"]
            for one in self.alerts()
            if one["state"] == "firing"
        }

    def ill(self) -> list[str]:
        """Rules that cannot be evaluated."""
        groups = self._get("/rules")["groups"]
        return [rule["lastError"] for group in groups for rule in group["rules"] if rule["health"] == "err"]

    def close(self) -> None:
        self._http.close()


@contextmanager
def scraping(
    directory: Path, targets: Sequence[str], key: str, thresholds: Mapping[str, tuple[str, str]]
) -> Iterator[Prometheus]:
    """The configuration of deploy/prometheus with other targets, intervals and durations, and a key for the scrape."""
    yaml = YAML(typ="safe")
    yaml.default_flow_style = False
    for path in (DEPLOY / "rules").glob("*.yml"):
        rules = faster(yaml.load(path.read_text()), thresholds)
        with (directory / f"rules-{path.name}").open("w") as file:
            yaml.dump(rules, file)
    told = yaml.load((DEPLOY / "prometheus.yml").read_text())
    told["global"] = {"scrape_interval": written(SCRAPE), "evaluation_interval": written(SCRAPE)}
    told["rule_files"] = [str(directory / "rules-*.yml")]
    (job,) = told["scrape_configs"]
    del job["dns_sd_configs"]
    job["static_configs"] = [{"targets": list(targets)}]
    (directory / "key").write_text(key)
    job["authorization"] = {"credentials_file": str(directory / "key")}
    config = directory / "prometheus.yml"
    with config.open("w") as file:
        yaml.dump(told, file)
    (port,) = free_ports(1)
    options = {
        "config.file": config,
        "storage.tsdb.path": directory / "data",
        "web.listen-address": f"127.0.0.1:{port}",
        "log.level": "warn",
    }
    log = directory / "log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [debian("prometheus"), *(f"--{name}={value}" for name, value in options.items())],
            stdout=out,
            stderr=subprocess.STDOUT,
        )
    prometheus = Prometheus(f"http://127.0.0.1:{port}")
    try:
        wait_for(lambda: prometheus.ready() or process.poll() is not None, what="Prometheus does not answer")
        assert process.poll() is None, log.read_text()
        yield prometheus
    finally:
        prometheus.close()
        process.terminate()
        process.wait(20)
