"""Lines of the log stay whole, however long they are and however many write at once."""

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from tools.process import ROOT

LINES = 150
# Half of the lines go past logging, as those of requests do. A sign of the path takes six bytes.
PROGRAM = """
import logging.config, sys, threading
from shared.logs import log_request, logging_config

def write(sender):
    for number in range({lines}):
        log_request(logging.INFO, path=f"/{{sender}}/{{number}}/" + "\\u00e9/" * 2700)
        if {also_logging}:
            logging.warning("%s", f"/{{sender}}/{{number}}/" + "x" * 8000)

logging.config.dictConfig(logging_config("gateway", "INFO"))
threads = [threading.Thread(target=write, args=(f"{{sys.argv[1]}}-{{n}}",)) for n in range({threads})]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


@pytest.mark.parametrize(("workers", "threads"), [(1, 6), (4, 1)], ids=["threads", "workers"])
def test_long_lines_of_many_at_once_stay_whole(workers: int, threads: int) -> None:
    # What workers write by logging, such as the trace of a crash, may be too long for their pipe.
    lines = written_by(workers, threads, also_logging=threads > 1)

    requests = [line["path"].split("/")[1:3] for line in lines if line["event"] == "request"]
    assert len({tuple(request) for request in requests}) == len(requests) == workers * threads * LINES
    assert len(lines) == len(requests) * (2 if threads > 1 else 1)


def test_of_a_very_long_path_the_beginning_is_logged() -> None:
    [line, *_] = written_by(1, 1, also_logging=False)
    assert line["path"].startswith("/0-0/0/é/é/")
    assert len(line["path"]) == 500


def written_by(workers: int, threads: int, *, also_logging: bool) -> list[dict[str, Any]]:
    """What arrives at the other end of the one pipe that all workers write to, as those of a gunicorn do."""
    program = PROGRAM.format(lines=LINES, threads=threads, also_logging=also_logging)
    end, start = os.pipe()
    crowd = [
        subprocess.Popen([sys.executable, "-c", program, str(number)], cwd=ROOT, stdout=start)
        for number in range(workers)
    ]
    os.close(start)
    try:
        with open(end, "rb") as pipe:
            return [json.loads(line) for line in pipe]
    finally:
        assert {worker.wait(30) for worker in crowd} == {0}
