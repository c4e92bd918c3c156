"""Both databases: turns, numbers of events, older and foreign stores, and a database that goes away."""

import json
import shutil
import signal
import threading
import time

import pytest
import sqlalchemy as sa

from tests.feedback import servers
from tests.feedback.servers import running
from tests.feedback.writer import annotation
from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.annotation import to_plain
from tutelage.feedback.store import Store, hash_of
from tutelage.feedback.store.events import LEARNT, Event, live, row_of
from tutelage.feedback.store.tables import events

FIRST = """
CREATE TABLE tutelage_schema (version INTEGER NOT NULL PRIMARY KEY);
CREATE TABLE annotations (id VARCHAR(16) NOT NULL PRIMARY KEY, annotator TEXT NOT NULL, task TEXT NOT NULL, content TEXT NOT NULL);
CREATE INDEX annotations_by_annotator ON annotations (annotator);
INSERT INTO tutelage_schema VALUES (1)
"""
INSERT = sa.text("INSERT INTO annotations VALUES (:id, :annotator, :task, :content)")


def in_the_first_schema(place, rows):
    """A store as the first release wrote it."""
    engine = sa.create_engine(place.replace("postgresql://", "postgresql+pg8000://") if "://" in place else f"sqlite:///{place}")
    with engine.begin() as connection:
        for line in FIRST.split(";"):
            connection.exec_driver_sql(line)
        for row in rows:
            connection.execute(INSERT, row)
    return engine


def old_row(a):
    content = json.dumps(to_plain(a), ensure_ascii=False, sort_keys=True)
    return {"id": a.id, "annotator": a.annotator, "task": a.task, "content": content}


def skip(n, submit=""):
    return Event(submit or f"form-{n}", "skip", f"ann-{n % 3}", item=f"item {n}", at=float(n), said={"reason": f"reason {n}"})


def test_a_store_of_the_first_schema_keeps_every_annotation_and_its_hash(place):
    given = [annotation(n) for n in range(2500)]
    in_the_first_schema(place, [old_row(a) for a in given]).dispose()
    store = Store(place, create=False)
    assert store.hash == hash_of(a.id for a in given)
    assert list(store.read()) == sorted(given, key=lambda a: a.id)
    assert store.annotators() == {"ann-00": 834, "ann-01": 833, "ann-02": 833}
    assert store.append(given[:10]) == 0 and store.append([annotation(9999)]) == 1
    first = next(store.events())
    assert first.purpose == "machine" and first.annotation is not None and first.total_ms == 1000 * first.annotation.seconds
    assert Store(place).count == 2501


def test_a_migration_that_fails_changes_nothing(place):
    good = [old_row(annotation(n)) for n in range(10)]
    engine = in_the_first_schema(place, [*good, {**good[0], "id": "f" * 16, "content": '{"prompt": []}'}])
    with pytest.raises(KeyError):
        Store(place).ids()
    with engine.connect() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM annotations").scalar() == 11
        assert connection.exec_driver_sql("SELECT version FROM tutelage_schema").scalar() == 1
        assert sa.inspect(connection).has_table("events") is False
    engine.dispose()


def test_another_programs_tables_are_left_alone(place):
    engine = in_the_first_schema(place, [])
    with engine.begin() as connection:
        for line in ("DROP TABLE tutelage_schema", "DROP TABLE annotations", "CREATE TABLE items (x INTEGER)"):
            connection.exec_driver_sql(line)
    with pytest.raises(UserError, match="has a table 'items' already, of another program"):
        Store(place).append([annotation(0)])
    with pytest.raises(UserError, match="no store of annotations"):
        Store(place).ids()
    engine.dispose()


