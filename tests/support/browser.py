"""Headless Chromium for tests of pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = ("no-sandbox", "disable-gpu", "disable-quic", "no-first-run", "disable-background-networking")
QUIETER = ("disable-component-update", "disable-sync")
SOONER_OR_LATER = 120  # seconds, far more than a page takes


@contextmanager
def chromium() -> Iterator[Browser]:
    """Start the system's Chromium, and end it; skip the test where there is none, but not in CI."""
    if CHROMIUM is None:
        how = "no Chromium on the path: install it (Debian: apt-get install chromium)"
        if os.environ.get("CI") == "true":
            pytest.fail(how)
        pytest.skip(how)
    with sync_playwright() as playwright:
        switches = [f"--{switch}" for switch in (*QUIET, *QUIETER)]
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=switches)
        expect.set_options(timeout=SOONER_OR_LATER * 1000)
        yield browser
        browser.close()
