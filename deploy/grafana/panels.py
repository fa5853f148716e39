"""Grafana's dashboard JSON: the schema of Grafana 11, which newer ones read too.

A panel is a value; `Dashboard.json` gives it its number and place.
"""

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

SOURCE: Json = {"type": "prometheus", "uid": "${datasource}"}
COLUMNS = 24
SCHEMA = 41


@dataclass(frozen=True)
class Query:
    """legend: as Grafana fills it in, `{{account}}`. instant: one value for the whole time range, its end's. table: one row
    for each series, its labels as columns."""

    expr: str
    legend: str = ""
    instant: bool = False
    table: bool = False

    def json(self, number: int) -> Json:
        return {
            "datasource": SOURCE,
            "refId": chr(ord("A") + number),
            "expr": self.expr,
            "legendFormat": self.legend or "__auto",
            "instant": self.instant,
            "range": not self.instant,
            "format": "table" if self.table else "time_series",
            "editorMode": "code",
        }


@dataclass(frozen=True)
class Panel:
    """width: of 24 columns."""

    kind: str
    title: str
    description: str
    queries: tuple[Query, ...]
    width: int
    height: int
    options: Json
    defaults: Json
    overrides: tuple[Json, ...] = ()
    transformations: tuple[Json, ...] = ()

    def json(self, number: int, x: int, y: int) -> Json:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "targets": [query.json(place) for place, query in enumerate(self.queries)],
            "options": self.options,
            "fieldConfig": {"defaults": self.defaults, "overrides": list(self.overrides)},
            "transformations": list(self.transformations),
        }


@dataclass(frozen=True)
class Row:
    """A heading, and the panels below it, from left to right as they fit."""

    title: str
    panels: tuple[Panel, ...]


@dataclass(frozen=True)
class Variable:
    """A list to choose from, of the values of a metric's label; all of them at first."""

    name: str
    label: str
    metric: str

    def json(self) -> Json:
        query = f"label_values({self.metric}, {self.name})"
        return {
            "type": "query",
            "name": self.name,
            "label": self.label,
            "datasource": SOURCE,
            "definition": query,
            "query": {"qryType": 1, "query": query, "refId": f"variable-{self.name}"},
            "multi": True,
            "includeAll": True,
            "allValue": ".*",
            "current": {"selected": True, "text": ["All"], "value": ["$__all"]},
            "refresh": 2,
            "sort": 7,
            "hide": 0,
            "options": [],
            "regex": "",
        }


@dataclass(frozen=True)
class Dashboard:
    uid: str
    title: str
    description: str
    rows: tuple[Row, ...]
    variables: tuple[Variable, ...]
    span: str = "now-6h"

    def json(self) -> Json:
        panels: list[Json] = []
        top = 0
        for row in self.rows:
            place = {"x": 0, "y": top, "w": COLUMNS, "h": 1}
            head = {
                "id": len(panels) + 1,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "panels": [],
            }
            panels.append(head | {"gridPos": place})
            x, y, below = 0, top + 1, top + 1
            for panel in row.panels:
                if x + panel.width > COLUMNS:
                    x, y = 0, below
                panels.append(panel.json(len(panels) + 1, x, y))
                x += panel.width
                below = max(below, y + panel.height)
            top = below
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["gempool"],
            "schemaVersion": SCHEMA,
            "version": 1,
            "editable": True,
            "graphTooltip": 1,
            "timezone": "browser",
            "refresh": "30s",
            "time": {"from": self.span, "to": "now"},
            "timepicker": {},
            "fiscalYearStartMonth": 0,
            "annotations": {"list": [_restarts()]},
            "links": [_others()],
            "templating": {"list": [_source(), *(variable.json() for variable in self.variables)]},
            "panels": panels,
        }


def _source() -> Json:
    return {
        "type": "datasource",
        "name": "datasource",
        "label": "Data source",
        "query": "prometheus",
        "current": {"selected": True, "text": "Prometheus", "value": "gempool-prometheus"},
        "multi": False,
        "includeAll": False,
        "refresh": 1,
        "hide": 0,
        "options": [],
        "regex": "",
    }


def _others() -> Json:
    return {
        "type": "dashboards",
        "title": "Gempool",
        "tags": ["gempool"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
        "targetBlank": False,
        "icon": "external link",
        "tooltip": "",
        "url": "",
    }


def _restarts() -> Json:
    return {
        "name": "Restarts",
        "datasource": SOURCE,
        "enable": True,
        "hide": False,
        "iconColor": "blue",
        "expr": "1000 * process_start_time_seconds and on (instance) gempool_build_info",
        "step": "60s",
        "useValueForTime": True,
        "titleFormat": "Started",
        "textFormat": "{{instance}}",
    }
