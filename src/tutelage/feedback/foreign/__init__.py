"""Annotations as other tools and data sets write them, read raw and written back. A file of this folder is a format.

What stands in a file but is no annotation (a discarded answer, a remark, a suggestion of a model) is passed over and counted by name;
what isn't understood is an error with file, row and field, and then nothing of the file is taken. Two rows in which one person says the
same of the same are two judgements: the second is a repeat, which tells how far people agree with themselves and isn't learnt from.

Writing is checked by reading: every row is read again before anything is kept, and each annotation must come back with the id that it
had, as often as it was given. So a format that can't hold something (HH-RLHF has no ties, OpenAssistant no people) refuses it in words
instead of losing it. What no id is made from (times, writers of responses, tags of prompts) is counted where it doesn't come back.

What a tool has no place for is written beside its own fields, where it lets other fields be, and read from there (`feedback/beside.py`).
"""

import importlib
import json
import pkgutil
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from tutelage.core.building import closest
from tutelage.core.errors import UserError
from tutelage.core.rows import Record, Row, records
from tutelage.core.text import content_id
from tutelage.feedback.agreement.pace import time_of
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.given import Given, Passed, Repeat
from tutelage.feedback.tasks import answer_of

RAW = "raw"
"""The format that marks repeats; in the others they follow from what stands in the file more than once."""
UNHELD: Mapping[str, Callable[[Annotation], object]] = {
    "how long it took": lambda a: a.seconds,
    "when": lambda a: a.at and time_of(a.at),
    "who wrote the responses": lambda a: any(r.by for r in a.responses) and [r.by for r in a.responses],
    "tokens": lambda a: any(r.ids for r in a.responses) and [(r.ids, r.tokenizer) for r in a.responses],
}
"""What belongs to an annotation without being part of what was said, so that a format may lack it; all but the prompt's tags."""
TAGS = "tags"


class Format(Protocol):
    """What a file of this folder has."""

    def recognize(self, row: Row) -> bool:
        """Whether a row is of this format, by its fields."""
        ...

    def read(self, record: Record, given: Given) -> Iterator[Annotation | Repeat | Passed]:
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
    repeats: tuple[Annotation, ...]
    """What the same person said again of the same, each time: equal to one of `annotations`, or marked as such (raw rows)."""
    passed: Mapping[str, int]
    """What was passed over, and how often."""
    rows: int


@dataclass(frozen=True)
class Written:
    """What was made of annotations."""

    rows: list[Row]
    lost: Mapping[str, int]
    """What the format has no place for besides, and of how many annotations."""


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
    repeats: list[Annotation] = []
    passed: dict[str, int] = {}
    rows = 0
    for record in records(path):
        rows += 1
        for one in _row(form, record, name, asked):
            if isinstance(one, Passed):
                passed[one.why] = passed.get(one.why, 0) + 1
            elif isinstance(one, Repeat):
                repeats.append(one.annotation)
            elif one.id in made:
                repeats.append(one)
            else:
                made[one.id] = one
    return Imported(name, tuple(made.values()), tuple(repeats), passed, rows)


def write(annotations: Iterable[Annotation], name: str) -> list[Row]:
    """The rows of `written`."""
    return written(list(annotations), name).rows


def written(annotations: Sequence[Annotation], name: str, repeats: Sequence[Annotation] = ()) -> Written:
    """Rows of a format, checked: read again they give the same annotations, each as often as it was given. UserError names the first one
    that the format can't hold."""
    form = load(name)
    marked = [{**row, "purpose": "repeat"} for row in form.write(repeats)] if name == RAW else []
    found = [*form.write([*annotations] if marked else [*annotations, *repeats]), *marked]
    rows = [cast(Row, json.loads(json.dumps(row, ensure_ascii=False))) for row in found]
    return Written(rows, _compared([*annotations, *repeats], _back(form, rows, name), name))


