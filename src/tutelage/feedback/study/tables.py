"""The tables of a study, beside the events of the store: items, people, seats, the admin's log.

A seat is what joins a person and an item: a lease, then an answer or a skip; it is what makes "never the same item twice" a primary
key. An item counts its own seats: `load` is answers and leases of work on it, `wanted` how many it may have, so the next item for
somebody is the first row of an index over the items that are not full (`load < wanted`), and nothing is sorted or counted at the time.
What an item says is a table of its own, because PostgreSQL writes a row anew, text and all, when a count in it changes.
All of this can change and be made again from items and events, but for who leased what.
"""

import sqlalchemy as sa

from tutelage.feedback.metadata import METADATA, SERIAL

items = sa.Table(
    "items",
    METADATA,
    sa.Column("id", sa.Text, primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("place", sa.Integer, nullable=False),
    sa.Column("category", sa.Text, nullable=False),
    sa.Column("expertise", sa.Text, nullable=False),
    sa.Column("k", sa.Integer, nullable=False),
    sa.Column("overlap", sa.Integer, nullable=False),
    sa.Column("wanted", sa.Integer, nullable=False),
    sa.Column("load", sa.Integer, nullable=False, server_default="0"),
    sa.Column("answers", sa.Integer, nullable=False, server_default="0"),
    sa.Column("review", sa.String(16), nullable=False, server_default=""),
)
OPEN = items.c.load < items.c.wanted
_open = (items.c.role, items.c.load, items.c.place, items.c.expertise, items.c.category)
sa.Index("items_open", *_open, sqlite_where=OPEN, postgresql_where=OPEN)
sa.Index("items_by_review", items.c.review, items.c.place)

contents = sa.Table(
    "contents",
    METADATA,
    sa.Column("item", sa.Text, primary_key=True),
    sa.Column("content", sa.Text, nullable=False),
)

people = sa.Table(
    "people",
    METADATA,
    sa.Column("name", sa.Text, primary_key=True),
    sa.Column("role", sa.String(16), nullable=False),
    sa.Column("expertise", sa.Text, nullable=False, server_default="[]"),
    sa.Column("opt_out", sa.Text, nullable=False, server_default="[]"),
    sa.Column("keys", sa.Integer, nullable=False, server_default="1"),
    sa.Column("active", sa.Boolean, nullable=False, server_default=sa.true()),
    sa.Column("accepted", sa.Boolean),
    sa.Column("since", sa.Double, nullable=False),
)

seats = sa.Table(
    "seats",
    METADATA,
    sa.Column("person", sa.Text, primary_key=True),
    sa.Column("item", sa.Text, primary_key=True),
    sa.Column("of", sa.Text, nullable=False),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("since", sa.Double, nullable=False),
    sa.Column("expires", sa.Double, nullable=False),
    sa.Column("submit", sa.Text, nullable=False),
    sa.Column("shown", sa.Text, nullable=False),
    sa.Column("draft", sa.Text, nullable=False, server_default=""),
    sa.Column("n", sa.Integer, nullable=False),
)
sa.Index("seats_by_person", seats.c.person, seats.c.state, seats.c.since)
sa.Index("seats_by_number", seats.c.person, seats.c.n)
sa.Index("seats_by_lease", seats.c.state, seats.c.expires)
sa.Index("seats_by_item", seats.c.of, seats.c.state)

actions = sa.Table(
    "actions",
    METADATA,
    sa.Column("number", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("by", sa.Text, nullable=False),
    sa.Column("action", sa.String(32), nullable=False),
    sa.Column("about", sa.Text, nullable=False),
    sa.Column("detail", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
