"""Checkpoints: one file, whole or absent, from which a killed run goes on to the same weights, bit for bit.

It holds the trained weights, the optimizer's moments, the source's state and the number of the next step. Nothing random is in
it: randomness is addressed, not advanced (core/randomness.py).
"""

import io
from pathlib import Path
from typing import Any

import torch

from tutelage.core.files import write_atomic

SCHEMA = 1


def save(path: Path, step: int, engine: dict[str, Any], source: dict[str, Any]) -> None:
    """Write the state before step `step`. A kill leaves the last checkpoint as it was. Raises Interrupted on a full disk."""
    buffer = io.BytesIO()
    torch.save({"schema": SCHEMA, "step": step, "engine": engine, "source": source}, buffer)
    write_atomic(path, buffer.getvalue())


def load(path: Path) -> dict[str, Any] | None:
    """The last checkpoint, or None where there is none."""
    if not path.exists():
        return None
    return torch.load(path, map_location="cpu", weights_only=True)
