"""Annotations as other tools and data sets write them, read raw and written back. A file of this folder is a format.

What stands in a file but is no annotation (a discarded answer, a remark, a suggestion of a model) is passed over and counted by name;
what isn't understood is an error with file, row and field, and then nothing of the file is taken. Writing is checked by reading: every
row is read again before anything is kept, and each annotation must come back with the id that it had. So a format that can't hold
something (HH-RLHF has no names, OpenAssistant no people) refuses it in words instead of losing it.

What a tool has no place for (weight, shown order, guideline, flags) is written beside its own fields under `tutelage`, where it lets
other fields be, and read from there.
"""

import dataclasses
import importlib
import json
import pkgutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, records
from tutelage.feedback.agreement.pace import time_of
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.given import Given, Passed
from tutelage.feedback.tasks import answer_of

BESIDE = "tutelage"
"""The field for what a tool has no place for."""
ANONYMOUS = "anonymous"
"""The annotator of a format that names none."""
AGAIN = "judgements that the same person had given of the same before"


class Format(Protocol):
    """What a file of this folder has."""

    def recognize(self, row: Row) -> bool:
        """Whether a row is of this format, by its fields."""
        ...

    def read(self, record: Record, given: Given) -> Iterator[Annotation | Passed]:
        """The annotations of a row. UserError names field and what would be right."""
        ...

    def write(self, annotations: Sequence[Annotation]) -> Iterator[Row]:
        """Rows that `read` reads as these annotations. UserError for what the format can't hold."""
        ...


@dataclass(frozen=True)
class Imported:
    """What a file held."""

    format: str
    annotations: tuple[Annotation, ...]
    """In the file's order, each once."""
    passed: Mapping[str, int]
    """What was passed over, and how often."""
    rows: int


def names() -> list[str]:
    """The formats of this package."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Format:
    """A format by its file's name. UserError when there is none."""
    if name not in names():
        raise UserError(f"there is no format {name!r}{closest(name, names()) or '; there are ' + ', '.join(names())}")
    return cast(Format, importlib.import_module(f"{__name__}.{name}"))


def recognized(path: Path | str) -> str:
    """The format of a file, told by its first row. UserError where it is none of ours."""
    first = next(records(path))
    found = [name for name in names() if load(name).recognize(first.values)]
    if len(found) == 1:
        return found[0]
    has = ", ".join(first.values) or "no fields"
    if found:
        raise UserError(f"{first.where}: may be {' or '.join(found)} (this row has {has}); say which with --format")
    raise UserError(f"{first.where}: no known format of annotations; this row has {has}; known are {', '.join(names())}")


def read(path: Path | str, name: str = "", given: Given | None = None) -> Imported:
    """A whole file, or UserError with file, row and field at its first fault."""
    name = name or recognized(path)
    form, asked = load(name), given or Given()
    made: dict[str, Annotation] = {}
    passed: dict[str, int] = {}
    rows = 0
    for record in records(path):
        rows += 1
        for one in _row(form, record, name, asked):
            if isinstance(one, Passed):
                passed[one.why] = passed.get(one.why, 0) + 1
            elif one.id in made:
                passed[AGAIN] = passed.get(AGAIN, 0) + 1
            else:
                made[one.id] = one
    return Imported(name, tuple(made.values()), passed, rows)


def write(annotations: Iterable[Annotation], name: str) -> list[Row]:
    """Rows of a format, checked: read again they give the same annotations. UserError names the first one that the format can't hold."""
    wanted = list(annotations)
    form = load(name)
    rows = [cast(Row, json.loads(json.dumps(row, ensure_ascii=False))) for row in form.write(wanted)]
    back: dict[str, Annotation] = {}
    for number, row in enumerate(rows, 1):
        for one in _row(form, Record(row, f"what would be written:{number}"), name, Given()):
            if isinstance(one, Annotation):
                back[one.id] = one
    for annotation in wanted:
        if annotation.id not in back:
            raise UserError(f"annotation {annotation.id} by {annotation.annotator}: {_lost(annotation, list(back.values()), name)}")
    return rows


def _row(form: Format, record: Record, name: str, given: Given) -> Iterator[Annotation | Passed]:
    if not form.recognize(record.values):
        raise UserError(f"{record.where}: this row is not of the format {name}; it has {', '.join(record.values) or 'no fields'}")
    try:
        for one in form.read(record, given):
            if isinstance(one, Annotation):
                _check(one, record)
            yield one
    except (TypeError, ValueError, KeyError, AttributeError, IndexError) as error:  # files can be broken in more ways than forms can say
        raise UserError(f"{record.where}: a field of this row has a form that {name} doesn't have ({error!r})") from error


