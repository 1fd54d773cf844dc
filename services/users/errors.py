"""What can go wrong with profiles."""

from shared.errors import ApiError, Unavailable


class UserNotFound(ApiError):
    """There is no such person."""

    code = "USER_404"


class ProfileChanged(ApiError):
    """The profile is no longer the one that `If-Match` names (RFC 9110 section 13.1.1)."""

    code = "USER_409"


class ProfileOnItsWay(Unavailable):
    """The account exists, since its owner has a token; auth's worker is about to deliver the profile."""
