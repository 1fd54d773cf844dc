"""A real browser, for what only a browser does."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from selenium import webdriver

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
DRIVER = shutil.which("chromedriver")
FLAGS = [
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-dev-shm-usage", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-extensions",
    "--disable-default-apps", "--window-size=1280,1600",
]  # fmt: skip

needs_browser = pytest.mark.skipif(
    not (CHROMIUM and DRIVER) and os.environ.get("REQUIRE_BROWSER") != "1",
    reason="needs Chromium and its driver: apt-get install chromium chromium-driver (REQUIRE_BROWSER=1 insists)",
)


@contextmanager
def fresh_browser(folder: Path) -> Iterator[webdriver.Chrome]:
    """A Chromium that knows nobody and keeps what it must in `folder`."""
    assert CHROMIUM, "REQUIRE_BROWSER=1 is set, and no Chromium is installed"
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for flag in [*FLAGS, f"--user-data-dir={folder}"]:
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    # With a path, selenium never looks for a driver on the network.
    chrome = webdriver.Chrome(options, webdriver.ChromeService(executable_path=DRIVER))
    try:
        yield chrome
    finally:
        chrome.quit()
