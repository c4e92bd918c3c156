"""Rows of a file, one at a time: JSON Lines (.jsonl), one JSON list (.json), either of them as .gz, Parquet. What is broken is said with
file and row; nothing is skipped."""

import gzip
import hashlib
import importlib
import json
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tutelage.core.building import closest
from tutelage.core.errors import UserError

Row = dict[str, Any]
ENDINGS = (".jsonl", ".jsonl.gz", ".json", ".json.gz", ".parquet")


@dataclass(frozen=True)
class Record:
    """A row that knows where it stands."""

    values: Row
    where: str
    """`file.jsonl:12`."""
    by: str = ""
    """The file's name: who wrote what stands in it."""

    def has(self, *names: str) -> bool:
        """Whether all of these fields are there and not null."""
        return all(self.values.get(name) is not None for name in names)

    def first(self, *names: str) -> str | None:
        """The first of these fields that is there and not null."""
        return next((name for name in names if self.has(name)), None)

    def error(self, field: str, what: str) -> UserError:
        return UserError(f"{self.where}: field '{field}': {what}")

    def unlike(self, wanted: str, *names: str) -> UserError:
        """The row has none of the accepted forms; `names` are the fields that one of them would have."""
        near = next((f"{found} (for '{name}')" for name in self.values if name not in names and (found := closest(name, names))), "")
        return UserError(f"{self.where}: {wanted}; this row has {', '.join(self.values) or 'no fields'}{near}")

    def text(self, field: str) -> str:
        """A field's text. Raises UserError where it is missing or not text."""
        if field not in self.values:
            raise UserError(f"{self.where}: the field '{field}' is missing{closest(field, self.values)}")
        return self.as_text(self.values[field], field)

    def as_text(self, value: object, field: str) -> str:
        if not isinstance(value, str):
            raise self.error(field, f"expected text, got {kind(value)}")
        if not value.isascii() and any("\ud800" <= letter <= "\udfff" for letter in value):
            raise self.error(field, "holds half a surrogate pair, which is no character; write the text as valid Unicode")
        return value


KINDS: dict[type, str] = {
    type(None): "null",
    bool: "true or false",
    int: "a number",
    float: "a number",
    str: "text",
    list: "a list",
    dict: "an object",
}


def kind(value: object) -> str:
    """A JSON value's type in words."""
    return KINDS.get(type(value), type(value).__name__)


def read_rows(path: Path | str) -> Iterator[tuple[int, Row]]:
    """(row number from 1, row) of each row. In JSON Lines the row number is the line's; blank lines are passed over. A list
    of JSON is read whole before its first row.

    Raises UserError, when iterated, naming file and row: no such file, an unknown ending, an empty file, broken JSON, a row that is
    no object, text that isn't UTF-8, a damaged or truncated archive.
    """
    path = Path(path)
    if not path.name.endswith(ENDINGS):
        raise UserError(f"{path}: unknown kind of file; rows are read from {', '.join(ENDINGS)}")
    if not path.is_file():
        raise UserError(f"{path}: {'a directory, not a file' if path.is_dir() else 'no such file'}")
    number = 0
    reader = _parquet if path.suffix == ".parquet" else _list if path.name.endswith((".json", ".json.gz")) else _lines
    for number, row in reader(path):
        yield number, row
    if not number:
        raise UserError(f"{path}: no rows; expected one JSON object per line" if reader is _lines else f"{path}: no rows")


def records(path: Path | str) -> Iterator[Record]:
    """The rows of a file, each knowing where it stands. Raises UserError as `read_rows` does."""
    for number, row in read_rows(path):
        yield Record(row, f"{path}:{number}", Path(path).name)


