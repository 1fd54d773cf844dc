"""Each layer that refuses an access token, alone: at the doors one would cover for the other."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from shared.access_tokens import APPS_AUDIENCE, AccessTokenVerifier
from shared.bearer import bearer_token, refuse_other_spellings
from shared.errors import InvalidToken
from shared.keys import KeySet

HEADER = {"alg": "ES256", "typ": "at+jwt", "kid": "one"}
KEY = ec.generate_private_key(ec.SECP256R1())
SECRET = b"a secret that is as long as HS256 wants it"


@pytest.fixture
def keys() -> KeySet:
    public: dict[str, Any] = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    keys = KeySet(lambda: {"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]})
    assert keys.refresh()
    return keys


def claims(**changes: Any) -> dict[str, Any]:
    now = int(time.time())
    good = {"iss": "latchkey", "aud": APPS_AUDIENCE, "sub": "1", "sid": "s", "gen": 0, "iat": now, "exp": now + 60}
    return {**good, "jti": "j", **changes}


def signed(**changes: Any) -> str:
    return jwt.encode(claims(**changes), KEY, algorithm="ES256", headers=HEADER)


def test_a_good_token_says_who_it_is(keys: KeySet) -> None:
    assert AccessTokenVerifier(keys, "latchkey").verify(signed()).account_id == 1


def test_a_token_of_another_issuer_is_refused_under_the_same_key(keys: KeySet) -> None:
    with pytest.raises(InvalidToken):
        AccessTokenVerifier(keys, "latchkey").verify(signed(iss="somebody else"))


@pytest.mark.parametrize("change", [{"alg": "ES384"}, {"alg": "none"}, {"typ": "JWT"}, {"jku": "https://example.com"}])
def test_the_keys_are_for_no_other_header(keys: KeySet, change: dict[str, str]) -> None:
    assert keys.key_for(HEADER)
    with pytest.raises(InvalidToken):
        keys.key_for({**HEADER, **change})


def test_the_verifier_takes_no_other_algorithm_even_from_a_key_that_fits_it() -> None:
    token = jwt.encode(claims(), SECRET, algorithm="HS256", headers={**HEADER, "alg": "HS256"})
    with pytest.raises(InvalidToken):
        AccessTokenVerifier(_AnyHeader(), "latchkey").verify(token)


def test_two_bearer_tokens_in_one_header_are_none() -> None:
    # What a server makes of two Authorization headers (RFC 9110 section 5.2).
    with pytest.raises(InvalidToken):
        refuse_other_spellings(bearer_token("Bearer a.b.c,Bearer a.b.c"))


class _AnyHeader(KeySet):
    """Keys that look at no header."""

    def __init__(self) -> None:
        super().__init__(lambda: {"keys": []})

    def key_for(self, _header: Any) -> Any:
        return SECRET
