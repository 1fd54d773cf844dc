"""The shapes that auth takes and answers with; one schema for each direction."""

import time
from datetime import UTC, datetime
from typing import Any

from marshmallow import Schema, ValidationError, fields, post_load, validate, validates

from services.auth import emails, imported_hashes
from services.auth.account_import import ImportedAccount
from services.auth.accounts import SignUp
from services.auth.devices import Device
from services.auth.guessable import is_common
from services.auth.imported_hashes import UnusableHash
from services.auth.passwords import MAX_PASSWORD, MIN_PASSWORD
from shared.fields import EpochSeconds, PersonName, PhoneNumber

DEVICE_TYPES = ("Android", "iOS", "Web")
# Push tokens are printable ASCII; PostgreSQL indexes at most 2,704 bytes.
MAX_PUSH_TOKENS = 500
PUSH_TOKEN = r"[\x20-\x7e]{1,2048}\Z"


class Email(fields.String):
    """An email address; arrives canonical."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        try:
            return emails.canonical(str(super()._deserialize(value, attr, data, **options)))
        except ValueError as error:
            raise ValidationError(str(error)) from error


class DeviceType(fields.String):
    """Android, iOS or Web in any case; arrives in this spelling."""

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        given = str(super()._deserialize(value, attr, data, **options)).lower()
        for known in DEVICE_TYPES:
            if known.lower() == given:
                return known
        raise ValidationError("unknown device type")


def push_token(**options: Any) -> fields.String:
    """The field for a push token; people may refuse push, so null is fine."""
    return fields.String(
        allow_none=True,
        validate=validate.Regexp(PUSH_TOKEN),
        metadata={"description": "The push token; null or missing without push", "example": "hv283b"},
        **options,
    )


class _DeviceFields(Schema):
    email = Email(required=True, metadata={"example": "john@example.com", "format": "email", "maxLength": 254})
    password = fields.String(
        required=True,
        load_only=True,
        validate=validate.Length(1, MAX_PASSWORD),
        metadata={"format": "password", "example": "userPassword123"},
    )
    device_type = DeviceType(required=True, metadata={"enum": list(DEVICE_TYPES), "example": "Android"})
    notification_device_id = push_token(load_default=None)


class LoginForm(_DeviceFields):
    """What somebody gives to sign in."""


def _uncommon(password: str) -> None:
    # Of a password that is too short, only that is said.
    if len(password) >= MIN_PASSWORD and is_common(password):
        raise ValidationError("AUTH_009")


class SignupForm(_DeviceFields):
    """What somebody gives to sign up."""

    password = fields.String(
        required=True,
        load_only=True,
        validate=[
            validate.Length(min=MIN_PASSWORD, error="AUTH_008"),
            validate.Length(max=MAX_PASSWORD),
            _uncommon,
        ],
        metadata={"format": "password", "example": "userPassword123"},
    )
    name = PersonName(load_default=None, allow_none=True)
    phone = PhoneNumber(load_default=None, allow_none=True)

    @post_load
    def _to_request(self, form: dict[str, Any], **_: Any) -> SignUp:
        device = Device(form["device_type"], form["notification_device_id"])
        return SignUp(form["email"], form["password"], device, form["name"], form["phone"])


class ImportedAccountForm(Schema):
    """One line of a file of accounts from another system; what is no hash that we verify is refused with a reason."""

    email = Email(required=True)
    password_hash = fields.String(required=True, load_only=True)
    name = PersonName(load_default=None, allow_none=True)
    phone = PhoneNumber(load_default=None, allow_none=True)
    created_at = fields.Integer(strict=True, load_default=None, allow_none=True, validate=validate.Range(min=0))
    disabled = fields.Boolean(load_default=False, truthy={True}, falsy={False})

    @validates("password_hash")
    def _check_hash(self, password_hash: str, **_: Any) -> None:
        try:
            imported_hashes.check(password_hash)
        except UnusableHash as error:
            raise ValidationError(str(error)) from error

    @validates("created_at")
    def _check_created_at(self, moment: int | None, **_: Any) -> None:
        if moment is not None and moment > time.time():
            raise ValidationError("in the future")

    @post_load
    def _to_account(self, form: dict[str, Any], **_: Any) -> ImportedAccount:
        created_at = form["created_at"] if form["created_at"] is not None else time.time()
        return ImportedAccount(**{**form, "created_at": datetime.fromtimestamp(created_at, UTC)})


class IdempotencyHeader(Schema):
    """The header that makes a sign-up safe to repeat."""

    idempotency_key = fields.UUID(
        data_key="Idempotency-Key",
        load_default=None,
        metadata={"description": "A UUID; the same key and body again within 24 hours get the same account"},
    )


class RefreshForm(Schema):
    """The refresh token travels in the body, where no proxy logs it."""

    refresh_token = fields.String(required=True, validate=validate.Length(1, 512), metadata={"example": "AZ…"})


class LogoutForm(Schema):
    """Which sessions to end, and who asks when the access token has expired."""

    scope = fields.String(load_default="this", validate=validate.OneOf(["this", "others", "all"]))
    refresh_token = fields.String(load_default=None, validate=validate.Length(1, 512))


class PushTokenForm(Schema):
    """The new push token of this device, or null when the person no longer wants push."""

    notification_device_id = push_token(required=True)


class TokenPairData(Schema):
    """A pair of tokens and when they expire."""

    access_token = fields.String(required=True, metadata={"example": "eyJ…"})
    access_token_expires_at = fields.Integer(required=True, metadata={"description": "Seconds since the epoch"})
    refresh_token = fields.String(required=True, metadata={"example": "AZ…"})
    refresh_token_expires_at = fields.Integer(required=True, metadata={"description": "Seconds since the epoch"})


class SignedInUser(Schema):
    """Who signed in; name and picture are null when the users service can't say."""

    id = fields.Integer(required=True)
    name = fields.String(required=True, allow_none=True)
    email = fields.String(required=True)
    profile_image = fields.String(required=True, allow_none=True)


