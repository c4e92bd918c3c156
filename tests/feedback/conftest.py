"""Tests of stores and studies run on both databases, those that take `place`, and at a time of their own."""

import itertools
from collections.abc import Iterator

import pytest

from tests.feedback.servers import Server, running
from tests.feedback.studies import Clock

NUMBER = itertools.count()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    """One PostgreSQL for all tests; each takes a database of its own."""
    with running() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request: pytest.FixtureRequest, tmp_path) -> str:
    """Where a store may be made: a path, then a URL."""
    if request.param == "sqlite":
        return str(tmp_path / "store.db")
    return request.getfixturevalue("postgres").url(f"store{next(NUMBER)}")


@pytest.fixture
def clock() -> Clock:
    """A time that stands still until a test moves it."""
    return Clock()
