"""What the gateway's guard remembers of tokens that it found good."""

import time
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from gateway.confirmations import Confirmations
from gateway.guard import TokenGuard
from gateway.revocations import RevokedSessions
from shared.access_tokens import APPS_AUDIENCE, AccessTokenVerifier
from shared.keys import KeySet

KEY = ec.generate_private_key(ec.SECP256R1())
# Nobody is asked: neither is started.
REDIS_URL = "redis://127.0.0.1:1"


@pytest.fixture
def guard() -> TokenGuard:
    public: dict[str, Any] = ECAlgorithm.to_jwk(KEY.public_key(), as_dict=True)
    keys = KeySet(lambda: {"keys": [{**public, "kid": "one", "use": "sig", "alg": "ES256"}]})
    assert keys.refresh()
    verifier = AccessTokenVerifier(keys, "latchkey")
    return TokenGuard(verifier, RevokedSessions(REDIS_URL, 900), Confirmations(REDIS_URL))


def token(number: int) -> str:
    now = int(time.time())
    claims = {"iss": "latchkey", "aud": APPS_AUDIENCE, "sub": str(number), "sid": "s", "gen": 0}
    headers = {"typ": "at+jwt", "kid": "one"}
    return jwt.encode({**claims, "iat": now, "exp": now + 60, "jti": "j"}, KEY, algorithm="ES256", headers=headers)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.guard._PORTION", 5)


@pytest.mark.usefixtures("small")
def test_a_worker_does_not_remember_tokens_without_end(guard: TokenGuard) -> None:
    assert [guard.check(f"Bearer {token(number)}").account_id for number in range(30)] == list(range(30))
    assert 5 <= len(guard._newer) + len(guard._older) <= 10


@pytest.mark.usefixtures("small")
def test_who_comes_again_and_again_is_remembered_and_who_does_not_is_forgotten(guard: TokenGuard) -> None:
    regular, stranger = (f"Bearer {token(number)}" for number in (100, 200))
    known, once = guard.check(regular), guard.check(stranger)
    for number in range(12):
        guard.check(f"Bearer {token(number)}")
        # The very same: it was not verified anew.
        assert guard.check(regular) is known
    assert guard.check(stranger) is not once
