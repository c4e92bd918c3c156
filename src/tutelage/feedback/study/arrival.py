"""What the desk must know when somebody comes to it, in one question: every one is a journey to the server, made while all others wait
for their turn."""

from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.store.events import Kind
from tutelage.feedback.store.tables import events
from tutelage.feedback.study.person import Person, allowed, person_of
from tutelage.feedback.study.seats import Seat, next_sheet, seat_of
from tutelage.feedback.study.tables import people, seats

FEW = 8
"""Open seats of a person that are looked at: one is usual, two after an undo."""
_seat = [column.label(f"seat_{column.name}") for column in seats.c]


class Used(UserError):
    """A form's token carries something else than what came with it now; nothing was stored."""

    def __init__(self) -> None:
        super().__init__("This form was used already; open the item again.")


@dataclass(frozen=True)
class Arrival:
    """Somebody who wants an item."""

    who: Person
    sheets: int
    """How many they were handed before; counts draws."""
    open: tuple[Seat, ...]
    """Their seats that are leased, or were until the lease ran out; the latest first."""

    def held(self, now: float) -> Seat | None:
        """The lease that they have."""
        return next((seat for seat in self.open if seat.held(now)), None)


@dataclass(frozen=True)
class Return:
    """Somebody who brings something back."""

    who: Person
    seat: Seat
    used: Kind | None
    """What this submit was stored as before; None: it is new."""


def arrives(connection: sa.Connection, name: str) -> Arrival:
    """UserError for somebody who isn't in the study, or not any more."""
    s = seats.c
    number = next_sheet(name).label("sheets")
    joined = people.outerjoin(seats, sa.and_(s.person == people.c.name, s.state.in_(("leased", "expired"))))
    query = sa.select(people, number, *_seat).select_from(joined).where(people.c.name == name)
    rows = connection.execute(query.order_by(s.since.desc(), s.n.desc()).limit(FEW)).all()
    who = _allowed(rows[0] if rows else None, name)
    return Arrival(who, rows[0].sheets, tuple(seat_of(row, "seat_") for row in rows if row.seat_item is not None))


def returns(connection: sa.Connection, name: str, item: str, submit: str = "") -> Return:
    """UserError as above, for an item that isn't theirs, and for a token of something else."""
    seat = sa.and_(seats.c.person == people.c.name, seats.c.item == item)
    joined = people.outerjoin(seats, seat).outerjoin(events, events.c.id == f"{submit}-0")
    asked = sa.select(people, *_seat, events.c.annotator.label("their"), events.c.item.label("about"), events.c.kind)
    row = connection.execute(asked.select_from(joined).where(people.c.name == name)).first()
    who = _allowed(row, name)
    if row is None or row.seat_item is None:
        raise UserError("This item is not yours. Open the next one.")
    if row.their is not None and (row.their, row.about) != (name, row.seat_of):
        raise UserError("This form was sent for something else already. Open the page again.")
    return Return(who, seat_of(row, "seat_"), row.kind)


def _allowed(row: Any, name: str) -> Person:
    if row is None:
        raise UserError(f"Nobody named {name!r} takes part in this study.")
    return allowed(person_of(row))
