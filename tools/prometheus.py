"""`make prometheus`: a Prometheus of this machine (Debian's package, say) over what `make up` runs."""

import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path

from tools.errors import StackError
from tools.ports import HOST, Ports
from tools.process import ROOT
from tools.services import SERVICES, metrics_port
from tools.up import chosen_data_dir, chosen_port

ALERTS = ROOT / "deploy/observability/alerts.yml"
_DEFAULT_PORT = "9090"
_SCRAPE_SECONDS = 5
# A process is called as its service is in compose.
_JOBS = {"worker": "auth-worker"}


def main() -> int:
    try:
        ports = Ports.from_base(chosen_port())
        data = chosen_data_dir() / "prometheus"
        data.mkdir(parents=True, exist_ok=True)
        settings = data / "prometheus.yml"
        settings.write_text(configuration(targets_of(ports), seconds=_SCRAPE_SECONDS))
        port = int(os.environ.get("PROMETHEUS_PORT") or _DEFAULT_PORT)
        program = command(settings, data / "series", port)
    except (StackError, OSError, ValueError) as error:
        print(error, file=sys.stderr)
        return 1
    print(f"Prometheus  http://{HOST}:{port}  (Ctrl-C stops it)", flush=True)
    # Ctrl-C and kill are for Prometheus itself.
    os.execv(program[0], program)  # noqa: S606
    return 0


def targets_of(ports: Ports) -> dict[str, int]:
    """Where each process of a stack shows its figures, by the name of its job."""
    return {_JOBS.get(name, name): metrics_port(name, ports) for name in SERVICES}


def configuration(targets: Mapping[str, int], *, seconds: int) -> str:
    """What Prometheus is told, in JSON, which is YAML: to ask these ports of the loopback every so many seconds."""
    return json.dumps(
        {
            "global": {
                "scrape_interval": f"{seconds}s",
                "scrape_timeout": f"{seconds}s",
                "evaluation_interval": f"{seconds}s",
            },
            "rule_files": [str(ALERTS)],
            "scrape_configs": [
                {"job_name": job, "static_configs": [{"targets": [f"{HOST}:{port}"]}]} for job, port in targets.items()
            ],
        }
    )


def command(settings: Path, data: Path, port: int) -> list[str]:
    """How Prometheus is started. Raises StackError where there is none."""
    program = shutil.which("prometheus")
    if program is None:
        raise StackError("There is no prometheus on the PATH: on Debian, apt-get install prometheus.")
    options = {"config.file": settings, "storage.tsdb.path": data, "web.listen-address": f"{HOST}:{port}"}
    return [program, *(f"--{name}={value}" for name, value in options.items())]


if __name__ == "__main__":
    sys.exit(main())
