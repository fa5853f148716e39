"""The kinds of panels that the dashboards use.

What a person would set by hand anew in each panel is set here, once: legends with the last value, named colours, which do in
light and dark.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from deploy.grafana.panels import Json, Panel, Query


def timeseries(
    title: str,
    description: str,
    *queries: Query,
    unit: str,
    width: int = 8,
    height: int = 8,
    stack: bool = False,
    line: float | None = None,
    top: float | None = None,
    colours: Mapping[str, str] | None = None,
) -> Panel:
    """line: a threshold that is drawn. top: the axis' end. colours: by the series' name."""
    custom: Json = {
        "drawStyle": "line",
        "lineWidth": 1,
        "fillOpacity": 60 if stack else 8,
        "showPoints": "auto",
        "pointSize": 4,
        "stacking": {"mode": "normal" if stack else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if line is not None else "off"},
    }
    steps = [(None, "transparent")] if line is None else [(None, "transparent"), (line, "red")]
    defaults = _defaults(unit, custom, steps, {"mode": "palette-classic"}) | {"min": 0}
    if top is not None:
        defaults["max"] = top
    options = {
        "legend": {
            "displayMode": "list",
            "placement": "bottom",
            "showLegend": True,
            "calcs": ["lastNotNull"],
        },
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    overrides = tuple(
        _override(name, color={"mode": "fixed", "fixedColor": colour})
        for name, colour in (colours or {}).items()
    )
    return Panel("timeseries", title, description, queries, width, height, options, defaults, overrides)


def stat(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Sequence[tuple[float | None, str]] = ((None, "blue"),),
    width: int = 3,
    decimals: int | None = None,
) -> Panel:
    """One number. steps: from which value on it has which colour."""
    options = {
        "colorMode": "value",
        "graphMode": "none" if query.instant else "area",
        "textMode": "auto",
        "justifyMode": "auto",
        "orientation": "auto",
        "wideLayout": True,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = _defaults(unit, {}, steps, {"mode": "thresholds"})
    if decimals is not None:
        defaults["decimals"] = decimals
    return Panel("stat", title, description, (query,), width, 4, options, defaults)


def bars(
    title: str,
    description: str,
    query: Query,
    *,
    unit: str,
    steps: Sequence[tuple[float | None, str]] = ((None, "blue"),),
    width: int = 8,
    height: int = 8,
) -> Panel:
    """One bar for each series of an instant query."""
    options = {
        "displayMode": "basic",
        "orientation": "horizontal",
        "valueMode": "text",
        "namePlacement": "left",
        "showUnfilled": True,
        "minVizHeight": 16,
        "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
    }
    defaults = _defaults(unit, {}, steps, {"mode": "thresholds"}) | {"min": 0}
    return Panel("bargauge", title, description, (query,), width, height, options, defaults)


def timeline(
    title: str,
    description: str,
    query: Query,
    *,
    words: Mapping[str, tuple[str, str]],
    width: int = 24,
    height: int = 10,
) -> Panel:
    """What each series was when. words: text and colour of each value."""
    options = {
        "mergeValues": True,
        "showValue": "auto",
        "alignValue": "left",
        "rowHeight": 0.85,
        "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []},
        "tooltip": {"mode": "single", "sort": "none"},
    }
    defaults = _defaults(
        "none", {"lineWidth": 0, "fillOpacity": 80}, [(None, "text")], {"mode": "thresholds"}
    )
    defaults["mappings"] = [_mapping(words)]
    return Panel("state-timeline", title, description, (query,), width, height, options, defaults)


@dataclass(frozen=True)
class Column:
    """query: an instant one. title: of its value, or of the label that is shown in its place."""

    title: str
    expr: str
    unit: str = "none"
    label: str = ""
    steps: tuple[tuple[float | None, str], ...] = ()
    words: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    decimals: int | None = None


def table(
    title: str,
    description: str,
    key: str,
    columns: Sequence[Column],
    *,
    link: str = "",
    width: int = 24,
    height: int = 10,
) -> Panel:
    """One row for each value of the label `key`. link: where a click on it leads."""
    queries = tuple(Query(column.expr, instant=True, table=True) for column in columns)
    names = {
        f"Value #{query.json(n)['refId']}": column
        for n, (query, column) in enumerate(zip(queries, columns, strict=True))
    }
    rename = {key: key.capitalize()}
    hidden = {}
    order = {key: 0}
    overrides = [_override(key.capitalize(), **_linked(link))] if link else []
    for place, (value, column) in enumerate(names.items(), 1):
        shown = column.label or value
        rename[shown] = column.title
        order[shown] = place
        if column.label:
            hidden[value] = True
        properties: Json = {}
        if column.unit != "none":
            properties["unit"] = column.unit
        if column.decimals is not None:
            properties["decimals"] = column.decimals
        if column.steps:
            properties["thresholds"] = _steps(column.steps)
            properties["custom.cellOptions"] = {"type": "color-text"}
        if column.words:
            properties["mappings"] = [_mapping(column.words)]
            properties["custom.cellOptions"] = {"type": "color-text"}
        if properties:
            overrides.append(_override(column.title, **properties))
    labels = [column.label for column in columns if column.label]
    keep = f"^({'|'.join([key, *labels, 'Value.*'])})$"
    transformations = (
        {"id": "joinByField", "options": {"byField": key, "mode": "outer"}},
        {"id": "filterFieldsByName", "options": {"include": {"pattern": keep}}},
        {
            "id": "organize",
            "options": {"renameByName": rename, "excludeByName": hidden, "indexByName": order},
        },
    )
    options = {
        "showHeader": True,
        "cellHeight": "sm",
        "sortBy": [{"displayName": key.capitalize(), "desc": False}],
    }
    custom = {"align": "auto", "filterable": False, "cellOptions": {"type": "auto"}, "inspect": False}
    defaults = _defaults("none", custom, [(None, "text")], {"mode": "thresholds"})
    return Panel(
        "table",
        title,
        description,
        queries,
        width,
        height,
        options,
        defaults,
        tuple(overrides),
        transformations,
    )


def rows(
    title: str, description: str, query: Query, *, names: Mapping[str, str], width: int, height: int = 8
) -> Panel:
    """The labels of an instant query's series, one row for each. names: the columns' titles by label, in their order."""
    transformations = (
        {
            "id": "organize",
            "options": {
                "renameByName": dict(names),
                "excludeByName": {"Time": True, "Value": True, "__name__": True},
                "indexByName": {name: place for place, name in enumerate(names)},
            },
        },
    )
    options = {"showHeader": True, "cellHeight": "sm", "sortBy": []}
    custom = {"align": "auto", "filterable": False, "cellOptions": {"type": "auto"}, "inspect": False}
    defaults = _defaults("none", custom, [(None, "text")], {"mode": "thresholds"})
    return Panel("table", title, description, (query,), width, height, options, defaults, (), transformations)


def _defaults(unit: str, custom: Json, steps: Sequence[tuple[float | None, str]], colour: Json) -> Json:
    return {"unit": unit, "custom": custom, "color": colour, "thresholds": _steps(steps), "mappings": []}


def _steps(steps: Sequence[tuple[float | None, str]]) -> Json:
    return {"mode": "absolute", "steps": [{"value": value, "color": colour} for value, colour in steps]}


def _mapping(words: Mapping[str, tuple[str, str]]) -> Json:
    options = {
        value: {"index": place, "text": text, **({"color": colour} if colour else {})}
        for place, (value, (text, colour)) in enumerate(words.items())
    }
    return {"type": "value", "options": options}


def _override(name: str, **properties: Any) -> Json:
    listed = [{"id": key, "value": value} for key, value in properties.items()]
    return {"matcher": {"id": "byName", "options": name}, "properties": listed}


def _linked(link: str) -> Json:
    return {"links": [{"title": "Show ${__value.text} alone", "url": link, "targetBlank": False}]}
