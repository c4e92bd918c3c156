"""Other people's files as our values: one function per purpose. Which of the common forms a row has is told by its fields (`formats`).

Everything is read lazily and in order; what is wrong is a UserError that names file, row and field. Nothing is skipped, but for
documents without a word and, if asked for, demonstrations with an empty response.
"""

from collections.abc import Iterator
from pathlib import Path

from tutelage.core import formats
from tutelage.core.formats import Pair
from tutelage.core.rows import hash_file, read_rows, records
from tutelage.core.text import Demonstration, Document, Prompt, Response

__all__ = ["Pair", "demonstrations", "documents", "hash_file", "labels", "preferences", "prompts", "read_rows"]


def demonstrations(path: Path | str, skip_empty: bool = False) -> Iterator[Demonstration]:
    """Prompts with the response to imitate; assistant turns inside a prompt are history. An empty response is an error unless
    `skip_empty`."""
    return (made for record in records(path) if (made := formats.demonstration(record, skip_empty)))


def preferences(path: Path | str) -> Iterator[Pair]:
    """(prompt, (chosen, rejected), {"winner": 0}): what the task `pair` annotates."""
    return map(formats.pair, records(path))


def labels(path: Path | str) -> Iterator[tuple[Prompt, Response, bool]]:
    """(prompt, response, whether it is wanted)."""
    return map(formats.label, records(path))


def prompts(path: Path | str) -> Iterator[Prompt]:
    """The prompts of a file of prompts, demonstrations or preferences."""
    return map(formats.prompt_of, records(path))


def documents(path: Path | str) -> Iterator[Document]:
    """Plain texts; those without a word, which have nothing to teach, are passed over."""
    return (made for made in map(formats.document, records(path)) if made.text.strip())
