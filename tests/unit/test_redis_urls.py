"""What REDIS_URL may say, and what is wrong with one that says too little."""

from typing import Any

import pytest
from redis.sentinel import SentinelConnectionPool, SentinelManagedSSLConnection

from shared.redis_client import connect, problem_of


def pool_of(url: str) -> Any:
    return connect(url, answer_seconds=1.5, connect_seconds=0.5, decode_responses=True).connection_pool


def test_a_sentinel_url_names_the_master_its_database_and_every_sentinel() -> None:
    pool = pool_of("redis+sentinel://:p%40ss@one:26380,[::1]:5,three/main/2?sentinel_password=other")
    assert isinstance(pool, SentinelConnectionPool)
    assert pool.service_name == "main"
    own = pool.connection_kwargs
    assert (own["password"], own["db"], own["socket_timeout"], own["socket_connect_timeout"]) == ("p@ss", 2, 1.5, 0.5)
    asked = [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]
    assert [(one["host"], one["port"]) for one in asked] == [("one", 26380), ("::1", 5), ("three", 26379)]
    # The master's password is none of the Sentinels' business.
    assert {one["password"] for one in asked} == {"other"}
    assert all(one["socket_timeout"] and one["socket_connect_timeout"] for one in asked)


def test_rediss_sentinel_speaks_tls_to_the_master_and_to_the_sentinels() -> None:
    pool = pool_of("rediss+sentinel://:secret@one/main/0?ssl_ca_certs=/ca.pem")
    assert pool.connection_class is SentinelManagedSSLConnection
    [sentinel] = pool.sentinel_manager.sentinels
    told = sentinel.connection_pool.connection_kwargs
    assert pool.connection_kwargs["ssl_ca_certs"] == told["ssl_ca_certs"] == "/ca.pem"
    assert sentinel.connection_pool.connection_class.__name__ == "SSLConnection"


@pytest.mark.parametrize(
    "url",
    [
        "redis+sentinel://one:26379",
        "redis+sentinel://one:26379/",
        "redis+sentinel://one:26379/main/first",
        "redis+sentinel://one:port/main",
        "redis+sentinel://one,,two/main",
        "redis://localhost?socket_timeout=soon",
    ],
)
def test_a_url_that_says_too_little_is_named_at_the_start(url: str) -> None:
    assert (problem_of(url) or "").startswith("is no URL of a Redis: ")


@pytest.mark.parametrize("url", ["redis://localhost", "rediss://:a@b:1/3", "redis+sentinel://:a@b/main"])
def test_a_usable_url_has_no_problem(url: str) -> None:
    assert problem_of(url) is None
