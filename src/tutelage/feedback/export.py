"""Out of a store: raw annotations, other tools' formats, and the data set types that TRL and others train from.

    events          all that ever happened: who, when, how long, what was taken back      `feedback/store/events.py`
    raw             every annotation that stands, a row each, everything in it            `feedback/foreign/raw.py`
    preference      {"prompt", "chosen", "rejected"}         each preference of each annotation (a ranking of K gives up to K (K - 1) / 2)
    unpaired        {"prompt", "completion", "label"}        each response that was called good or bad
    demonstrations  {"prompt", "completion"}                 what people wrote, or corrected
    argilla, ...    another tool's own format                `feedback/foreign/`

TRL's types are written standard (texts; one turn of the user) or conversational (messages). They have no place for people, so each row
says beside them what it was made of: `aggregate` (how several people's answers became one: none, majority, dawid_skene, bradley_terry),
`annotator`, `weight` (the preference's share of its annotation, times the annotation's), `margin` and `probability` where these say
something, `annotation` (the id). Trainers leave columns alone that they don't know.

What a type can't hold (a tie among preferences, a score among labels of good and bad) is counted by name in what is told.
"""

import dataclasses
import importlib
import io
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, cast

from tutelage.core.errors import UserError
from tutelage.core.files import write_atomic
from tutelage.core.rows import Row
from tutelage.core.settings import closest
from tutelage.core.text import Prompt
from tutelage.feedback import foreign
from tutelage.feedback.annotation import Annotation, to_plain
from tutelage.feedback.foreign.raw import flat
from tutelage.feedback.given import asked
from tutelage.feedback.signals import Label, Preference
from tutelage.feedback.store.events import Event
from tutelage.feedback.tasks import signals_of

TYPES = ("preference", "unpaired", "demonstrations")
ENDINGS = (".jsonl", ".json", ".parquet")
Form = Literal["standard", "conversational"]
NOTHING = {
    "preference": "no order between responses",
    "unpaired": "no word on good or bad",
    "demonstrations": "nothing written",
}


@dataclass(frozen=True)
class Exported:
    """What was written."""

    rows: int
    annotations: int
    without: Mapping[str, int]
    """Why annotations gave no row, and how many of them."""
    lost: Mapping[str, int] = field(default_factory=dict[str, int])
    """What a tool's format has no place for (times, tags, ...), and of how many annotations."""


def rows_of(annotations: Sequence[Annotation], as_: str, form: Form, aggregated: str) -> tuple[list[Row], dict[str, int]]:
    """Rows, and why annotations gave none. UserError for what the form can't hold."""
    if as_ not in TYPES:
        known = [*foreign.names(), *TYPES]
        if as_ not in known:
            raise UserError(f"--as {as_}: it is one of {', '.join(known)}{closest(as_, known)}")
        return foreign.write(annotations, as_), {}
    rows: list[Row] = []
    without: Counter[str] = Counter()
    for annotation in annotations:
        made = list(_trained(annotation, as_, form))
        rows += [row | {"aggregate": aggregated, "annotator": annotation.annotator, "annotation": annotation.id} for row in made]
        if not made:
            without[f"{NOTHING[as_]} ({annotation.task})"] += 1
    return rows, dict(without)


def export(
    annotations: Iterable[Annotation],
    path: Path,
    as_: str = "raw",
    form: Form = "conversational",
    aggregated: str = "none",
    repeats: Sequence[Annotation] = (),
) -> Exported:
    """Write a file (.jsonl, .json as one list, .parquet), whole or not at all; one that is there is replaced. `repeats`, what somebody
    said again of the same, stand in raw rows and tools' files and never among TRL's types. UserError where nothing would stand in it."""
    if not path.name.endswith(ENDINGS):
        raise UserError(f"{path}: unknown kind of file; written are {', '.join(ENDINGS)}")
    given, lost, without = list(annotations), dict[str, int](), dict[str, int]()
    if as_ in foreign.names():
        made = foreign.written(given, as_, repeats)
        rows, lost = made.rows, made.lost
        given += repeats
    else:
        rows, without = rows_of(given, as_, form, aggregated)
    if not rows:
        told = "; ".join(f"{n} have {why}" for why, n in without.items())
        raise UserError(f"{path}: none of {len(given)} annotations gives a row of {as_}{': ' + told if told else ''}; nothing was written")
    write_atomic(path, _bytes([flat(row) for row in rows] if as_ == "raw" and path.suffix == ".parquet" else rows, path))
    return Exported(len(rows), len(given), without, lost)


