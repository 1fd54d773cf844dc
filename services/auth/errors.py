"""What can go wrong with accounts, sessions and tokens."""

from shared.errors import ApiError


class WrongCredentials(ApiError):
    """Unknown email and wrong password are one answer, so that nobody learns who has an account."""

    code = "AUTH_001"


class EmailTaken(ApiError):
    """Somebody signed up with this email before."""

    code = "AUTH_002"


class SessionEnded(ApiError):
    """The session was ended; nothing brings it back."""

    code = "AUTH_003"


class InvalidRefreshToken(ApiError):
    """The refresh token was not made by us, or its session is unknown."""

    code = "AUTH_004"


class RefreshTokenExpired(ApiError):
    """The session was not used for too long, or has reached its greatest age."""

    code = "AUTH_005"


class RefreshTokenReused(ApiError):
    """A spent refresh token came back after its successor was in use: theft (RFC 9700 section 4.14.2)."""

    code = "AUTH_006"


class AccountDisabled(ApiError):
    """Told only to who knows the password or holds a genuine refresh token."""

    code = "AUTH_007"


class PasswordTooShort(ApiError):
    """Fewer characters than a new password needs."""

    code = "AUTH_008"


class PasswordTooCommon(ApiError):
    """The password is among those that attackers try first."""

    code = "AUTH_009"


class SessionNotFound(ApiError):
    """No such session, or somebody else's, which is the same answer."""

    code = "AUTH_010"


class TooManyAttempts(ApiError):
    """Too many sign-ins, sign-ups or refreshes; see `brakes`. `seconds` until the next try."""

    code = "AUTH_429"

    def __init__(self, seconds: int) -> None:
        super().__init__(headers={"Retry-After": str(max(1, seconds))})
