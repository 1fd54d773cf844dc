"""`python -m services.auth keys …`: rotating the keys that access tokens are signed with."""

import argparse

from services.auth import key_rotation
from services.auth.console import say, say_json, say_table
from services.auth.models import SigningKey
from services.auth.parts import Parts
from shared.keys import REFRESH_SECONDS


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may follow `keys`."""
    actions = parser.add_subparsers(dest="action", required=True)
    for name, purpose in (
        ("list", "show every key and what it does now"),
        ("rotate", "publish a new key, which signs once everybody knows it"),
        ("retire", "take a key away at once, because it is no longer secret"),
    ):
        action = actions.add_parser(name, help=purpose, description=purpose)
        action.add_argument("--json", action="store_true", help="answer in JSON")
        if name == "retire":
            action.add_argument("kid", metavar="KID", help="as `keys list` shows it")


def run(parts: Parts, arguments: argparse.Namespace) -> int:
    """Do it; the exit code. Raises Refusal and Unavailable."""
    if arguments.action == "rotate":
        return _rotate(parts, as_json=arguments.json)
    if arguments.action == "retire":
        return _retire(parts, arguments.kid, as_json=arguments.json)
    return _list(parts, as_json=arguments.json)


def _list(parts: Parts, *, as_json: bool) -> int:
    with parts.database.transaction() as session:
        rows = [_row(key, state) for key, state in key_rotation.all_keys(session)]
    say_json(rows) if as_json else say_table(rows)
    return 0


def _rotate(parts: Parts, *, as_json: bool) -> int:
    with parts.database.transaction() as session:
        key = key_rotation.rotate(session, parts.signing_keys, parts.settings.key_publish_lead)
    if as_json:
        say_json(_row(key, "waiting"))
    else:
        say(f"{key.kid} is published and signs from {key.signs_from:%Y-%m-%d %H:%M:%S} UTC.")
        say("The old key goes when its last token has expired; there is nothing more to do.")
    return 0


def _retire(parts: Parts, kid: str, *, as_json: bool) -> int:
    with parts.database.transaction() as session:
        key = key_rotation.retire(session, kid)
    if as_json:
        say_json(_row(key, "retired"))
    else:
        say(f"{kid} is gone. Within {REFRESH_SECONDS} seconds nobody takes its tokens any more; apps refresh theirs.")
    return 0


def _row(key: SigningKey, state: str) -> dict[str, object]:
    return {
        "kid": key.kid,
        "state": state,
        "created_at": key.created_at,
        "signs_from": key.signs_from,
        "retired_at": key.retired_at,
    }
