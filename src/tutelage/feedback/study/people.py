"""Who takes part: invited, accepted, revoked, erased. Every admin action is noted in the log, in the same turn.

A pseudonym is all that the store knows of somebody. Links and sessions carry the number of a person's keys under which they were
signed, so drawing another makes all of them worthless at once, and nothing needs to be stored of any of them.
"""

import re
import time
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from typing import Any

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.store import Store, erasure
from tutelage.feedback.store.events import LEARNT, Event, live, write
from tutelage.feedback.store.tables import events
from tutelage.feedback.study import log
from tutelage.feedback.study import seats as held
from tutelage.feedback.study.log import Action
from tutelage.feedback.study.person import Person, Role, add, found, new_keys, person_of
from tutelage.feedback.study.study import Member, Study
from tutelage.feedback.study.tables import actions, people, seats

__all__ = ["Action", "Erased", "People", "Person", "Role"]

NUMBERED = re.compile(r"ann-(\d+)")


@dataclass(frozen=True)
class Erased:
    """What an erasure left."""

    name: str
    """What stands in place of the pseudonym: `erased-` and 8 hex digits."""
    events: int
    """Tombstones: rows whose content is gone."""
    annotations: tuple[str, ...]
    """Ids of the annotations that stood and are gone, sorted."""


class People:
    """The people of a study. What changes something takes `by`, the admin. UserError for a name that nobody has."""

    def __init__(self, study: Study, store: Store, clock: Callable[[], float] = time.time) -> None:
        self.study, self.store, self.clock = study, store, clock
        self.database = store.database.opened()

    def find(self, name: str) -> Person:
        """Somebody, also where their access was withdrawn."""
        with self.database.reading() as connection:
            if connection is None:
                raise UserError(f"Nobody named {name!r} takes part in this study.")
            return found(connection, name)

    def everyone(self) -> list[Person]:
        """By name."""
        with self.database.reading() as connection:
            there = [] if connection is None else [person_of(row) for row in connection.execute(sa.select(people)).all()]
        return sorted(there, key=lambda one: one.name)

    def invite(self, by: str, name: str = "", role: Role = "annotator", expertise: Sequence[str] = ()) -> Person:
        """Add somebody; without a name they are the next `ann-01`, `ann-02`, ... that nobody ever had. UserError where the name is
        taken, was erased, or is none."""
        try:
            asked = Member(name or "ann-01", role, tuple(expertise))
        except ValueError as error:
            raise UserError(str(error)) from None
        with self.database.turn() as connection:
            if name in connection.execute(sa.select(people.c.name)).scalars():
                raise UserError(f"There is somebody named {name!r} already.")
            if erasure.erased(connection, [name] if name else []):
                raise UserError(f"Somebody named {name!r} was erased, and a name that was erased is never given again; choose another.")
            new = Person(name or _next(connection), asked.role, asked.expertise, since=self.clock())
            add(connection, new)
            log.note(connection, self.clock(), by, "invite", new.name, role)
        return new

    def revoke(self, by: str, name: str) -> None:
        """Nothing of theirs works any more: links, sessions, tokens, leases. What they said stays. UserError for the last admin."""
        with self._changing(by, "revoke", name) as (connection, who):
            _not_the_last(connection, who)
            _change(connection, replace(who, active=False, keys=new_keys()))
            for seat in held.leases(connection, name):
                held.release(connection, seat, "expired")

    def restore(self, by: str, name: str) -> None:
        """Undo `revoke`; they need a new link."""
        with self._changing(by, "restore", name) as (connection, who):
            _change(connection, replace(who, active=True))

    def renew(self, by: str, name: str) -> Person:
        """New keys: every link, session and token of before is worthless."""
        with self._changing(by, "renew", name) as (connection, who):
            new = replace(who, keys=new_keys())
            _change(connection, new)
        return new

    def decide(self, by: str, name: str, accepted: bool) -> None:
        """The admin's decision after the screening; somebody who isn't accepted gets no work."""
        with self._changing(by, "accept" if accepted else "decline", name) as (connection, who):
            _change(connection, replace(who, accepted=accepted))

    def set_role(self, by: str, name: str, role: Role) -> None:
        """What somebody may do. UserError where nobody would be admin any more."""
        with self._changing(by, "role", name, role) as (connection, who):
            if role != "admin":
                _not_the_last(connection, who)
            _change(connection, replace(who, role=role))

    def check(self, name: str) -> None:
        """UserError for somebody who said nothing and isn't here."""
        with self.database.reading() as connection:
            if connection is None or not connection.execute(_traces(name)).scalar():
                raise UserError(f"{self.store.place}: there is nothing of {name!r}")

    def erase(self, by: str, name: str) -> Erased:
        """Empty all that somebody said and forget who they were, for good: their events stay as tombstones, their places at items are
        free again, their name is nobody's any more, and one event says that it was done and which others it emptied. Which artifacts
        had learnt from it is for `consumers` to say. UserError for somebody who said nothing and isn't here."""
        erased = erasure.tombstone()
        with self.database.turn() as connection:
            gone = sa.select(events.c.annotation).distinct().where(events.c.annotator == name, *live(LEARNT))
            ids = sorted(connection.execute(gone).scalars())
            emptied = erasure.erase(connection, name, erased)
            here = connection.execute(people.delete().where(people.c.name == name)).rowcount
            if not emptied and not here:
                raise UserError(f"{self.store.place}: there is nothing of {name!r}")
            _vacate(connection, name)
            log.rename(connection, name, erased)
            log.note(connection, self.clock(), erased if by == name else by, "erase", erased, f"{len(emptied)} events")
            write(connection, [Event(held.token(), "erased", erased, at=self.clock(), said={"numbers": emptied})])
        self.database.tidy()
        return Erased(erased, len(emptied), tuple(ids))

    def note(self, by: str, action: str, about: str = "", detail: str = "") -> None:
        """A line in the admin's log, for what is done elsewhere (an export, say)."""
        with self.database.turn() as connection:
            log.note(connection, self.clock(), by, action, about, detail)

    def log(self, after: int = 0) -> list[Action]:
        """The admin's log, in order, from the line after this number."""
        with self.database.reading() as connection:
            return [] if connection is None else log.lines(connection, after)

    @contextmanager
    def _changing(self, by: str, action: str, name: str, detail: str = "") -> Generator[tuple[sa.Connection, Person]]:
        with self.database.turn() as connection:
            yield connection, found(connection, name)
            log.note(connection, self.clock(), by, action, name, detail)


