"""What a signing key is called."""

from services.auth.signing_keys import SigningKeys
from shared.database import Database


def test_no_key_is_called_like_an_option_of_a_command() -> None:
    keys = SigningKeys(Database("postgresql://nobody@127.0.0.1:1/nothing", connections=1), bytes(32))
    # One thumbprint in 64 begins with a hyphen.
    assert not any(keys.generate().kid.startswith("-") for _ in range(600))
