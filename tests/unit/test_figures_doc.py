"""docs/operations.md explains every figure that there is, and no other."""

import re

# Whoever is imported makes its figures.
import gateway.app
import services.auth.app
import services.auth.worker
import services.users.app
from shared import metrics
from tools.process import ROOT

ROOMS = (gateway.app, services.auth.app, services.auth.worker, services.users.app)


def explained() -> list[str]:
    section = (ROOT / "docs/operations.md").read_text().partition("## Figures\n")[2].partition("\n## ")[0]
    first_cells = re.findall(r"^\| ([^|]+) \|", section, re.MULTILINE)
    return [name for cell in first_cells for name in re.findall(r"`(latchkey_[a-z_]+)`", cell)]


def existing() -> set[str]:
    return {
        f"{family.name}_total" if family.type == "counter" else family.name for family in metrics._registry.collect()
    }


def test_every_figure_is_explained_and_no_other() -> None:
    assert ROOMS
    assert len(existing()) > 10
    assert set(explained()) == existing()
    assert len(explained()) == len(set(explained()))


def test_figures_are_named_as_prometheus_wants_them() -> None:
    # https://prometheus.io/docs/practices/naming/: one prefix, base units, `_total` for what only grows.
    for name in existing():
        assert name.startswith("latchkey_")
        assert not re.search(r"_(ms|milliseconds|minutes|hours|days|kib|mib|percent)(_|$)", name)
