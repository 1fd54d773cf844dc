"""A gateway as people write it with Flask and requests; with SESSION set it keeps its connections to the service."""

import os
from typing import Any

import jwt
import requests
from flask import Flask, Response, jsonify, request

SERVICE = os.environ["SERVICE_URL"]
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"}

app = Flask(__name__)
send = requests.Session().request if os.environ.get("SESSION") else requests.request
keys = {
    key["kid"]: jwt.PyJWK.from_dict(key)
    for key in requests.get(f"{SERVICE}/.well-known/jwks.json", timeout=5).json()["keys"]
}


@app.errorhandler(jwt.InvalidTokenError)
def refuse(_error: jwt.InvalidTokenError) -> tuple[Response, int]:
    """Answer a token that is not good."""
    return jsonify(message="Invalid token", error_code="AUTH_401"), 401


@app.route("/<path:path>", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
def forward(path: str) -> tuple[Response, int]:
    """Check the token, ask the service, put its answer into the envelope."""
    token = request.headers.get("Authorization", "").removeprefix("Bearer ")
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience="latchkey-apps")
    headers = {name: value for name, value in request.headers if name.lower() not in HOP_BY_HOP}
    headers["X-User-Id"] = claims["sub"]
    answer = send(
        request.method, f"{SERVICE}/{path}", params=request.args, data=request.get_data(), headers=headers, timeout=10
    )
    body = answer.json()
    envelope = body if "message" in body else {"message": "Request successful", "data": body}
    return jsonify(envelope), answer.status_code