def _next(connection: sa.Connection) -> str:
    """The first pseudonym after all that there ever were."""
    seen: set[str] = set()
    for column in (people.c.name, events.c.annotator, actions.c.about):
        seen |= set(connection.execute(sa.select(column).distinct()).scalars())
    last = max((int(found[1]) for name in seen if (found := NUMBERED.fullmatch(name))), default=0)
    after = (f"ann-{n:02}" for n in count(last + 1))
    return next(name for name in after if not erasure.erased(connection, [name]))


def _traces(name: str) -> sa.Select[Any]:
    """Whether somebody takes part, or said anything."""
    here = sa.exists().where(people.c.name == name)
    return sa.select(sa.or_(here, sa.exists().where(events.c.annotator == name)))


def _not_the_last(connection: sa.Connection, who: Person) -> None:
    """UserError for the only admin: a study without one can't be run."""
    p = people.c
    others = sa.exists().where(p.role == "admin", p.active, p.name != who.name)
    if who.role == "admin" and who.active and not connection.execute(sa.select(others)).scalar():
        raise UserError(f"{who.name} is the only admin of this study; make somebody else admin first.")


def _change(connection: sa.Connection, new: Person) -> None:
    values = {"role": new.role, "keys": new.keys, "active": new.active, "accepted": new.accepted}
    connection.execute(people.update().where(people.c.name == new.name).values(values))


def _vacate(connection: sa.Connection, name: str) -> None:
    """Give up all places of somebody: what they answered is not answered any more."""
    s = seats.c
    mine = sa.select(s.of, s.purpose, s.state).where(s.person == name, s.state.in_(("leased", "answered")))
    for row in connection.execute(mine).all():
        if row.purpose == "work":
            answered = row.state == "answered"
            held.count(connection, row.of, load=-1, answers=-int(answered))
            if answered and held.counts(connection, row.of).review in ("wanted", "leased"):
                held.withdraw(connection, row.of)  # as after an undo: whoever answers next is compared anew
        elif row.purpose == "adjudication":
            held.set_review(connection, row.of, "wanted")
    connection.execute(seats.delete().where(s.person == name))
