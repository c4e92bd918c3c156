"""How far a person is: counted from their own seats and from the index of items that have room, without looking at the items.

What is left is counted in sheets, with the gold items and repeats that will come among them: they are drawn by the number of the sheet,
so it is known which. Were only items of work counted, the total would grow by one whenever another kind of sheet is on the screen, and
tell what nobody is to know.
"""

from bisect import bisect_left
from functools import lru_cache

import sqlalchemy as sa

from tutelage.feedback.study import assign
from tutelage.feedback.study.person import Person
from tutelage.feedback.study.seats import next_sheet
from tutelage.feedback.study.sheet import Progress
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import OPEN, items, seats

FAR = 2000
"""Sheets that are foreseen one by one; beyond them as many are gold or repeats as their rates say."""


def progress(connection: sa.Connection, study: Study, who: Person, now: float) -> Progress:
    """Of a person, in the phase that they are in."""
    mine = _mine(connection, who, now)
    if who.role == "reviewer":
        left = _count(connection, items.c.review == "wanted", assign.unseen(who), *assign.fits(who)) + mine.get(
            ("adjudication", "leased"), 0
        )
        done = mine.get(("adjudication", "answered"), 0)
        return Progress("review" if left else "over", done, left)
    for phase, there in (("practice", study.practice is not None), ("screening", study.screening is not None)):
        if there and (left := _first(connection, who, phase, mine.get((phase, "leased"), 0))) > 0:
            return Progress("practice" if phase == "practice" else "screening", mine.get((phase, "answered"), 0), left)
    done = sum(mine.get((purpose, "answered"), 0) for purpose in ("work", "gold", "repeat"))
    if assign.waits(study, who):
        return Progress("waiting" if who.accepted is None else "over", done, 0)
    leased = sum(mine.get((purpose, "leased"), 0) for purpose in ("work", "gold", "repeat"))
    left = leased + _ahead(connection, study, who)
    return Progress("work" if left else "over", done, left)


def _mine(connection: sa.Connection, who: Person, now: float) -> dict[tuple[str, str], int]:
    """The person's seats by (purpose, state); leases that are over don't count."""
    s = seats.c
    there = sa.func.sum(sa.case((sa.and_(s.state == "leased", s.expires <= now), 0), else_=1)).label("n")
    query = sa.select(s.purpose, s.state, there).where(s.person == who.name).group_by(s.purpose, s.state)
    return {(row.purpose, row.state): int(row.n) for row in connection.execute(query).all()}


def _count(connection: sa.Connection, *where: sa.ColumnElement[bool]) -> int:
    return connection.execute(sa.select(sa.func.count()).select_from(items).where(*where)).scalar_one()


def _first(connection: sa.Connection, who: Person, role: str, leased: int) -> int:
    """What is left of practice or screening."""
    return leased + _count(connection, items.c.role == role, OPEN, assign.unseen(who), *assign.wanted(who))


def _counted(*where: sa.ColumnElement[bool]) -> sa.ScalarSelect[int]:
    return sa.select(sa.func.count()).where(*where).scalar_subquery()


@lru_cache(maxsize=256)
def _open(who: Person, beside: bool) -> sa.Executable:
    """How many items of work have room, and how many of them this person has had; `beside`: also how many gold items may come, and the
    number of the next sheet. Kept: on every page, putting it together takes longer than the database's answer."""
    room = (items.c.role == "work", OPEN, *assign.fits(who))
    had = (seats.c.person == who.name, seats.c.state != "expired", seats.c.purpose == "work", seats.c.item == items.c.id)
    more = (_counted(*assign.gold_left(who)), next_sheet(who.name)) if beside else ()
    # One question: between two of them somebody else may take the last place of an item that this person has.
    return sa.select(_counted(*room), _counted(*had, *room), *more)


def _ahead(connection: sa.Connection, study: Study, who: Person) -> int:
    """Sheets until a person has answered all items of work with room: these, and the gold items and repeats that will be among them."""
    beside = study.gold_rate + study.repeats > 0
    counts: list[int] = list(connection.execute(_open(who, beside)).one())
    work = counts[0] - counts[1]
    if not beside or not work:
        return work
    gold, first = counts[2:]
    return foreseen(study, who.name, first, work, gold, assign.repeatable(connection, who, first) if study.repeats else [])


def foreseen(study: Study, person: str, first: int, work: int, gold: int, answered: list[int]) -> int:
    """Sheets from number `first` on, until `work` items are answered; `gold` items are there, and what was `answered` (numbers of
    sheets, sorted) may be repeated. Goes from one gold item or repeat to the next; all between them is work."""
    sheet, end, repeated, beside = first, first + FAR, 0, list[int]()
    for at, kind in assign.special(study, person, first, end):
        if work <= at - sheet:
            break
        work, sheet = work - (at - sheet), at + 1
        old = at - assign.APART
        if kind == "gold" and gold:
            gold -= 1
        elif kind == "repeat" and bisect_left(answered, old) + max(0, old - first) - bisect_left(beside, old) > repeated:
            repeated += 1
        else:
            work -= 1
            continue
        beside.append(at)
    run = min(work, end - sheet)
    work, sheet = work - run, sheet + run
    rate = study.gold_rate
    return sheet - first + round(work / (1 - rate - study.repeats) if rate + study.repeats < 1 else work)