class PreviousSessionEnd(Schema):
    """Why and when this device was signed out."""

    reason = fields.String(required=True, metadata={"example": "reuse_detected"})
    ended_at = EpochSeconds(required=True)


class SignInData(TokenPairData):
    """What an app gets for signing up or in."""

    user = fields.Nested(SignedInUser, required=True)
    previous_session_end = fields.Nested(
        PreviousSessionEnd,
        metadata={"description": "Only there when this device was signed out and has not been told yet"},
    )


class SessionData(Schema):
    """One device's sign-in."""

    id = fields.UUID(required=True)
    device_type = fields.String(required=True)
    created_at = EpochSeconds(required=True)
    last_used_at = EpochSeconds(required=True)
    expires_at = EpochSeconds(required=True, attribute="idle_expires_at")
    is_current = fields.Boolean(required=True)


class PushTargetData(Schema):
    """A device that a message can be pushed to."""

    session_id = fields.UUID(required=True, attribute="id")
    device_type = fields.String(required=True)
    notification_device_id = fields.String(required=True)


class InvalidPushTokensForm(Schema):
    """Push tokens that the push provider called unregistered."""

    notification_device_ids = fields.List(
        fields.String(validate=validate.Regexp(PUSH_TOKEN)), required=True, validate=validate.Length(1, MAX_PUSH_TOKENS)
    )


class ForgottenData(Schema):
    """How many sessions lost their push token."""

    forgotten = fields.Integer(required=True)


class ServiceTokenForm(Schema):
    """How a service proves itself."""

    client_id = fields.String(required=True)
    client_secret = fields.String(required=True)
    audience = fields.String(required=True)


class ServiceTokenData(Schema):
    """A token for one service to call another."""

    access_token = fields.String(required=True)
    access_token_expires_at = fields.Integer(required=True)
