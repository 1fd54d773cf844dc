"""A gateway as people write it with FastAPI and httpx."""

import os
from typing import Any

import httpx
import jwt
from fastapi import FastAPI, Request
from fastapi.responses import JSONResponse

SERVICE = os.environ["SERVICE_URL"]
HOP_BY_HOP = {"host", "connection", "keep-alive", "transfer-encoding", "upgrade", "content-length"}

app = FastAPI()
client = httpx.AsyncClient(base_url=SERVICE, timeout=10)
keys = {
    key["kid"]: jwt.PyJWK.from_dict(key)
    for key in httpx.get(f"{SERVICE}/.well-known/jwks.json", timeout=5).json()["keys"]
}


@app.exception_handler(jwt.InvalidTokenError)
async def refuse(_request: Request, _error: Exception) -> JSONResponse:
    """Answer a token that is not good."""
    return JSONResponse({"message": "Invalid token", "error_code": "AUTH_401"}, 401)


@app.api_route("/{path:path}", methods=["GET", "POST", "PUT", "PATCH", "DELETE"])
async def forward(path: str, request: Request) -> JSONResponse:
    """Check the token, ask the service, put its answer into the envelope."""
    token = request.headers.get("authorization", "").removeprefix("Bearer ")
    key = keys[jwt.get_unverified_header(token)["kid"]]
    claims: dict[str, Any] = jwt.decode(token, key, algorithms=["ES256"], audience="latchkey-apps")
    headers = {name: value for name, value in request.headers.items() if name not in HOP_BY_HOP}
    headers["x-user-id"] = claims["sub"]
    answer = await client.request(
        request.method, f"/{path}", params=request.query_params, content=await request.body(), headers=headers
    )
    body = answer.json()
    envelope = body if "message" in body else {"message": "Request successful", "data": body}
    return JSONResponse(envelope, answer.status_code)
