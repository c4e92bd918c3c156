"""The admin's log: every admin action, when and by whom, in the turn that does it; nothing is ever taken out of it."""

from dataclasses import dataclass

import sqlalchemy as sa

from tutelage.feedback.study.tables import actions


@dataclass(frozen=True)
class Action:
    """A line."""

    number: int
    at: float
    """Unix seconds."""
    by: str
    action: str
    """invite, revoke, restore, renew, accept, decline, role, grade, erase, reply, or what the site notes."""
    about: str
    """Mostly a person."""
    detail: str = ""


def note(connection: sa.Connection, at: float, by: str, action: str, about: str = "", detail: str = "") -> None:
    """Add a line within a turn."""
    connection.execute(actions.insert(), [{"at": at, "by": by, "action": action, "about": about, "detail": detail}])


def lines(connection: sa.Connection, after: int) -> list[Action]:
    """The lines after this number, in order."""
    rows = connection.execute(sa.select(actions).where(actions.c.number > after).order_by(actions.c.number)).all()
    return [Action(row.number, row.at, row.by, row.action, row.about, row.detail) for row in rows]


def rename(connection: sa.Connection, name: str, erased: str) -> None:
    """Put a tombstone in the place of a name that is erased."""
    connection.execute(actions.update().where(actions.c.about == name).values(about=erased))
    connection.execute(actions.update().where(actions.c.by == name).values(by=erased))
