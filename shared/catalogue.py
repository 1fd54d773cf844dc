"""The error catalogue: every code that a client can ever see, with what it means and what the app should do.

A published code never changes its meaning; apps in the stores map these codes to their screens.
`tests/contract/published_codes.json` remembers what was published.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

CODE_PATTERN = re.compile(r"[A-Z]{2,8}_\d{3}")


class Action(StrEnum):
    """What the app should do when it meets a code."""

    NONE = "none"
    FIX_INPUT = "fix_input"
    LOGIN = "login"
    REFRESH = "refresh"
    RETRY = "retry"
    STEP_UP = "step_up"
    VERIFY_EMAIL = "verify_email"
    UPDATE_APP = "update_app"
    CONTACT_SUPPORT = "contact_support"


@dataclass(frozen=True)
class CatalogueEntry:
    """One code.

    `status` is the HTTP status that carries it, `message` the English default, `variants` more exact sentences that
    the same code may carry. `ends_session` tells the app to drop its tokens: only codes marked so may sign a person
    out. `retryable` says that the same request may succeed later. `field` names the input that the code is about.
    """

    code: str
    status: int
    message: str
    action: Action
    ends_session: bool = False
    field: str | None = None
    variants: tuple[str, ...] = ()

    @property
    def retryable(self) -> bool:
        """Whether the same request may succeed later."""
        return self.action is Action.RETRY


def N_(message: str) -> str:  # noqa: N802 - gettext's customary name
    """Mark a sentence for the translators; it is translated when it is sent."""
    return message


def _fix(code: str, field: str | None, message: str) -> CatalogueEntry:
    return CatalogueEntry(code, 400, message, Action.FIX_INPUT, field=field)


_ENTRIES: Iterable[CatalogueEntry] = (
    # Signing in and out.
    CatalogueEntry("AUTH_001", 401, N_("Email or password is incorrect"), Action.FIX_INPUT),
    CatalogueEntry("AUTH_002", 409, N_("An account with this email already exists"), Action.LOGIN),
    CatalogueEntry("AUTH_003", 401, N_("This session has ended"), Action.LOGIN, ends_session=True),
    CatalogueEntry("AUTH_004", 401, N_("Invalid refresh token"), Action.LOGIN, ends_session=True),
    CatalogueEntry("AUTH_005", 401, N_("Refresh token expired"), Action.LOGIN, ends_session=True),
    CatalogueEntry("AUTH_006", 401, N_("This refresh token was already used"), Action.LOGIN, ends_session=True),
    CatalogueEntry("AUTH_007", 403, N_("This account is disabled"), Action.CONTACT_SUPPORT, ends_session=True),
    _fix("AUTH_008", "password", N_("Password is too short")),
    _fix("AUTH_009", "password", N_("Password is too common")),
    CatalogueEntry("AUTH_010", 404, N_("Session not found"), Action.NONE),
    CatalogueEntry(
        "AUTH_401",
        401,
        N_("Invalid token"),
        Action.REFRESH,
        variants=(N_("Access token expired"), N_("Access token missing")),
    ),
    CatalogueEntry("AUTH_403", 403, N_("You may not do this"), Action.NONE),
    CatalogueEntry("AUTH_429", 429, N_("Too many attempts, try again later"), Action.RETRY),
    # Profiles.
    CatalogueEntry("USER_404", 404, N_("User not found"), Action.NONE),
    CatalogueEntry("USER_409", 409, N_("The profile was changed meanwhile"), Action.RETRY),
    # One code for each field of a form, so that no third key is needed to say which one is wrong.
    _fix("VAL_001", "email", N_("Email is not valid")),
    _fix("VAL_002", "password", N_("Password is not valid")),
    _fix("VAL_003", "device_type", N_("Device type must be Android, iOS or Web")),
    _fix("VAL_004", "notification_device_id", N_("Notification device id is not valid")),
    _fix("VAL_005", "name", N_("Name is not valid")),
    _fix("VAL_006", "phone", N_("Phone number is not valid")),
    _fix("VAL_007", None, N_("The request has a field that is not known here")),
    _fix("VAL_008", "refresh_token", N_("Refresh token is not valid")),
    _fix("VAL_009", "scope", N_("Scope must be this, others or all")),
    _fix("VAL_010", "Idempotency-Key", N_("Idempotency key is not valid or was used for another request")),
    # HTTP itself.
    CatalogueEntry("REQ_400", 400, N_("The request is not valid"), Action.FIX_INPUT),
    CatalogueEntry("REQ_404", 404, N_("There is nothing at this address"), Action.NONE),
    CatalogueEntry("REQ_405", 405, N_("This method is not allowed here"), Action.NONE),
    CatalogueEntry("REQ_413", 413, N_("The request is too large"), Action.FIX_INPUT),
    CatalogueEntry("REQ_414", 414, N_("The address is too long"), Action.FIX_INPUT),
    CatalogueEntry("REQ_415", 415, N_("The request must be JSON"), Action.FIX_INPUT),
    CatalogueEntry("REQ_429", 429, N_("Too many requests, try again later"), Action.RETRY),
    CatalogueEntry("REQ_431", 431, N_("The request headers are too large"), Action.FIX_INPUT),
    # Our own faults.
    CatalogueEntry("SRV_500", 500, N_("Something went wrong on our side"), Action.RETRY),
    CatalogueEntry("SRV_503", 503, N_("This is briefly not available, try again soon"), Action.RETRY),
    CatalogueEntry("GW_502", 502, N_("The service gave an unusable answer"), Action.RETRY),
    CatalogueEntry("GW_503", 503, N_("The service is not available"), Action.RETRY),
    CatalogueEntry("GW_504", 504, N_("The service took too long to answer"), Action.RETRY),
)

CATALOGUE: dict[str, CatalogueEntry] = {entry.code: entry for entry in _ENTRIES}

_FIELD_CODES = {entry.field: entry.code for entry in _ENTRIES if entry.field and entry.code.startswith("VAL_")}


def code_for_field(field: str) -> str:
    """The code that says that `field` is wrong; a field of an internal form has none of its own and gets REQ_400."""
    return _FIELD_CODES.get(field, "REQ_400")


def code_for_status(status: int) -> str:
    """The protocol code that stands for an HTTP failure `status` which nobody gave a code of its own."""
    for prefix in ("REQ", "SRV", "GW"):
        if (code := f"{prefix}_{status}") in CATALOGUE:
            return code
    return "REQ_400" if status < 500 else "SRV_500"
