"""Annotations by the name that a command was given: a store, a run's artifact, or a file of rows."""

from pathlib import Path

from tutelage.core.errors import UserError
from tutelage.core.readers import read_rows
from tutelage.core.rows import ENDINGS
from tutelage.feedback.annotation import Annotation, from_plain
from tutelage.feedback.store import Store

STORE = "annotations.sqlite"


def annotations_of(place: str) -> list[Annotation]:
    """Of a store (a path, a URL, or a folder with `annotations.sqlite` in it) or of a file of raw annotations (.jsonl, .jsonl.gz,
    .parquet). UserError: file, row, what would be right."""
    if "://" in place:
        return list(Store(place, create=False).read())
    path = Path(place)
    if path.name.endswith(ENDINGS):
        return [_annotation(row, f"{path}:{number}") for number, row in read_rows(path)]
    if path.is_dir():
        if not (path / STORE).is_file():
            raise UserError(f"{path}: a folder without {STORE}; give a store, a label stage's artifact or a file of annotations")
        path /= STORE
    return list(Store(path, create=False).read())


def _annotation(row: dict[str, object], where: str) -> Annotation:
    try:
        return from_plain(row)
    except KeyError as error:
        raise UserError(f"{where}: the field {error.args[0]!r} is missing; a raw annotation has all fields that Tutelage writes") from None
    except (TypeError, ValueError, IndexError, AttributeError) as error:
        raise UserError(f"{where}: is no raw annotation as Tutelage writes them ({error})") from None
