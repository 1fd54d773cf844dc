"""Looks for what is secret in the logs of a whole run."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tests.support.phone import SECRETS

# Whose token it is does not matter: what reads like one and is written out in full has no business in a log.
_JWT = re.compile(r"eyJ[\w-]{10,}\.[\w-]{10,}\.[\w-]{80,}")
_HASH = re.compile(r"\$(?:argon2id|2[aby]|scrypt)\$[^\s\"]{20,}")
_REFRESH_TOKEN = re.compile(r"(?=(AQ[\w-]{69}))")


def logs_below(folder: Path) -> Iterator[Path]:
    """Every log file in a folder, however deep."""
    yield from (path for path in folder.rglob("*.log") if path.is_file())


def secrets_in(path: Path) -> list[str]:
    """What is secret in a log: tokens, hashes, the passwords of phones, and the secrets of the stack that wrote it."""
    text = path.read_text(errors="replace")
    found = {one[0] for one in (*_JWT.finditer(text), *_HASH.finditer(text))}
    found |= {one[1] for one in _REFRESH_TOKEN.finditer(text)} & SECRETS
    # Passwords are few, and what phones were given are thousands of tokens, which were looked for above.
    short = {secret for secret in SECRETS if len(secret) < 71}
    found |= {secret for secret in (*short, *_secrets_of_stack(path)) if secret in text}
    return sorted(found)


def _secrets_of_stack(log: Path) -> Iterable[str]:
    kept = log.parent.parent / "secrets.json"
    return json.loads(kept.read_text()).values() if kept.exists() else ()
