"""The API document and the page to read and try it."""

import json
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from flask import Blueprint, Response, abort, render_template, send_from_directory

from shared.envelope import CONTENT_TYPE
from shared.guards import public

documents = Blueprint("documents", __name__, template_folder="templates")

OPENAPI_FILE = Path(__file__).parent / "openapi.json"
_ASSETS = ("swagger-ui.css", "swagger-ui-bundle.js", "favicon-32x32.png")
# The page may load nothing from anywhere else, and no script but its own files.
_PAGE_POLICY = "default-src 'self'; img-src 'self' data:; style-src 'self' 'unsafe-inline'; frame-ancestors 'none'"


@documents.get("/openapi.json")
@public
def show_openapi() -> Response:
    """The API document (OpenAPI 3.1), made by `make openapi` from the schemas that validate."""
    return Response(_openapi(), content_type=CONTENT_TYPE, headers={"Cache-Control": "no-cache"})


@documents.get("/docs")
@public
def show_docs() -> Response:
    """The API document to read and try."""
    page = render_template("docs.html", title=json.loads(_openapi())["info"]["title"])
    return Response(page, content_type="text/html; charset=utf-8", headers={"Content-Security-Policy": _PAGE_POLICY})


@documents.get("/docs/<name>")
@public
def show_docs_asset(name: str) -> Response:
    """A file of the page: Swagger UI from its package, and the few lines that start it."""
    if name == "start.js":
        return send_from_directory(Path(__file__).parent / "templates", name)
    return send_from_directory(_swagger_folder(), name) if name in _ASSETS else abort(404)


@cache
def _openapi() -> bytes:
    return OPENAPI_FILE.read_bytes()


@cache
def _swagger_folder() -> Path:
    spec = find_spec("flask_swagger_ui")
    if spec is None or spec.origin is None:
        raise RuntimeError("the package flask-swagger-ui is not installed")
    return Path(spec.origin).parent / "dist"
