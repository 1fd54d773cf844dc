"""What the rate limits keep in Redis: exact amounts, by the clock of Redis, without an address, and not for ever."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from tests.support.crowd import somewhere
from tests.support.http import Api
from tests.support.limited import PAGE, from_network, left
from tests.support.services import gateway_process
from tests.support.waiting import eventually
from tools.stack import Stack

BURST = 60


@pytest.fixture(scope="module")
def gateway(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    """A gateway that believes a proxy in front, so that a test can say where a request comes from."""
    log_path = tmp_path_factory.mktemp("buckets") / "gateway.log"
    limits = {"REQUESTS_PER_SECOND": "1", "BURST": str(BURST), "TRUSTED_HOPS": "1"}
    with gateway_process(stack.environment("gateway"), log_path, **limits) as api:
        yield api


def test_no_address_stands_in_redis_and_what_is_full_again_is_gone(
    stack: Stack, valkey: redis.Redis, log_path: Path
) -> None:
    with gateway_process(stack.environment("gateway"), log_path, REQUESTS_PER_SECOND="1", BURST="3") as gateway:

        def kept() -> list[str]:
            return list(valkey.scan_iter("latchkey:limit:network:1:3:*"))

        gateway.get(PAGE)
        names = kept()
        assert names
        assert all("127.0.0.1" not in name for name in names)
        eventually(lambda: kept() == [])


def test_a_clock_that_was_put_back_refuses_nobody(gateway: Api, valkey: redis.Redis) -> None:
    address = somewhere()
    valkey.set(bucket_of(valkey, gateway, address), f"{BURST - 1} {in_an_hour()}")
    assert left(from_network(gateway, address)) == BURST - 2


def test_a_part_of_a_token_is_neither_lost_nor_won(gateway: Api, valkey: redis.Redis) -> None:
    address = somewhere()
    bucket = bucket_of(valkey, gateway, address)
    # To a clock that was put back no time has passed.
    valkey.set(bucket, f"1.4 {in_an_hour()}")
    assert left(from_network(gateway, address)) == 0
    assert float(str(valkey.get(bucket)).split()[0]) == pytest.approx(0.4)


def bucket_of(valkey: redis.Redis, gateway: Api, address: str) -> Any:
    """The name of a network's bucket, which has had one request."""
    before = set(valkey.scan_iter("latchkey:limit:*"))
    from_network(gateway, address)
    [bucket] = set(valkey.scan_iter("latchkey:limit:*")) - before
    return bucket


def in_an_hour() -> str:
    """The time then, as the buckets have it."""
    return f"{(time.time() + 3600) * 1e6:.0f}"
