"""From an older store to today's: each step a function, all of them in the transaction that found the older schema.

A step is whole or not at all, and keeps every annotation, so a store has the same hash before and after. Schema 1 was one table of
annotations; schema 2 has events and the tables of a study; schema 3 remembers erased names, and its tombstones hold no id of what was
said; schema 4 has an identity.
"""

import json
import secrets
from collections.abc import Callable, Mapping
from typing import Any

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.feedback.annotation import from_plain
from tutelage.feedback.metadata import METADATA
from tutelage.feedback.store import tables
from tutelage.feedback.store.erasure import unname
from tutelage.feedback.store.events import formless, row_of
from tutelage.feedback.study import tables as study

OURS = (
    tables.schema,
    tables.identity,
    tables.events,
    tables.erased_names,
    study.items,
    study.contents,
    study.people,
    study.seats,
    study.actions,
)
BATCH = 1000


def version_of(connection: sa.Connection, name: str) -> int | None:
    """The schema of the store behind a connection; None where there is no table at all. UserError where the tables are somebody
    else's, or a later release's."""
    there = set(sa.inspect(connection).get_table_names())
    if not there:
        return None
    found = connection.execute(sa.select(tables.schema.c.version)).scalar() if tables.schema.name in there else None
    if found is None:
        raise UserError(f"{name}: is a database, but no store of annotations")
    if found > SCHEMA:
        raise UserError(f"{name}: was written by a later release (schema {found}; this one reads up to {SCHEMA})")
    return found


def migrate(connection: sa.Connection, name: str) -> None:
    """Make the tables where there are none, or bring older ones to today's schema. UserError as in `version_of`, and where a table
    of another program has the name of one of ours."""
    there = set(sa.inspect(connection).get_table_names())
    if tables.schema.name in there:
        version = version_of(connection, name)
        for older in range(version or SCHEMA, SCHEMA):
            STEPS[older](connection)
            connection.execute(tables.schema.update().values(version=older + 1))
        return
    taken = sorted(there & {table.name for table in OURS})
    if taken:
        raise UserError(f"{name}: has a table '{taken[0]}' already, of another program; give the store a database of its own")
    METADATA.create_all(connection)
    _identify(connection)
    connection.execute(tables.schema.insert().values(version=SCHEMA))


def _to_2(connection: sa.Connection) -> None:
    """Annotations become events of purpose `machine`: schema 1 knew no forms."""
    METADATA.create_all(connection)
    old = sa.table("annotations", sa.column("id"), sa.column("content"))
    after = ""
    while rows := connection.execute(sa.select(old.c.id, old.c.content).where(old.c.id > after).order_by(old.c.id).limit(BATCH)).all():
        connection.execute(tables.events.insert(), [row_of(formless(from_plain(json.loads(row.content)), "machine")) for row in rows])
        after = rows[-1].id
    connection.exec_driver_sql("DROP TABLE annotations")


def _to_3(connection: sa.Connection) -> None:
    """Tombstones lose what could be guessed from."""
    METADATA.create_all(connection)
    e = tables.events.c
    unname(connection, e.kind == "erased")
    connection.execute(tables.events.update().where(e.kind == "erased").values(annotation=None))


def _to_4(connection: sa.Connection) -> None:
    """Manifests of runs name the store by what is drawn here."""
    METADATA.create_all(connection)
    _identify(connection)


def _identify(connection: sa.Connection) -> None:
    if connection.execute(sa.select(tables.identity.c.id)).first() is None:
        connection.execute(tables.identity.insert().values(id=secrets.token_hex(8)))


STEPS: Mapping[int, Callable[[sa.Connection], Any]] = {1: _to_2, 2: _to_3, 3: _to_4}
"""By the schema that each begins with."""
SCHEMA = max(STEPS) + 1
