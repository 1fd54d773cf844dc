"""`make dashboards`: writes the JSON that Grafana reads from the TOML beside it, which people write."""

import json
import tomllib
from pathlib import Path
from typing import Any

from tools.process import ROOT

FOLDER = ROOT / "deploy/observability/dashboards"
# The uid in grafana/datasource.yml.
_SOURCE = {"type": "prometheus", "uid": "prometheus"}
_COLUMNS = 24
_WIDTHS = {"stat": 6, "timeseries": 12, "table": 24}
_HEIGHTS = {"stat": 4, "timeseries": 8, "table": 6}
_GOOD, _WORRY, _BAD, _PLAIN = "green", "orange", "red", "text"


def main() -> None:
    for source in sources():
        written_to(source).write_text(written(source))


def sources() -> list[Path]:
    """What people write: one file for a dashboard."""
    return sorted(FOLDER.glob("*.toml"))


def written_to(source: Path) -> Path:
    return source.with_suffix(".json")


def written(source: Path) -> str:
    """A dashboard as Grafana reads it."""
    told = tomllib.loads(source.read_text())
    dashboard = {
        "uid": f"latchkey-{source.stem}",
        "title": told["title"],
        "tags": ["latchkey"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": []},
        "annotations": {"list": []},
        "links": [_links()],
        "panels": _placed([_panel(number, panel) for number, panel in enumerate(told["panel"], 1)]),
    }
    return json.dumps(dashboard, indent=1) + "\n"


def _links() -> dict[str, Any]:
    """A menu of all dashboards with our tag, which keeps the time that is looked at."""
    return {
        "type": "dashboards", "title": "Latchkey", "tags": ["latchkey"], "asDropdown": False, "keepTime": True,
        "includeVars": False, "targetBlank": False, "icon": "external link", "tooltip": "", "url": "",
    }  # fmt: skip


def _panel(number: int, told: dict[str, Any]) -> dict[str, Any]:
    kind = told.get("kind", "timeseries")
    return {
        "id": number,
        "type": kind,
        "title": told["title"],
        "description": told.get("says", ""),
        "datasource": _SOURCE,
        "gridPos": {"w": told.get("width", _WIDTHS[kind]), "h": told.get("height", _HEIGHTS[kind]), "x": 0, "y": 0},
        "targets": [
            _target(chr(ord("A") + place), legend, query, kind)
            for place, (legend, query) in enumerate(told["queries"].items())
        ],
        "fieldConfig": {"defaults": _field(kind, told), "overrides": []},
        **_look(kind),
    }


def _target(letter: str, legend: str, query: str, kind: str) -> dict[str, Any]:
    at_once = kind == "table"
    return {
        "refId": letter,
        "datasource": _SOURCE,
        "expr": query,
        "legendFormat": legend or "__auto",
        "format": "table" if at_once else "time_series",
        "instant": at_once,
        "range": not at_once,
    }


def _field(kind: str, told: dict[str, Any]) -> dict[str, Any]:
    field: dict[str, Any] = {
        "unit": told.get("unit", "short"),
        "thresholds": {"mode": "absolute", "steps": _steps(told)},
        "color": {"mode": "thresholds" if kind == "stat" else "palette-classic"},
    }
    if kind == "timeseries":
        # Nothing that is shown here falls below 0.
        field["min"] = 0
        field["custom"] = {
            "drawStyle": "line", "lineWidth": 1, "fillOpacity": 20 if told.get("stack") else 5, "showPoints": "never",
            "stacking": {"group": "A", "mode": "normal" if told.get("stack") else "none"},
        }  # fmt: skip
    return field


def _steps(told: dict[str, Any]) -> list[dict[str, Any]]:
    """Colours from a value on: `worry` and `bad` where more is worse, `good` where less is."""
    if "good" in told:
        return [{"color": _BAD, "value": None}, {"color": _GOOD, "value": told["good"]}]
    colours = {"worry": _WORRY, "bad": _BAD}
    steps = [{"color": colour, "value": told[name]} for name, colour in colours.items() if name in told]
    return [{"color": _GOOD if steps else _PLAIN, "value": None}, *steps]


def _look(kind: str) -> dict[str, Any]:
    if kind == "stat":
        last = {"calcs": ["lastNotNull"], "fields": "", "values": False}
        return {"options": {"reduceOptions": last, "colorMode": "background", "graphMode": "area", "textMode": "auto"}}
    if kind == "table":
        hidden = {"Time": True, "Value": True, "__name__": True, "alertstate": True}
        return {
            "options": {"showHeader": True},
            "transformations": [{"id": "organize", "options": {"excludeByName": hidden}}],
        }
    legend = {"displayMode": "list", "placement": "bottom", "showLegend": True, "calcs": []}
    return {"options": {"legend": legend, "tooltip": {"mode": "multi", "sort": "desc"}}}


def _placed(panels: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """From left to right, and a new row where the next one has no room."""
    x = y = row = 0
    for panel in panels:
        place = panel["gridPos"]
        if x + place["w"] > _COLUMNS:
            x, y, row = 0, y + row, 0
        place["x"], place["y"] = x, y
        x, row = x + place["w"], max(row, place["h"])
    return panels


if __name__ == "__main__":
    main()
