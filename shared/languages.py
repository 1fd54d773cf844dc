"""Chooses the language of messages and translates them; English is complete and the fallback."""

import gettext
from functools import cache, lru_cache
from pathlib import Path

from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

DEFAULT_LANGUAGE = "en"
_FOLDER = Path(__file__).parent / "translations"
_MAX_HEADER = 256


@cache
def languages() -> tuple[str, ...]:
    """The languages that have a compiled catalogue, English first."""
    compiled = sorted(path.parent.parent.name for path in _FOLDER.glob("*/LC_MESSAGES/messages.mo"))
    return (DEFAULT_LANGUAGE, *compiled)


@lru_cache(maxsize=512)
def choose_language(accept_language: str) -> str:
    """The best of our languages for an `Accept-Language` header (RFC 9110 section 12.5.4)."""
    if not accept_language or len(accept_language) > _MAX_HEADER:
        return DEFAULT_LANGUAGE
    wanted = parse_accept_header(accept_language, LanguageAccept)
    # We have no regions, and werkzeug would let a plain "en" beat a better liked "de-AT".
    wanted = LanguageAccept([(tag.replace("_", "-").partition("-")[0], quality) for tag, quality in wanted])
    return wanted.best_match(languages(), default=DEFAULT_LANGUAGE) or DEFAULT_LANGUAGE


def translate(message: str, language: str) -> str:
    """`message` in `language`, or as it is where the catalogue has nothing."""
    return message if language == DEFAULT_LANGUAGE else _catalogue(language).gettext(message)


@cache
def _catalogue(language: str) -> gettext.NullTranslations:
    return gettext.translation("messages", _FOLDER, languages=[language], fallback=True)
