"""One of the people of a study, as the database has them."""

import json
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.store import erasure
from tutelage.feedback.study.study import Study
from tutelage.feedback.study.tables import people

Role = Literal["annotator", "reviewer", "admin"]


def new_keys() -> int:
    """A number for somebody's keys, drawn: counted ones would come again for whoever has the name in another store."""
    return secrets.randbits(31)


@dataclass(frozen=True)
class Person:
    """Somebody who takes part."""

    name: str
    """A pseudonym: all that the store knows of them."""
    role: Role = "annotator"
    expertise: tuple[str, ...] = ()
    opt_out: tuple[str, ...] = ()
    """Content categories that are not shown to them."""
    keys: int = field(default_factory=new_keys)
    """The number of their keys: what was signed under another number is worthless."""
    active: bool = True
    """False: revoked."""
    accepted: bool | None = None
    """What the admin decided after the screening; None: nothing yet."""
    since: float = 0.0
    """Unix seconds."""


def person_of(row: Any) -> Person:
    """A row of the table."""
    own: dict[str, Any] = {name: getattr(row, name) for name in ("name", "role", "keys", "active", "accepted", "since")}
    return Person(**own, expertise=tuple(json.loads(row.expertise)), opt_out=tuple(json.loads(row.opt_out)))


def found(connection: sa.Connection, name: str) -> Person:
    """UserError for a name that nobody has."""
    row = connection.execute(sa.select(people).where(people.c.name == name)).first()
    if row is None:
        raise UserError(f"Nobody named {name!r} takes part in this study.")
    return person_of(row)


def working(connection: sa.Connection, name: str) -> Person:
    """The same, for somebody who is at the desk: UserError too where their access was withdrawn."""
    return allowed(found(connection, name))


def allowed(who: Person) -> Person:
    """UserError where their access was withdrawn."""
    if not who.active:
        raise UserError("Your access to this study has ended. Whoever runs it can tell you why.")
    return who


def enroll(connection: sa.Connection, study: Study, now: float) -> None:
    """Add the people that the study's page names; those who are there stay as they are. UserError for one who was erased."""
    there = set(connection.execute(sa.select(people.c.name)).scalars())
    new = [member for member in study.people if member.name not in there]
    erasure.refuse(connection, [member.name for member in new], "people")
    for member in new:
        add(connection, Person(member.name, member.role, member.expertise, since=now))


def add(connection: sa.Connection, new: Person) -> None:
    """A row for somebody whose name is free."""
    row = {"name": new.name, "role": new.role, "expertise": json.dumps(list(new.expertise)), "keys": new.keys, "since": new.since}
    connection.execute(people.insert(), [row])


def set_opt_out(connection: sa.Connection, name: str, categories: Sequence[str]) -> None:
    """What somebody doesn't want to see."""
    connection.execute(people.update().where(people.c.name == name).values(opt_out=json.dumps(sorted(set(categories)))))
