"""The command of the gateway: `python -m gateway check`."""

import argparse
import os
import sys
from collections.abc import Mapping

import redis
import urllib3

from gateway.listening import Listening
from gateway.route_check import problems_of
from gateway.routes import ROUTES
from gateway.settings import Settings
from shared import tracing
from shared.redis_client import connect
from shared.serving import Serving, check_configuration
from shared.settings import SettingsError

_CONNECT_SECONDS = 2.0


def main() -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="python -m gateway", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    check = commands.add_parser("check", help="say whether settings and route table are valid, and what is wrong")
    check.add_argument("--connect", action="store_true", help="also ask Redis and every service whether they are there")
    arguments = parser.parse_args()
    code = check_configuration(Settings.read, Listening.read, Serving.read, tracing.Destination.read, _routes)
    if code == 0 and arguments.connect:
        return _connect(Settings.read(os.environ))
    return code


def _routes(_environ: Mapping[str, str]) -> None:
    if problems := problems_of(ROUTES):
        raise SettingsError("\n".join(problems))


def _connect(settings: Settings) -> int:
    pool = urllib3.PoolManager(timeout=_CONNECT_SECONDS, retries=False)
    problems = []
    for name, url in settings.service_urls.items():
        try:
            status = pool.request("GET", f"{url.rstrip('/')}/health/ready").status
        except urllib3.exceptions.HTTPError as error:
            problems.append(f"{name.upper()}_URL can't be reached: {error}")
        else:
            if status != 200:
                problems.append(f"{name.upper()}_URL is not ready: it answers {status}")
    try:
        connect(settings.redis_url, answer_seconds=_CONNECT_SECONDS).ping()
    except redis.RedisError as error:
        problems.append(f"REDIS_URL can't be reached: {error}")
    sys.stdout.write("\n".join(problems or ["Everything that the gateway needs is there."]) + "\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
