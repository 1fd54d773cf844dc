"""What other services tell and ask users."""

from collections.abc import Sequence
from typing import Any

from services.users import profiles
from services.users.models import Profile
from services.users.parts import parts
from services.users.profiles import AccountNews, Shown
from services.users.routes import PROFILE_EXAMPLE
from services.users.schemas import AccountNewsForm, InternalProfile, ProfileQuery
from shared.blueprint import Blueprint
from shared.guards import service

blueprint = Blueprint("internal", __name__, description="For services only; not reachable through the gateway")


@blueprint.route("/internal/profiles/<int:account_id>", methods=["PUT"])
@service("profiles:write")
@blueprint.arguments(AccountNewsForm)
@blueprint.answers(200, InternalProfile, "Profile kept successfully", example=PROFILE_EXAMPLE)
def keep_profile(form: dict[str, Any], account_id: int) -> Profile:
    """Make or update the profile of an account; telling the same again changes nothing."""
    with parts().database.transaction() as session:
        return profiles.keep(session, account_id, AccountNews(**form))


@blueprint.route("/internal/profiles")
@service("profiles:read")
@blueprint.arguments(ProfileQuery, location="query")
@blueprint.answers(200, InternalProfile, "Profiles fetched successfully", example=[PROFILE_EXAMPLE], many=True)
def show_profiles(query: dict[str, list[int]]) -> Sequence[Shown]:
    """Show the profiles that exist of the given ids."""
    with parts().database.statements() as connection:
        return profiles.find_many(connection, query["ids"])
