"""The mobile contract, section 4: access tokens."""

import base64
import json
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from tests.support.phone import Phone

AGE_SECONDS = 15 * 60


def encoded(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).rstrip(b"=").decode()


def claims_of(token: str) -> dict[str, Any]:
    return jwt.decode(token, options={"verify_signature": False})


def test_an_access_token_is_a_jwt_with_this_header_and_these_claims(reader: Phone) -> None:
    header, claims = jwt.get_unverified_header(reader.access_token), claims_of(reader.access_token)

    assert set(header) == {"alg", "typ", "kid"}
    assert (header["alg"], header["typ"]) == ("ES256", "at+jwt")
    assert set(claims) == {"iss", "aud", "sub", "sid", "gen", "iat", "exp", "jti"}
    assert claims["sub"] == str(reader.user["id"])
    assert [type(claims[name]) for name in ("gen", "iat", "exp")] == [int, int, int]
    assert claims["exp"] - claims["iat"] == AGE_SECONDS


def test_an_access_token_is_proved_by_the_public_keys_of_the_gateway(reader: Phone) -> None:
    keys = {key["kid"]: jwt.PyJWK(key) for key in reader.api.get("/.well-known/jwks.json").json["keys"]}
    header, unproved = jwt.get_unverified_header(reader.access_token), claims_of(reader.access_token)

    claims = jwt.decode(
        reader.access_token, keys[header["kid"]], algorithms=["ES256"], audience=unproved["aud"], issuer=unproved["iss"]
    )

    assert claims == unproved


def test_the_announced_expiry_is_the_token_s_own(phone: Phone) -> None:
    data = phone.refresh().data

    assert data["access_token_expires_at"] == claims_of(data["access_token"])["exp"]


def test_every_access_token_is_another_of_the_same_session(phone: Phone) -> None:
    first = claims_of(phone.access_token)
    phone.refresh()
    second = claims_of(phone.access_token)

    assert first["jti"] != second["jti"]
    assert (first["sid"], first["gen"] + 1) == (second["sid"], second["gen"])


def test_a_missing_access_token_is_401(phone: Phone) -> None:
    answer = phone.api.get("/v1/users/me")

    assert (answer.status, answer.json) == (401, {"message": "Access token missing", "error_code": "AUTH_401"})
    assert answer.headers["WWW-Authenticate"] == "Bearer"


def forgeries(token: str) -> dict[str, str]:
    """Access tokens that nobody may believe, made of a good one."""
    head, body, signature = token.split(".")
    header, claims = jwt.get_unverified_header(token), claims_of(token)
    stranger = ec.generate_private_key(ec.SECP256R1())
    return {
        "no signature": f"{head}.{body}.",
        "other claims": f"{head}.{encoded({**claims, 'sub': '1'})}.{signature}",
        "a later expiry": f"{head}.{encoded({**claims, 'exp': claims['exp'] + 1})}.{signature}",
        "alg none": f"{encoded({**header, 'alg': 'none'})}.{body}.",
        "a stranger's key": jwt.encode(claims, stranger, algorithm="ES256", headers=header),
        "a stranger's key that the token brings": jwt.encode(
            claims, stranger, algorithm="ES256", headers={**header, "jwk": {"kty": "EC"}, "kid": "x"}
        ),
        "a shared secret": jwt.encode(claims, "s" * 32, algorithm="HS256", headers={**header, "alg": "HS256"}),
        "another type": f"{encoded({**header, 'typ': 'JWT'})}.{body}.{signature}",
        "a cut end": token[:-2],
        "nonsense": "abc",
        "two dots": "..",
        "no ASCII": "ÿ.ÿ.ÿ",
    }


def test_a_bad_access_token_is_401(reader: Phone) -> None:
    for forgery, token in forgeries(reader.access_token).items():
        for path in ("/v1/users/me", "/v1/auth/sessions"):
            answer = reader.api.get(path, headers={"Authorization": f"Bearer {token}"})
            assert (answer.status, answer.json) == (401, {"message": "Invalid token", "error_code": "AUTH_401"}), (
                forgery
            )
            assert answer.headers["WWW-Authenticate"] == 'Bearer error="invalid_token"'


@pytest.mark.parametrize("form", ["{}", "Basic {}", "Token {}", "Bearer", "Bearer  {}", "Bearer {} {}", "Bearer,{}"])
def test_what_is_no_bearer_token_is_401(reader: Phone, form: str) -> None:
    answer = reader.api.get("/v1/users/me", headers={"Authorization": form.replace("{}", reader.access_token)})

    assert (answer.status, answer.error_code) == (401, "AUTH_401")


def test_a_refresh_token_is_no_access_token_and_the_other_way_round(reader: Phone) -> None:
    assert reader.api.get("/v1/users/me", token=reader.refresh_token).error_code == "AUTH_401"
    assert reader.refresh(reader.access_token).error_code in ("AUTH_004", "VAL_008")
