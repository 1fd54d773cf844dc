"""Judges a query of a dashboard or an alert by the series that really exist."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from tests.support.prometheus import Prometheus

# What Grafana puts in; any time that holds two scrapes will do here.
_VARIABLES = {"$__rate_interval": "1m"}
_GROUPING = re.compile(r"\b(?:by|without|on|ignoring|group_left|group_right)\s*\(([^)]*)\)")
_RANGE = re.compile(r"\[[^\]]*\]")
_SELECTOR = re.compile(r'(?<![\w.:"])([a-zA-Z_:][\w:]*)(?![\w:])(\{(?:[^"}]|"(?:\\.|[^"\\])*")*\})?(?!\s*\()')
_WORDS = frozenset({"and", "or", "unless", "bool", "offset", "inf", "nan"})
_LEGEND_LABEL = re.compile(r"\{\{(\w+)\}\}")
# Prometheus makes it itself, of the alerts that there are just now.
_COMES_AND_GOES = "ALERTS"


@dataclass(frozen=True)
class Query:
    """A query, where it stands, and the legend of what it shows (None for an alert, which shows nothing)."""

    place: str
    text: str
    legend: str | None = None

    def problems(self, prometheus: Prometheus) -> list[str]:
        """What does not fit the series that there are; nothing for a query that is right."""
        return [f"{self.place}: {why}: {self.text}" for why in self._judge(prometheus)]

    def _judge(self, prometheus: Prometheus) -> Iterator[str]:
        query = self.text
        for variable, value in _VARIABLES.items():
            query = query.replace(variable, value)
        try:
            result = prometheus.value(query)
        except ValueError as error:
            yield f"Prometheus does not understand it ({error})"
            return
        for name, matchers in selectors(query):
            yield from _judge_selector(prometheus, query, name, matchers)
        if self.legend is None or _COMES_AND_GOES in query:
            return
        if not result:
            yield "it shows nothing"
        for label in _LEGEND_LABEL.findall(self.legend):
            if all(label not in labels for labels, _ in result):
                yield f"what it shows has no label {label}"


def selectors(query: str) -> Iterator[tuple[str, str]]:
    """The metrics that a query names, each with what stands in braces behind it."""
    plain = _RANGE.sub("", _GROUPING.sub("", query))
    for name, matchers in _SELECTOR.findall(plain):
        if name.lower() not in _WORDS:
            yield name, matchers


def _judge_selector(prometheus: Prometheus, query: str, name: str, matchers: str) -> Iterator[str]:
    series = prometheus.series(name)
    if not series:
        yield f"there is no metric {name}"
        return
    labels = {label for one in series for label in one}
    named = re.findall(r"(\w+)\s*(?:=~|!~|!=|=)\s*\"", matchers)
    named += [label.strip() for group in _GROUPING.findall(query) for label in group.split(",")]
    for label in named:
        if label and label not in labels:
            yield f"{name} has no label {label}"
    if name != _COMES_AND_GOES and not prometheus.series(name + matchers):
        yield f"no {name} is {matchers}"
