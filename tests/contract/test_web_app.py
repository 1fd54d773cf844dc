"""A web app in a real browser: a page of an allowed origin signs up and reads, another one can't."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver

from tests.support.browser import fresh_browser, needs_browser
from tests.support.phone import PASSWORD, SECRETS, new_email
from tests.support.services import gateway_process
from tools.stack import Stack

pytestmark = needs_browser

# Sends one request as a page does, and tells what the page can read of the answer.
ASK = """
const [url, options, done] = arguments;
fetch(url, options).then(
    async answer => done({
        status: answer.status, body: await answer.json(), headers: Object.fromEntries(answer.headers)}),
    error => done({error: error.name}));
"""


class _Page(BaseHTTPRequestHandler):
    """An empty page."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        self.wfile.write(b"<!doctype html><title>app</title>")

    def log_message(self, *_: Any) -> None:
        """Quietly."""


@contextmanager
def site() -> Iterator[str]:
    """A web server with an origin of its own."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Page)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with fresh_browser(tmp_path / "chromium") as chromium:
        chromium.set_script_timeout(20)
        yield chromium


def test_a_page_of_an_allowed_origin_signs_up_and_reads_and_another_can_not(
    browser: webdriver.Chrome, stack: Stack, log_path: Path
) -> None:
    environment = stack.environment("gateway")
    with site() as ours, site() as theirs, gateway_process(environment, log_path, ALLOWED_ORIGINS=ours) as gateway:

        def ask(path: str, body: str | None = None, **headers: str) -> Any:
            options = {"method": "POST" if body else "GET", "headers": headers} | ({"body": body} if body else {})
            return browser.execute_async_script(ASK, gateway.base_url + path, options)

        form = f'{{"email": "{new_email()}", "password": "{PASSWORD}", "device_type": "Web"}}'
        json = {"Content-Type": "application/json"}
        browser.get(ours)
        signed_up = ask("/v1/auth/signup", form, **json)
        assert signed_up["status"] == 201
        token = signed_up["body"]["data"]["access_token"]
        SECRETS.update({token, signed_up["body"]["data"]["refresh_token"]})
        mine = ask("/v1/users/me", Authorization=f"Bearer {token}", **{"Accept-Language": "de"})
        assert mine["status"] == 200
        assert {"x-request-id", "etag", "ratelimit", "ratelimit-policy", "content-language"} <= set(mine["headers"])
        unknown = ask("/v1/users/me", Authorization="Bearer nonsense")
        assert (unknown["status"], unknown["body"]["error_code"]) == (401, "AUTH_401")
        assert "www-authenticate" in unknown["headers"]

        browser.get(theirs)
        assert ask("/v1/users/me", Authorization=f"Bearer {token}") == {"error": "TypeError"}
        assert ask("/v1/auth/login", form, **json) == {"error": "TypeError"}
        assert ask("/v1/errors") == {"error": "TypeError"}
