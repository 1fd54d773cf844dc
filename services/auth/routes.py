"""Signing up, signing in, refreshing."""

import uuid
from typing import Any

from flask import g

from services.auth import accounts, audit, known_devices, outbox, refresh_tokens, rotation, sessions
from services.auth.accounts import SignUp
from services.auth.devices import Device
from services.auth.errors import (
    AccountDisabled,
    EmailTaken,
    InvalidRefreshToken,
    PasswordTooCommon,
    PasswordTooShort,
    RefreshTokenExpired,
    RefreshTokenReused,
    SessionEnded,
    TooManyAttempts,
    WrongCredentials,
)
from services.auth.known_devices import Place
from services.auth.parts import parts
from services.auth.schemas import (
    IdempotencyHeader,
    LoginForm,
    RefreshForm,
    SignInData,
    SignupForm,
    TokenPairData,
)
from services.auth.views import client_network, profile_of, signed_in_answer
from shared.blueprint import Blueprint
from shared.errors import InvalidInput, Unavailable
from shared.guards import public

blueprint = Blueprint("sign_in", __name__, description="Signing up, signing in and staying signed in")

TOKENS_EXAMPLE = {
    "access_token": "eyJhbGciOiJFUzI1NiIsInR5cCI6ImF0K2p3dCJ9…",
    "access_token_expires_at": 1732234500,
    "refresh_token": "AQGTkRS5h3qPnA0pUeY6AAAAAB5l…",
    "refresh_token_expires_at": 1734826500,
}
SIGN_IN_EXAMPLE = {
    **TOKENS_EXAMPLE,
    "user": {"id": 1, "name": "John Doe", "email": "john@example.com", "profile_image": None},
}


@blueprint.route("/v1/auth/signup", methods=["POST"])
@public
@blueprint.arguments(SignupForm)
@blueprint.arguments(IdempotencyHeader, location="headers")
@blueprint.answers(
    201,
    SignInData,
    "Signup successful",
    example=SIGN_IN_EXAMPLE,
    errors=[EmailTaken, PasswordTooShort, PasswordTooCommon, AccountDisabled, TooManyAttempts, Unavailable],
)
def sign_up(form: SignUp, headers: dict[str, Any]) -> dict[str, Any]:
    """Sign up.

    Makes an account and signs this device in. Send an `Idempotency-Key` (a UUID, new for each person and tap on the
    button) and repeat the request with it when the reply was lost: the same account is answered, not AUTH_002.
    """
    accounts.refuse_personal_password(form)
    with parts().places.take(client_network()):
        return _sign_up(form, headers)


@blueprint.route("/v1/auth/login", methods=["POST"])
@public
@blueprint.arguments(LoginForm)
@blueprint.answers(
    200,
    SignInData,
    "Login successful",
    example=SIGN_IN_EXAMPLE,
    errors=[WrongCredentials, AccountDisabled, TooManyAttempts, Unavailable],
)
def sign_in(form: dict[str, Any]) -> dict[str, Any]:
    """Sign in.

    Unknown email and wrong password are one answer. A push token that another session had moves to this one.
    """
    with parts().places.take(client_network(), form["email"], form["notification_device_id"]):
        return _sign_in(form)


@blueprint.route("/v1/auth/refresh", methods=["POST"])
@public
@blueprint.arguments(RefreshForm)
@blueprint.answers(
    200,
    TokenPairData,
    "Token refreshed successfully",
    example=TOKENS_EXAMPLE,
    errors=[
        InvalidRefreshToken,
        RefreshTokenExpired,
        RefreshTokenReused,
        SessionEnded,
        AccountDisabled,
        TooManyAttempts,
        Unavailable,
    ],
)
def refresh(form: dict[str, str]) -> dict[str, Any]:
    """Get a new pair of tokens.

    Safe to repeat: whoever lost the reply sends the old token again and gets the same new refresh token.
    """
    presented = refresh_tokens.read(form["refresh_token"])
    # A key must be at hand before the old token is spent.
    parts().signing_keys.signer()
    with parts().database.statements() as connection:
        rotated = rotation.refresh_at_once(connection, presented, parts().settings)
    if rotated:
        return vars(parts().tokens.pair_for(rotated))
    with parts().database.transaction() as session:
        outcome = rotation.rotate(session, presented, parts().settings)
    g.outcome = "repeated"
    parts().revocations.publish(outcome.ended)
    if outcome.error:
        raise outcome.error
    return vars(parts().tokens.pair_for(outcome.row))


def _sign_up(form: SignUp, headers: dict[str, Any]) -> dict[str, Any]:
    key = headers["idempotency_key"]
    place = Place(client_network(), form.device.notification_device_id)
    parts().brakes.sign_up(place.network)
    password_hash = parts().passwords.hash(form.password)
    # A key must be at hand before anything is promised.
    parts().signing_keys.signer()
    with parts().database.transaction() as session:
        signed_up = accounts.register(session, form, password_hash, key, parts().settings)
        if signed_up:
            known_devices.remember(session, signed_up.account.id, place, parts().settings)
    if signed_up is None:
        return _sign_up_again(form, key, place)
    profile = outbox.deliver(parts().database, parts().users, signed_up.entry, seconds=outbox.AT_ONCE_SECONDS)
    return signed_in_answer(signed_up.account, signed_up.row, profile or signed_up.entry.profile)


def _sign_in(form: dict[str, Any]) -> dict[str, Any]:
    place = Place(client_network(), form["notification_device_id"])
    with parts().database.statements() as connection:
        found = accounts.credentials(connection, form["email"])
        known_by = known_devices.recognise(connection, form["email"], place, parts().settings)
    with (
        audit.failed_sign_ins(parts().database, found.id if found else None),
        parts().brakes.sign_in(form["email"], place, known_by),
    ):
        account = accounts.authenticate(found, form["password"], parts().passwords)
    accounts.renew_hash(parts().database, account, form["password"], parts().passwords)
    device = Device(form["device_type"], form["notification_device_id"])
    parts().signing_keys.signer()
    with parts().database.transaction() as session:
        accounts.lock(session, account)
        opened = sessions.open_session(session, account.id, device, parts().settings)
        audit.record(
            session, "sign_in", account_id=account.id, session_id=opened.row.id, device_type=device.device_type
        )
        known_devices.remember(session, account.id, place, parts().settings)
    parts().revocations.publish(opened.ended)
    return signed_in_answer(account, opened.row, profile_of(account.id), opened.previous_end)


def _sign_up_again(form: SignUp, key: uuid.UUID, place: Place) -> dict[str, Any]:
    """Answer a sign-up whose reply was lost; who repeats it proves to be the same as at any sign-in."""
    with parts().database.transaction() as session:
        known = accounts.signed_up_with(session, key, form)
        known_by = known_devices.recognise(session, form.email, place, parts().settings)
    try:
        with audit.failed_sign_ins(parts().database, known.id), parts().brakes.sign_in(form.email, place, known_by):
            account = accounts.authenticate(known, form.password, parts().passwords)
    except WrongCredentials as error:
        raise InvalidInput(["VAL_010"]) from error
    with parts().database.transaction() as session:
        accounts.lock(session, account)
        opened = accounts.resume(session, key, form.device, parts().settings)
    parts().revocations.publish(opened.ended)
    return signed_in_answer(account, opened.row, profile_of(account.id) or {"name": form.name})
