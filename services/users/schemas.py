"""The shapes that users takes and answers with; one schema for each direction."""

from marshmallow import Schema, fields, validate
from webargs.fields import DelimitedList

from services.users.profiles import GREATEST_ID
from shared.fields import EpochSeconds, PersonName, PhoneNumber

MAX_BATCH = 100


class ProfileChange(Schema):
    """What may be changed; what is missing stays, null clears."""

    name = PersonName(allow_none=True)
    phone = PhoneNumber(allow_none=True)


class PublicProfile(Schema):
    """What everybody who is signed in may see of a person."""

    id = fields.Integer(required=True)
    name = fields.String(required=True, allow_none=True)
    profile_image = fields.String(required=True, allow_none=True)


class MyProfile(Schema):
    """What a person sees of themselves."""

    id = fields.Integer(required=True)
    name = fields.String(required=True, allow_none=True)
    email = fields.String(required=True)
    phone = fields.String(required=True, allow_none=True)
    profile_image = fields.String(required=True, allow_none=True)
    created_at = EpochSeconds(required=True)
    updated_at = EpochSeconds(required=True)


class AccountNewsForm(Schema):
    """What auth tells about an account."""

    email = fields.String(required=True, validate=validate.Length(3, 254))
    name = PersonName(required=True, allow_none=True)
    phone = PhoneNumber(required=True, allow_none=True)
    version = fields.Integer(required=True, strict=True, validate=validate.Range(1, GREATEST_ID))


class InternalProfile(MyProfile):
    """What services see of a person."""


class ProfileQuery(Schema):
    """Which profiles a service asks for."""

    ids = DelimitedList(
        fields.Integer(validate=validate.Range(1, GREATEST_ID)),
        required=True,
        validate=validate.Length(1, MAX_BATCH),
        metadata={"description": "Up to 100 ids of people, with commas between them", "example": "1,2,3"},
    )
