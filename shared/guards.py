"""Who may open a route. Every view states its guard; there is no default, and start-up refuses a view without one."""

import time
from collections.abc import Callable
from functools import wraps
from typing import Any, cast

import jwt
from flask import Flask, current_app, g, request
from flask_jwt_extended import JWTManager, get_jwt, get_jwt_header, verify_jwt_in_request
from flask_jwt_extended.exceptions import JWTExtendedException, NoAuthorizationError

from shared.access_tokens import APPS_AUDIENCE, Person, person_from
from shared.bearer import bearer_token, refuse_other_spellings
from shared.errors import Forbidden, InvalidToken, TokenExpired, TokenMissing
from shared.keys import ALGORITHM, KeySet

# How far the clocks of two machines may differ. The gateway, which people talk to, allows nothing.
CLOCK_LEEWAY_SECONDS = 30
# flask-jwt-extended would also refuse what was issued "in the future", by a clock that is ahead of ours: its owner
# would refresh, get another such token, and go on so. It has one leeway for everything, so expiry is checked here.
_ANY_TIME = 10**9

View = Callable[..., Any]


def public(view: View) -> View:
    """Anybody may call this."""
    return _state(view, "public")


def signed_in(view: View) -> View:
    """Only a person with an access token; `current_person()` says who."""

    @wraps(view)
    def guarded(*args: Any, **values: Any) -> Any:
        g.person = _person()
        return view(*args, **values)

    return _state(guarded, "signed_in")


def service(scope: str) -> Callable[[View], View]:
    """Only another service whose token is for this room and holds `scope`."""

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(*args: Any, **values: Any) -> Any:
            claims = _verified_claims()
            if claims.get("aud") != current_app.config["ROOM"]:
                raise InvalidToken("not a service token for this room")
            if scope not in str(claims.get("scope", "")).split():
                raise Forbidden(f"the scope {scope} is missing")
            return view(*args, **values)

        return _state(guarded, f"service:{scope}")

    return decorate


def current_person() -> Person:
    """Who is signed in, inside a view under `signed_in`."""
    return cast(Person, g.person)


def person_if_any(*, or_else: bool) -> Person | None:
    """The person of the access token, inside a `public` view that also takes another proof.

    With `or_else`, when that other proof came, a token that is missing, expired or bad is None. A token that expired
    long ago is bad, too: the key that signed it may have been retired since.
    """
    try:
        return _person()
    except (TokenMissing, InvalidToken):
        if or_else:
            return None
        raise


def use_tokens(app: Flask, keys: KeySet, issuer: str) -> None:
    """Let the guards of `app` check tokens with `keys`."""
    app.config.update(
        JWT_TOKEN_LOCATION=["headers"],
        JWT_ALGORITHM=ALGORITHM,
        JWT_DECODE_ISSUER=issuer,
        JWT_DECODE_AUDIENCE=[APPS_AUDIENCE, app.config["ROOM"]],
        JWT_DECODE_LEEWAY=_ANY_TIME,
    )
    JWTManager(app).decode_key_loader(lambda header, _claims: keys.key_for(header))


def guard_of(view: View) -> str | None:
    """The guard that a view states, or None."""
    return getattr(view, "guard", None)


def refuse_unguarded_views(app: Flask) -> None:
    """Stop the start-up when a view does not say who may call it."""
    unguarded = [name for name, view in app.view_functions.items() if guard_of(view) is None]
    if unguarded:
        raise RuntimeError(f"views without a guard: {', '.join(unguarded)}")


def _person() -> Person:
    return person_from(_verified_claims(), get_jwt_header()["kid"])


def _verified_claims() -> dict[str, Any]:
    # flask-jwt-extended would choose one of several tokens, and decode any spelling of it.
    refuse_other_spellings(bearer_token(request.headers.get("Authorization")))
    try:
        verify_jwt_in_request()
    except NoAuthorizationError as error:
        raise TokenMissing from error
    except (JWTExtendedException, jwt.PyJWTError) as error:
        raise InvalidToken(str(error)) from error
    claims = cast(dict[str, Any], get_jwt())
    _refuse_expired(claims.get("exp"))
    return claims


def _refuse_expired(expires_at: object) -> None:
    if not isinstance(expires_at, int):
        raise InvalidToken("the token never expires")
    if expires_at + CLOCK_LEEWAY_SECONDS <= time.time():
        raise TokenExpired


def _state(view: View, guard: str) -> View:
    view.guard = guard  # type: ignore[attr-defined]
    return view
