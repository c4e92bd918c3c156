"""The store: each annotation once, whole batches, whoever writes and however it dies; on SQLite and on PostgreSQL."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from dataclasses import replace

import pytest
from sqlalchemy.exc import IntegrityError

from tests.feedback.writer import annotation
from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.annotation import from_plain, to_plain
from tutelage.feedback.filters import Filter
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

WRITER = [sys.executable, os.path.join(os.path.dirname(__file__), "writer.py")]


def start_writer(place, first, last, batch):
    command = [*WRITER, str(place), str(first), str(last), str(batch)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)})


def test_an_annotation_comes_back_whole():
    a = annotation(1)
    again = from_plain(to_plain(a))
    assert again == a and again.id == a.id and again.prompt.tags == {"family": "f"} and again.seconds == 1


def test_the_id_is_that_of_the_content_and_not_of_the_clock():
    a = annotation(1)
    assert replace(a, seconds=99.0, at="2026-01-01T00:00:00Z").id == a.id
    other = [
        replace(a, answer={"winner": 0}),
        replace(a, annotator="x"),
        replace(a, weight=0.5),
        replace(a, shown=(0, 1)),
        replace(a, guideline="2"),
        replace(a, task="ranking"),
        replace(a, responses=a.responses[::-1]),
        replace(a, prompt=annotation(2).prompt),
    ]
    assert len({b.id for b in [a, *other]}) == len(other) + 1
    assert replace(a, weight=1).id == a.id


def test_appending_twice_changes_nothing(place):
    store = Store(place)
    batch = [annotation(n) for n in range(10)]
    assert store.append([*batch, batch[0]]) == 10
    before = store.hash, store.count
    assert store.append(batch[3:]) == 0
    assert store.append([*batch[:2], annotation(10)]) == 1
    assert before[1] == 10 and store.count == 11 and store.hash != before[0]


def test_what_is_read_depends_on_the_set_alone(place, tmp_path):
    one, two = Store(place), Store(tmp_path / "two.db")
    batch = [annotation(n) for n in range(20)]
    one.append(batch)
    for a in reversed(batch):
        two.append([a])
    assert list(one.read()) == list(two.read()) == sorted(batch, key=lambda a: a.id)
    assert one.hash == two.hash


def test_reading_by_annotator_and_task(place):
    store = Store(place)
    store.append([*(annotation(n) for n in range(10)), replace(annotation(0), task="other")])
    assert store.annotators() == {"ann-00": 5, "ann-01": 3, "ann-02": 3}
    assert {a.annotator for a in store.read(without=("ann-01",))} == {"ann-00", "ann-02"}
    assert {a.annotator for a in store.read(annotators=["ann-01", "ann-02"], without=["ann-02"])} == {"ann-01"}
    assert len(list(store.read(task="pair"))) == 10
    assert list(store.read(annotators=[])) == []


def test_a_filter_stands_at_the_consumer(place, tmp_path):
    store = Store(place)
    store.append(annotation(n) for n in range(9))
    everything, fewer = Filter("preferences"), Filter("preferences", ("ann-01",))
    assert everything.hash(store) == store.hash
    assert fewer.annotators(store) == {"ann-00": 3, "ann-02": 3}
    assert len(list(fewer.read(store))) == 6
    without = Store(tmp_path / "without.db")
    without.append(annotation(n) for n in range(9) if n % 3 != 1)
    assert fewer.hash(store) == without.hash != store.hash


def test_a_filter_refuses_who_is_not_there(place):
    store = Store(place)
    store.append(annotation(n) for n in range(3))
    with pytest.raises(UserError, match="preferences: without: nobody named 'ann-1' annotated here; did you mean 'ann-01'"):
        Filter("preferences", ("ann-1",)).hash(store)
    with pytest.raises(UserError, match="leaves no annotator"):
        Filter("preferences", ("ann-00", "ann-01", "ann-02")).read(store)


def test_a_batch_is_stored_whole_or_not_at_all(place):
    store = Store(place)
    store.append([annotation(0)])
    with pytest.raises(TypeError):
        store.append([annotation(1), replace(annotation(2), answer={"winner": object()})])
    twice = Event("form", "skip", "ann-01")
    with pytest.raises(IntegrityError):  # a fault of the database in the middle of a batch
        store.record([twice, replace(twice, n=1), twice])
    assert store.ids() == [annotation(0).id] and len(list(store.events())) == 1
    assert store.record([twice]) and not store.record([twice, replace(twice, n=1)])
    assert [event.id for event in store.events(after=1)] == ["form-0"]


def test_the_disks_fault_in_a_batch_undoes_it(tmp_path):
    store = Store(tmp_path / "store.db")
    store.append([annotation(0)])
    with sqlite3.connect(tmp_path / "store.db") as raw:
        here = f"WHEN new.id = '{annotation(5).id}'"
        raw.execute(f"CREATE TRIGGER stop BEFORE INSERT ON events {here} BEGIN SELECT RAISE(ABORT, 'no'); END")
    with pytest.raises(IntegrityError):
        store.append(annotation(n) for n in range(3, 8))
    assert store.ids() == [annotation(0).id]


@pytest.mark.parametrize("after", [1, 4])
def test_a_killed_writer_leaves_whole_batches(place, after):
    batch, last = 20, 4000
    writer = start_writer(place, 0, last, batch)
    seen = [int(writer.stdout.readline()) for _ in range(after)]
    os.kill(writer.pid, signal.SIGKILL)
    said = seen + [int(line) for line in writer.stdout.read().split()]
    assert writer.wait() == -signal.SIGKILL
    store = Store(place, create=False)
    kept = set(store.ids())
    assert len(kept) % batch == 0 and len(kept) < last
    assert {annotation(n).id for start in said for n in range(start, start + batch)} <= kept
    store.append(annotation(n) for n in range(400))
    assert len(set(store.ids())) == store.count >= 400
    if "://" not in place:
        with sqlite3.connect(place) as raw:
            assert raw.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_two_writers_at_once(place):
    writers = [start_writer(place, 0, 200, 5), start_writer(place, 100, 300, 5)]
    while any(w.poll() is None for w in writers):
        assert Store(place).count % 5 == 0
    assert [w.wait() for w in writers] == [0, 0]
    assert set(Store(place).ids()) == {annotation(n).id for n in range(300)}
    if "://" not in place:
        with sqlite3.connect(place) as raw:
            assert raw.execute("PRAGMA journal_mode").fetchone() == ("wal",)


def test_a_missing_store_is_empty_or_refused_but_never_made_by_reading(tmp_path):
    place = tmp_path / "none.db"
    assert (Store(place).count, list(Store(place).read())) == (0, [])
    with pytest.raises(UserError, match=r"none\.db: there is no such store"):
        Store(place, create=False)
    assert Store(place).append([]) == 0
    assert not place.exists()


def test_what_is_no_store_is_refused(tmp_path):
    text = tmp_path / "notes.txt"
    text.write_text("these are notes " * 100)
    with pytest.raises(UserError, match="is no store"):
        Store(text).append([annotation(0)])
    with pytest.raises(UserError, match="is no store"):
        list(Store(text).read())
    with sqlite3.connect(tmp_path / "other.db") as raw:
        raw.execute("CREATE TABLE things (x)")
    with pytest.raises(UserError, match="no store of annotations"):
        list(Store(tmp_path / "other.db").read())


def test_a_later_releases_store_is_refused(place):
    store = Store(place)
    store.append([annotation(0)])
    with store.database.turn() as connection:
        connection.exec_driver_sql("UPDATE tutelage_schema SET version = 5")
    for use in (lambda: list(Store(place).read()), lambda: Store(place).append([annotation(1)])):
        with pytest.raises(UserError, match="later release"):
            use()


def test_an_unwritable_place_interrupts(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(Interrupted):
        Store(tmp_path / "file" / "store.db").append([annotation(0)])


def test_a_new_store_waits_for_another_that_is_being_made(tmp_path):
    place = tmp_path / "store.db"
    other = sqlite3.connect(place, isolation_level=None, check_same_thread=False)
    other.execute("BEGIN IMMEDIATE")  # not yet in WAL mode: SQLite refuses the switch at once instead of waiting
    release = threading.Timer(0.3, other.close)
    release.start()
    assert Store(place).append([annotation(0)]) == 1
    release.join()


def test_a_store_in_a_folder_that_is_not_there_yet(tmp_path):
    assert Store(tmp_path / "new" / "deep" / "store.db").append([annotation(0)]) == 1


def test_a_store_has_an_id_of_its_own_that_outlives_opening_and_is_handed_on(place, tmp_path):
    assert Store(place).id == ""
    store = Store(place)
    store.append([annotation(1)])
    assert len(store.id) == 16 and Store(place).id == store.id
    other = Store(tmp_path / "other.sqlite")
    other.append([annotation(1)])
    assert other.id != store.id and other.hash == store.hash
    other.adopt(store.id)
    assert Store(tmp_path / "other.sqlite").id == store.id and other.hash == store.hash
    empty = Store(tmp_path / "empty.sqlite")
    empty.adopt("ours")
    assert empty.id == "ours" and empty.count == 0


def test_a_store_of_the_release_before_gets_an_id_and_keeps_it(place):
    store = Store(place)
    store.append([annotation(1)])
    with store.database.turn() as connection:
        connection.exec_driver_sql("DROP TABLE tutelage_identity")
        connection.exec_driver_sql("UPDATE tutelage_schema SET version = 3")
    first = Store(place).id
    assert len(first) == 16 and Store(place).id == first and Store(place).ids() == store.ids()
