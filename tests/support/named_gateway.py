"""The real gateway on a network of a test: names are looked up in the file ADDRESSES, one address on each line."""

import os
from pathlib import Path

from gateway.app import create_app as create_real_app
from gateway.discovery import addresses_of
from gateway.proxy import Gateway
from gateway.replicas import Address


def create_app() -> Gateway:
    """The gateway of the environment."""
    return create_real_app(resolve=_look_up)


def _look_up(_host: str, port: int) -> set[Address]:
    """What the file says; a name without an address is unknown, as a DNS server has it."""
    addresses = Path(os.environ["ADDRESSES"]).read_text().split()
    if not addresses:
        raise OSError("Name or service not known")
    return {address for text in addresses for address in addresses_of(text, port)}
