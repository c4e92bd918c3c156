"""What a model said, kept: JSON lines by (model hash, what was asked, how), so that nothing is computed twice.

A file is appended chunk by chunk, each synced before the next is begun, so a kill redoes one chunk. A chunk always has the same
items, whoever computes it, so a resumed eval has the same bits as one that never stopped. Files of unchanged models are found again
by the next run: their name is a hash of all that they depend on.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutelage.core.files import JsonLines
from tutelage.core.text import content_id

Row = dict[str, Any]


@dataclass(frozen=True)
class Kept:
    """The folder (a run's `answers/`), and how many items make a chunk."""

    folder: Path
    chunk: int = 512

    def path(self, kind: str, model: str, items: Sequence[str], how: object) -> Path:
        """One file per kind of question, model, items in their order, and settings."""
        return self.folder / f"{kind}-{model[:12]}-{content_id(kind, model, list(items), how, self.chunk)}.jsonl"

    def fill(self, kind: str, model: str, items: Sequence[str], how: object, compute: Callable[[range], list[Row]]) -> list[Row]:
        """A row per item: those on disk, then `compute(range of places)` for each missing chunk. Raises Interrupted when it can't write."""
        lines = JsonLines(self.path(kind, model, items, how))
        rows = lines.read()
        if len(rows) < len(items):
            rows = self._whole_chunks(lines, rows)
        for start in range(len(rows), len(items), self.chunk):
            self.folder.mkdir(parents=True, exist_ok=True)
            made = compute(range(start, min(start + self.chunk, len(items))))
            lines.append(made)
            rows += made
        return rows

    def _whole_chunks(self, lines: JsonLines, rows: list[Row]) -> list[Row]:
        """Without the rows of a chunk that a kill cut short."""
        whole = len(rows) // self.chunk * self.chunk
        if whole < len(rows):
            places = iter(range(len(rows)))
            lines.truncate_after(lambda _: next(places) < whole)
        return rows[:whole]
