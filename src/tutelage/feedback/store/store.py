"""The annotations of a project: append-only, each once, safe when the writer is killed.

A store is a table of events in SQLite (or, by URL, in PostgreSQL). Appending is idempotent by id and one transaction per batch: after
a kill a batch is there whole or not at all, and appending it again is right in both cases. What a store holds for training is a set:
its hash is that of the sorted ids and it is read in the order of ids, so two stores with one hash train the same model, whoever wrote
first.

`read`, `ids`, `annotators`, `count` and `hash` are about annotations that stand: of the purposes that training takes, neither
superseded nor erased, each id once. `events` has all that ever happened.
"""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import sqlalchemy as sa

from tutelage.core.errors import UserError
from tutelage.core.text import content_id
from tutelage.feedback.annotation import Annotation, from_plain
from tutelage.feedback.store import erasure
from tutelage.feedback.store import events as rows
from tutelage.feedback.store.database import Database
from tutelage.feedback.store.events import LEARNT, Event, Kind, Purpose, event_of, formless, live, row_of
from tutelage.feedback.store.tables import events, identity


def hash_of(ids: Iterable[str]) -> str:
    """The hash of a set of annotations: that of its sorted ids."""
    return content_id("annotations", sorted(ids))


class Store:
    """A store at a path (SQLite) or a URL (`postgresql://...`).

    With `create` a missing store is made by the first append, and reads as empty until then; without it a missing store is a
    UserError. A file that is no store, or one of a later release, is a UserError; a full disk, an unwritable directory or a
    database that is away is Interrupted. A store of an earlier release is brought to today's schema when it is first used.
    """

    def __init__(self, place: str | Path, create: bool = True) -> None:
        self.database = Database(place)
        self.place = self.database.name
        if not create and not self.database.exists:
            raise UserError(f"{self.place}: there is no such store of annotations")

    def append(self, annotations: Iterable[Annotation], purpose: Purpose = "machine", repeats: Iterable[Annotation] = ()) -> int:
        """Add those that are not there yet, all or none of them, none of which came through a form; how many were new. `repeats`: what
        somebody said again of the same; the second time has the number 2, the third 3, so that they too are added once. UserError where
        one is by somebody who was erased here."""
        new = {(a.id, 1): formless(a, purpose) for a in annotations}
        times = Counter[str]()
        for a in repeats:
            times[a.id] += 1
            new[a.id, 1 + times[a.id]] = formless(a, "repeat", 1 + times[a.id])
        if not new:
            return 0
        with self.database.turn() as connection:
            erasure.refuse(connection, {event.annotator for event in new.values()}, self.place)
            missing = [row_of(event) for event in rows.missing(connection, new)]
            if missing:
                connection.execute(events.insert(), missing)
        return len(missing)

    def record(self, submit: Sequence[Event]) -> bool:
        """Add the events of one submit, all or none; False where that submit was there already, and nothing was added."""
        with self.database.turn() as connection:
            return rows.write(connection, submit)

    def events(
        self, after: int = 0, annotator: str | None = None, kinds: Sequence[Kind] | None = None, item: str | None = None
    ) -> Iterator[Event]:
        """All that happened after the event of this number, in order; of one annotator, of some kinds, about one item."""
        query = sa.select(events).where(events.c.number > after).order_by(events.c.number)
        if annotator is not None:
            query = query.where(events.c.annotator == annotator)
        if kinds is not None:
            query = query.where(events.c.kind.in_(kinds))
        if item is not None:
            query = query.where(events.c.item == item)
        return (event_of(row) for row in self._rows(query))

    def read(
        self,
        without: Sequence[str] = (),
        annotators: Sequence[str] | None = None,
        task: str | None = None,
        purposes: Sequence[Purpose] = LEARNT,
    ) -> Iterator[Annotation]:
        """Annotations in the order of their ids, those of the annotators `without` left out, only of `annotators` when given."""
        query = _chosen(sa.select(events.c.annotation, events.c.content), without, annotators, task, purposes)
        last = ""
        for row in self._rows(query.order_by(events.c.annotation, events.c.number)):
            if row.annotation != last:
                last = row.annotation
                yield from_plain(json.loads(row.content)["annotation"])

    def repeats(self, without: Sequence[str] = ()) -> Iterator[Event]:
        """What people said again of the same, each time that they did, in the order of annotations' ids: asked again by a study, or found
        again in a file (`Event.formless`)."""
        query = _chosen(sa.select(events), without, None, None, ("repeat",)).order_by(events.c.annotation, events.c.number)
        return (event_of(row) for row in self._rows(query))

    def ids(
        self,
        without: Sequence[str] = (),
        annotators: Sequence[str] | None = None,
        task: str | None = None,
        purposes: Sequence[Purpose] = LEARNT,
    ) -> list[str]:
        """Sorted ids of what `read` gives."""
        query = _chosen(sa.select(events.c.annotation).distinct(), without, annotators, task, purposes)
        return [row.annotation for row in self._rows(query.order_by(events.c.annotation))]

    def annotators(self, purposes: Sequence[Purpose] = LEARNT) -> dict[str, int]:
        """How many annotations each annotator gave, by name."""
        who, n = events.c.annotator, sa.func.count(events.c.annotation.distinct()).label("n")
        query = _chosen(sa.select(who, n), (), None, None, purposes).group_by(who).order_by(who)
        return {row.annotator: row.n for row in self._rows(query)}

    def erase(self, annotator: str) -> int:
        """Empty all that one person said: their events stay as tombstones of kind "erased", by "erased-" and 8 hex digits; nothing else
        changes, and the name is never given again. How many. UserError for somebody who isn't there."""
        with self.database.turn() as connection:
            found = erasure.erase(connection, annotator, erasure.tombstone())
            if not found:
                raise UserError(f"{self.place}: there is nothing of {annotator!r}")
        self.database.tidy()
        return len(found)

    def erased(self, names: Iterable[str]) -> set[str]:
        """Those of the names that were erased here."""
        with self.database.reading() as connection:
            return set() if connection is None else erasure.erased(connection, names)

    def active_ms(self) -> dict[str, int]:
        """Milliseconds that each person was at work on answers and skips of forms, by name: each submit once, superseded or not."""
        e = events.c
        each = sa.select(e.annotator, sa.func.max(e.active_ms).label("ms")).where(e.kind.in_(("annotation", "skip")), e.id != e.submit)
        submits = each.group_by(e.annotator, e.submit).subquery()
        query = sa.select(submits.c.annotator, sa.func.sum(submits.c.ms).label("ms")).group_by(submits.c.annotator)
        return {row.annotator: int(row.ms) for row in self._rows(query)}

    @property
    def last(self) -> int:
        """The number of the last event; 0 where nothing happened yet."""
        return next((int(row.last) for row in self._rows(sa.select(sa.func.max(events.c.number).label("last"))) if row.last), 0)

    @property
    def id(self) -> str:
        """16 hex digits, drawn when the store was made, that a copy has too: a pseudonym is one person's within them. Empty before."""
        return next((str(row.id) for row in self._rows(sa.select(identity.c.id))), "")

    def adopt(self, study: str) -> None:
        """Take the id of the store whose people these are: where annotations are copied out of a study, names go on to mean its people."""
        with self.database.turn() as connection:
            connection.execute(identity.update().values(id=study))

    @property
    def count(self) -> int:
        return sum(self.annotators().values())

    @property
    def hash(self) -> str:
        """16 hex digits, those of the sorted ids."""
        return hash_of(self.ids())

    def _rows(self, query: sa.Executable) -> Iterator[Any]:
        with self.database.reading(streamed=True) as connection:
            if connection is not None:
                yield from connection.execute(query)


Selected = TypeVar("Selected", bound="sa.Select[Any] | sa.Select[Any, Any]")


def _chosen(
    query: Selected, without: Sequence[str], annotators: Sequence[str] | None, task: str | None, purposes: Sequence[Purpose]
) -> Selected:
    query = query.where(*live(purposes))
    if without:
        query = query.where(events.c.annotator.not_in(without))
    if annotators is not None:
        query = query.where(events.c.annotator.in_(annotators))
    return query if task is None else query.where(events.c.task == task)
