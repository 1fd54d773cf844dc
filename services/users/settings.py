"""What the users service is told by its environment."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

from shared.settings import Environment


@dataclass(frozen=True)
class Settings:
    """All settings of users."""

    database_url: str
    auth_url: str
    token_issuer: str
    threads: int
    max_json_depth: int

    @classmethod
    def read(cls, environ: Mapping[str, str]) -> Self:
        """The settings in `environ`; SettingsError names everything that is missing or wrong."""
        with Environment(environ) as environment:
            return cls(
                database_url=environment.url("DATABASE_URL", "postgresql"),
                auth_url=environment.url("AUTH_URL", "http", "https"),
                token_issuer=environment.text("TOKEN_ISSUER", "latchkey"),
                threads=environment.integer("THREADS", 16, low=2, high=256),
                max_json_depth=environment.json_depth(),
            )
