"""The pictures of the gateway's benchmark and of a soak."""

from collections.abc import Mapping, Sequence
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


def draw_growth(samples: Sequence[tuple[float, Mapping[tuple[str, str], float]]], path: Path) -> None:
    """A panel for each unit with a line for each figure over the minutes, written to `path` as SVG."""
    series: dict[str, dict[str, tuple[list[float], list[float]]]] = {}
    for at, figures in samples:
        for (name, unit), value in figures.items():
            times, values = series.setdefault(unit, {}).setdefault(name, ([], []))
            times.append(at / 60)
            values.append(value)
    figure, panels = plt.subplots(len(series), sharex=True, figsize=(_WIDTH + 2, 2.6 * len(series)), squeeze=False)
    for axes, (unit, lines) in zip(panels[:, 0], series.items(), strict=True):
        for name, (times, values) in lines.items():
            axes.plot(times, values, label=name)
        axes.set_ylabel(unit)
        axes.set_ylim(bottom=0)
        axes.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5))
        axes.spines[["top", "right"]].set_visible(False)
    panels[-1, 0].set_xlabel("minutes")
    path.parent.mkdir(exist_ok=True)
    figure.savefig(path, bbox_inches="tight", metadata={"Date": None})
