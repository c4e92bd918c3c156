"""What an answer, a skip and an undo do, each within one turn: events are added, the seat and the item's counts follow.

An edit is a new submit that supersedes the old one; so is the answer to an item that was skipped. An answer that comes after its lease
is taken all the same while the item has room: only where others have filled it is there one too many. A form that comes twice is one
answer if both say the same and it still stands; whatever else comes under a token that was used is refused, never swallowed.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.annotation import Annotation
from tutelage.feedback.store.events import Event, Kind, clock, event_of, write
from tutelage.feedback.store.tables import events
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.arrival import Used
from tutelage.feedback.study.disagreement import settle
from tutelage.feedback.study.items import Item
from tutelage.feedback.study.questions import Question
from tutelage.feedback.study.seats import Seat
from tutelage.feedback.study.study import Study
from tutelage.feedback.tasks.form import clean

LONGEST_NOTE = 10_000
"""Characters of a note, a reason, a question to the admin."""
MOST_MS = 10**12
WITHDRAWN = (
    "What people said of this item is not what your page shows: an answer was erased since. Nothing was stored; open the next item, which "
    "may be this one with what is said of it now."
)


@dataclass(frozen=True)
class Posted:
    """A form as it came back."""

    submit: str
    values: Mapping[str, str]
    active_ms: int
    total_ms: int
    """Both within 0 and MOST_MS."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.submit) <= 64 or not self.submit.isascii() or not self.submit.isprintable():
            raise UserError("The form came without its token. Open the page again.")
        for name in ("active_ms", "total_ms"):
            object.__setattr__(self, name, max(0, min(getattr(self, name), MOST_MS)))


def answer(connection: sa.Connection, study: Study, item: Item, seat: Seat, posted: Posted, now: float) -> None:
    """Store an answer. UserError: an incomplete form, too late, a decision about what isn't said any more."""
    _still_said(seat, posted.submit)
    entered = _enter(connection, study, seat, now)
    write(connection, [_event(study, item, seat, question, n, posted, now) for n, question in enumerate(study.asked(len(item.responses)))])
    first = seat.state != "answered"
    held.change(
        connection,
        replace(seat, state="answered", submit=posted.submit, since=now if first else seat.since, draft={}),
    )
    if seat.purpose == "adjudication":
        held.set_review(connection, seat.of, "done")
    if seat.purpose == "work":
        held.count(connection, seat.of, load=entered, answers=int(first))
        if study.disagreement is not None:
            settle(connection, seat.of, study.disagreement)


def repeated(connection: sa.Connection, study: Study, item: Item, seat: Seat, posted: Posted, now: float) -> None:
    """Nothing, where a form that was sent before says what it said then, and that stands. Used."""
    stands = answered(connection, study, [seat]) if (seat.state, seat.submit) == ("answered", posted.submit) else []
    again = [_event(study, item, seat, question, n, posted, now) for n, question in enumerate(study.asked(len(item.responses)))]
    if [_content(event) for event in stands] != [_content(event) for event in again]:
        raise Used


def asked_before(connection: sa.Connection, question: Event) -> bool:
    """Whether a question was asked under this token already, in the same words."""
    row = connection.execute(sa.select(events).where(events.c.id == question.id)).first()
    there = None if row is None else event_of(row)
    what = (question.kind, question.annotator, question.item, question.said)
    return there is not None and what == (there.kind, there.annotator, there.item, there.said)


def _content(event: Event) -> tuple[str, Mapping[str, object]]:
    return event.annotation.id if event.annotation else "", event.said


def keep(connection: sa.Connection, study: Study, seat: Seat, submit: str, values: Mapping[str, str], now: float) -> float:
    """Keep a draft of the form with this token; the end of the lease, which begins anew, unless others have the item now. Of an answer
    that is being changed, the end of the time for that. UserError where that is over, or the form was another."""
    if seat.state in ("answered", "skipped"):
        if submit != held.edit_token(seat.submit):
            raise UserError("This item is done already.")
        if not editable(study, seat, now):
            raise UserError(_late(study, seat))
        held.change(connection, replace(seat, draft=dict(values)))
        return seat.since + 60 * study.edit_minutes
    _still_said(seat, submit or seat.submit)
    again = seat.state == "leased" or has_room(connection, seat)
    expires = now + 60 * study.lease_minutes if again else seat.expires
    held.change(connection, replace(seat, state="leased" if again else "expired", draft=dict(values), expires=expires))
    if again and seat.state == "expired":
        held.took(connection, seat)
    return expires


def _still_said(seat: Seat, submit: str) -> None:
    """UserError for a reviewer's form whose item was withdrawn (`seats.withdraw`) since it was made."""
    if seat.purpose == "adjudication" and seat.state in ("leased", "expired") and submit != seat.submit:
        raise UserError(WITHDRAWN)


def has_room(connection: sa.Connection, seat: Seat) -> bool:
    """Whether an item may be taken up again by somebody whose lease is over, or who skipped it."""
    there = held.counts(connection, seat.of)
    return {"work": there.room, "adjudication": there.review == "wanted"}.get(seat.purpose, True)


