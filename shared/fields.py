"""Fields that the schemas of several rooms share."""

import re
import unicodedata
from datetime import UTC, datetime
from typing import Any

from marshmallow import ValidationError, fields, validate

_LINE_BREAKERS = frozenset({"Cc", "Cs", "Zl", "Zp"})
_DIRECTIONS = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})

# Controls, joiners, spaces, and marks that have nothing to stand on.
_SHOWS_NOTHING = frozenset({"Cc", "Cf", "Cs", "Mn", "Zl", "Zp", "Zs"})
# Fillers and blanks that count as letters and symbols, and what Unicode will never show (Default_Ignorable_Code_Point).
_BLANK = re.compile(r"[\u115f\u1160\u2065\u2800\u3164\uffa0\ufff0-\ufff8\U0001d159\U000e0000-\U000e0fff]")


class EpochSeconds(fields.Integer):
    """A point in time as whole seconds since the epoch; datetimes are cut to the second."""

    def __init__(self, **options: Any) -> None:
        metadata = {"description": "Seconds since the epoch", "example": 1732234500, **options.pop("metadata", {})}
        super().__init__(metadata=metadata, **options)

    def _serialize(self, value: Any, attr: str | None, obj: Any, **options: Any) -> int | None:
        return None if value is None else epoch_seconds(value)


def epoch_seconds(moment: datetime) -> int:
    """`moment` as whole seconds since the epoch."""
    return int(moment.astimezone(UTC).timestamp())


class PersonName(fields.String):
    """A person's name as they write it: 1 to 100 characters after trimming, no controls, and something to be seen."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            validate=[validate.Length(1, 100), _printable, _visible], metadata={"example": "John Doe"}, **options
        )

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        return str(super()._deserialize(value, attr, data, **options)).strip()


class PhoneNumber(fields.String):
    """A phone number as people write it: 4 to 32 digits, spaces and signs, with at least 4 digits; kept as given."""

    def __init__(self, **options: Any) -> None:
        pattern = validate.Regexp(r"^(?=(?:\D*\d){4})\+?[0-9 ().\-/]{4,32}\Z")
        super().__init__(validate=pattern, metadata={"example": "9876543210"}, **options)

    def _deserialize(self, value: Any, attr: str | None, data: Any, **options: Any) -> str:
        return str(super()._deserialize(value, attr, data, **options)).strip()


def _printable(text: str) -> None:
    """Refuse what breaks a line or turns the writing direction of what follows; joiners and odd spaces are letters."""
    for character in text:
        if unicodedata.category(character) in _LINE_BREAKERS or unicodedata.bidirectional(character) in _DIRECTIONS:
            raise ValidationError("control characters are not allowed")


def _visible(text: str) -> None:
    """Refuse what is like an empty name for whoever looks at it."""
    if all(unicodedata.category(character) in _SHOWS_NOTHING or _BLANK.match(character) for character in text):
        raise ValidationError("nothing of it can be seen")
