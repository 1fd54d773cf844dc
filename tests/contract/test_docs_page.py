"""The page for developers, in a real browser: whoever reads it can sign up, sign in and read a profile on it."""

import json
from collections.abc import Callable, Iterator
from typing import Any, TypeVar
from urllib.parse import urlsplit

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from tests.support.browser import fresh_browser, needs_browser
from tests.support.http import Api
from tests.support.phone import PASSWORD, new_email
from tools.stack import Stack

PAGE_SECONDS = 30
T = TypeVar("T")

pytestmark = needs_browser


class DocsPage:
    """The page as somebody sees it who reads, clicks and types."""

    def __init__(self, browser: webdriver.Chrome, url: str) -> None:
        self._browser = browser
        # What was said about an earlier page.
        self._log("browser")
        browser.get(url)
        self._find(browser, ".opblock")

    def try_out(self, operation: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Opens an operation, fills in a body and presses Execute: the status and the body of the answer."""
        block = self._open(operation)
        if body is not None:
            self._type(self._find(block, "textarea.body-param__text"), json.dumps(body))
        self._click(block, "button.execute")
        answered = self._find(block, ".live-responses-table .response .response-col_status")
        text = self._find(block, ".live-responses-table .response .microlight").text
        return int(answered.text.split()[0]), json.loads(text)

    @property
    def operations(self) -> set[tuple[str, str]]:
        """Method and path of everything that the page offers."""
        script = """return [...document.querySelectorAll('.opblock')].map(block => [
            block.querySelector('.opblock-summary-method').textContent,
            block.querySelector('.opblock-summary-path').dataset.path])"""
        return {(method, path) for method, path in self._browser.execute_script(script)}

    def authorise(self, access_token: str) -> None:
        """Gives the access token to the page."""
        page = self._browser
        self._click(page, ".auth-wrapper button.authorize")
        self._type(self._find(page, ".auth-container input"), access_token)
        self._click(page, ".modal-ux .auth-btn-wrapper button.authorize")
        self._click(page, ".modal-ux .auth-btn-wrapper button.btn-done")

    @property
    def hosts(self) -> set[str]:
        """Every host that something was asked of, by the browser's own records and by the page's."""
        entries = [json.loads(entry["message"])["message"] for entry in self._log("performance")]
        urls = [
            entry["params"]["request"]["url"] for entry in entries if entry["method"] == "Network.requestWillBeSent"
        ]
        urls += self._browser.execute_script("return performance.getEntriesByType('resource').map(e => e.name)")
        return {parts.netloc for parts in map(urlsplit, urls) if parts.scheme in ("http", "https", "ws", "wss")}

    @property
    def complaints(self) -> list[str]:
        """What the console of the browser says is wrong."""
        return [entry["message"] for entry in self._log("browser") if entry["level"] in ("SEVERE", "WARNING")]

    def _open(self, operation: str) -> WebElement:
        block = self._find(self._browser, f"[id$='-{operation}'].opblock")
        if "is-open" not in (block.get_attribute("class") or ""):
            self._click(block, ".opblock-summary-control")
        self._find(block, "button.execute")
        return block

    def _find(self, parent: webdriver.Chrome | WebElement, selector: str) -> WebElement:
        return self._wait(lambda: parent.find_elements(By.CSS_SELECTOR, selector), selector)[0]

    def _click(self, parent: webdriver.Chrome | WebElement, selector: str) -> None:
        # The page is drawn anew while it is used; an element that was replaced meanwhile is looked for again.
        def clicked() -> bool:
            button = self._find(parent, selector)
            self._browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", button)
            button.click()
            return True

        self._wait(clicked, selector)

    def _type(self, field: WebElement, text: str) -> None:
        field.clear()
        field.send_keys(text)
        self._wait(lambda: field.get_property("value") == text, text)

    def _log(self, kind: str) -> list[dict[str, Any]]:
        """What was logged since the last call; selenium has no types for this."""
        entries: list[dict[str, Any]] = self._browser.get_log(kind)  # type: ignore[no-untyped-call]
        return entries

    def _wait(self, condition: Callable[[], T], what: str) -> T:
        waiting = WebDriverWait(self._browser, PAGE_SECONDS, 0.05, [StaleElementReferenceException])
        return waiting.until(lambda _: condition(), f"not on the page: {what}")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[webdriver.Chrome]:
    with fresh_browser(tmp_path_factory.mktemp("chromium")) as chromium:
        yield chromium


@pytest.fixture
def page(browser: webdriver.Chrome, stack: Stack) -> DocsPage:
    return DocsPage(browser, f"{stack.gateway_url}/docs")


def test_a_developer_signs_up_signs_in_and_reads_a_profile_on_the_page(page: DocsPage, stack: Stack) -> None:
    credentials = {"email": new_email(), "password": PASSWORD, "device_type": "Web"}

    signed_up = page.try_out("sign_up", {**credentials, "name": "John Doe"})
    signed_in = page.try_out("sign_in", credentials)
    page.authorise(signed_in[1]["data"]["access_token"])
    mine = page.try_out("show_my_profile")

    assert signed_up[0] == 201
    assert signed_up[1]["message"] == "Signup successful"
    assert set(signed_up[1]) == {"message", "data"}
    assert signed_in[0] == 200
    assert signed_in[1]["message"] == "Login successful"
    assert mine[0] == 200
    assert mine[1]["message"] == "User profile fetched successfully"
    assert (mine[1]["data"]["email"], mine[1]["data"]["name"]) == (credentials["email"], "John Doe")
    assert page.hosts == {urlsplit(stack.gateway_url).netloc}
    assert page.complaints == []


def test_the_page_shows_a_failure_as_it_is_on_the_wire(page: DocsPage) -> None:
    status, body = page.try_out("sign_in", {"email": new_email(), "password": PASSWORD, "device_type": "Web"})

    assert (status, body) == (401, {"message": "Email or password is incorrect", "error_code": "AUTH_001"})


def test_the_page_shows_every_operation_of_the_document(page: DocsPage, stack: Stack) -> None:
    document = Api(stack.gateway_url).get("/openapi.json").json

    assert page.operations == {
        (method.upper(), path) for path, operations in document["paths"].items() for method in operations
    }
