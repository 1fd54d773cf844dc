"""Two releases side by side: the older one goes on working with the tables of the newer one."""

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from shared.migrations import migrate
from tests.support.http import Api
from tests.support.load import Busy
from tests.support.next_release import next_release
from tests.support.phone import Phone
from tests.support.waiting import eventually
from tools.stack import Ports, Stack


@pytest.fixture
def own_stack(tmp_path: Path) -> Iterator[Stack]:
    generous = {"NETWORK_SIGN_UPS_PER_MINUTE": "100000", "SESSION_REFRESHES_PER_MINUTE": "100000"}
    unlimited = {"REQUESTS_PER_SECOND": "1000000", "BURST": "1000000"}
    settings = {"auth": generous, "gateway": unlimited}
    with Stack(tmp_path / "data", Ports.free(), settings=settings) as running:
        yield running


def newest_revision(url: str) -> str:
    with psycopg.connect(url) as connection:
        (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone() or ("",)
        return str(revision)


def test_this_release_serves_while_the_next_one_migrates(own_stack: Stack, tmp_path: Path) -> None:
    own_stack.start()
    phones = [Busy(Api(own_stack.gateway_url)) for _ in range(3)]
    for phone in phones:
        phone.start()
    try:
        # Often enough for psycopg to have prepared what it sends.
        eventually(lambda: all(phone.requests > 50 for phone in phones))
        for room in ("auth", "users"):
            url = own_stack.database_url(room)
            before = newest_revision(url)
            # An index waits for old transactions as long as they take; here nobody has one.
            migrate(next_release(room, before, tmp_path), f"{url}?options=-c%20statement_timeout%3D20s")
            assert newest_revision(url) > before
        at_the_change = [phone.requests for phone in phones]
        eventually(lambda: all(phone.requests > then + 50 for phone, then in zip(phones, at_the_change, strict=True)))
        Phone(Api(own_stack.gateway_url)).sign_up().sign_in()
    finally:
        for phone in phones:
            phone.enough.set()
        for phone in phones:
            phone.join()
    assert [phone.refusals for phone in phones] == [[], [], []]
