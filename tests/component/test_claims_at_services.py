"""Services behind the gateway read the claims of a token themselves, and take none that auth does not write."""

from typing import Any

import pytest

from tests.support.forger import Forger, encoded
from tests.support.http import Api
from tests.support.phone import Phone
from tools.stack import Stack


@pytest.mark.parametrize("door", ["users", "auth"])
@pytest.mark.parametrize(
    "changes",
    [{"iss": "somebody else"}, {"iss": None}, {"aud": "gateway"}, {"aud": ["latchkey-apps", "users"]}, {"aud": None},
     {"sub": None}, {"sub": "x"}, {"sid": None}, {"gen": None}, {"exp": None}, {"exp": "9999999999"},
     {"nbf": 2**40}],
    ids=str,
)  # fmt: skip
def test_a_token_with_other_claims_opens_no_service(
    stack: Stack, phone: Phone, door: str, changes: dict[str, Any]
) -> None:
    forger = Forger(stack, phone)
    api, path = {
        "users": (Api(stack.users_url), "/v1/users/me"),
        "auth": (Api(stack.auth_url), "/v1/auth/sessions"),
    }[door]
    assert api.get(path, token=forger.token()).status == 200
    claims = {name: value for name, value in (forger.claims | changes).items() if value is not None}
    answer = api.get(path, token=forger.sign(encoded(forger.header), encoded(claims)))
    assert (answer.status, answer.error_code) == (401, "AUTH_401")
