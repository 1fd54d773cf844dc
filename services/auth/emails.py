"""The one place where an email address becomes canonical."""

from email_validator import EmailNotValidError, validate_email

MAX_EMAIL = 254


def canonical(email: str) -> str:
    """`email` as it is stored and compared: trimmed, lower case, ASCII (an international domain as punycode).

    Only addresses with an ASCII local part are taken: PostgreSQL and Python lower other letters differently, and one
    person could own another's address. Raises ValueError for what is no address or longer than 254 characters.
    """
    trimmed = email.strip()
    if len(trimmed) > MAX_EMAIL:
        raise ValueError("longer than an email address can be")
    try:
        checked = validate_email(trimmed, check_deliverability=False, allow_smtputf8=False, strict=True)
    except EmailNotValidError as error:
        raise ValueError(str(error)) from error
    address = (checked.ascii_email or "").lower()
    if not address or len(address) > MAX_EMAIL:
        raise ValueError("no ASCII form")
    return address
