"""The annotations of a project: append-only, each once, safe when the writer is killed.

A store is a table in SQLite (or, by URL, in PostgreSQL). Appending is idempotent by id and one transaction per batch: after a
kill a batch is there whole or not at all, and appending it again is right in both cases. What a store holds is a set: its hash
is that of its sorted ids and it is read in the order of ids, so two stores with one hash train the same model, whoever wrote
first.

SQLite runs in WAL mode, so people keep annotating while a reward model reads, with synchronous=FULL: in WAL mode NORMAL may lose
the last transactions when the power fails, and an annotation is a person's time, which can't be computed again. FULL costs one
fsync per batch.
"""

import json
import time
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DatabaseError, OperationalError
from sqlalchemy.schema import CreateIndex, CreateTable

from tutelage.core.errors import Interrupted, UserError
from tutelage.core.text import content_id
from tutelage.feedback.annotation import Annotation, from_plain, to_plain

SCHEMA = 1
PATIENCE = 60.0
"""Seconds that a writer waits for another one."""

_tables = sa.MetaData()
_schema = sa.Table("tutelage_schema", _tables, sa.Column("version", sa.Integer, primary_key=True, autoincrement=False))
_annotations = sa.Table(
    "annotations",
    _tables,
    sa.Column("id", sa.String(16), primary_key=True),
    sa.Column("annotator", sa.Text, nullable=False),
    sa.Column("task", sa.Text, nullable=False),
    sa.Column("content", sa.Text, nullable=False),
)
_by_annotator = sa.Index("annotations_by_annotator", _annotations.c.annotator)


def hash_of(ids: Iterable[str]) -> str:
    """The hash of a set of annotations: that of its sorted ids."""
    return content_id("annotations", sorted(ids))


class Store:
    """A store at a path (SQLite) or a URL (`postgresql://...`).

    With `create` a missing store is made by the first append, and reads as empty until then; without it a missing store is a
    UserError. A file that is no store, or one of a later release, is a UserError; a full disk or an unwritable directory is
    Interrupted.
    """

    def __init__(self, place: str | Path, create: bool = True) -> None:
        self.place = str(place)
        self._path = None if "://" in self.place else Path(self.place)
        if not create and not self._exists():
            raise UserError(f"{self.place}: there is no such store of annotations")

    def append(self, annotations: Iterable[Annotation]) -> int:
        """Add those that are not there yet, all or none of them; how many were new."""
        rows = [_row(a) for a in annotations]
        if not rows:
            return 0
        self._prepare()
        insert = postgresql.insert if self._engine.dialect.name == "postgresql" else sqlite.insert
        one = insert(_annotations).on_conflict_do_nothing(index_elements=["id"])
        with self._named(), self._engine.begin() as connection:
            return sum(connection.execute(one, row).rowcount for row in rows)

    def read(self, without: Sequence[str] = (), annotators: Sequence[str] | None = None, task: str | None = None) -> Iterator[Annotation]:
        """Annotations in the order of their ids, those of the annotators `without` left out, only of `annotators` when given."""
        for row in self._rows(_chosen(sa.select(_annotations.c.content), without, annotators, task).order_by(_annotations.c.id)):
            yield from_plain(json.loads(row.content))

    def ids(self, without: Sequence[str] = (), annotators: Sequence[str] | None = None, task: str | None = None) -> list[str]:
        """Sorted ids of what `read` gives."""
        return [row.id for row in self._rows(_chosen(sa.select(_annotations.c.id), without, annotators, task).order_by(_annotations.c.id))]

    def annotators(self) -> dict[str, int]:
        """How many annotations each annotator gave, by name."""
        annotator = _annotations.c.annotator
        counts = sa.select(annotator, sa.func.count().label("n")).group_by(annotator).order_by(annotator)
        return {row.annotator: row.n for row in self._rows(counts)}

    @property
    def count(self) -> int:
        return sum(self.annotators().values())

    @property
    def hash(self) -> str:
        """16 hex digits, those of the sorted ids."""
        return hash_of(self.ids())

    def _exists(self) -> bool:
        return self._path is None or self._path.exists()

    @cached_property
    def _engine(self) -> sa.Engine:
        if self._path is None:
            return sa.create_engine(self.place)
        # No connection outlives its use: the last one to close folds the log into the file, and a fork inherits nothing.
        engine = sa.create_engine(f"sqlite:///{self._path}", poolclass=sa.NullPool, connect_args={"timeout": PATIENCE})
        event.listen(engine, "connect", _durable)
        return engine

    def _prepare(self) -> None:
        """Make the tables where they are missing; refuse a later release's."""
        with self._named():
            if self._path is not None:
                self._path.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.begin() as connection:
                if self._engine.dialect.name == "sqlite":
                    _write_ahead(connection)
                    connection.exec_driver_sql("BEGIN IMMEDIATE")
                for table in (_schema, _annotations):
                    connection.execute(CreateTable(table, if_not_exists=True))
                connection.execute(CreateIndex(_by_annotator, if_not_exists=True))
                self._check(connection, mark=True)

    def _check(self, connection: sa.Connection, mark: bool = False) -> None:
        found = connection.execute(sa.select(_schema.c.version)).scalar()
        if found is None and mark:
            connection.execute(_schema.insert().values(version=SCHEMA))
        elif found is not None and found > SCHEMA:
            raise UserError(f"{self.place}: was written by a later release (schema {found}; this one reads up to {SCHEMA})")

    def _rows(self, query: sa.Executable) -> Iterator[Any]:
        if not self._exists():
            return
        with self._named(), self._engine.connect() as connection:
            tables = sa.inspect(connection).get_table_names()
            if not tables:
                return
            if _schema.name not in tables:
                raise UserError(f"{self.place}: is a database, but no store of annotations")
            self._check(connection)
            yield from connection.execution_options(yield_per=1000).execute(query)

    @contextmanager
    def _named(self) -> Generator[None]:
        """Say what a database's refusal means: the user's mistake, or the machine's."""
        try:
            yield
        except (OperationalError, OSError) as error:
            raise Interrupted(f"{self.place}: {getattr(error, 'orig', None) or error}") from error
        except DatabaseError as error:
            if type(error) is not DatabaseError:
                raise
            raise UserError(f"{self.place}: is no store of annotations ({error.orig})") from error


def _row(annotation: Annotation) -> dict[str, str]:
    content = json.dumps(to_plain(annotation), ensure_ascii=False, sort_keys=True)
    return {"id": annotation.id, "annotator": annotation.annotator, "task": annotation.task, "content": content}


def _chosen(query: sa.Select[Any], without: Sequence[str], annotators: Sequence[str] | None, task: str | None) -> sa.Select[Any]:
    if without:
        query = query.where(_annotations.c.annotator.not_in(without))
    if annotators is not None:
        query = query.where(_annotations.c.annotator.in_(annotators))
    return query if task is None else query.where(_annotations.c.task == task)


def _write_ahead(connection: sa.Connection) -> None:
    """Turn WAL mode on. SQLite doesn't wait here when another process is at the same: it says "locked" at once."""
    until = time.monotonic() + PATIENCE
    while True:
        try:
            connection.exec_driver_sql("PRAGMA journal_mode=WAL")
            return
        except OperationalError as error:
            if "locked" not in str(error.orig) or time.monotonic() > until:
                raise
            time.sleep(0.01)


def _durable(connection: Any, _record: Any) -> None:
    connection.execute("PRAGMA synchronous=FULL")
