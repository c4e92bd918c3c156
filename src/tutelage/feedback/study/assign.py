"""Which item is next for a person. A turn decides, so nobody is handed the last place of an item that somebody else was just handed.

    practice, in order -> screening, in order -> (the admin's word, where the study waits for it) -> work; reviewers: what is disputed

Work: an item whose lease ran out on this person, if it still has room; else one that needs what they know; else the item with the
fewest answers and leases, in the order of the file. With probability `gold.rate` an item with a known answer takes its place, with
probability `repeats` one that the person answered at least `APART` sheets ago; the draw is a function of (seed, person, number of the
sheet).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import sqlalchemy as sa

from tutelage.core.randomness import choice, permutation, uniforms
from tutelage.core.text import content_id
from tutelage.feedback.store.events import Purpose
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.arrival import Arrival
from tutelage.feedback.study.person import Person
from tutelage.feedback.study.seats import Seat, State
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import OPEN, items, seats

APART = 5
"""Sheets between an item and its repeat: one that was just answered is remembered, not judged again."""

AT_ONCE = 64
"""Sheets of a person that are drawn together."""

Kind = Literal["work", "gold", "repeat"]


def assign(connection: sa.Connection, study: Study, came: Arrival, now: float) -> Seat | None:
    """Lease the next item to a person within a turn; None: nothing is left for them."""
    who = came.who
    again = _resumed(connection, study, came, now)
    if again is not None:
        return again
    if who.role == "reviewer":
        return _seated(connection, study, came, now, _disputed(connection, who), "adjudication")
    for role, there in (("practice", study.practice is not None), ("screening", study.screening is not None)):
        first = _first(connection, who, role, *wanted(who)) if there else None
        if first is not None:
            return _seated(connection, study, came, now, first, "practice" if role == "practice" else "screening")
    return None if waits(study, who) else _work(connection, study, came, now)


def waits(study: Study, who: Person) -> bool:
    """Whether the admin's word stands between this person and the work."""
    return who.accepted is False or (study.screening is not None and study.screening.wait and who.accepted is None)


def fits(who: Person, expertise: Sequence[str] | None = None) -> list[sa.ColumnElement[bool]]:
    """Items that a person may judge: what they know (or only `expertise`), less what they don't want to see."""
    known = ["", *who.expertise] if expertise is None else list(expertise)
    return [items.c.expertise.in_(known), *wanted(who)]


def wanted(who: Person) -> list[sa.ColumnElement[bool]]:
    """Items that are of no category that a person doesn't want to see, whatever the items are for."""
    return [items.c.category.not_in(who.opt_out)] if who.opt_out else []


def unseen(who: Person) -> sa.ColumnElement[bool]:
    """Items that were never this person's, or only until their lease ran out."""
    mine = sa.select(seats.c.item).where(seats.c.person == who.name, seats.c.item == items.c.id, seats.c.state != "expired")
    return ~mine.exists()


@dataclass(frozen=True)
class Chosen:
    """An item and how many responses it has."""

    id: str
    k: int


def _all(connection: sa.Connection, *where: sa.ColumnElement[bool], limit: int | None = None) -> list[Chosen]:
    query = sa.select(items.c.id, items.c.k).where(*where).order_by(items.c.load, items.c.place).limit(limit)
    return [Chosen(row.id, row.k) for row in connection.execute(query).all()]


def _first(connection: sa.Connection, who: Person, role: str, *more: sa.ColumnElement[bool]) -> Chosen | None:
    return next(iter(_all(connection, items.c.role == role, OPEN, unseen(who), *more, limit=1)), None)


def _disputed(connection: sa.Connection, who: Person) -> Chosen | None:
    return next(iter(_all(connection, items.c.review == "wanted", unseen(who), *fits(who), limit=1)), None)


def _resumed(connection: sa.Connection, study: Study, came: Arrival, now: float) -> Seat | None:
    """The item whose lease ran out on this person, with their draft and its order on the screen, if nobody took its place."""
    for lost in came.open[:1]:
        there = held.counts(connection, lost.of)
        swept = lost.state == "expired"
        taken = (lost.purpose == "work" and not there.room) or (lost.purpose == "adjudication" and there.review != "wanted")
        if (swept and taken) or there.category in came.who.opt_out:
            continue
        back = replace(lost, state="leased", since=now, expires=now + 60 * study.lease_minutes)
        held.change(connection, back)
        if swept:
            held.took(connection, back)
        return back
    return None


