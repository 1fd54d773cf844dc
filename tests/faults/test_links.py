"""docs/reliability.md: a bad line between the gateway and the services loses nothing and signs nobody out."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.http import Api
from tests.support.link import Link
from tests.support.services import gateway_process
from tests.support.surroundings import LINK_FAULTS
from tests.support.survival import Report, survive
from tools.stack import Stack

pytestmark = pytest.mark.faults


@pytest.fixture(scope="module")
def links(site: Stack) -> Iterator[tuple[Link, Link]]:
    """The ways to auth and to users."""
    with Link(site.ports.auth) as to_auth, Link(site.ports.users) as to_users:
        yield to_auth, to_users


@pytest.fixture(scope="module")
def behind_links(site: Stack, links: tuple[Link, Link], tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway that reaches the services over these."""
    to_auth, to_users = links
    log_path: Path = tmp_path_factory.mktemp("links") / "gateway.log"
    environment = site.environment("gateway")
    with gateway_process(environment, log_path, AUTH_URL=to_auth.url, USERS_URL=to_users.url) as gateway:
        yield gateway


@pytest.mark.parametrize("fault", LINK_FAULTS)
def test_what_was_acknowledged_is_kept_and_nobody_is_signed_out_when(
    site: Stack, links: tuple[Link, Link], behind_links: Api, reports: list[Report], fault: str
) -> None:
    report = survive(fault, LINK_FAULTS[fault], site, struck=links, gateway_url=behind_links.base_url)
    reports.append(report)
    assert report.broken == []
