"""A client that compares what it gets with the API document that the gateway serves."""

import json
import re
from typing import Any

from openapi_schema_validator import OAS31Validator, oas31_format_checker
from referencing import Registry
from referencing.jsonschema import DRAFT202012

from tests.support.http import Answer, Api

METHODS = ("get", "put", "post", "delete", "patch")
_URI = "urn:document"


class Document:
    """An OpenAPI 3.1 document: its operations, and whether values are as it says."""

    def __init__(self, text: dict[str, Any]) -> None:
        self.text = text
        self._registry: Registry[Any] = Registry().with_resource(_URI, DRAFT202012.create_resource(text))

    @property
    def operations(self) -> dict[tuple[str, str], dict[str, Any]]:
        """Every operation by method and path."""
        return {
            (method.upper(), path): item[method]
            for path, item in self.text["paths"].items()
            for method in METHODS
            if method in item
        }

    def find(self, method: str, path: str) -> tuple[str, str] | None:
        """The operation that a request is for; a fixed path goes before one with a parameter."""
        wanted, bare = "GET" if method == "HEAD" else method, path.partition("?")[0]
        for template in sorted(self.text["paths"], key=lambda template: "{" in template):
            if re.fullmatch(re.sub(r"\{[^}]+\}", "[^/]+", template), bare) and (wanted, template) in self.operations:
                return wanted, template
        return None

    def errors(self, schema: dict[str, Any], value: Any) -> list[str]:
        """What is wrong with `value`; `schema` may refer to the document's own."""
        absolute = json.loads(json.dumps(schema).replace('"#/', f'"{_URI}#/'))
        validator = OAS31Validator(absolute, registry=self._registry, format_checker=oas31_format_checker)
        return [f"{error.json_path}: {error.message}" for error in validator.iter_errors(value)]

    def errors_of_answer(self, key: tuple[str, str], answer: Answer) -> list[str]:
        """What an answer of this operation has that the document does not say."""
        listed = self.operations[key]["responses"].get(str(answer.status))
        if listed is None:
            return [f"status {answer.status} is not listed"]
        if not answer.body:
            return [] if answer.status == 304 and "content" not in listed else ["an empty body is not listed"]
        content = listed["content"].get(answer.headers["Content-Type"])
        if content is None:
            return [f"{answer.headers['Content-Type']} is not listed"]
        if answer.status >= 400 and answer.error_code not in content["examples"]:
            return [f"{answer.error_code} is not listed"]
        return self.errors(content["schema"], answer.json)


class DocumentedApi(Api):
    """Sends as `Api` does, and keeps in `surprises` every answer that is not as documented."""

    def __init__(self, base_url: str, document: Document) -> None:
        super().__init__(base_url)
        self.document = document
        self.seen: set[tuple[str, str, int]] = set()
        self.surprises: list[str] = []

    def send(self, method: str, path: str, *args: Any, **options: Any) -> Answer:
        """Sends a request, as `Api.send` does."""
        answer = super().send(method, path, *args, **options)
        if (key := self.document.find(method, path)) and method != "HEAD":
            self.seen.add((*key, answer.status))
            self.surprises += [f"{key}: {error}" for error in self.document.errors_of_answer(key, answer)]
        return answer
