"""The tables of a store's own; those of a study (items, people, seats, the admin's log) are in `feedback/study/tables.py`, in the same
database and made by the same migrations.

Every reading of annotations goes along an index that holds all it asks for, so that ids and counts never touch the contents.
"""

import sqlalchemy as sa

from tutelage.feedback.metadata import METADATA, SERIAL

schema = sa.Table("tutelage_schema", METADATA, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))

identity = sa.Table("tutelage_identity", METADATA, sa.Column("id", sa.Text, primary_key=True))
"""One row, drawn when the store is made: whose `ann-01` is meant, where many stores have one."""

events = sa.Table(
    "events",
    METADATA,
    sa.Column("number", SERIAL, primary_key=True, autoincrement=True),
    sa.Column("id", sa.Text, nullable=False, unique=True),
    sa.Column("submit", sa.Text, nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("purpose", sa.String(16), nullable=False),
    sa.Column("item", sa.Text, nullable=False),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("at", sa.Double, nullable=False),
    sa.Column("active_ms", sa.BigInteger, nullable=False),
    sa.Column("total_ms", sa.BigInteger, nullable=False),
    sa.Column("guideline", sa.Text, nullable=False),
    sa.Column("supersedes", sa.Text),
    sa.Column("annotation", sa.String(16)),
    sa.Column("task", sa.Text),
    sa.Column("content", sa.Text, nullable=False),
    sqlite_autoincrement=True,
)
sa.Index("events_by_annotation", events.c.annotation, events.c.kind, events.c.purpose, events.c.submit)
sa.Index("events_by_annotator", events.c.annotator, events.c.kind, events.c.purpose, events.c.submit, events.c.annotation)
sa.Index("events_by_item", events.c.item, events.c.kind)

erased_names = sa.Table("erased_names", METADATA, sa.Column("hash", sa.Text, primary_key=True))

_some = events.c.supersedes.is_not(None)
sa.Index("events_superseding", events.c.supersedes, sqlite_where=_some, postgresql_where=_some)
