"""Real public data, where it lies beside the repository; tests that need it skip elsewhere. And: tests are of the processor, also where
there is a GPU; those of a GPU (tests/cuda) say so themselves."""

import os
from pathlib import Path

import pytest

os.environ.setdefault("TUTELAGE_DEVICE", "cpu")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real data files."""
    path = Path(__file__).resolve().parents[2] / "shared" / "data"
    if not path.is_dir():
        pytest.skip("no real data beside the repository (../shared/data)")
    return path
