"""Reading and changing profiles."""

from typing import Any

from flask import request
from werkzeug.http import quote_etag

from services.users import profiles
from services.users.errors import ProfileChanged, ProfileOnItsWay, UserNotFound
from services.users.models import Profile
from services.users.parts import parts
from services.users.schemas import MyProfile, ProfileChange, PublicProfile
from shared.blueprint import Blueprint
from shared.guards import current_person, signed_in

blueprint = Blueprint("profiles", __name__, description="What people say about themselves")

PROFILE_EXAMPLE = {
    "id": 123,
    "name": "John Doe",
    "email": "john@example.com",
    "phone": "9876543210",
    "profile_image": None,
    "created_at": 1732233600,
    "updated_at": 1732233600,
}
IF_MATCH = {
    "in": "header",
    "name": "If-Match",
    "description": "The `ETag` of the profile that the change was made for",
    "schema": {"type": "string"},
}
PUBLIC_EXAMPLE = {"id": 123, "name": "John Doe", "profile_image": None}


@blueprint.route("/v1/users/me")
@signed_in
@blueprint.alt_response(304, description="The profile is still the one that `If-None-Match` names")
@blueprint.answers(
    200, MyProfile, "User profile fetched successfully", example=PROFILE_EXAMPLE, errors=[ProfileOnItsWay]
)
def show_my_profile() -> tuple[Profile, dict[str, str]]:
    """Show my profile.

    The `ETag` names this state of the profile: send it as `If-None-Match` to save the body, or as `If-Match` with a
    change.
    """
    with parts().database.transaction() as session:
        profile = profiles.find_own(session, current_person().account_id)
    return profile, _etag(profile)


@blueprint.route("/v1/users/me", methods=["PATCH"])
@signed_in
@blueprint.doc(parameters=[IF_MATCH])
@blueprint.arguments(ProfileChange)
@blueprint.answers(
    200,
    MyProfile,
    "User profile updated successfully",
    example=PROFILE_EXAMPLE,
    errors=[ProfileChanged, ProfileOnItsWay],
)
def change_my_profile(form: dict[str, Any]) -> tuple[Profile, dict[str, str]]:
    """Change my name or phone.

    What is missing stays as it is, null clears. With `If-Match`, only if nobody changed the profile meanwhile.
    """
    with parts().database.transaction() as session:
        profile = profiles.change(session, current_person().account_id, form, _if_match())
    return profile, _etag(profile)


@blueprint.route("/v1/users/<int:user_id>")
@signed_in
@blueprint.answers(
    200, PublicProfile, "User profile fetched successfully", example=PUBLIC_EXAMPLE, errors=[UserNotFound]
)
def show_profile(user_id: int) -> Profile:
    """Show somebody's public profile."""
    with parts().database.transaction() as session:
        return profiles.find(session, user_id)


def _etag(profile: Profile) -> dict[str, str]:
    return {"ETag": quote_etag(str(profile.revision)), "Cache-Control": "private, no-cache"}


def _if_match() -> list[int] | None:
    """The revisions that `If-Match` names, none when it can't be read; None when it does not restrict anything."""
    tags = request.if_match
    if "If-Match" not in request.headers or tags.star_tag:
        return None
    # An empty tag is None here.
    return [int(tag) for tag in tags.as_set() if tag and tag.isascii() and tag.isdigit() and len(tag) < 19]
