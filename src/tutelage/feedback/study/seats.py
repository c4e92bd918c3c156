"""Seats: what joins a person and an item, and the small questions that the desk asks of them and of items. All in SQL, along indexes.

    leased -> answered | skipped | expired        answered, skipped -> leased (undo)        expired -> leased (it is handed out again)

Every change of a seat of work changes the item's counts in the same turn: `load` counts leased and answered seats, `answers` the latter.
"""

import json
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import postgresql, sqlite

from tutelage.core.text import content_id
from tutelage.feedback.store.events import Purpose
from tutelage.feedback.study.tables import items, seats

KEPT = ("person", "item", "of", "purpose", "state", "since", "expires", "submit", "n")
ASIDE = "aside"
"""An item's review that was wanted, when the item was taken out of the study."""
State = Literal["leased", "answered", "skipped", "expired"]


@dataclass(frozen=True)
class Seat:
    """One person before one item."""

    person: str
    item: str
    """As the person knows it: for a repeat another id than the item's own."""
    of: str
    """The item's own id."""
    purpose: Purpose
    state: State
    since: float
    """Unix seconds of when it was leased, or answered first."""
    expires: float
    submit: str
    """The token of the form; after the answer that of the submit that stands."""
    shown: tuple[int, ...]
    draft: Mapping[str, str]
    n: int
    """Its number among the person's sheets."""

    def held(self, now: float) -> bool:
        """Whether it is a lease that is not over."""
        return self.state == "leased" and self.expires > now


@dataclass(frozen=True)
class Counts:
    """What the database counts of an item."""

    category: str
    overlap: int
    wanted: int
    load: int
    answers: int
    review: str

    @property
    def room(self) -> bool:
        return self.load < self.wanted


def seat_of(row: Any, prefix: str = "") -> Seat:
    """A row of the table; its columns may have a prefix, where they are joined to others."""
    plain: dict[str, Any] = {name: getattr(row, prefix + name) for name in KEPT}
    shown, draft = getattr(row, f"{prefix}shown"), getattr(row, f"{prefix}draft")
    return Seat(**plain, shown=tuple(json.loads(shown)), draft=json.loads(draft or "{}"))


def token() -> str:
    """A new form's token: drawn, so that nothing about the person can be read from the events of somebody who was erased."""
    return secrets.token_hex(8)


def edit_token(submit: str) -> str:
    """The token of the form that changes the answer of this submit: one, so that two pages can't each change it, and a draft finds its
    page again. Drawn as the submit's own was."""
    return content_id("edit", submit)


def seat(connection: sa.Connection, person: str, item: str) -> Seat | None:
    row = connection.execute(sa.select(seats).where(seats.c.person == person, seats.c.item == item)).first()
    return None if row is None else seat_of(row)


def counts(connection: sa.Connection, item: str) -> Counts:
    """Of an item that is there."""
    i = items.c
    row = connection.execute(sa.select(i.category, i.overlap, i.wanted, i.load, i.answers, i.review).where(i.id == item)).one()
    return Counts(row.category, row.overlap, row.wanted, row.load, row.answers, row.review)


def leases(connection: sa.Connection, person: str) -> list[Seat]:
    """All that the person has leased, over or not."""
    rows = connection.execute(sa.select(seats).where(seats.c.person == person, seats.c.state == "leased")).all()
    return [seat_of(row) for row in rows]


def latest(connection: sa.Connection, person: str, states: Sequence[State], limit: int = 1) -> list[Seat]:
    """The person's seats in these states, the latest first."""
    s = seats.c
    query = sa.select(seats).where(s.person == person, s.state.in_(states)).order_by(s.since.desc(), s.n.desc()).limit(limit)
    return [seat_of(row) for row in connection.execute(query).all()]


def put(connection: sa.Connection, new: Seat) -> None:
    """A new seat, or one that takes the place of an expired one."""
    insert = postgresql.insert if connection.dialect.name == "postgresql" else sqlite.insert
    fixed = {name: getattr(new, name) for name in ("of", "purpose", "n")}
    values = {**fixed, **_row(new), "shown": json.dumps(new.shown)}
    added = insert(seats).values(person=new.person, item=new.item, **values)
    connection.execute(added.on_conflict_do_update(index_elements=["person", "item"], set_=values))


def change(connection: sa.Connection, new: Seat) -> None:
    """Store what can change of a seat: state, times, token, draft."""
    connection.execute(seats.update().where(seats.c.person == new.person, seats.c.item == new.item).values(_row(new)))


def next_sheet(person: str) -> sa.ScalarSelect[int]:
    """The number that a person's next sheet has; from 0."""
    return sa.select(sa.func.coalesce(sa.func.max(seats.c.n) + 1, 0)).where(seats.c.person == person).scalar_subquery()


def count(connection: sa.Connection, item: str, load: int = 0, answers: int = 0) -> None:
    """Change an item's counts by these."""
    if load or answers:
        changed = items.update().where(items.c.id == item).values(load=items.c.load + load, answers=items.c.answers + answers)
        connection.execute(changed)


def set_review(connection: sa.Connection, item: str, review: str) -> None:
    """`wanted`, `leased`, `done` or nothing; of an item that was taken out of the study none is wanted any more."""
    said = sa.case((items.c.overlap > 0, review), else_=ASIDE) if review == "wanted" else review
    connection.execute(items.update().where(items.c.id == item).values(review=said))


def withdraw(connection: sa.Connection, item: str) -> None:
    """No review of an item is wanted any more. A reviewer who has it loses the lease, and its form's token is good no longer: what is on
    that screen isn't what people say now."""
    s = seats.c
    reviewing = sa.select(seats).where(s.of == item, s.purpose == "adjudication", s.state.in_(("leased", "expired")))
    for one in [seat_of(row) for row in connection.execute(reviewing).all()]:
        change(connection, replace(one, state="expired", submit=token()))
    set_review(connection, item, "")


def took(connection: sa.Connection, one: Seat) -> None:
    """What a new lease takes of its item."""
    if one.purpose == "work":
        count(connection, one.of, load=1)
    elif one.purpose == "adjudication":
        set_review(connection, one.of, "leased")


def sweep(connection: sa.Connection, now: float) -> None:
    """End the leases that are over: their items have room again, drafts stay."""
    s = seats.c
    over = [seat_of(row) for row in connection.execute(sa.select(seats).where(s.state == "leased", s.expires <= now)).all()]
    for one in over:
        release(connection, one, "expired")


def release(connection: sa.Connection, one: Seat, state: State) -> None:
    """End a lease; what it held is free again."""
    s = seats.c
    connection.execute(seats.update().where(s.person == one.person, s.item == one.item).values(state=state))
    if one.purpose == "work":
        count(connection, one.of, load=-1)
    elif one.purpose == "adjudication":
        set_review(connection, one.of, "wanted")


def _row(new: Seat) -> dict[str, Any]:
    draft = json.dumps(dict(new.draft), ensure_ascii=False) if new.draft else ""
    return {"state": new.state, "since": new.since, "expires": new.expires, "submit": new.submit, "draft": draft}