def _work(connection: sa.Connection, study: Study, came: Arrival, now: float) -> Seat | None:
    who = came.who
    special = _first(connection, who, "work", *fits(who, who.expertise)) if who.expertise else None
    first = special or _first(connection, who, "work", *fits(who, ("",)))
    if first is None:
        return None
    kind = drawn(study, who.name, came.sheets)
    if kind == "gold" and (gold := _gold(connection, study, came)) is not None:
        return _seated(connection, study, came, now, gold, "gold")
    if kind == "repeat" and (repeat := _repeat(connection, study, came)) is not None:
        return _seated(connection, study, came, now, repeat, "repeat")
    return _seated(connection, study, came, now, first, "work")


def drawn(study: Study, person: str, sheet: int) -> Kind:
    """What a person's sheet of this number is to be, where there is any of it."""
    return dict(special(study, person, sheet, sheet + 1)).get(sheet, "work")


def special(study: Study, person: str, first: int, end: int) -> Iterator[tuple[int, Kind]]:
    """The sheets from `first` up to before `end` that are to be no work, in order."""
    gold, repeats = study.gold_rate, study.repeats
    if gold + repeats == 0:
        return
    for block in range(first // AT_ONCE, -(-end // AT_ONCE)):
        for sheet, kind in _special(study.seed, person, gold, repeats, block):
            if first <= sheet < end:
                yield sheet, kind


@lru_cache(maxsize=4096)
def _special(seed: int, person: str, gold: float, repeats: float, block: int) -> list[tuple[int, Kind]]:
    sheets = range(block * AT_ONCE, (block + 1) * AT_ONCE)
    draws = [(sheet, float(uniforms(1, "sheet", seed, person, sheet)[0])) for sheet in sheets]
    beside: list[tuple[int, Kind]] = []
    for sheet, draw in draws:
        if draw < gold + repeats:
            beside.append((sheet, "gold" if draw < gold else "repeat"))
    return beside


def gold_left(who: Person) -> list[sa.ColumnElement[bool]]:
    """Items whose answer is known that may still come to a person."""
    return [items.c.role == "gold", OPEN, unseen(who), *fits(who)]


def _gold(connection: sa.Connection, study: Study, came: Arrival) -> Chosen | None:
    left = _all(connection, *gold_left(came.who))
    return choice(left, "gold", study.seed, came.who.name, came.sheets) if left else None


def repeatable(connection: sa.Connection, who: Person, first: int) -> list[int]:
    """The numbers of a person's sheets of work, this one too, that may be repeated from the sheet `first` on; sorted. Those that may be
    at once are only counted by the database, and all have the number that the last of them may have."""
    rows = connection.execute(_numbers(who), {"old": first - APART - 1}).all()
    return [row.number for row in rows for _ in range(row.times)]


@lru_cache(maxsize=256)
def _numbers(who: Person) -> sa.Executable:
    """Kept: on every page, putting it together takes longer than the database's answer."""
    old = sa.bindparam("old", type_=sa.Integer)
    n = sa.case((seats.c.n < old, old), else_=seats.c.n).label("number")
    found = sa.select(n, sa.func.count().label("times")).where(*_once(who, ("answered", "leased")))
    return found.group_by("number").order_by("number")


def _once(who: Person, states: Sequence[State]) -> list[sa.ColumnElement[bool]]:
    """A person's seats of work, with their items, that they have not had again."""
    again = seats.alias("again")
    had = sa.select(again.c.of).where(again.c.person == who.name, again.c.purpose == "repeat")  # read once, not for every seat
    mine = [seats.c.person == who.name, seats.c.state.in_(states), seats.c.purpose == "work", seats.c.of.not_in(had)]
    there = [seats.c.of == items.c.id, items.c.overlap > 0]  # not one that was taken out of the study
    return [*mine, *there, *wanted(who)]


def _repeat(connection: sa.Connection, study: Study, came: Arrival) -> Chosen | None:
    query = sa.select(items.c.id, items.c.k).where(*_once(came.who, ("answered",)), seats.c.n < came.sheets - APART)
    left = [Chosen(row.id, row.k) for row in connection.execute(query.order_by(seats.c.n)).all()]
    return choice(left, "repeat", study.seed, came.who.name, came.sheets) if left else None


def _seated(connection: sa.Connection, study: Study, came: Arrival, now: float, item: Chosen | None, purpose: Purpose) -> Seat | None:
    if item is None:
        return None
    who = came.who.name
    name = content_id("repeat", study.seed, who, item.id) if purpose == "repeat" else item.id
    shown = tuple(permutation(item.k, "shown", study.seed, who, name))
    new = Seat(who, name, item.id, purpose, "leased", now, now + 60 * study.lease_minutes, held.token(), shown, {}, came.sheets)
    held.put(connection, new)
    held.took(connection, new)
    return new
