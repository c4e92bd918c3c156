"""What happened, one row each, never changed: an answer, a skip, an undo, a question to the admin.

One submit of a form is one transaction of one or more events, id = "{submit}-{n}"; the same submit recorded twice is one. Nothing is
taken back by changing it: an event that `supersedes` a submit makes all of that submit's annotations void. The one exception is a
person's erasure, which empties contents and leaves the rows (kind "erased").

An event holds the annotation whole, prompt and responses included, though the items are in the same database: it must still mean
what it said when the study's files are gone.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Literal

import sqlalchemy as sa

from tutelage.feedback.annotation import Annotation, from_plain, to_plain
from tutelage.feedback.store import tables

Kind = Literal["annotation", "skip", "undo", "question", "reply", "erased"]
Purpose = Literal["work", "gold", "repeat", "practice", "screening", "adjudication", "machine", "import"]
LEARNT: tuple[Purpose, ...] = ("work", "machine", "import", "adjudication")
"""The purposes whose annotations training takes. What a file brought (`import`) may be people's or machines': its annotators say."""

SAID: tuple[Purpose, ...] = (*LEARNT, "repeat")
"""Those, and what somebody said again of the same."""
MANY = 500
"""Ids that are looked up at once."""


@dataclass(frozen=True)
class Event:
    """One thing that one person did."""

    submit: str
    """The token of the form, or of whatever was posted: the same token is the same submit."""
    kind: Kind
    annotator: str
    purpose: Purpose = "work"
    n: int = 0
    """Its place among the events of the submit."""
    item: str = ""
    at: float = 0.0
    """Unix seconds; 0: not known."""
    active_ms: int = 0
    """Milliseconds in which the person was at work on it."""
    total_ms: int = 0
    """Milliseconds between seeing and answering."""
    guideline: str = ""
    """Version of the guideline."""
    supersedes: str | None = None
    """The submit that is void from now on."""
    annotation: Annotation | None = None
    said: Mapping[str, Any] = field(default_factory=dict[str, Any], hash=False)
    """Whatever else there is to say: the form's fields, a reason, the text of a question."""
    number: int = 0
    """The store's own, counting up; 0: not stored yet."""
    name: str = ""
    """The id where it isn't made of submit and n: an annotation that came through no form has its own."""

    @property
    def id(self) -> str:
        return self.name or f"{self.submit}-{self.n}"

    @property
    def formless(self) -> bool:
        """Whether it came through no form: a file brought it, or a machine said it."""
        return bool(self.name) and self.name == self.submit


def formless(annotation: Annotation, purpose: Purpose, nth: int = 1) -> Event:
    """An annotation that came through no form, as an event: its id is its own, and `{id}-{nth}` where the same person said the same of
    the same again."""
    a = annotation
    name, ms = a.id if nth == 1 else f"{a.id}-{nth}", round(1000 * a.seconds)
    return Event(name, "annotation", a.annotator, purpose, 0, "", seconds(a.at), ms, ms, a.guideline, annotation=a, name=name)


def seconds(at: str) -> float:
    """Unix seconds of an ISO 8601 time; 0 for anything else."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return 0.0
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def clock(at: float) -> str:
    """ISO 8601 of Unix seconds, in UTC and whole seconds."""
    return datetime.fromtimestamp(int(at), UTC).isoformat().replace("+00:00", "Z")


def row_of(event: Event) -> dict[str, Any]:
    """An event as a row of the table, without its number."""
    a = event.annotation
    content = dict(event.said) if a is None else {"annotation": to_plain(a), **event.said}
    return {
        "id": event.id,
        "submit": event.submit,
        "kind": event.kind,
        "purpose": event.purpose,
        "item": event.item,
        "annotator": event.annotator,
        "at": event.at,
        "active_ms": event.active_ms,
        "total_ms": event.total_ms,
        "guideline": event.guideline,
        "supersedes": event.supersedes,
        "annotation": None if a is None else a.id,
        "task": None if a is None else a.task,
        "content": json.dumps(content, ensure_ascii=False, sort_keys=True),
    }


def event_of(row: Any) -> Event:
    """The event in a row of the table."""
    content: dict[str, Any] = json.loads(row.content)
    plain = content.pop("annotation", None)
    suffix = row.id.removeprefix(f"{row.submit}-")
    own = suffix == row.id or not suffix.isdecimal()
    return Event(
        submit=row.submit,
        kind=row.kind,
        annotator=row.annotator,
        purpose=row.purpose,
        n=0 if own else int(suffix),
        item=row.item,
        at=row.at,
        active_ms=row.active_ms,
        total_ms=row.total_ms,
        guideline=row.guideline,
        supersedes=row.supersedes,
        annotation=None if plain is None else from_plain(plain),
        said=content,
        number=row.number,
        name=row.id if own else "",
    )


def write(connection: sa.Connection, events: Sequence[Event]) -> bool:
    """Add the events of one submit within a transaction that holds the store's turn to write; False, and nothing is added, where the
    submit is there already."""
    if submitted(connection, events[0].submit):
        return False
    connection.execute(tables.events.insert(), [row_of(event) for event in events])
    return True


def submitted(connection: sa.Connection, submit: str) -> Any:
    """The first event of a submit (its item, annotator and kind); None where there is none."""
    e = tables.events.c
    return connection.execute(sa.select(e.item, e.annotator, e.kind, e.at).where(e.id == f"{submit}-0")).first()


def missing(connection: sa.Connection, wanted: Mapping[tuple[str, int], Event]) -> list[Event]:
    """Those of some annotations, each by its id and how often the same person has said the same by then, that aren't there yet: neither
    under their own name nor because as many stand that came another way (through forms, say)."""
    e, ids = tables.events.c, sorted({annotation for annotation, _ in wanted})
    named: set[str] = set()
    learnt, stand = dict[str, int](), dict[str, int]()
    for start in range(0, len(ids), MANY):
        some = e.annotation.in_(ids[start : start + MANY])
        named |= set(connection.execute(sa.select(e.id).where(some, e.id == e.submit)).scalars())
        for purposes, count in ((LEARNT, learnt), (SAID, stand)):
            query = sa.select(e.annotation, sa.func.count().label("n")).where(some, *live(purposes)).group_by(e.annotation)
            count.update({row.annotation: row.n for row in connection.execute(query).all()})
    return [
        event
        for (annotation, nth), event in wanted.items()
        if event.id not in named and not (annotation in learnt if nth == 1 else stand.get(annotation, 0) >= nth)
    ]


def live(purposes: Iterable[Purpose]) -> list[sa.ColumnElement[bool]]:
    """The conditions under which a row is an annotation that stands: of these purposes, neither superseded nor erased."""
    e, later = tables.events.c, tables.events.alias("later")
    superseded = sa.exists().where(later.c.supersedes == e.submit)
    return [e.annotation.is_not(None), e.kind == "annotation", e.purpose.in_(list(purposes)), ~superseded]
