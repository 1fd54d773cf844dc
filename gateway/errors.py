"""What goes wrong behind the gateway, which is never the app's fault nor a sign-out; and the session that has ended."""

from shared.errors import ApiError


class UpstreamFault(ApiError):
    """A service failed."""


class BadAnswer(UpstreamFault):
    """The service answered something that can't be passed on, or broke off; `seen` is how it began, for the log."""

    code = "GW_502"

    def __init__(self, detail: str = "", seen: bytes = b"") -> None:
        super().__init__(detail)
        self.seen = seen


class ServiceAway(UpstreamFault):
    """Nobody answers for the service, or it has more to do than it can. `Retry-After` is in seconds."""

    code = "GW_503"

    def __init__(self, detail: str = "") -> None:
        super().__init__(detail, headers={"Retry-After": "1"})


class ServiceSlow(UpstreamFault):
    """The service did not answer within the route's seconds."""

    code = "GW_504"


class SessionRevoked(ApiError):
    """The access token is genuine, but its session has ended."""

    code = "AUTH_003"
