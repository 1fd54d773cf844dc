"""Start-up names everything that is missing or unsafe."""

import base64
from typing import Any

import pytest

from gateway.settings import Settings as GatewaySettings
from services.auth.settings import Settings as AuthSettings
from services.users.settings import Settings as UsersSettings
from shared.keys import REFRESH_SECONDS
from shared.settings import SettingsError

KEY = base64.b64encode(bytes(32)).decode()
AUTH = {
    "DATABASE_URL": "postgresql://auth:secret@localhost/auth",
    "REDIS_URL": "redis://localhost",
    "USERS_URL": "http://users:8000",
    "KEY_ENCRYPTION_KEY": KEY,
    "REFRESH_TOKEN_KEY": KEY,
}


def test_a_full_environment_makes_settings_with_the_lifetimes_of_the_contract() -> None:
    settings = AuthSettings.read(AUTH)
    assert settings.access_token_lifetime == 15 * 60
    assert settings.refresh_idle_lifetime == 30 * 24 * 60 * 60
    assert settings.refresh_absolute_lifetime == 180 * 24 * 60 * 60
    assert settings.refresh_grace == 60
    assert settings.refresh_unconfirmed == 24 * 60 * 60


def test_everybody_has_fetched_a_new_key_before_it_signs_by_default() -> None:
    # The gateway asks auth so often, and whoever asks the gateway may keep the answer as long once more.
    assert AuthSettings.read(AUTH).key_publish_lead > 2 * REFRESH_SECONDS


@pytest.mark.parametrize("settings", [AuthSettings, UsersSettings, GatewaySettings])
def test_everything_that_is_missing_is_named_at_once(settings: Any) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read({})
    lines = str(caught.value).splitlines()
    assert len(lines) >= 2
    assert all(line.endswith("is required") for line in lines)


@pytest.mark.parametrize("settings", [AuthSettings, UsersSettings, GatewaySettings])
@pytest.mark.parametrize("depth", ["7", "201"])
def test_every_room_reads_how_deep_json_may_be_and_refuses_what_its_reader_can_not(settings: Any, depth: str) -> None:
    with pytest.raises(SettingsError, match=r"MAX_JSON_DEPTH must be from 8 to 200"):
        settings.read({"MAX_JSON_DEPTH": depth})


@pytest.mark.parametrize("name", ["DATABASE_URL", "REDIS_URL", "KEY_ENCRYPTION_KEY", "REFRESH_TOKEN_KEY"])
def test_no_secret_has_a_default(name: str) -> None:
    with pytest.raises(SettingsError, match=f"^{name} is required$"):
        AuthSettings.read({**AUTH, name: ""})


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("DATABASE_URL", "mysql://localhost/auth", "DATABASE_URL must be a URL with postgresql"),
        ("USERS_URL", "users:8000", "USERS_URL must be a URL with http or https"),
        ("USERS_URL", "http://", "USERS_URL must be a URL with http or https"),
        ("KEY_ENCRYPTION_KEY", "short", "KEY_ENCRYPTION_KEY must be base64"),
        ("KEY_ENCRYPTION_KEY", "c2hvcnQ=", "KEY_ENCRYPTION_KEY must be 32 bytes in base64"),
        ("REFRESH_TOKEN_KEY", "change-me", "REFRESH_TOKEN_KEY still has its sample value"),
        ("ACCESS_TOKEN_LIFETIME", "soon", "ACCESS_TOKEN_LIFETIME must be a whole number"),
        ("ACCESS_TOKEN_LIFETIME", "0", "ACCESS_TOKEN_LIFETIME must be from 1 to 86400"),
        # The database keeps what happened for 30 days, and a clean-up that may not delete it would fail.
        ("AUDIT_RETENTION", "2591999", "AUDIT_RETENTION must be from 2592000 to 315360000"),
        ("SESSION_RETENTION", "2591999", "SESSION_RETENTION must be from 2592000 to 315360000"),
        ("HASHING_QUEUE", "14", "HASHING_SLOTS plus HASHING_QUEUE must be less than THREADS (16)"),
        ("SERVICE_CLIENTS", "[]", "SERVICE_CLIENTS must be a JSON object"),
        ("SERVICE_CLIENTS", '{"a": {}}', 'SERVICE_CLIENTS a must look like {"secrets": '),
        (
            "SERVICE_CLIENTS",
            '{"a": {"secrets": ["short"], "scopes": {}}}',
            "SERVICE_CLIENTS a: a secret has at least 24 characters",
        ),
    ],
)
def test_a_wrong_value_is_named_with_the_reason(name: str, value: str, problem: str) -> None:
    with pytest.raises(SettingsError) as caught:
        AuthSettings.read({**AUTH, name: value})
    assert str(caught.value).startswith(problem)
    assert len(str(caught.value).splitlines()) == 1
