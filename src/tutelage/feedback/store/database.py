"""One database, SQLite by path or PostgreSQL by URL: connections, turns to write, and what its refusals mean.

Whoever writes has the database's turn: SQLite's BEGIN IMMEDIATE, in PostgreSQL an advisory lock until the commit. So writers come
one after another in both, decisions ("who gets the last place of this item?") read what the one before has committed, and events are
numbered in the order in which they appear: in PostgreSQL a sequence alone numbers them in the order of inserting, and a reader who goes
on "after 41" would miss a 40 that commits later. Threads of one process queue for the turn in the process (`turns.py`).

SQLite runs in WAL mode, so people keep annotating while a reward model reads. A turn is durable by default: synchronous=FULL, because in
WAL mode NORMAL may lose the last transactions when the power fails, and an annotation is a person's time, which can't be computed
again. A turn that isn't (a lease, a draft) costs no fsync; it is on the disk with the next one that is.
"""

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, cast

import sqlalchemy as sa
from sqlalchemy import event
from sqlalchemy.exc import ArgumentError, DatabaseError, DBAPIError, InterfaceError, OperationalError

from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.store import migrations
from tutelage.feedback.store.turns import Turns

PATIENCE = 60.0
"""Seconds that a writer waits for another one."""
SILENCE = 90.0
"""Seconds without a word from PostgreSQL after which it counts as away; more than PATIENCE, for waiting is silent."""
TURN = 0x7475746C
"""The key of PostgreSQL's advisory lock."""
AWAY = ("08", "40", "53", "55", "57", "58", "XX")
"""Classes of PostgreSQL's errors that are the machine's: connection, locks, resources, shutdown, system."""
CLOSED = ("28", "3D")
"""Classes that are the user's: who may enter, and which database there is."""


