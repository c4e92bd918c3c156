"""How far a person is: counted from their own seats and from the index of items that have room, without looking at the items.

What is left is counted in sheets, with the gold items and repeats that will come among them: they are drawn by the number of the sheet,
so it is known which. Were only items of work counted, the total would grow by one whenever another kind of sheet is on the screen, and
tell what nobody is to know.
"""

from bisect import bisect_left

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
    left = leased + _ahead(connection, study, who, _open(connection, who))
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


def _open(connection: sa.Connection, who: Person) -> int:
    """Items of work with room, less those of them that this person has had."""
    room = (items.c.role == "work", OPEN, *assign.fits(who))
    had = (seats.c.person == who.name, seats.c.state != "expired", seats.c.purpose == "work", seats.c.item == items.c.id)
    there, mine = sa.select(sa.func.count()).select_from(items).where(*room), sa.select(sa.func.count()).where(*had, *room)
    # One question: between two of them somebody else may take the last place of an item that this person has.
    return connection.execute(sa.select(there.scalar_subquery() - mine.scalar_subquery())).scalar_one()


def _ahead(connection: sa.Connection, study: Study, who: Person, work: int) -> int:
    """Sheets until a person has answered so many more items of work: these, and the gold items and repeats that will be among them."""
    rate = study.gold_rate
    if not work or not rate + study.repeats:
        return work
    gold = _count(connection, *assign.gold_left(who)) if rate else 0
    answered = [n for n, _ in assign.repeatable(connection, who, ("answered", "leased"))] if study.repeats else []
    first = connection.execute(sa.select(next_sheet(who.name))).scalar_one()
    return foreseen(study, who.name, first, work, gold, answered)


def foreseen(study: Study, person: str, first: int, work: int, gold: int, answered: list[int]) -> int:
    """Sheets from number `first` on, until `work` items are answered; `gold` items are there, and what was `answered` (numbers of
    sheets, sorted) may be repeated."""
    sheet, known, repeated = first, list(answered), 0
    while work and sheet < first + FAR:
        kind = assign.drawn(study, person, sheet)
        if kind == "gold" and gold:
            gold -= 1
        elif kind == "repeat" and bisect_left(known, sheet - assign.APART) > repeated:
            repeated += 1
        else:
            known.append(sheet)
            work -= 1
        sheet += 1
    rate = study.gold_rate
    return sheet - first + round(work / (1 - rate - study.repeats) if rate + study.repeats < 1 else work)
