"""What a signing key is called, and that its private half is sealed for that name."""

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from services.auth.signing_keys import SigningKeys
from shared.database import Database

ENCRYPTION_KEY = bytes(32)


@pytest.fixture
def keys() -> SigningKeys:
    return SigningKeys(Database("postgresql://nobody@127.0.0.1:1/nothing", connections=1), ENCRYPTION_KEY)


def test_no_key_is_called_like_an_option_of_a_command(keys: SigningKeys) -> None:
    # One thumbprint in 64 begins with a hyphen.
    assert not any(keys.generate().kid.startswith("-") for _ in range(600))


def test_a_private_half_opens_under_its_own_name_only(keys: SigningKeys) -> None:
    # Whoever can write to the database, and has not the key, can't make one key sign in the name of another.
    one, other = keys.generate(), keys.generate()
    nonce, sealed = one.private_key[:12], one.private_key[12:]
    assert AESGCM(ENCRYPTION_KEY).decrypt(nonce, sealed, one.kid.encode())
    for name in (other.kid.encode(), None):
        with pytest.raises(InvalidTag):
            AESGCM(ENCRYPTION_KEY).decrypt(nonce, sealed, name)
