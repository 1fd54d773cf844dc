"""Turns a client's address into the network that limits are counted by."""

import ipaddress
import re
from functools import lru_cache

CLIENT_ADDRESS_HEADER = "X-Forwarded-For"
UNKNOWN_NETWORK = "unknown"
# One subscriber's IPv6 line is a /64; an address of its own for every request costs an attacker nothing.
_IPV6_PREFIX = 64
# What a hosting company hands to one customer, 65,536 times a /64.
_IPV6_SITE_PREFIX = 48
# Some proxies write the port behind the address that they saw, which needs brackets in IPv6 (RFC 3986 section 3.2.2).
_WITH_PORT = re.compile(r"(?:\[([^\[\]]+)\]|([0-9.]+))(?::[0-9]{1,5})?")


@lru_cache(maxsize=4096)
def network_of(address: str) -> str:
    """The IPv4 address itself, the /64 of an IPv6 address, or "unknown" for what is neither; a port does not count."""
    address = address.strip()
    if parts := _WITH_PORT.fullmatch(address):
        address = parts[1] or parts[2]
    try:
        parsed = ipaddress.ip_address(address)
    except ValueError:
        return UNKNOWN_NETWORK
    if isinstance(parsed, ipaddress.IPv6Address):
        if parsed.ipv4_mapped:
            return str(parsed.ipv4_mapped)
        return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))
    return str(parsed)


def site_of(network: str) -> str:
    """The /48 around an IPv6 network of `network_of`; everything else stays as it is."""
    if ":" not in network:
        return network
    return str(ipaddress.IPv6Network(network).supernet(new_prefix=_IPV6_SITE_PREFIX))
