"""What the tests of the promises between rooms share."""

from collections.abc import Iterator

import pytest

from tests.support.http import Api
from tests.support.matrix import Outcome, cells, running
from tests.support.phone import Phone
from tests.support.world import World
from tools.stack import Stack


@pytest.fixture(scope="session")
def world(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The stack, its databases, and further gateways whose services misbehave."""
    with World(stack, Api(stack.gateway_url), tmp_path_factory.mktemp("gateways")) as world:
        yield world


@pytest.fixture(scope="session")
def matrix(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> list[Outcome]:
    """What came of every fault of a service with every method and every kind of token."""
    with running(stack, tmp_path_factory.mktemp("matrix")) as (matrix, logs):
        return matrix.run(cells(), logs)


@pytest.fixture(scope="module")
def reader(api: Api) -> Phone:
    """A phone that many tests look with, because a backend does not let one network sign up without end."""
    return Phone(api).sign_up()
