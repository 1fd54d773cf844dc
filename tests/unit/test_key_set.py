"""What a process that checks tokens makes of the key sets that it is given."""

from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jwt.algorithms import ECAlgorithm

from shared.keys import KeySet


def jwk(kid: str) -> dict[str, Any]:
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return ECAlgorithm.to_jwk(public, as_dict=True) | {"kid": kid, "alg": "ES256", "use": "sig"}


@pytest.mark.parametrize(
    "document",
    [{"keys": []}, {}, {"keys": [{"kid": "x"}]}, {"keys": [{"kid": "x", "alg": "ES256", "use": "sig", "kty": "oct"}]}],
)
def test_a_key_set_without_a_usable_key_takes_nobody_his_keys(document: Any) -> None:
    documents = iter([{"keys": [jwk("a")]}, document, {"keys": [jwk("b")]}])
    keys = KeySet(lambda: next(documents))

    assert [keys.refresh(), keys.refresh()] == [True, False]
    assert "a" in keys
    assert keys.document["keys"][0]["kid"] == "a"
    assert keys.refresh()
    assert "a" not in keys
    assert "b" in keys