def _check(one: Annotation, record: Record) -> None:
    """UserError unless answer, weight and time are such."""
    try:
        answer_of(one)
        time_of(one.at)
    except UserError as error:
        raise UserError(f"{record.where}: {error}") from None
    if isinstance(one.weight, bool) or not one.weight >= 0:
        raise UserError(f"{record.where}: the weight {one.weight!r} is no number from 0 up")


def _lost(annotation: Annotation, back: Sequence[Annotation], name: str) -> str:
    """What of an annotation doesn't come back."""
    near = [b for b in back if b.prompt.id == annotation.prompt.id and b.task == annotation.task]
    near = [b for b in near if b.annotator == annotation.annotator] or near
    if not near:
        return f"the format {name} can't hold its prompt or task ({annotation.task}); write raw rows instead"
    fields = ("responses", "answer", "annotator", "weight", "shown", "guideline", "flags", "aspect")
    lost = next((field for field in fields if getattr(near[0], field) != getattr(annotation, field)), "content")
    return f"the format {name} can't hold its {lost}; write raw rows instead"


def beside(annotation: Annotation, *more: str) -> dict[str, Any]:
    """What is written beside a tool's own fields: whatever isn't the default, and the fields `more`."""
    plain = dataclasses.asdict(annotation)
    told: dict[str, Any] = {}
    for field in dataclasses.fields(Annotation):
        if field.name in more or (field.name in ("weight", "shown", "guideline", "flags", "aspect") and plain[field.name] != field.default):
            told[field.name] = plain[field.name]
    if set(annotation.answer) - {"winner", "values"} and annotation.task in ("pair", "score"):
        told["answer"] = dict(annotation.answer)
    if cut := [n for n, response in enumerate(annotation.responses) if not response.finished]:
        told["cut"] = cut
    return told


def with_beside(annotation: Annotation, record: Record, told: object) -> Annotation:
    """An annotation with what `beside` wrote. UserError where it has another form."""
    if told is None:
        return annotation
    given = cast(dict[str, Any], told) if isinstance(told, dict) else {}
    known = {"weight", "shown", "guideline", "flags", "aspect", "answer", "seconds", "at", "cut"}
    if not isinstance(told, dict) or set(given) - known:
        raise record.error(BESIDE, f"expected an object of {', '.join(sorted(known))}; remove the field or write it as Tutelage does")
    cut = given.get("cut", [])
    responses = tuple(dataclasses.replace(r, finished=n not in cut) for n, r in enumerate(annotation.responses))
    return dataclasses.replace(
        annotation,
        responses=responses,
        answer=given.get("answer", annotation.answer),
        weight=given.get("weight", annotation.weight),
        shown=tuple(given.get("shown", annotation.shown)),
        guideline=given.get("guideline", annotation.guideline),
        flags=tuple((int(place), str(flag)) for place, flag in given.get("flags", annotation.flags)),
        aspect=given.get("aspect", annotation.aspect),
        seconds=given.get("seconds", annotation.seconds),
        at=given.get("at", annotation.at),
    )


def tags_of(values: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Short descriptions that a row carries, as tags of the prompt."""
    return {name: str(values[name]) for name in names if isinstance(values.get(name), str | int | float) and str(values[name])}


def by_item(annotations: Iterable[Annotation]) -> dict[tuple[str, ...], list[Annotation]]:
    """Annotations of one prompt and the same responses in the same order, together."""
    groups: dict[tuple[str, ...], list[Annotation]] = {}
    for a in annotations:
        groups.setdefault((a.prompt.id, *(r.id for r in a.responses)), []).append(a)
    return groups


def rounds(group: Iterable[Annotation]) -> list[list[Annotation]]:
    """Annotations of one item in as few parts as hold nobody's answer to the same question twice."""
    parts: list[dict[tuple[str, str, str], Annotation]] = []
    for a in group:
        key = (a.annotator, a.task, a.aspect)
        part = next((part for part in parts if key not in part), None)
        if part is None:
            part = dict[tuple[str, str, str], Annotation]()
            parts.append(part)
        part[key] = a
    return [list(part.values()) for part in parts]
