"""How far a person is: counted from their own seats and from the index of items that have room, without looking at the items."""

import sqlalchemy as sa

from tutelage.feedback.study import assign
from tutelage.feedback.study.person import Person
from tutelage.feedback.study.sheet import Progress
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import OPEN, items, seats


def progress(connection: sa.Connection, study: Study, who: Person, now: float) -> Progress:
    """Of a person, in the phase that they are in."""
    mine = _mine(connection, who, now)
    if who.role == "reviewer":
        wanted = sa.select(sa.func.count()).where(items.c.review == "wanted", assign.unseen(who), *assign.fits(who))
        left = connection.execute(wanted).scalar_one() + mine.get(("adjudication", "leased"), 0)
        done = mine.get(("adjudication", "answered"), 0)
        return Progress("review" if left else "over", done, left)
    for phase, there in (("practice", study.practice is not None), ("screening", study.screening is not None)):
        if there and (left := _count(connection, phase) - sum(mine.get((phase, state), 0) for state in ("answered", "skipped"))) > 0:
            return Progress("practice" if phase == "practice" else "screening", mine.get((phase, "answered"), 0), left)
    done = sum(mine.get((purpose, "answered"), 0) for purpose in ("work", "gold", "repeat"))
    if assign.waits(study, who):
        return Progress("waiting" if who.accepted is None else "over", done, 0)
    leased = sum(mine.get((purpose, "leased"), 0) for purpose in ("work", "gold", "repeat"))
    left = leased + _open(connection, who)
    return Progress("work" if left else "over", done, left)


def _mine(connection: sa.Connection, who: Person, now: float) -> dict[tuple[str, str], int]:
    """The person's seats by (purpose, state); leases that are over don't count."""
    s = seats.c
    there = sa.func.sum(sa.case((sa.and_(s.state == "leased", s.expires <= now), 0), else_=1)).label("n")
    query = sa.select(s.purpose, s.state, there).where(s.person == who.name).group_by(s.purpose, s.state)
    return {(row.purpose, row.state): int(row.n) for row in connection.execute(query).all()}


def _count(connection: sa.Connection, role: str) -> int:
    return connection.execute(sa.select(sa.func.count()).where(items.c.role == role, OPEN)).scalar_one()


def _open(connection: sa.Connection, who: Person) -> int:
    """Items of work with room, less those of them that this person has had."""
    room = (items.c.role == "work", OPEN, *assign.fits(who))
    everybody = connection.execute(sa.select(sa.func.count()).where(*room)).scalar_one()
    had = (seats.c.person == who.name, seats.c.state != "expired", seats.c.purpose == "work", seats.c.item == items.c.id)
    return everybody - connection.execute(sa.select(sa.func.count()).where(*had, *room)).scalar_one()
