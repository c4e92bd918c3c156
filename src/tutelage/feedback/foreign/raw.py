"""Annotations as Tutelage keeps them, an object a line: everything is held.

    {"id": ..., "prompt": [[role, [text], [], null]], "tags": {}, "responses": [{"text": ...}], "task": "ranking", "answer": {...},
     "annotator": ..., "weight": 1.0, "shown": [...], "guideline": ..., "seconds": ..., "at": ...}

In Parquet what is nested (prompt, responses, answer) is JSON text, since a column has one type and answers have many.

A row with `"purpose": "repeat"` is what that person said when they were asked again: it is counted, and not learnt from.

The id is that of the content: a row whose content was changed by hand is refused, since it isn't what that person said.
"""

import json
from collections.abc import Iterator, Sequence
from typing import Any

from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row
from tutelage.feedback.annotation import Annotation, from_plain, to_plain
from tutelage.feedback.given import Given, Passed, Repeat

FIELDS = {"prompt", "tags", "responses", "task", "answer", "annotator", "weight", "shown", "guideline", "seconds", "at"}
NESTED = ("prompt", "tags", "responses", "answer", "flags")


def recognize(row: Row) -> bool:
    """Rows with a task and its answer."""
    return {"task", "answer", "annotator", "responses"} <= set(row)


def read(record: Record, given: Given) -> Iterator[Annotation | Repeat | Passed]:
    """The annotation."""
    row: dict[str, Any] = {
        name: _nested(record, name, value) for name, value in record.values.items() if name != "id" and value is not None
    }
    if lacking := sorted(FIELDS - set(row)):
        raise UserError(f"{record.where}: the field '{lacking[0]}' is missing; a raw annotation has {', '.join(sorted(FIELDS))}")
    try:
        made = from_plain(row)
        same = record.values.get("id") in (None, made.id)
    except (TypeError, ValueError, KeyError, AttributeError) as error:
        raise UserError(f"{record.where}: not a raw annotation ({error}); write it as `tutelage label export` does") from None
    if not same:
        raise record.error("id", f"is {record.values['id']}, but this content has the id {made.id}: the row was changed; remove the id")
    yield Repeat(made) if row.get("purpose") == "repeat" else made


def write(annotations: Sequence[Annotation]) -> Iterator[Row]:
    """A row for each annotation."""
    for a in annotations:
        yield {"id": a.id, **to_plain(a)}


def flat(row: Row) -> Row:
    """A row for Parquet, whose columns have one type each: what is nested as JSON text."""
    return {name: json.dumps(value, ensure_ascii=False) if name in NESTED else value for name, value in row.items()}


def _nested(record: Record, name: str, value: Any) -> Any:
    if name not in NESTED or not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except json.JSONDecodeError as error:
        raise record.error(name, f"broken JSON ({error.msg}); write it as `tutelage label export` does") from None