def _back(form: Format, rows: Sequence[Row], name: str) -> dict[str, list[Annotation]]:
    """What rows say, by id."""
    back: dict[str, list[Annotation]] = {}
    for number, row in enumerate(rows, 1):
        try:
            read = [one.annotation if isinstance(one, Repeat) else one for one in _row(form, Record(row, f"row {number}"), name, Given())]
        except UserError as error:
            raise UserError(f"the format {name} can't hold all of these annotations ({error}); write raw rows instead") from None
        for one in read:
            if not isinstance(one, Passed):
                back.setdefault(one.id, []).append(one)
    return back


def _compared(wanted: Sequence[Annotation], back: dict[str, list[Annotation]], name: str) -> dict[str, int]:
    """What doesn't come back of what no id is made from, and of how many. UserError where a judgement doesn't, or comes too often."""
    lost = Counter[str]()
    everything = [one for ones in back.values() for one in ones]
    for a in wanted:
        if not back.get(a.id):
            again = f"the format {name} can't hold that it was said again" if any(one.id == a.id for one in everything) else ""
            raise UserError(f"annotation {a.id} by {a.annotator}: {again or _lost(a, everything, name)}")
        least = [(len(_unheld(a, one)), one.prompt.tags != a.prompt.tags, n) for n, one in enumerate(back[a.id])]
        lost.update(_unheld(a, back[a.id].pop(min(least)[-1])))
    if over := next((one for ones in back.values() for one in ones), None):
        raise UserError(f"annotation {over.id} by {over.annotator}: the format {name} would say it oftener than it was said")
    return dict(lost)


def _unheld(annotation: Annotation, back: Annotation) -> list[str]:
    """What of an annotation, beside what was said, another that says the same hasn't."""
    tags = [] if annotation.prompt.tags.items() <= back.prompt.tags.items() else [TAGS]
    return [name for name, of in UNHELD.items() if of(annotation) and of(annotation) != of(back)] + tags


def _row(form: Format, record: Record, name: str, given: Given) -> Iterator[Annotation | Repeat | Passed]:
    if not form.recognize(record.values):
        raise UserError(f"{record.where}: this row is not of the format {name}; it has {', '.join(record.values) or 'no fields'}")
    try:
        for one in form.read(record, given):
            if not isinstance(one, Passed):
                _check(one.annotation if isinstance(one, Repeat) else one, record)
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
    near = [b for b in near if [r.id for r in b.responses] == [r.id for r in annotation.responses]] or near
    near = [b for b in near if b.annotator == annotation.annotator] or near
    if not near:
        return f"the format {name} can't hold its prompt or task ({annotation.task}); write raw rows instead"
    fields = ("responses", "answer", "annotator", "weight", "shown", "guideline", "flags", "aspect")
    lost = next((field for field in fields if getattr(near[0], field) != getattr(annotation, field)), "content")
    return f"the format {name} can't hold its {lost}; write raw rows instead"


def tags_of(values: Mapping[str, Any], *names: str) -> dict[str, str]:
    """Short descriptions that a row carries, as tags of the prompt."""
    return {name: str(values[name]) for name in names if isinstance(values.get(name), str | int | float) and str(values[name])}


def by_item(annotations: Iterable[Annotation]) -> dict[tuple[str, ...], list[Annotation]]:
    """Annotations of one prompt, told by one set of tags, and of the same responses in the same order, together."""
    groups: dict[tuple[str, ...], list[Annotation]] = {}
    for a in annotations:
        groups.setdefault((told(a), *(r.id for r in a.responses)), []).append(a)
    return groups


def told(annotation: Annotation) -> str:
    """What two annotations of one row have in common: the prompt and its tags."""
    return content_id(annotation.prompt.id, annotation.prompt.tags)


def _question(a: Annotation) -> Hashable:
    return a.annotator, a.task, a.aspect


def rounds(group: Iterable[Annotation], question: Callable[[Annotation], Hashable] = _question) -> list[list[Annotation]]:
    """Annotations of one item in as few parts as hold nobody's answer to the same question twice."""
    parts: list[dict[Hashable, Annotation]] = []
    for a in group:
        key = question(a)
        part = next((part for part in parts if key not in part), None)
        if part is None:
            part = dict[Hashable, Annotation]()
            parts.append(part)
        part[key] = a
    return [list(part.values()) for part in parts]