def test_a_reader_who_goes_on_after_a_number_misses_nothing(place):
    store, seen, last = Store(place), [], 0
    store.record([skip(0, "first")])
    opened = store.database.opened()

    def work(who):
        mine = Store(place)
        for n in range(40):
            with mine.database.turn() as connection:
                connection.exec_driver_sql("SELECT 1")
                connection.execute(events.insert(), [row_of(skip(n, f"{who}-{n}"))])
                time.sleep(0.002)  # between the number and the commit another one may come and go

    writers = [threading.Thread(target=work, args=(who,)) for who in range(4)]
    for writer in writers:
        writer.start()
    alive = True
    while alive:
        alive = any(writer.is_alive() for writer in writers)  # asked before reading: what they wrote last is read too
        fresh = [event.number for event in store.events(after=last)]
        seen, last = seen + fresh, max([last, *fresh])
    assert len(seen) == 161 and seen == sorted(seen)
    opened.close()


def test_of_two_turns_with_one_token_one_is_stored(place):
    store = Store(place)
    results = []
    threads = [threading.Thread(target=lambda: results.append(Store(place).record([skip(1, "same")]))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(results) == [False] * 7 + [True] and len(list(store.events())) == 1


def test_events_come_back_whole_and_chosen(place):
    store = Store(place)
    a = annotation(3)
    form = [
        Event(
            "f1",
            "annotation",
            a.annotator,
            "gold",
            n,
            "q-3",
            5.5,
            1200,
            3400,
            "v1",
            annotation=a,
            said={"question": f"q{n}", "note": "é\u2028\x00"},
        )
        for n in range(2)
    ]
    store.record(form)
    store.record([skip(7)])
    store.append([annotation(4)])
    back = list(store.events())
    assert [e.number for e in back] == sorted(e.number for e in back) and [e.id for e in back] == [
        "f1-0",
        "f1-1",
        "form-7-0",
        annotation(4).id,
    ]
    assert all(
        (b.annotation, b.said, b.n, b.at, b.active_ms, b.total_ms) == (f.annotation, f.said, f.n, 5.5, 1200, 3400)
        for b, f in zip(back, form)
    )
    assert [e.submit for e in store.events(kinds=["skip"])] == ["form-7"] == [e.submit for e in store.events(item="item 7")]
    assert [e.id for e in store.events(annotator=a.annotator)] == ["f1-0", "f1-1"]
    assert store.ids() == [annotation(4).id] and store.ids(purposes=["gold"]) == [a.id]


def test_what_is_superseded_no_longer_stands(place):
    store = Store(place)
    one, two = annotation(1), annotation(2)
    store.record([Event("a", "annotation", "ann-01", annotation=one), Event("a", "annotation", "ann-01", n=1, annotation=two)])
    store.record([Event("a2", "annotation", "ann-01", annotation=two, supersedes="a")])
    assert store.ids() == [two.id] and store.annotators() == {"ann-01": 1}
    store.record([Event("u", "undo", "ann-01", supersedes="a2")])
    assert store.ids() == [] and store.count == 0 and len(list(store.events())) == 4


def test_erasure_leaves_tombstones_and_no_word(place):
    store = Store(place)
    store.append(annotation(n) for n in range(30))
    store.record([Event("q", "question", "ann-01", item="i", said={"text": "an unforgettable question"})])
    numbers = [event.number for event in store.events()]
    others = store.ids(without=["ann-01"])
    assert store.erase("ann-01") == 11
    assert store.ids() == others and [event.number for event in store.events()] == numbers
    gone = list(store.events(kinds=["erased"]))
    assert len(gone) == 11 and {e.annotation for e in gone} == {None} and all(e.said == {} for e in gone)
    assert {e.annotator for e in gone} == {gone[0].annotator} and gone[0].annotator.startswith("erased-") and len(gone[0].annotator) == 15
    with pytest.raises(UserError, match="nothing of 'ann-01'"):
        store.erase("ann-01")
    if "://" not in place:
        with open(place, "rb") as file:
            assert b"unforgettable" not in file.read()


def test_a_password_is_in_no_message(postgres):
    wrong = f"postgresql://judge:tell-nobody@127.0.0.1:{postgres.port}/not-there"
    with pytest.raises(UserError, match="not-there") as caught:
        Store(wrong).ids()
    assert "tell-nobody" not in str(caught.value) + Store(wrong).place
    with pytest.raises(UserError, match="files of SQLite or postgresql"):
        Store("mysql://x@y/z")
    with pytest.raises(Interrupted, match="away"):
        Store("postgresql://judge@127.0.0.1:1/x").ids()


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGQUIT])
def test_a_server_that_goes_away_is_said_and_comes_back(how):
    with running() as server:
        place = server.url("study")
        store, kept = Store(place), Store(place).database.opened()
        store.append([annotation(0)])
        with kept.turn() as connection:
            connection.exec_driver_sql("SELECT 1")
        with pytest.raises(Interrupted, match="away"), kept.turn() as connection:
            connection.execute(events.insert(), [row_of(skip(1))])
            server.stop(how)
            connection.exec_driver_sql("SELECT 1")
        with pytest.raises(Interrupted):
            store.append([annotation(1)])
        with pytest.raises(Interrupted), kept.reading() as connection:
            connection.exec_driver_sql("SELECT 1")
        server.start()
        with kept.turn() as connection:
            assert connection.exec_driver_sql("SELECT count(*) FROM events").scalar() == 1
        assert store.append([annotation(1)]) == 1 and store.count == 2
        kept.close()


