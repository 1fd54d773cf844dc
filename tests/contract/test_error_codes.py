"""The error catalogue: every code is produced, listed and published, and none but those marked signs anybody out."""

import importlib
import json
import re
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from shared.catalogue import CATALOGUE, CODE_PATTERN, Action, CatalogueEntry, code_for_field, code_for_status
from shared.errors import ApiError
from tests.support.http import STATUSES
from tests.support.provocations import PROVOCATIONS, reply_of_users
from tests.support.services import raw_reply
from tests.support.world import World
from tools.process import ROOT

PUBLISHED = Path(__file__).with_name("published_codes.json")
# Configuration of a process that reads its environment, and what begins to run when it is imported.
NOT_IMPORTED = {"gunicorn_conf", "__main__", "env"}


def sources() -> list[Path]:
    return [path for room in ("shared", "services", "gateway") for path in sorted((ROOT / room).rglob("*.py"))]


def error_classes() -> set[type[ApiError]]:
    """Every error of the product."""
    for path in sources():
        if path.stem not in NOT_IMPORTED and "versions" not in path.parts:
            importlib.import_module(".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"))
    found, waiting = {ApiError}, [ApiError]
    while waiting:
        subclasses = waiting.pop().__subclasses__()
        found.update(subclasses)
        waiting.extend(subclasses)
    return found


def meaning(entry: CatalogueEntry) -> dict[str, Any]:
    """What a published code promises."""
    names = ("status", "action", "ends_session", "field", "message")
    return {name: value for name, value in asdict(entry).items() if name in names} | {"retryable": entry.retryable}


def published() -> dict[str, dict[str, Any]]:
    codes: dict[str, dict[str, Any]] = json.loads(PUBLISHED.read_text(encoding="utf-8"))
    return codes


def test_there_is_a_provocation_for_every_code() -> None:
    assert set(PROVOCATIONS) == set(CATALOGUE)


@pytest.mark.parametrize("code", CATALOGUE)
def test_every_code_is_produced_through_a_gateway(world: World, code: str) -> None:
    entry = CATALOGUE[code]

    answer = PROVOCATIONS[code](world)

    assert (answer.error_code, answer.status) == (code, entry.status)
    assert answer.message in (entry.message, *entry.variants)
    assert answer.headers["X-Request-Id"]
    if entry.status in (429, 503):
        assert int(answer.headers["Retry-After"]) >= 1
    if code == "AUTH_401":
        assert answer.headers["WWW-Authenticate"].startswith("Bearer")


def test_a_crash_of_a_page_is_told_without_a_word_of_what_crashed(world: World) -> None:
    for answer in (world.crashing.get("/v1/errors"), PROVOCATIONS["SRV_500"](world)):
        assert answer.status == 500
        assert answer.json == {"message": "Something went wrong on our side", "error_code": "SRV_500"}


def test_a_service_that_hangs_costs_the_app_no_more_than_the_deadline(world: World) -> None:
    PROVOCATIONS["GW_504"](world)
    started = time.monotonic()

    assert PROVOCATIONS["GW_504"](world).status == 504

    # The deadline is one second, and the rest is for a busy machine.
    assert 0.9 < time.monotonic() - started < 6


def test_a_disabled_account_is_told_so_only_to_who_knows_the_password(world: World) -> None:
    phone = world.phone()
    world.auth_sql.execute("UPDATE accounts SET disabled_at = now() WHERE id = %s", [phone.user["id"]])

    wrong = world.api.post("/v1/auth/login", {**phone.credentials, "password": "wrong password"})

    assert wrong.error_code == "AUTH_001"
    assert phone.refresh().error_code == "AUTH_007"


def test_a_throttled_sign_in_says_nothing_about_the_password(world: World) -> None:
    phone = world.phone()
    wrong = {**phone.credentials, "password": "wrong password"}
    codes = [world.api.post("/v1/auth/login", wrong).error_code for _ in range(12)]

    assert codes[-1] == "AUTH_429"
    assert world.api.post("/v1/auth/login", phone.credentials).error_code == "AUTH_429"
    assert phone.refresh().status == 200


