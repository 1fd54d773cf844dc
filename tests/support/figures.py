"""Somebody who reads /metrics as Prometheus does."""

from collections.abc import Iterator

import psutil
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from tests.support.http import Api


class Scraper:
    """Reads the figures of one process, or of all workers of one gunicorn."""

    def __init__(self, address: str) -> None:
        self._api = Api(f"http://{address}")

    def samples(self) -> Iterator[Sample]:
        """Every sample of a scrape, made now."""
        # A connection that is kept would hold up a server that is told to stop.
        answer = self._api.get("/metrics", headers={"Connection": "close"})
        assert answer.status == 200, answer.body
        for family in text_string_to_metric_families(answer.body.decode()):
            yield from family.samples

    def sum_of(self, name: str, **labels: str) -> float:
        """The sum of all samples of a name whose labels include these; 0 when there are none."""
        return sum(
            sample.value for sample in self.samples() if sample.name == name and labels.items() <= sample.labels.items()
        )

    def value_of(self, name: str, **labels: str) -> float | None:
        """The one sample of a name with these labels; None when there is none."""
        found = [s.value for s in self.samples() if s.name == name and labels.items() <= s.labels.items()]
        assert len(found) <= 1, found
        return found[0] if found else None


def workers_below(port: int) -> list[psutil.Process]:
    """The workers of the gunicorn that this test has started and that listens on a port of the loopback."""
    [master] = [
        process
        for process in psutil.Process().children()
        if any(c.laddr.port == port for c in process.net_connections("tcp") if c.status == psutil.CONN_LISTEN)
    ]
    return master.children()
