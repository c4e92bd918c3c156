"""How somebody did on items whose answer is known: the screening before the work, gold within it.

InstructGPT (Ouyang et al. 2022, appendix B.1) took labelers on by agreement with the researchers' answers (75 %) and by the grade of
their demonstrations (6 of 7), as soft cut-offs. Here too nothing happens by itself: the share is reported with Wilson's interval, so that
twenty items don't decide about a person, and the admin decides.

A judgement is one pair of responses (first, second, equal), or one label, which agrees within one step of seven, or, where flags are
known, the flags of one response. What is written is graded by the admin, 1 to 7. A grade is a line of the admin's log; it is of what was
written when it was given, not of its item, so an edit awaits a grade of its own; the last one counts.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.core.statistics import Estimate, mean, rate
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.signals import Label
from tutelage.feedback.store.database import Database
from tutelage.feedback.store.events import Event, Purpose, event_of, live
from tutelage.feedback.store.tables import events
from tutelage.feedback.study import log
from tutelage.feedback.study.disagreement import labels_of, order_of
from tutelage.feedback.study.known import Known, known
from tutelage.feedback.study.person import found
from tutelage.feedback.study.shelf import Shelf
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import actions

STEP = 1 / 6 + 1e-9
"""One step of a scale of seven, when it is scaled to 0..1."""
Verdict = Literal["above", "below", "unclear"]
"""Of an interval beside its cut-off; unclear where the cut-off is inside."""


@dataclass(frozen=True)
class Screened:
    """One person's screening."""

    person: str
    answered: int
    """Items."""
    agreement: Estimate | None
    """Share of judgements that agree with the known answers; None where there is none to compare."""
    demonstrations: Estimate | None
    """Mean grade, 1 to 7; None before there is one."""
    ungraded: tuple[Event, ...]
    """What was written and awaits a grade."""
    verdicts: tuple[Verdict, Verdict]
    """Of the agreement and of the demonstrations."""


def screened(study: Study, database: Database, person: str) -> Screened:
    """How somebody did in the screening. UserError where the study has none, or nobody has that name."""
    if study.screening is None:
        raise UserError("This study has no screening.")
    with database.reading() as connection:
        if connection is None:
            raise UserError(f"Nobody named {person!r} takes part in this study.")
        found(connection, person)
        given = _given(connection, person, "screening")
        grades = _grades(connection, person)
        agreement = _agreement(connection, given)
    written = [event for event in given if _is_written(event)]
    graded = [grades[event.id] for event in written if event.id in grades]
    demonstrations = mean(graded) if graded else None
    ungraded = tuple(event for event in written if event.id not in grades)
    verdicts = (_verdict(agreement, study.screening.agreement), _verdict(demonstrations, study.screening.demonstrations))
    return Screened(person, len({event.item for event in given}), agreement, demonstrations, ungraded, verdicts)


def gold(database: Database, person: str) -> Estimate | None:
    """The share of somebody's judgements of gold items that agree with the known answers; None before there is one."""
    with database.reading() as connection:
        return None if connection is None else _agreement(connection, _given(connection, person, "gold"))


def grade(database: Database, at: float, by: str, person: str, answer: str, given: float) -> None:
    """The admin's grade of what somebody wrote, by the id of the answer's event. UserError: out of range, not what they wrote last."""
    if not 1 <= given <= 7:
        raise UserError(f"A grade is a number from 1 to 7; got {given:g}.")
    with database.turn() as connection:
        found(connection, person)
        graded = next((e for e in _given(connection, person, "screening") if e.id == answer and _is_written(e)), None)
        if graded is None:
            raise UserError(f"{person} wrote nothing of the kind, or has changed it since. Load the page anew.")
        log.note(connection, at, by, "grade", person, json.dumps({"item": graded.item, "answer": answer, "grade": given}))


def judgements(one: Annotation, right: Known) -> list[bool]:
    """For each judgement that an answer makes: whether it agrees with the known one."""
    return [*_compared(one, right.beside(one)), *right.flagged(one)]


def _compared(one: Annotation, two: Annotation) -> list[bool]:
    signals = [tasks.signals_of(a) for a in (one, two)]
    if any(isinstance(signal, Label) for signal in signals[0]):
        first, second = (labels_of(given) for given in signals)
        return [abs(first[place] - second[place]) <= STEP for place in sorted(first.keys() & second.keys())]
    if tasks.load(one.task).gives != "preferences":
        return []
    orders = [order_of(given) for given in signals]
    return [orders[0].get(pair, 0) == orders[1].get(pair, 0) for pair in combinations(range(len(one.responses)), 2)]


def _agreement(connection: sa.Connection, given: Sequence[Event]) -> Estimate | None:
    shelf, agreed = Shelf(), list[bool]()
    for event in given:
        right = shelf.item(connection, event.item).answer.get(str(event.said.get("question", "")))
        if event.annotation is not None and right is not None:
            agreed += judgements(event.annotation, known(right))
    return rate(sum(agreed), len(agreed)) if agreed else None


def _given(connection: sa.Connection, person: str, purpose: Purpose) -> list[Event]:
    query = sa.select(events).where(events.c.annotator == person, *live((purpose,))).order_by(events.c.number)
    return [event_of(row) for row in connection.execute(query).all()]


def _grades(connection: sa.Connection, person: str) -> dict[str, float]:
    query = sa.select(actions.c.detail).where(actions.c.action == "grade", actions.c.about == person).order_by(actions.c.number)
    return {told["answer"]: told["grade"] for told in map(json.loads, connection.execute(query).scalars()) if "answer" in told}


def _is_written(event: Event) -> bool:
    return event.annotation is not None and tasks.load(event.annotation.task).gives == "texts"


def _verdict(found: Estimate | None, cutoff: float) -> Verdict:
    if found is None or found.low < cutoff <= found.high:
        return "unclear"
    return "above" if found.low >= cutoff else "below"