def export_events(events: Iterable[Event], path: Path) -> int:
    """Write all that happened, in its order; how many events. In Parquet what is nested is JSON text. UserError where nothing did."""
    rows = [_event(event) for event in events]
    if not rows or not path.name.endswith(ENDINGS):
        told = "there are no events" if not rows else f"unknown kind of file; written are {', '.join(ENDINGS)}"
        raise UserError(f"{path}: {told}; nothing was written")
    if path.suffix == ".parquet":
        rows = [
            {name: json.dumps(held, ensure_ascii=False) if isinstance(held, dict) else held for name, held in row.items()} for row in rows
        ]
    write_atomic(path, _bytes(rows, path))
    return len(rows)


def _event(event: Event) -> Row:
    told = {field.name: getattr(event, field.name) for field in dataclasses.fields(event) if field.name != "name"}
    told["annotation"] = None if event.annotation is None else {"id": event.annotation.id, **to_plain(event.annotation)}
    return {"number": event.number, "id": event.id, **told, "said": dict(event.said)}


def _bytes(rows: list[Row], path: Path) -> bytes:
    if path.suffix == ".json":
        return json.dumps(rows, ensure_ascii=False, indent=1).encode()
    if path.suffix == ".jsonl":
        return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    arrow: Any = importlib.import_module("pyarrow")  # here, so that only who writes Parquet pays for it
    parquet: Any = importlib.import_module("pyarrow.parquet")
    failures = cast("type[Exception]", arrow.ArrowException)
    names = list(dict.fromkeys(name for row in rows for name in row))
    held = io.BytesIO()
    try:
        table = arrow.table({name: [row.get(name) for row in rows] for name in names})
        parquet.write_table(table, held)
    except failures as error:
        raise UserError(f"{path}: these rows don't fit into columns ({' '.join(str(error).split())[:200]}); write .jsonl") from None
    return held.getvalue()


def _trained(a: Annotation, as_: str, form: Form) -> Iterator[Row]:
    """The rows of one annotation in one of TRL's types."""
    if as_ == "demonstrations":
        if a.task in ("demonstration", "edit"):
            yield _asked(a.prompt, form) | {"completion": _answered(a.answer["text"], form)}
        return
    for signal in signals_of(a):
        texts = [r.text for r in a.responses]
        told: Row = {"weight": signal.weight * a.weight} | ({} if signal.aspect == "overall" else {"aspect": signal.aspect})
        if isinstance(signal, Preference) and as_ == "preference":
            told |= {"margin": signal.margin} if signal.margin else {}
            told |= {"probability": signal.probability} if signal.probability != 1 else {}
            yield _asked(a.prompt, form) | {
                "chosen": _answered(texts[signal.winner], form),
                "rejected": _answered(texts[signal.loser], form),
                **told,
            }
        if isinstance(signal, Label) and as_ == "unpaired" and a.task == "binary":
            yield _asked(a.prompt, form) | {"completion": _answered(texts[signal.response], form), "label": signal.value > 0.5, **told}


def _asked(prompt: Prompt, form: Form) -> Row:
    plain = asked(prompt)
    if form == "conversational":
        return {"prompt": [{"role": "user", "content": plain}] if isinstance(plain, str) else plain}
    if not isinstance(plain, str):
        raise UserError(f"prompt {prompt.id} is a conversation of {len(prompt.messages)} turns; write it with --form conversational")
    return {"prompt": plain}


def _answered(text: str, form: Form) -> Any:
    return text if form == "standard" else [{"role": "assistant", "content": text}]
