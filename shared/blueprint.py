"""Blueprints whose decorators tell the whole contract of a view: what it takes, answers and can fail with."""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, wraps
from typing import Any

import flask_smorest
from flask import Flask, Response, request
from marshmallow import Schema, fields

from shared.catalogue import CATALOGUE
from shared.envelope import success
from shared.errors import ApiError
from shared.validation import StrictParser
from shared.web import envelope_response, language

View = Callable[..., Any]


class NoData(Schema):
    """Nothing to say: `data` is {}."""


class FailureEnvelope(Schema):
    """What every failure looks like."""

    message = fields.String(required=True, metadata={"description": "A sentence for people, in their language"})
    error_code = fields.String(
        required=True, metadata={"description": "A code of /v1/errors", "pattern": r"^[A-Z]{2,8}_\d{3}$"}
    )


class Blueprint(flask_smorest.Blueprint):  # type: ignore[misc]
    """A smorest blueprint that answers in the envelope and documents it as it is on the wire."""

    ARGUMENTS_PARSER = StrictParser()

    def arguments(self, schema: type[Schema], **options: Any) -> Callable[[View], View]:
        """Take what `schema` describes. It is made once: making one costs more than reading a form with it."""
        decorator: Callable[[View], View] = super().arguments(schema(), **options)
        return decorator

    def answers(
        self,
        status: int,
        schema: type[Schema],
        message: str,
        *,
        example: Any,
        errors: Sequence[type[ApiError]] = (),
        many: bool = False,
    ) -> Callable[[View], View]:
        """Answer with the view's result under `data`, dumped with `schema`, and `message`.

        The view returns the result, or the result and a mapping of headers. `example` is an example of the data, and
        `errors` are the failures of this view's own.
        """
        dumper = schema(many=many)

        def decorate(view: View) -> View:
            @wraps(view)
            def answering(*args: Any, **values: Any) -> Response:
                result = view(*args, **values)
                data, headers = result if isinstance(result, tuple) else (result, {})
                return _answer(status, message, dumper.dump(data), headers)

            documented: View = self.doc(operationId=view.__name__)(answering)
            documented = self.response(
                status,
                enveloped(schema, many=many),
                description=message,
                example={"message": message, "data": example},
            )(documented)
            for code in {CATALOGUE[error.code].status for error in errors}:
                documented = self._document_failures(code, errors)(documented)
            return documented

        return decorate

    def _document_failures(self, status: int, errors: Sequence[type[ApiError]]) -> Callable[[View], View]:
        mine = [error for error in errors if CATALOGUE[error.code].status == status]
        examples = {
            error.code: {"value": {"message": error.message or CATALOGUE[error.code].message, "error_code": error.code}}
            for error in mine
        }
        description = "; ".join(CATALOGUE[error.code].message for error in mine)
        decorator: Callable[[View], View] = self.alt_response(
            status, schema=FailureEnvelope, description=description, examples=examples
        )
        return decorator


@cache
def enveloped(schema: type[Schema], *, many: bool) -> Schema:
    """The schema of a success that holds `schema` under `data`."""
    name = f"{schema.__name__}{'List' if many else ''}Envelope"
    members = {
        "message": fields.String(required=True, metadata={"description": "A sentence for people, in their language"}),
        "data": fields.Nested(schema, required=True, many=many),
    }
    return Schema.from_dict(members, name=name)()


def document(app: Flask, *blueprints: Blueprint) -> flask_smorest.Api:
    """Register `blueprints` and describe them as OpenAPI 3.1."""
    app.config.update(API_TITLE=app.config["ROOM"], API_VERSION="1", OPENAPI_VERSION="3.1.0")
    api = _Api(app)
    for blueprint in blueprints:
        api.register_blueprint(blueprint)
    return api


class _Api(flask_smorest.Api):  # type: ignore[misc]
    DEFAULT_ERROR_RESPONSE_NAME = None
    ERROR_SCHEMA = FailureEnvelope

    def _register_error_handlers(self) -> None:
        """Leave errors to the one path in shared.web."""


def _answer(status: int, message: str, data: Any, headers: Mapping[str, str]) -> Response:
    response = envelope_response(success(message, data, language()), status)
    response.headers.update(headers)
    # Only If-None-Match is answered here (RFC 9110 section 13.1.2); If-Match is for views that change something.
    # What has no tag is not the one that an empty tag names.
    tag, known = headers.get("ETag"), request.if_none_match
    if request.method in ("GET", "HEAD") and (known.contains_raw(tag) if tag else known.star_tag):
        response.status_code = 304
        response.set_data(b"")
    return response
