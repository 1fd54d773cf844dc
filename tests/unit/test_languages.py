"""Every language says everything that English says, and the right language is chosen."""

import re
from functools import cache
from pathlib import Path

import pytest
from babel.messages import Catalog, Message
from babel.messages.extract import DEFAULT_KEYWORDS, DEFAULT_MAPPING, extract_from_dir
from babel.messages.pofile import read_po

from shared.catalogue import CATALOGUE
from shared.languages import choose_language, languages, translate

CHECKOUT = Path(__file__).parents[2]
TRANSLATIONS = CHECKOUT / "shared" / "translations"
SHIPPED = ("ar", "de", "es", "fr", "hi")

# The same as in `make messages-extract`.
SOURCES = ("shared", "services", "gateway")
KEYWORDS = {**DEFAULT_KEYWORDS, "answers": (3,), "success": (1,)}

# What an app sends or a standard calls so, and nobody may translate.
WORDS_OF_THE_API = {
    "VAL_003": ("Android", "iOS", "Web"),
    "VAL_009": ("this", "others", "all"),
    "REQ_415": ("JSON",),
}
PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[a-z]|\{\w*\}")
FULL_STOPS = (".", "।")
DEVANAGARI = re.compile(r"[\u0900-\u097f]")
ARABIC = re.compile(r"[\u0600-\u06ff]")
LATIN = re.compile(r"[A-Za-z]+")

in_every_language = pytest.mark.parametrize("language", SHIPPED)


@cache
def source_texts() -> frozenset[str]:
    """The English sentences in the code as it is now."""
    found = (
        text
        for folder in SOURCES
        for _, _, text, _, _ in extract_from_dir(CHECKOUT / folder, DEFAULT_MAPPING, keywords=KEYWORDS)
    )
    return frozenset(text for text in found if isinstance(text, str))


def messages_of(language: str) -> dict[str, Message]:
    return {str(message.id): message for message in _read(TRANSLATIONS / language / "LC_MESSAGES" / "messages.po")}


def texts_of(language: str) -> dict[str, str]:
    return {english: str(message.string) for english, message in messages_of(language).items()}


def test_every_sentence_of_the_catalogue_is_marked_for_the_translators() -> None:
    sentences = {text for entry in CATALOGUE.values() for text in (entry.message, *entry.variants)}

    assert sentences <= source_texts()


@pytest.mark.parametrize("success", ["Signup successful", "Error codes fetched successfully", "Request successful"])
def test_what_successes_say_is_marked_for_the_translators(success: str) -> None:
    assert success in source_texts()


def test_the_template_holds_what_the_code_says() -> None:
    template = {str(message.id) for message in _read(TRANSLATIONS / "messages.pot")}

    assert template == source_texts(), "run make messages-update and translate what is new"


@in_every_language
def test_every_message_is_translated_and_none_is_left_over(language: str) -> None:
    translated = {english for english, text in texts_of(language).items() if text.strip()}

    assert translated == source_texts(), "run make messages-update and translate what is new"


@in_every_language
def test_no_translation_is_a_guess(language: str) -> None:
    assert [english for english, message in messages_of(language).items() if message.fuzzy] == []


@in_every_language
def test_a_translation_keeps_the_placeholders(language: str) -> None:
    for english, text in texts_of(language).items():
        assert sorted(PLACEHOLDER.findall(text)) == sorted(PLACEHOLDER.findall(english)), english


@in_every_language
@pytest.mark.parametrize("code", WORDS_OF_THE_API)
def test_a_translation_keeps_the_words_of_the_api(language: str, code: str) -> None:
    text = texts_of(language)[CATALOGUE[code].message]

    assert [word for word in WORDS_OF_THE_API[code] if word not in LATIN.findall(text)] == []


@in_every_language
def test_a_translation_ends_like_the_english_sentence(language: str) -> None:
    # Several sentences are joined by semicolons, so that a full stop would stand in the middle.
    for english, text in texts_of(language).items():
        assert text == text.strip()
        assert text.endswith(FULL_STOPS) == english.endswith(FULL_STOPS), english


@pytest.mark.parametrize(("language", "script"), [("hi", DEVANAGARI), ("ar", ARABIC)])
def test_hindi_and_arabic_are_written_in_their_own_scripts(language: str, script: re.Pattern[str]) -> None:
    words = {word for words in WORDS_OF_THE_API.values() for word in words}

    for text in texts_of(language).values():
        assert script.search(text), text
        assert set(LATIN.findall(text)) <= words, text


@in_every_language
def test_a_catalogue_names_its_language_but_neither_people_nor_machines(language: str) -> None:
    path = TRANSLATIONS / language / "LC_MESSAGES" / "messages.po"
    content = path.read_text(encoding="utf-8")

    assert f'"Language: {language}\\n"' in content
    assert '"Plural-Forms: nplurals=' in content
    assert "@" not in content
    assert str(CHECKOUT) not in content


def test_the_compiled_catalogues_are_those_that_we_ship() -> None:
    assert languages() == ("en", *SHIPPED), "run make messages-compile"


@in_every_language
def test_what_is_compiled_is_what_was_translated(language: str) -> None:
    for english, text in texts_of(language).items():
        assert translate(english, language) == text, "run make messages-compile"


def test_english_and_what_nobody_translated_stay_as_they_are() -> None:
    assert translate("Login successful", "en") == "Login successful"
    assert translate("Nobody translated this", "de") == "Nobody translated this"


@pytest.mark.parametrize(
    ("header", "language"),
    [
        ("de", "de"),
        ("DE", "de"),
        ("de-AT", "de"),
        ("de_CH", "de"),
        ("es-419,es;q=0.9", "es"),
        ("ar-EG,ar;q=0.9,en;q=0.8", "ar"),
        ("fr;q=0.3,hi;q=0.9", "hi"),
        ("nl,fr;q=0.5", "fr"),
    ],
)
def test_the_language_that_the_person_likes_best_is_chosen(header: str, language: str) -> None:
    assert choose_language(header) == language


@pytest.mark.parametrize(
    ("header", "language"),
    [("de-AT,en;q=0.5", "de"), ("hi-IN,en;q=0.9", "hi"), ("fr-CA,*;q=0.1", "fr"), ("en-GB,de;q=0.5", "en")],
)
def test_a_person_of_a_region_does_not_get_the_second_choice(header: str, language: str) -> None:
    assert choose_language(header) == language


@pytest.mark.parametrize("header", ["", "nl", "zh-Hant-TW", "*", "*;q=0", "de;q=0"])
def test_a_language_that_we_do_not_have_becomes_english(header: str) -> None:
    assert choose_language(header) == "en"


def test_a_refused_language_is_not_chosen() -> None:
    assert choose_language("de;q=0,fr") == "fr"


@pytest.mark.parametrize("header", ["\x00\xff", "q=;;;,,,", "de;q=abc", "../../etc/passwd", "{}", "🦊"])
def test_garbage_becomes_english(header: str) -> None:
    assert choose_language(header) == "en"


def test_an_over_long_header_becomes_english() -> None:
    assert choose_language("de," + "x" * 253) == "de"
    assert choose_language("de," + "x" * 254) == "en"


def _read(path: Path) -> list[Message]:
    with path.open("rb") as file:
        catalogue: Catalog = read_po(file)
    return [message for message in catalogue if message.id]
