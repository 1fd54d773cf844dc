"""What Grafana reads is what was written, and shows every figure that there is."""

import json
import re

import pytest

from tests.support.queries import selectors
from tests.unit.test_figures_doc import explained
from tools.dashboards import FOLDER, sources, written, written_to
from tools.process import ROOT

BOARDS = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]


def test_the_dashboards_are_up_to_date() -> None:
    assert sources()
    assert {path.name for path in FOLDER.glob("*.json")} == {written_to(source).name for source in sources()}
    stale = [source.name for source in sources() if written_to(source).read_text() != written(source)]
    assert stale == [], "make dashboards"


def test_every_figure_is_shown_on_some_dashboard() -> None:
    queries = [target["expr"] for board in BOARDS for panel in board["panels"] for target in panel["targets"]]
    shown = {name.removesuffix("_bucket") for query in queries for name, _ in selectors(query)}
    assert set(explained()) - shown == set()


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board["uid"])
def test_no_panel_covers_another_or_leaves_the_page(board: dict[str, list[dict[str, dict[str, int]]]]) -> None:
    taken: set[tuple[int, int]] = set()
    for panel in board["panels"]:
        at = panel["gridPos"]
        cells = {(x, y) for x in range(at["x"], at["x"] + at["w"]) for y in range(at["y"], at["y"] + at["h"])}
        assert max(x for x, _ in cells) < 24
        assert not cells & taken, panel["title"]
        taken |= cells


def test_grafana_asks_the_source_that_is_provisioned_and_begins_with_the_glance() -> None:
    source = (ROOT / "deploy/observability/grafana/datasource.yml").read_text()
    [uid] = re.findall(r"uid: (\S+)", source)
    used = {target["datasource"]["uid"] for board in BOARDS for panel in board["panels"] for target in panel["targets"]}
    assert used == {uid}
    compose = (ROOT / "deploy/observability/compose.yml").read_text()
    [home] = re.findall(r"HOME_DASHBOARD_PATH: /dashboards/(\S+)", compose)
    assert (FOLDER / home).exists()
