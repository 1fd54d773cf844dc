"""Reads a request's fields with a schema, and turns what is wrong into the field's own code of the catalogue."""

from typing import Any, NoReturn

from flask import Request, current_app
from marshmallow import RAISE, Schema, ValidationError
from webargs.flaskparser import FlaskParser

from shared.catalogue import CATALOGUE, code_for_field
from shared.errors import BadRequest, InvalidInput, NotJson
from shared.strict_json import BadJson, parse

UNKNOWN_FIELD_CODE = "VAL_007"


class StrictParser(FlaskParser):
    """webargs with our JSON reader and our errors.

    A validator may name another code of the catalogue as its message (`error="AUTH_008"`); otherwise a wrong field
    has the code that the catalogue keeps for its name.
    """

    DEFAULT_VALIDATION_STATUS = 400
    DEFAULT_UNKNOWN_BY_LOCATION = {**FlaskParser.DEFAULT_UNKNOWN_BY_LOCATION, "json": RAISE, "query": RAISE}

    def load_json(self, req: Request, schema: Schema) -> Any:
        """The JSON body; no body at all is an empty form."""
        body = req.get_data(cache=True)
        if not body:
            return {}
        if req.mimetype != "application/json":
            raise NotJson(f"content type {req.mimetype!r}")
        try:
            value = parse(body, max_depth=current_app.config["MAX_JSON_DEPTH"])
        except BadJson as error:
            raise BadRequest(str(error)) from error
        if not isinstance(value, dict):
            raise BadRequest("the body is not an object")
        return value

    def handle_error(
        self,
        error: ValidationError,
        req: Request,
        schema: Schema,
        *,
        error_status_code: int | None,
        error_headers: Any,
    ) -> NoReturn:
        """Raise InvalidInput for what the schema refused."""
        # webargs names the location first: {"json": {"email": ["Not a valid email."]}}.
        by_location: Any = error.messages
        problems: dict[str, list[str]] = next(iter(by_location.values()))
        raise InvalidInput([code for name in _form_order(problems, schema) for code in _codes(name, problems, schema)])


def _form_order(problems: dict[str, list[str]], schema: Schema) -> list[str]:
    names = {(field.data_key or name): None for name, field in schema.fields.items()}
    return [*(name for name in names if name in problems), *(name for name in problems if name not in names)]


def _codes(name: str, problems: dict[str, list[str]], schema: Schema) -> list[str]:
    named = [message for message in problems[name] if message in CATALOGUE]
    if named:
        return named
    known = {(field.data_key or key) for key, field in schema.fields.items()}
    return [code_for_field(name)] if name in known else [UNKNOWN_FIELD_CODE]
