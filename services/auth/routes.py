"""Signing up, signing in, refreshing."""

from typing import Any

from services.auth import accounts, outbox, refresh_tokens, rotation, sessions
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
    errors=[EmailTaken, PasswordTooShort, PasswordTooCommon, Unavailable],
)
def sign_up(form: SignUp, headers: dict[str, Any]) -> dict[str, Any]:
    """Sign up.

    Makes an account and signs this device in. Send an `Idempotency-Key` (a UUID, new for each person and tap on the
    button) and repeat the request with it when the reply was lost: the same account is answered, not AUTH_002.
    """
    password_hash = parts().passwords.hash(form.password)
    with parts().database.transaction() as session:
        signed_up = accounts.register(session, form, password_hash, headers["idempotency_key"], parts().settings)
    if signed_up.entry is None:
        return _sign_up_again(form, signed_up)
    profile = outbox.deliver(parts().database, parts().users, signed_up.entry, seconds=outbox.AT_ONCE_SECONDS)
    return signed_in_answer(signed_up.account, signed_up.row, profile or signed_up.entry.profile)


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
    network = client_network()
    parts().throttle.check(form["email"], network)
    with parts().database.transaction() as session:
        found = accounts.find(session, form["email"])
    try:
        account = accounts.authenticate(found, form["password"], parts().passwords)
    except WrongCredentials:
        parts().throttle.count_failure(form["email"], network)
        raise
    device = Device(form["device_type"], form["notification_device_id"])
    with parts().database.transaction() as session:
        opened = sessions.open_session(session, account.id, device, parts().settings)
    parts().revocations.publish(opened.ended)
    return signed_in_answer(account, opened.row, profile_of(account.id), opened.previous_end)


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
    with parts().database.transaction() as session:
        outcome = rotation.rotate(session, presented, parts().settings)
    parts().revocations.publish(outcome.ended)
    if outcome.error:
        raise outcome.error
    return vars(parts().tokens.pair_for(outcome.row))


def _sign_up_again(form: SignUp, earlier: accounts.SignedUp) -> dict[str, Any]:
    if not parts().passwords.matches(earlier.account.password_hash, form.password):
        raise InvalidInput(["VAL_010"])
    return signed_in_answer(earlier.account, earlier.row, profile_of(earlier.account.id) or {"name": form.name})