def test_a_server_that_was_away_between_two_turns_is_not_even_noticed():
    with running() as server:
        kept = Store(server.url("study")).database.opened()
        for _ in range(2):
            with kept.turn() as connection:
                connection.exec_driver_sql("SELECT 1")
            with kept.reading() as connection:
                assert connection is not None and connection.exec_driver_sql("SELECT 1").scalar() == 1
            server.stop()
            server.start()
        kept.close()


def test_a_file_that_goes_away_under_an_open_store_is_noticed(tmp_path):
    place = tmp_path / "store.db"
    Store(place).append([annotation(0)])
    kept = Store(place).database.opened()
    with kept.turn() as connection:
        connection.exec_driver_sql("SELECT 1")
    shutil.move(place, tmp_path / "elsewhere.db")
    with pytest.raises(Interrupted, match=r"store\.db: the file is gone"), kept.turn() as connection:
        connection.exec_driver_sql("SELECT 1")
    shutil.move(tmp_path / "elsewhere.db", place)
    with kept.turn() as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM events").scalar() == 1
    kept.close()


def test_a_file_that_goes_away_during_a_turn_is_not_called_stored(tmp_path):
    kept = Store(tmp_path / "store.db").database.opened()
    with pytest.raises(Interrupted, match="the file is gone"), kept.turn() as connection:
        connection.execute(events.insert(), [row_of(skip(1))])
        (tmp_path / "store.db").unlink()


def test_ids_and_counts_of_fifty_thousand_come_from_an_index(tmp_path):
    """A table scan would read 50 MB."""
    store = Store(tmp_path / "store.db")
    store.append(annotation(n) for n in range(50_000))
    assert len(set(store.ids())) == 50_000 == sum(store.annotators().values())
    who = sa.select(events.c.annotator, sa.func.count(events.c.annotation.distinct())).group_by(events.c.annotator)
    with store.database.reading() as connection:
        for query in (sa.select(events.c.annotation).distinct(), who):
            text = query.where(*live(LEARNT)).compile(connection, compile_kwargs={"literal_binds": True})
            plan = " ".join(row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}"))
            assert "events USING COVERING INDEX" in plan, plan


def test_without_a_server_tests_are_skipped_and_under_ci_they_fail(monkeypatch):
    monkeypatch.setattr(servers, "WHERE", "/nowhere")
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setenv("CI", "")
    with pytest.raises(pytest.skip.Exception, match="no PostgreSQL server here: apt-get install postgresql"):
        servers.needed()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="no PostgreSQL server"):
        servers.needed()
