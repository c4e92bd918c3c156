"""Which item is next for a person. A turn decides, so nobody is handed the last place of an item that somebody else was just handed.

    practice, in order -> screening, in order -> (the admin's word, where the study waits for it) -> work; reviewers: what is disputed

Work: an item whose lease ran out on this person, if it still has room; else one that needs what they know; else the item with the
fewest answers and leases, in the order of the file. With probability `gold.rate` an item with a known answer takes its place, with
probability `repeats` one that the person answered at least `APART` sheets ago; the draw is a function of (seed, person, number of the
sheet).
"""

from collections.abc import Sequence
from dataclasses import replace

import sqlalchemy as sa

from tutelage.core.randomness import choice, permutation, uniforms
from tutelage.core.text import content_id
from tutelage.feedback.store.events import Purpose
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.person import Person
from tutelage.feedback.study.seats import Seat
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import OPEN, items, people, seats

APART = 5
"""Sheets between an item and its repeat: one that was just answered is remembered, not judged again."""


def assign(connection: sa.Connection, study: Study, who: Person, now: float) -> Seat | None:
    """Lease the next item to a person within a turn; None: nothing is left for them."""
    held.sweep(connection, now)
    again = _resumed(connection, study, who, now)
    if again is not None:
        return again
    if who.role == "reviewer":
        return _seated(connection, study, who, now, _disputed(connection, who), "adjudication")
    for role, there in (("practice", study.practice is not None), ("screening", study.screening is not None)):
        first = _first(connection, who, role) if there else None
        if first is not None:
            return _seated(connection, study, who, now, first, "practice" if role == "practice" else "screening")
    return None if waits(study, who) else _work(connection, study, who, now)


def waits(study: Study, who: Person) -> bool:
    """Whether the admin's word stands between this person and the work."""
    return who.accepted is False or (study.screening is not None and study.screening.wait and who.accepted is None)


def fits(who: Person, expertise: Sequence[str] | None = None) -> list[sa.ColumnElement[bool]]:
    """Items that a person may judge: what they know (or only `expertise`), less what they don't want to see."""
    known = ["", *who.expertise] if expertise is None else list(expertise)
    wanted: list[sa.ColumnElement[bool]] = [items.c.expertise.in_(known)]
    return [*wanted, items.c.category.not_in(who.opt_out)] if who.opt_out else wanted


def unseen(who: Person) -> sa.ColumnElement[bool]:
    """Items that were never this person's, or only until their lease ran out."""
    mine = sa.select(seats.c.item).where(seats.c.person == who.name, seats.c.item == items.c.id, seats.c.state != "expired")
    return ~mine.exists()


def _first(connection: sa.Connection, who: Person, role: str, *more: sa.ColumnElement[bool]) -> str | None:
    query = sa.select(items.c.id).where(items.c.role == role, OPEN, unseen(who), *more)
    return connection.execute(query.order_by(items.c.load, items.c.place).limit(1)).scalar()


def _resumed(connection: sa.Connection, study: Study, who: Person, now: float) -> Seat | None:
    """The item whose lease ran out on this person, with their draft and its order on the screen, if nobody took its place."""
    for lost in held.latest(connection, who.name, ["expired"]):
        there = held.counts(connection, lost.of)
        taken = (lost.purpose == "work" and not there.room) or (lost.purpose == "adjudication" and there.review != "wanted")
        if taken or there.category in who.opt_out:
            continue
        back = replace(lost, state="leased", since=now, expires=now + 60 * study.lease_minutes)
        held.change(connection, back)
        _took(connection, back)
        return back
    return None


def _work(connection: sa.Connection, study: Study, who: Person, now: float) -> Seat | None:
    special = _first(connection, who, "work", *fits(who, who.expertise)) if who.expertise else None
    first = special or _first(connection, who, "work", *fits(who, ("",)))
    if first is None:
        return None
    draw = float(uniforms(1, "sheet", study.seed, who.name, who.sheets)[0])
    rate = 0.0 if study.gold is None else study.gold.rate
    if draw < rate and (gold := _gold(connection, study, who)) is not None:
        return _seated(connection, study, who, now, gold, "gold")
    if rate <= draw < rate + study.repeats and (repeat := _repeat(connection, study, who)) is not None:
        return _seated(connection, study, who, now, repeat, "repeat")
    return _seated(connection, study, who, now, first, "work")


def _gold(connection: sa.Connection, study: Study, who: Person) -> str | None:
    query = sa.select(items.c.id).where(items.c.role == "gold", OPEN, unseen(who), *fits(who)).order_by(items.c.place)
    left = list(connection.execute(query).scalars())
    return choice(left, "gold", study.seed, who.name, who.sheets) if left else None


def _repeat(connection: sa.Connection, study: Study, who: Person) -> str | None:
    """One of the person's answered items that they have not had again."""
    again = seats.alias("again")
    had = sa.exists().where(again.c.person == who.name, again.c.of == seats.c.of, again.c.purpose == "repeat")
    mine = (seats.c.person == who.name, seats.c.state == "answered", seats.c.purpose == "work", seats.c.n < who.sheets - APART)
    left = list(connection.execute(sa.select(seats.c.of).where(*mine, ~had).order_by(seats.c.n)).scalars())
    return choice(left, "repeat", study.seed, who.name, who.sheets) if left else None


def _disputed(connection: sa.Connection, who: Person) -> str | None:
    query = sa.select(items.c.id).where(items.c.review == "wanted", unseen(who), *fits(who))
    return connection.execute(query.order_by(items.c.place).limit(1)).scalar()


def _seated(connection: sa.Connection, study: Study, who: Person, now: float, item: str | None, purpose: Purpose) -> Seat | None:
    if item is None:
        return None
    name = content_id("repeat", study.seed, who.name, item) if purpose == "repeat" else item
    k = connection.execute(sa.select(items.c.k).where(items.c.id == item)).scalar_one()
    shown = tuple(permutation(k, "shown", study.seed, who.name, name))
    expires = now + 60 * study.lease_minutes
    new = Seat(who.name, name, item, purpose, "leased", now, expires, held.token(), shown, {}, who.sheets)
    held.put(connection, new)
    _took(connection, new)
    connection.execute(people.update().where(people.c.name == who.name).values(sheets=people.c.sheets + 1))
    return new


def _took(connection: sa.Connection, new: Seat) -> None:
    if new.purpose == "work":
        held.count(connection, new.of, load=1)
    elif new.purpose == "adjudication":
        held.set_review(connection, new.of, "leased")
