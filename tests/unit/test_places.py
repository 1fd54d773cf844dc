"""How many places for signing in and up there are for all, for a network, for an email and for a device."""

from contextlib import ExitStack, suppress

import pytest

from services.auth.places import Places
from shared.errors import Unavailable

JOHN = "john@example.com"
Asking = tuple[str | None, str | None]


def taken(stack: ExitStack, places: Places, network: str, asking: list[Asking]) -> int:
    """How many of these emails and push tokens find a place, and keep it."""
    found = 0
    for email, push_token in asking:
        with suppress(Unavailable):
            stack.enter_context(places.take(network, email, push_token))
            found += 1
    return found


def different_people(number: int) -> list[Asking]:
    return [(f"person{one}@example.com", None) for one in range(number)]


def different_devices(number: int) -> list[Asking]:
    return [(JOHN, f"push token {one}") for one in range(number)]


@pytest.mark.parametrize(
    ("slots", "queue", "network", "email", "device"),
    [
        (2, 6, 6, 3, 2),
        (1, 0, 1, 1, 1),
        (2, 0, 2, 1, 1),
        (1, 1, 1, 1, 1),
        (1, 2, 2, 1, 1),
        (2, 2, 3, 1, 1),
        (4, 1, 4, 2, 1),
        (8, 0, 8, 3, 2),
        (2, 98, 75, 3, 2),
    ],
)
def test_a_network_an_email_and_a_device_have_their_share_and_the_slots_stay_busy(
    slots: int, queue: int, network: int, email: int, device: int
) -> None:
    places = Places(slots, queue)
    for same in ("push token", None):
        with ExitStack() as stack:
            assert taken(stack, places, "198.51.100.1", [(JOHN, same)] * 200) == device
            assert taken(stack, places, "198.51.100.1", different_devices(200)) == email - device
            assert taken(stack, places, "198.51.100.1", different_people(200)) == network - email
            assert taken(stack, places, "198.51.100.2", different_people(200)) == min(network, slots + queue - network)
    with ExitStack() as stack:
        assert taken(stack, places, "198.51.100.1", [(None, None)] * 200) == network


def test_a_place_is_given_back_whatever_happens_there() -> None:
    places = Places(1, 0)
    for _ in range(3):
        with pytest.raises(ZeroDivisionError), places.take("198.51.100.1", "john@example.com"):
            _ = 1 / 0
    assert not places._taken
