"""What may be asked of an export, and what it answers; apart from the work itself, so that a command line can be read without torch."""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

Form = Literal["plain", "merged", "adapter", "gguf"]
Dtype = Literal["bf16", "f16", "f32", "q8_0", "saved"]


@dataclass(frozen=True)
class Wanted:
    """How a stage is to be exported."""

    form: Form = "plain"
    dtype: Dtype = "bf16"
    """What weights are rounded to; `saved`: as training left them, float32; q8_0: of gguf only."""
    shard_size: str = "5GB"
    """The largest file of weights, of plain and merged."""
    base: str = ""
    """Of an adapter: what its users load beneath it; empty: what the stage began with."""
    commercial: bool = False
    """Refuse where anything behind it has a non-commercial or an unknown license."""
    force: bool = False
    """Replace an earlier export."""


@dataclass(frozen=True)
class Exported:
    """What was written, and what its user should know."""

    path: Path
    files: dict[str, int]
    """Bytes, by name."""
    notes: tuple[str, ...] = ()


def amount(size: float) -> str:
    """Bytes for people."""
    for unit in ("bytes", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:,.0f} {unit}" if unit == "bytes" else f"{size:,.1f} {unit}"
        size /= 1024
    return f"{size:,.1f} TiB"
