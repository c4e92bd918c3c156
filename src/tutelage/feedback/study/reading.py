"""What a person gets to read of what is stored: receipts, their own history and questions, and, for a reviewer, the others' answers."""

from collections.abc import Mapping, Sequence

import sqlalchemy as sa

from tutelage.feedback.annotation import Annotation
from tutelage.feedback.places import screen_place
from tutelage.feedback.store.events import Event, event_of
from tutelage.feedback.store.tables import events
from tutelage.feedback.study.answering import Posted, answered
from tutelage.feedback.study.disagreement import alike, answers
from tutelage.feedback.study.items import Item
from tutelage.feedback.study.known import Known, known
from tutelage.feedback.study.questions import Question
from tutelage.feedback.study.seats import Seat
from tutelage.feedback.study.sheet import Entry, Receipt, Talk, Voice
from tutelage.feedback.study.study import Study

SHORT = 200
ORDINALS = ("First", "Second", "Third", "Fourth", "Fifth", "Sixth", "Seventh", "Eighth", "Ninth")


def receipt(study: Study, item: Item, seat: Seat, posted: Posted, new: bool) -> Receipt:
    """For practice with the expected answer and why; with the AI's suggestion, now that the vote is cast."""
    suggestion = item.suggestion if study.suggestions == "after" and item.suggestion else None
    if seat.purpose != "practice":
        return Receipt(posted.submit, new, suggestion=suggestion)
    right = [(q, known(item.answer[q.name])) for q in study.questions if q.name in item.answer]
    expected = {q.name: one.said(q, seat.shown) for q, one in right}
    agreed = [same for q, one in right if (same := agrees(item, seat.shown, q, one, posted.values)) is not None]
    return Receipt(posted.submit, new, item.explanation or None, expected, all(agreed) if agreed else None, suggestion)


def agrees(item: Item, shown: Sequence[int], question: Question, right: Known, values: Mapping[str, str]) -> bool | None:
    """Whether a form's answer to a question is the known one, flags and all; None where it can't be compared."""
    said, flags = question.answer(values, shown).to_answer(), question.flagged(values, shown)
    one = Annotation(item.prompt, item.responses, question.task, said, "", flags=flags)
    found, flagged = alike(one, right.beside(one)), right.flagged(one)
    return None if found is None and not flagged else found in (None, 1) and all(flagged)


def history(connection: sa.Connection, study: Study, seats: Sequence[Seat], items: Mapping[str, Item]) -> list[Entry]:
    """A line for each of a person's seats."""
    by_submit: dict[str, list[Event]] = {}
    for event in answered(connection, study, list(seats)):
        by_submit.setdefault(event.submit, []).append(event)
    return [
        Entry(
            item=seat.item,
            submit=seat.submit,
            at=seat.since,
            prompt=items[seat.item].prompt.last[:SHORT],
            said=_said(study, by_submit.get(seat.submit, []), seat.shown),
            skipped=seat.state == "skipped",
            until=seat.since + 60 * study.edit_minutes,
        )
        for seat in seats
    ]


def voices(connection: sa.Connection, study: Study, seat: Seat) -> tuple[Voice, ...]:
    """What the annotators of an item said, in the order in which they came and in letters of the reviewer's screen."""
    by_person: dict[str, list[Event]] = {}
    for event in answers(connection, seat.of):
        by_person.setdefault(event.annotator, []).append(event)
    names = [*ORDINALS, *(f"Number {n}" for n in range(len(ORDINALS) + 1, len(by_person) + 1))]
    return tuple(_voice(study, who, given, seat.shown) for who, given in zip(names, by_person.values()))


def talks(connection: sa.Connection, name: str | None = None) -> list[Talk]:
    """Questions to the admin and their replies, of one person or of everybody, latest first."""
    query = sa.select(events).where(events.c.kind.in_(("question", "reply"))).order_by(events.c.number)
    if name is not None:
        query = query.where(events.c.annotator == name)
    found = [event_of(row) for row in connection.execute(query).all()]
    replies: dict[str, list[str]] = {}
    for event in found:
        if event.kind == "reply":
            replies.setdefault(str(event.said["to"]), []).append(str(event.said["text"]))
    asked = [event for event in found if event.kind == "question"]
    return [Talk(e.submit, e.annotator, e.item, e.at, str(e.said["text"]), tuple(replies.get(e.submit, ()))) for e in reversed(asked)]


def _said(study: Study, given: Sequence[Event], shown: Sequence[int]) -> dict[str, str]:
    """The answers that stand, as sentences, by question; a question that the study doesn't have any more is left out."""
    questions = {question.name: question for question in study.questions}
    found: dict[str, str] = {}
    for event in given:
        name = str(event.said.get("question", ""))
        if event.annotation is not None and name in questions:
            found[name] = questions[name].said(event.annotation.answer, shown)
    return found


def _voice(study: Study, who: str, given: Sequence[Event], shown: Sequence[int]) -> Voice:
    flags = {
        str(event.said.get("question", "")): tuple(sorted((screen_place(place, shown), flag) for place, flag in event.annotation.flags))
        for event in given
        if event.annotation is not None and event.annotation.flags
    }
    return Voice(who, _said(study, given, shown), flags, next((str(event.said["note"]) for event in given if event.said.get("note")), ""))
