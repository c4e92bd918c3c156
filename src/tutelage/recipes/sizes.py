"""How much there is to learn from: rows and their lengths, counted on some hundred rows with the model's own tokenizer.

    tokens of an input = rows (lines, or what a Parquet file says) x mean tokens of the rows that were looked at

Rows are looked at until the standard error of their mean is small: a few very long ones make up much of many files. What a model's context
cuts off or leaves out of them isn't counted.

Where no tokenizer is at hand (a new model on texts of one's own gets one later) three bytes count as a token, and the size says that it
was not counted. A policy answers about as long as the demonstrations that it, or what it was made from, learnt from; where there are none,
up to max_tokens.
"""

import gzip
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import islice
from math import ceil, inf, sqrt
from pathlib import Path
from statistics import fmean, stdev
from typing import TYPE_CHECKING, Any

from tutelage.core import readers
from tutelage.core.text import Demonstration, Document, Prompt, Response
from tutelage.models.config import CONTEXT, number_in
from tutelage.recipes.sources import STORES, Input, Model
from tutelage.synthetic import demonstrations, items, text

if TYPE_CHECKING:
    from tutelage.data.render import Renderer

LOOKED_AT = 400
"""Rows at a time."""
CLOSE = 0.03
"""Standard error of the mean length, as a share of it, at which no more rows are looked at."""
STRIDE = 10
"""At most, between two rows that are looked at one after the other; so many times LOOKED_AT rows are looked at at most."""
BYTES = 3.0
"""Of a token, where no tokenizer is at hand: the small vocabularies of new models; published ones have about four."""


@dataclass(frozen=True)
class Size:
    """Of an input, as one kind of rows."""

    rows: int
    prompt: float
    """Mean tokens of a row's prompt; 0 of documents."""
    response: float
    """Mean tokens of all of a row's responses, ends included; of a document as it is."""
    counted: bool = True
    """By a tokenizer."""

    @property
    def tokens(self) -> int:
        """Of all rows."""
        return round(self.rows * (self.prompt + self.response))


def size_of(source: Input, kind: str, model: Model, longest: int | None = None) -> Size:
    """Of `source`, read as documents, demonstrations, prompts or preferences, as far as they fit the model's context and `longest` tokens.
    Reads some hundred rows. UserError for a broken one."""
    changed = source.path.stat().st_mtime_ns if source.synthetic is None else 0
    context = number_in(model.path, *CONTEXT) if model.path else None
    return _sized(source, kind, model.path, min(context or inf, longest or inf), changed)


@cache
def _sized(source: Input, kind: str, folder: Path | None, limit: float, changed: int) -> Size:
    render = _renderer(folder, built_in=source.synthetic is not None)
    whole = rows_of(source.path) if source.synthetic is None and source.path.suffix not in STORES else None
    looked, lengths = 0, list[tuple[float, float]]()
    for first in range(_stride(whole)):  # the rows between those that were looked at, until that is enough
        found = [_length(row, render, limit) for row in islice(_rows(source, kind), first, LOOKED_AT * _stride(whole), _stride(whole))]
        looked += len(found)
        lengths += [length for length in found if length]
        if _close([p + r for p, r in lengths]):
            break
    if not lengths:
        return Size(0, 0.0, 0.0)
    count = _village(kind) if source.synthetic is not None else whole if whole is not None else sum(1 for _ in _rows(source, kind))
    return Size(round(count * len(lengths) / looked), fmean(p for p, _ in lengths), fmean(r for _, r in lengths), render is not None)


def _close(lengths: list[float]) -> bool:
    """Do they tell their mean?"""
    return len(lengths) > 1 and stdev(lengths) <= CLOSE * fmean(lengths) * sqrt(len(lengths))


def rows_of(path: Path) -> int | None:
    """Rows of a file, without reading what they say; None where only reading tells."""
    if path.suffix == ".parquet":
        import pyarrow.parquet as parquet

        return int(parquet.ParquetFile(path).metadata.num_rows)
    if path.suffix not in (".jsonl", ".gz"):
        return None
    with gzip.open(path, "rb") if path.suffix == ".gz" else path.open("rb") as file:
        return sum(1 for line in file if line.strip())


def _stride(rows: int | None) -> int:
    """Between two rows that are looked at: not only what stands first, but not the whole of a long file either."""
    return max(1, min(STRIDE, ceil((rows or 0) / LOOKED_AT)))


def _village(kind: str) -> int:
    """Rows of the built-in world: prompts are so many; the rest is written without end."""
    return len(items.prompts()) if kind == "prompts" else 0


def _rows(source: Input, kind: str) -> Iterable[Any]:
    if source.synthetic is not None:
        made: Mapping[str, Callable[[], Iterable[Any]]] = {
            "documents": lambda: text.documents("train", 32 * LOOKED_AT, source.seed),
            "demonstrations": lambda: demonstrations.demonstrations(32 * LOOKED_AT, source.seed),
            "prompts": lambda: items.prompts(None, source.seed),
        }
        return made[kind]()
    if kind == "demonstrations":
        return readers.demonstrations(source.path, skip_empty=True)
    if kind == "preferences":
        from tutelage.recipes import preferred

        return preferred.rows(source.path)
    return readers.documents(source.path) if kind == "documents" else readers.prompts(source.path)


def _renderer(folder: Path | None, built_in: bool) -> "Renderer | None":
    """With the tokenizer of the model's folder, or the built-in world's; None where there is none yet."""
    from tutelage.data.render import Renderer
    from tutelage.models import tokenizer
    from tutelage.models.dressing import tokenizer_in
    from tutelage.synthetic.lexicon import vocabulary

    if folder is not None:
        return Renderer(tokenizer_in(folder)) if (folder / "tokenizer.json").is_file() else None
    return Renderer(tokenizer.words(vocabulary(), 1024)) if built_in else None


def _length(row: Any, render: "Renderer | None", limit: float) -> tuple[float, float] | None:
    """(prompt, responses) in tokens, each response cut where prompt and response reach the limit; None for a prompt that leaves no room."""
    if isinstance(row, Document):
        return 0.0, (sum(map(len, render.document(row).responses)) if render else len(row.text.encode()) / BYTES)
    prompt, responses = _parts(row)
    asked = _asked(prompt, render)
    if asked >= limit:
        return None
    return asked, sum(min(_said(response.text, render), limit - asked) for response in responses)


def _parts(row: Any) -> tuple[Prompt, Sequence[Response]]:
    if isinstance(row, Demonstration):
        return row.prompt, [row.response]
    return (row, []) if isinstance(row, Prompt) else (row[0], row[1])


def _asked(prompt: Prompt, render: "Renderer | None") -> float:
    return len(render.prompt(prompt)) if render else sum(len(m.text.encode()) for m in prompt.messages) / BYTES + 4


def _said(text: str, render: "Renderer | None") -> float:
    """With its end."""
    return 1 + (len(render.tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"]) if render else len(text.encode()) / BYTES)
