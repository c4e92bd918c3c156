"""A real Chromium, driven by Playwright: Debian's, not a download of Playwright's own."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

LAPTOP, PHONE = {"width": 1280, "height": 800}, {"width": 390, "height": 844}


@contextmanager
def chromium() -> Iterator[Browser]:
    """One browser; each `open_` in it has cookies of its own."""
    path = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("chromium-browser")
    assert path, "there is no Chromium here: apt-get install chromium, or set CHROMIUM to its path"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()


def open_(browser: Browser, phone: bool = False, dark: bool = False, script: bool = True) -> BrowserContext:
    """A fresh browser window of a laptop or a phone."""
    return browser.new_context(
        viewport=PHONE if phone else LAPTOP,
        has_touch=phone,
        color_scheme="dark" if dark else "light",
        java_script_enabled=script,
        reduced_motion="reduce",
    )


def come_in(context: BrowserContext, link: str) -> Page:
    """A page on which somebody opened their link and pressed the button. Whatever the page's console complains of fails the test."""
    page = context.new_page()
    page.set_default_timeout(10_000)
    page.on("pageerror", lambda error: (_ for _ in ()).throw(AssertionError(f"a script failed: {error}")))
    page.goto(link)
    page.get_by_role("button", name="Start").click()
    page.wait_for_url("**/")
    page.wait_for_load_state()
    return page


def done(page: Page, n: int, of: int) -> None:
    """Wait for the page after so many answers of so many, with its script at work."""
    expect(page.locator(".bar-state")).to_contain_text(f"{n} of {of}")
    expect(page.locator("html[data-ready]")).to_be_attached()