def skip(connection: sa.Connection, study: Study, seat: Seat, posted: Posted, reason: str, now: float) -> None:
    """Give an item back for good. UserError where it isn't leased."""
    if seat.state not in ("leased", "expired"):
        raise UserError("This item is done already. Undo takes an answer back.")
    said = {"reason": said_text(reason)} if reason.strip() else {}
    timed = replace(_plain("skip", study, seat, posted.submit, now, said), active_ms=posted.active_ms, total_ms=posted.total_ms)
    write(connection, [timed])
    if seat.state == "leased":
        held.release(connection, seat, "skipped")
    held.change(connection, replace(seat, state="skipped", submit=posted.submit, since=now, draft={}))


def undo(connection: sa.Connection, study: Study, seat: Seat, now: float) -> Seat:
    """Make an answer or a skip void; its item is leased again, with the form as it was, or as it was being changed to. UserError where
    a skipped item was filled by others in the meantime."""
    there = held.counts(connection, seat.of)
    work, skipped = seat.purpose == "work", seat.state == "skipped"
    if work and skipped and not there.room:
        raise UserError("The item that you skipped has been answered by others in the meantime.")
    if skipped and seat.purpose == "adjudication" and there.review != "wanted":
        raise UserError("The item that you skipped is with another reviewer now.")
    draft = seat.draft or ({} if skipped else form_of(connection, study, seat))
    event = replace(_plain("undo", study, seat, held.token(), now, {}), supersedes=seat.submit)
    write(connection, [event])
    back = replace(seat, state="leased", since=now, expires=now + 60 * study.lease_minutes, submit=held.token(), draft=draft)
    held.change(connection, back)
    if work:
        held.count(connection, seat.of, load=int(skipped), answers=-int(not skipped))
    if work and there.review == "wanted":
        held.set_review(connection, seat.of, "")
    if seat.purpose == "adjudication":
        held.set_review(connection, seat.of, "leased")
    return back


def editable(study: Study, seat: Seat, now: float) -> bool:
    return seat.since + 60 * study.edit_minutes >= now


def said_text(text: str) -> str:
    """A note or reason as it is stored. UserError where it is too long."""
    if len(text) > LONGEST_NOTE:
        raise UserError(f"{len(text):,} characters are too many here; {LONGEST_NOTE:,} fit.")
    return clean(text)


def form_of(connection: sa.Connection, study: Study, seat: Seat) -> dict[str, str]:
    """The form's fields as they were posted, made from the answer that stands."""
    values: dict[str, str] = {}
    for event in answered(connection, study, [seat]):
        question = next((q for q in study.questions if q.name == event.said.get("question")), None)
        if question is not None and event.annotation is not None:
            values |= question.form_of(event.annotation, seat.shown)
        if event.said.get("note"):
            values["note"] = str(event.said["note"])
    return values


def answered(connection: sa.Connection, study: Study, given: list[Seat]) -> list[Event]:
    """The events of the submits that stand on these seats."""
    ids = [f"{seat.submit}-{n}" for seat in given for n in range(len(study.questions))]
    return [event_of(row) for row in connection.execute(sa.select(events).where(events.c.id.in_(ids)).order_by(events.c.number)).all()]


def _enter(connection: sa.Connection, study: Study, seat: Seat, now: float) -> int:
    """By how much an answer raises the load of its item; UserError where it comes too late."""
    if seat.state == "leased":
        return 0
    if seat.state in ("answered", "skipped") and not editable(study, seat, now):
        raise UserError(_late(study, seat))
    if seat.state == "answered":
        return 0
    if not has_room(connection, seat):
        if not held.counts(connection, seat.of).overlap:
            raise UserError("This item was taken out of the study. It was not stored; what you wrote is still here.")
        over = "your time for it was over" if seat.state == "expired" else "you had skipped it"
        raise UserError(f"Others have answered this item in the meantime; {over}. It was not stored; what you wrote is still here.")
    return 1


def _late(study: Study, seat: Seat) -> str:
    minutes = f"{study.edit_minutes:g} minutes"
    if seat.state == "skipped":
        return f"You skipped this item more than {minutes} ago."
    return f"An answer can be changed for {minutes}; this one is older."


def _event(study: Study, item: Item, seat: Seat, question: Question, n: int, posted: Posted, now: float) -> Event:
    said = question.answer(posted.values, seat.shown)
    said.check(len(item.responses))
    annotation = Annotation(
        item.prompt,
        item.responses,
        question.task,
        said.to_answer(),
        seat.person,
        shown=seat.shown,
        guideline=study.guideline.version,
        seconds=posted.active_ms / 1000,
        at=clock(now),
        flags=question.flagged(posted.values, seat.shown),
        aspect=question.aspect,
    )
    note = said_text(posted.values.get("note", "")) if n == 0 else ""
    return replace(
        _plain("annotation", study, seat, posted.submit, now, {"question": question.name, **({"note": note} if note else {})}),
        n=n,
        active_ms=posted.active_ms,
        total_ms=posted.total_ms,
        supersedes=seat.submit if seat.state in ("answered", "skipped") else None,
        annotation=annotation,
    )


def _plain(kind: Kind, study: Study, seat: Seat, submit: str, now: float, said: Mapping[str, str]) -> Event:
    return Event(submit, kind, seat.person, seat.purpose, 0, seat.of, now, guideline=study.guideline.version, said=said)