def hash_file(path: Path | str) -> str:
    """SHA-256 of a file's bytes, hexadecimal. Raises UserError where it can't be read."""
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _lines(path: Path) -> Iterator[tuple[int, Row]]:
    number = 0
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    yield number, _row(line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line, f"{path}:{number}")
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        what = "the archive ends early" if isinstance(error, EOFError) else f"not a sound gzip archive ({error})"
        raise UserError(f"{path}:{number + 1}: {what}; copy or download the file again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _list(path: Path) -> Iterator[tuple[int, Row]]:
    """Rows of one JSON list, numbered from 1 by their place in it; a file that holds one object is one row. JSON Lines that are called
    .json are read as such."""
    text = _text(path)
    at = _space(text, 0)
    if text[at : at + 1] != "[":
        try:
            yield 1, _object(json.loads(text), f"{path}:1")
        except json.JSONDecodeError:
            yield from _lines(path)
        return
    number, at = 0, _space(text, at + 1)
    while text[at : at + 1] != "]":
        number += 1
        value, at = _element(text, at, f"{path}:{number}")
        yield number, _object(value, f"{path}:{number}")
        at = _space(text, at)
        if text[at : at + 1] == ",":
            at = _space(text, at + 1)
        elif text[at : at + 1] != "]":
            raise UserError(f"{path}:{number}: broken JSON after this row ({_ended(text, at)}); expected ',' and the next row, or ']'")
    if rest := text[at + 1 :].strip():
        raise UserError(f"{path}: broken JSON: the list of {number} rows is followed by {rest[:20]!r}")


def _text(path: Path) -> str:
    try:
        with gzip.open(path, "rb") if path.suffix == ".gz" else open(path, "rb") as file:
            return file.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 text (byte {error.start}); save the file as UTF-8") from None
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        what = "the archive ends early" if isinstance(error, EOFError) else f"not a sound gzip archive ({error})"
        raise UserError(f"{path}: {what}; copy or download the file again") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None


def _element(text: str, at: int, where: str) -> tuple[object, int]:
    try:
        return json.JSONDecoder().raw_decode(text, at)
    except json.JSONDecodeError as error:
        # A cut inside a text is reported where that text begins.
        cut = error.msg.startswith("Unterminated") or error.pos >= len(text.rstrip())
        what = "the file ends in the middle of this row; copy or export it again" if cut else "expected a list of objects"
        raise UserError(f"{where}: broken JSON ({error.msg} at line {error.lineno} column {error.colno}); {what}") from None
    except RecursionError:
        raise UserError(f"{where}: broken JSON (nested too deeply); expected a list of objects") from None


def _space(text: str, at: int) -> int:
    """The next place that is no white space."""
    while text[at : at + 1] in (" ", "\n", "\r", "\t"):
        at += 1
    return at


def _ended(text: str, at: int) -> str:
    return f"{text[at : at + 10]!r}" if at < len(text) else "the file ends here, so it was cut"


def _row(line: bytes, where: str) -> Row:
    try:
        row: object = json.loads(line.rstrip(b"\r\n").decode())
    except UnicodeDecodeError as error:
        raise UserError(f"{where}: not UTF-8 text (byte {error.start} of the line); save the file as UTF-8") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{where}: broken JSON ({error.msg} at column {error.colno}); expected one object per line") from None
    except RecursionError:
        raise UserError(f"{where}: broken JSON (nested too deeply); expected one object per line") from None
    return _object(row, where)


def _object(row: object, where: str) -> Row:
    if not isinstance(row, dict):
        raise UserError(f'{where}: expected an object like {{"prompt": ...}}, got {kind(row)}')
    return cast(Row, row)


def _parquet(path: Path) -> Iterator[tuple[int, Row]]:
    arrow: Any = importlib.import_module("pyarrow")  # here, so that only who has Parquet pays for it
    parquet: Any = importlib.import_module("pyarrow.parquet")
    number, failures = 0, (cast("type[Exception]", arrow.ArrowException), OSError)
    try:
        for batch in parquet.ParquetFile(path).iter_batches(batch_size=1024):
            for row in batch.to_pylist():
                number += 1
                yield number, row
    except failures as error:
        raise UserError(f"{path}:{number + 1}: not a sound Parquet file ({' '.join(str(error).split())})") from None
