"""What the tests of the promises between rooms share."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.conformance import RawOutcome, send_all
from tests.support.doors import Doors, doors_of_rooms
from tests.support.http import Api
from tests.support.matrix import Matrix, Outcome, cells, running
from tests.support.phone import Phone
from tests.support.world import World
from tools.stack import Stack


@pytest.fixture(scope="session")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack, its databases, and further gateways whose services misbehave."""
    with World(stack, Api(stack.gateway_url), tmp_path_factory.mktemp("gateways")) as world:
        yield world


@pytest.fixture(scope="session")
def doors(stack: Stack) -> dict[str, Doors]:
    """The guard of every method and path, by room."""
    return doors_of_rooms(stack)


@pytest.fixture(scope="session")
def faulty(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Matrix, list[Path]]]:
    """Gateways before a service that answers as it is told, and where they log."""
    with running(stack, tmp_path_factory.mktemp("matrix")) as pair:
        yield pair


@pytest.fixture(scope="session")
def matrix(faulty: tuple[Matrix, list[Path]]) -> list[Outcome]:
    """What came of every fault of a service with every method and every kind of token."""
    running_matrix, logs = faulty
    return running_matrix.run(cells(), logs)


@pytest.fixture(scope="session")
def raw_outcomes(faulty: tuple[Matrix, list[Path]]) -> dict[str, RawOutcome]:
    """What came of every crooked request."""
    return send_all(faulty[0])


@pytest.fixture(scope="module")
def reader(api: Api) -> Phone:
    """A phone that many tests look with, because a backend does not let one network sign up without end."""
    return Phone(api).sign_up()
