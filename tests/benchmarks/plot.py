"""The picture of the gateway's benchmark."""

from collections.abc import Mapping
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
from matplotlib import pyplot as plt

_WIDTH, _ROW = 7.0, 0.5


def draw(rates: Mapping[str, float], path: Path) -> None:
    """Bars of requests per second, as shares of the greatest, written to `path` as SVG."""
    greatest = max(rates.values())
    figure, axes = plt.subplots(figsize=(_WIDTH, 1.0 + _ROW * len(rates)))
    bars = axes.barh(list(rates), [rate / greatest for rate in rates.values()])
    axes.bar_label(bars, fmt="%.2f", padding=3)
    axes.invert_yaxis()
    axes.set_xlim(0, 1.12)
    axes.set_xlabel("requests per second of one worker on one core, gunicorn's hello = 1")
    axes.spines[["top", "right"]].set_visible(False)
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
