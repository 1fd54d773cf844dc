"""Everything that can go wrong on purpose: a stack, its databases, and gateways whose services misbehave."""

from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Self

import psycopg

from tests.support.http import Api
from tests.support.phone import Phone
from tests.support.services import BrokenService, gateway_process
from tests.support.settings import UNLIMITED
from tools.stack import Stack


class World:
    """Starts what is asked for when it is asked for; as a context manager it stops that at the end."""

    def __init__(self, stack: Stack, api: Api, folder: Path) -> None:
        self.stack = stack
        self.api = api
        self.folder = folder
        self._running = ExitStack()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._running.close()

    def phone(self) -> Phone:
        """A phone whose owner has just signed up."""
        return Phone(self.api).sign_up()

    @cached_property
    def bystander(self) -> Phone:
        """A phone that only has to be signed in."""
        return self.phone()

    @cached_property
    def auth_sql(self) -> psycopg.Connection:
        return self._database("auth")

    @cached_property
    def users_sql(self) -> psycopg.Connection:
        return self._database("users")

    @cached_property
    def users_service(self) -> BrokenService:
        """What stands behind `broken` instead of users."""
        service = BrokenService()
        self._running.callback(service.close)
        return service

    @cached_property
    def broken(self) -> Api:
        """A gateway before `users_service`, which it gives one second."""
        return self._gateway("broken", USERS_URL=self.users_service.url, DEADLINE_SECONDS="1")

    @cached_property
    def away(self) -> Api:
        """A gateway before a users service that was there and is gone."""
        service = BrokenService()
        gateway = self._gateway("away", USERS_URL=service.url)
        service.close()
        return gateway

    @cached_property
    def limited(self) -> Api:
        """A gateway that takes one request a second from one network, and two at once."""
        return self._gateway("limited", REQUESTS_PER_SECOND="1", BURST="2")

    @cached_property
    def patient(self) -> Api:
        """A gateway that takes any number of requests."""
        return self._gateway("patient", **UNLIMITED)

    @cached_property
    def crashing(self) -> Api:
        """A gateway with a bug in its guard and one in its error catalogue."""
        return self._gateway("crashing", wsgi_app="tests.support.crashing_gateway:create_app()")

    def _gateway(self, name: str, *, wsgi_app: str = "", **settings: str) -> Api:
        environment = self.stack.environment("gateway")
        log_path = self.folder / f"{name}.log"
        return self._running.enter_context(gateway_process(environment, log_path, wsgi_app=wsgi_app, **settings))

    def _database(self, name: str) -> psycopg.Connection:
        return self._running.enter_context(psycopg.connect(self.stack.database_url(name), autocommit=True))