class Database:
    """A database at a path or a URL. `kept`: connections stay open between uses, as a server wants it; else each ends with its use, so
    that the last one folds SQLite's log into the file and a fork inherits nothing."""

    def __init__(self, place: str | Path, kept: bool = False) -> None:
        self._url = _url(str(place)) if "://" in str(place) else None
        self.path = Path(place) if self._url is None else None
        self.name = str(place) if self._url is None else self._url.render_as_string(hide_password=True)
        self.kept = kept
        self._given = place
        self._turns = Turns()
        self._preparing = threading.Lock()
        self._file: tuple[int, int] | None = None
        self._ready = False

    def opened(self) -> "Database":
        """The same database with connections that are kept."""
        return Database(self._given, kept=True)

    def close(self) -> None:
        """Close every connection that is not in use."""
        self._engine.dispose()
        self._reader.dispose()

    @property
    def exists(self) -> bool:
        """Whether there may be something to read: a server has a database, or a path a file."""
        return self.path is None or self.path.exists()

    @contextmanager
    def turn(self, durable: bool = True) -> Generator[sa.Connection]:
        """A transaction that alone may write; committed at the end, undone by any exception. The store is made where it is missing.
        Raises Interrupted where the database is away: then nothing of it is stored, or, where only the word of success was lost, all."""
        self._prepare()
        with self._turns.turn(durable), self.named(), self._begun(durable) as connection:
            yield connection
            connection.commit()
            self._same_file()

    @contextmanager
    def reading(self, streamed: bool = False) -> Generator[sa.Connection | None]:
        """A connection to read with; None where there is nothing yet. `streamed`: rows come from the server as they are taken."""
        with self.named():
            there = self.exists and self._found()
            self._same_file()
        if not there:
            yield None
            return
        with self.named(), (self._engine if streamed else self._reader).connect() as connection:
            yield connection.execution_options(yield_per=1000) if streamed else connection

    @contextmanager
    def named(self) -> Generator[None]:
        """Say what a database's refusal means: the user's mistake, or the machine's."""
        try:
            yield
        except OSError as error:
            raise Interrupted(f"{self.name}: {error}") from error
        except DBAPIError as error:
            meant = self._meaning(error)
            if meant is None:
                raise
            raise meant from error

    def learn(self) -> None:
        """Tell PostgreSQL's planner of what was just loaded; it would find out in a minute, and read whole tables until then."""
        if self.path is None:
            with self.turn() as connection:
                connection.exec_driver_sql("ANALYZE")

    def tidy(self) -> None:
        """Overwrite what was deleted or emptied, so that the disk doesn't keep it: SQLite's log is folded in, PostgreSQL's old rows go."""
        with self.named(), self._engine.connect() as connection:
            if self.path is not None:
                connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)")
            else:
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")

    @cached_property
    def _reader(self) -> sa.Engine:
        """For single questions: in PostgreSQL without the two journeys that begin and end a transaction."""
        return self._engine if self._url is None else _server(self._url, "AUTOCOMMIT")

    @cached_property
    def _engine(self) -> sa.Engine:
        if self._url is not None:
            return _server(self._url)
        waiting: dict[str, Any] = {"timeout": PATIENCE, "check_same_thread": False}
        if self.kept:
            engine = sa.create_engine(f"sqlite:///{self.path}", poolclass=sa.QueuePool, pool_size=8, max_overflow=32, connect_args=waiting)
        else:
            engine = sa.create_engine(f"sqlite:///{self.path}", poolclass=sa.NullPool, connect_args=waiting)
        event.listen(engine, "connect", _durable)
        return engine

    @contextmanager
    def _begun(self, durable: bool) -> Generator[sa.Connection]:
        self._same_file()
        try:
            connection = self._first(durable)
        except DBAPIError as error:
            if not error.connection_invalidated:
                raise
            connection = self._first(durable)  # the server was away since the last use and is back: nothing was begun yet
        with connection:
            yield connection

    def _first(self, durable: bool) -> sa.Connection:
        connection = self._engine.connect()
        try:
            self._take(connection, durable)
        except BaseException:
            connection.close()
            raise
        return connection

    def _take(self, connection: sa.Connection, durable: bool) -> None:
        if self.path is not None:
            if self.kept:
                connection.exec_driver_sql(f"PRAGMA synchronous={'FULL' if durable else 'NORMAL'}")
            connection.exec_driver_sql("BEGIN IMMEDIATE")
            return
        waits = "" if durable else "; SET LOCAL synchronous_commit TO off"
        connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({TURN}){waits}")  # one journey to the server

    def _found(self) -> bool:
        """Whether there is a store, brought to today's schema. UserError where it is something else or a later release's."""
        if self._ready and self.kept:
            return True
        with self._engine.connect() as connection:
            version = migrations.version_of(connection, self.name)
        if version is None:
            return False
        if version < migrations.SCHEMA:
            self._prepare()
        self._mark()
        return True

    def _prepare(self) -> None:
        """Make the tables where they are missing, bring an older schema to today's, refuse a later release's."""
        with self._preparing, self.named():
            if self._ready and self.kept:
                return
            if self.path is not None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            with self._engine.connect() as connection:
                if self.path is not None:
                    _write_ahead(connection)
                self._take(connection, durable=True)
                migrations.migrate(connection, self.name)
                connection.commit()
            self._mark()

    def _mark(self) -> None:
        if self.path is not None:
            self._file = _number(self.path)
        self._ready = True

    def _same_file(self) -> None:
        """An open SQLite file can be deleted or replaced, and whoever has it open goes on writing into nothing."""
        if self.path is None or not self.kept or not self._ready or _number(self.path) == self._file:
            return
        self._engine.dispose()
        self._ready = False
        raise Interrupted(f"{self.name}: the file is gone or another since it was opened; put it back and try again")

    def _meaning(self, error: DBAPIError) -> Exception | None:
        cause = error.orig
        if self.path is not None:
            if isinstance(error, OperationalError):
                return Interrupted(f"{self.name}: {cause}")
            return UserError(f"{self.name}: is no store of annotations ({cause})") if type(error) is DatabaseError else None
        said: Any = cause.args[0] if cause is not None and cause.args else ""
        told = cast(dict[str, str], said if isinstance(said, dict) else {"M": str(said)})
        code, words = told.get("C", ""), told.get("M", "")
        if code.startswith(CLOSED):
            return UserError(f"{self.name}: {words}")
        if error.connection_invalidated or isinstance(error, InterfaceError | OperationalError) or code.startswith(AWAY):
            return Interrupted(f"{self.name}: the database is away ({words}); try again when it is back")
        return None


def _url(place: str) -> sa.URL:
    try:
        url = sa.make_url(place)
    except ArgumentError:
        raise UserError(
            f"{place.partition('://')[0]}://...: is no database's address; write postgresql://USER:PASSWORD@HOST/DATABASE"
        ) from None
    if url.drivername not in ("postgresql", "postgres", "postgresql+pg8000"):
        raise UserError(f"{url.drivername}://...: stores are files of SQLite or postgresql:// addresses")
    return url.set(drivername="postgresql+pg8000")


def _server(url: sa.URL, isolation: Literal["READ COMMITTED", "AUTOCOMMIT"] = "READ COMMITTED") -> sa.Engine:
    try:
        asks = isolation == "AUTOCOMMIT"  # whether the server is still there; a turn's first question tells by itself
        silent = {"timeout": SILENCE}
        engine = sa.create_engine(url, pool_size=8, max_overflow=32, pool_pre_ping=asks, connect_args=silent, isolation_level=isolation)
    except ModuleNotFoundError as error:
        raise UserError(f"a store in PostgreSQL needs {error.name}: pip install 'tutelage[postgres]'") from None
    event.listen(engine, "connect", _patient)
    return engine


def _number(path: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(path)
    except FileNotFoundError:
        return None
    return found.st_dev, found.st_ino


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
    connection.execute("PRAGMA secure_delete=ON")


def _patient(connection: Any, _record: Any) -> None:
    cursor = connection.cursor()
    cursor.execute(f"SET lock_timeout = '{PATIENCE:.0f}s'")
    cursor.close()
    connection.commit()
