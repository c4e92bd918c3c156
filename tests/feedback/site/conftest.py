"""The browser of the tests that need one."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser

from tests.feedback.site.browsers import chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """One a file; each `open_` in it has cookies of its own."""
    with chromium() as one:
        yield one