def test_every_error_of_the_source_is_in_the_catalogue() -> None:
    errors = error_classes()

    assert len(errors) > 20
    assert {error.__name__: error.code for error in errors if error.code not in CATALOGUE} == {}


def test_every_sentence_of_an_error_is_one_of_the_catalogue() -> None:
    for error in error_classes():
        if error.message is not None:
            entry = CATALOGUE[error.code]
            assert error.message in (entry.message, *entry.variants), error.__name__


def test_every_code_that_the_source_names_is_in_the_catalogue() -> None:
    named = {
        (code, path.name)
        for path in sources()
        for code in re.findall(rf"\b{CODE_PATTERN.pattern}\b", path.read_text(encoding="utf-8"))
    }

    assert len(named) > len(CATALOGUE)
    assert sorted(found for found in named if found[0] not in CATALOGUE) == []


def test_every_http_status_has_a_code_that_a_client_may_see() -> None:
    for status in range(400, 600):
        entry = CATALOGUE[code_for_status(status)]
        assert entry.status in STATUSES
        assert (entry.status < 500) == (status < 500)
        assert entry.status == status or f"REQ_{status}" not in CATALOGUE
        assert not entry.ends_session


def test_every_field_of_a_public_form_has_a_code_of_its_own() -> None:
    document = json.loads((ROOT / "gateway" / "openapi.json").read_text(encoding="utf-8"))
    forms = {name: schema for name, schema in document["components"]["schemas"].items() if name.endswith("Form")}
    forms["ProfileChange"] = document["components"]["schemas"]["ProfileChange"]

    assert len(forms) >= 6
    for name, schema in forms.items():
        for field in schema["properties"]:
            assert CATALOGUE[code_for_field(field)].field == field, f"{name}.{field}"


def test_the_codes_have_the_form_of_the_contract() -> None:
    for code, entry in CATALOGUE.items():
        assert CODE_PATTERN.fullmatch(code)
        assert entry.code == code
        assert entry.status in STATUSES - {200, 201}
        assert entry.message
        assert int(code[-3:]) < 400 or int(code[-3:]) == entry.status


def test_no_published_code_vanished_or_changed_its_meaning() -> None:
    now = {code: meaning(entry) for code, entry in CATALOGUE.items()}

    for code, promised in published().items():
        assert code in now, f"{code} was published; apps in the stores know it, so it has to stay in the catalogue"
        assert now[code] == promised, f"{code} was published with another meaning; give the new meaning a new code"


def test_every_code_is_published() -> None:
    missing = {code: meaning(entry) for code, entry in CATALOGUE.items() if code not in published()}

    assert missing == {}, f"Publish these by adding to {PUBLISHED.relative_to(ROOT)}: {json.dumps(missing, indent=2)}"


def test_only_401_and_403_can_end_a_session() -> None:
    assert {entry.status for entry in CATALOGUE.values() if entry.ends_session} <= {401, 403}


def test_what_ends_a_session_sends_the_person_to_sign_in_or_to_support_and_is_never_worth_a_retry() -> None:
    for entry in CATALOGUE.values():
        if entry.ends_session:
            assert entry.action in (Action.LOGIN, Action.CONTACT_SUPPORT)
            assert not entry.retryable


def test_limits_and_faults_of_ours_are_worth_a_retry() -> None:
    for entry in CATALOGUE.values():
        if entry.status == 429 or entry.status >= 500:
            assert (entry.action, entry.retryable, entry.ends_session) == (Action.RETRY, True, False), entry.code


@pytest.mark.parametrize("code", [entry.code for entry in CATALOGUE.values() if entry.ends_session])
@pytest.mark.parametrize("status", [400, 404, 429, 500, 502, 503, 504])
def test_no_service_can_sign_anybody_out_with_a_limit_or_a_fault(world: World, status: int, code: str) -> None:
    body = json.dumps({"message": "You are out", "error_code": code}).encode()

    answer = reply_of_users(world, raw_reply(f"{status} Whatever", body))

    assert answer.status == (502 if status == 500 else status)
    assert not CATALOGUE[answer.error_code].ends_session
