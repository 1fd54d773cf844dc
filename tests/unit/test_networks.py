"""Limits are counted by network, and a client's address comes only from proxies that are trusted."""

import pytest

from gateway.headers import client_address
from shared.networks import network_of, site_of


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        (" 192.0.2.7 ", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::1", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        # Some proxies write the port as well.
        *(("192.0.2.7:50123", "192.0.2.7"), ("[2001:db8:1:2::1]:443", "2001:db8:1:2::/64")),
        *(("[2001:db8:1:2::1]", "2001:db8:1:2::/64"), ("[::ffff:192.0.2.7]:1", "192.0.2.7")),
        ("", "unknown"),
        ("not an address", "unknown"),
        *(("192.0.2.7:", "unknown"), ("[192.0.2.7", "unknown"), ("192.0.2.7:1:2", "unknown"), ("[]:1", "unknown")),
    ],
)
def test_an_address_counts_for_its_network(address: str, network: str) -> None:
    assert network_of(address) == network


@pytest.mark.parametrize(
    ("network", "site"),
    [
        ("2001:db8:1:2::/64", "2001:db8:1::/48"),
        ("2001:db8:1:ffff::/64", "2001:db8:1::/48"),
        ("192.0.2.7", "192.0.2.7"),
        ("unknown", "unknown"),
    ],
)
def test_the_networks_of_one_ipv6_customer_are_one_site(network: str, site: str) -> None:
    assert site_of(network) == site


@pytest.mark.parametrize(
    ("forwarded", "hops", "address"),
    [
        ("203.0.113.1, 198.51.100.2", 0, "10.0.0.1"),
        ("203.0.113.1, 198.51.100.2", 1, "198.51.100.2"),
        ("203.0.113.1, 198.51.100.2", 2, "203.0.113.1"),
        ("203.0.113.1", 2, "10.0.0.1"),
        ("", 1, "10.0.0.1"),
    ],
)
def test_only_trusted_hops_say_where_a_client_is(forwarded: str, hops: int, address: str) -> None:
    environ = {"REMOTE_ADDR": "10.0.0.1", "HTTP_X_FORWARDED_FOR": forwarded}
    assert client_address(environ, hops) == address
