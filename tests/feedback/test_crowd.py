"""Many people at once, and a process that is killed under them: no place is given twice, no acknowledged answer is lost or doubled."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path

from tests.feedback.studies import ORDER, Clock, opened, rows, study
from tutelage.core.errors import UserError
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

ANNOTATOR = [sys.executable, str(Path(__file__).with_name("annotator.py"))]


def together(*calls):
    """Run all at once; what any of them raises is raised here."""
    faults = []

    def one(call):
        try:
            call()
        except BaseException as fault:
            faults.append(fault)

    threads = [threading.Thread(target=one, args=(call,)) for call in calls]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults, faults


def stands(desk):
    """Counts of the database agree with its seats and its events."""
    with desk.database.reading() as connection:
        items = {row.id: row for row in connection.exec_driver_sql("SELECT id, load, answers, wanted FROM items").all()}
        seats = connection.exec_driver_sql("SELECT item, state FROM seats WHERE purpose = 'work'").all()
    held = Counter(seat.item for seat in seats if seat.state in ("leased", "answered"))
    done = Counter(seat.item for seat in seats if seat.state == "answered")
    for name, item in items.items():
        assert (item.load, item.answers) == (held[name], done[name]) and item.load <= item.wanted, name
    return items


def test_the_last_place_of_an_item_is_leased_once(tmp_path, place):
    people = [f"ann-{n}" for n in range(1, 13)]
    desk = opened(study(tmp_path, rows(5), "overlap: 2", people=12), place, Clock())
    barrier, got = threading.Barrier(12), []

    def ask(person):
        barrier.wait()
        got.append((person, desk.next(person)))

    together(*(lambda person=person: ask(person) for person in people))
    given = Counter(sheet.item.id for _, sheet in got if sheet is not None)
    assert given == {f"i{n}": 2 for n in range(5)} and len([sheet for _, sheet in got if sheet is None]) == 2
    stands(desk)


def test_two_desks_on_one_store_share_the_places(tmp_path, place):
    """Two servers of the same study: the decision is the database's, not a process's."""
    made = study(tmp_path, rows(40), "overlap: 3", people=12)
    desks = [opened(made, place, Clock()) for _ in range(2)]

    def work(n):
        desk, person = desks[n % 2], f"ann-{n + 1}"
        while sheet := desk.next(person):
            assert desk.submit(person, sheet.submit, sheet.item.id, ORDER, 1, 1).new

    together(*(lambda n=n: work(n) for n in range(12)))
    assert all((item.load, item.answers) == (3, 3) for item in stands(desks[0]).values())
    events = list(desks[0].store.events())
    assert len(events) == 120 and len({(event.annotator, event.item) for event in events}) == 120
    assert [event.number for event in events] == sorted({event.number for event in events})


def test_a_form_sent_from_many_tabs_at_once_is_one_answer(tmp_path, place):
    desk = opened(study(tmp_path, rows(1)), place, Clock())
    sheet, new = desk.next("ann-1"), []
    together(*[lambda: new.append(desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1).new)] * 8)
    assert sorted(new) == [False] * 7 + [True] and len(list(desk.store.events())) == 1


def answered(desk, person, sheet, turn):
    """A draft, an answer, an undo. The clock may have jumped since the sheet was handed out: then it is said, and nothing is stored."""
    try:
        if turn % 5 == 0:
            desk.draft(person, sheet.item.id, {"note": "half"})
        desk.submit(person, sheet.submit, sheet.item.id, ORDER, 1, 1)
        if turn % 4 == 2:
            desk.undo(person)
    except UserError as error:
        assert str(error).startswith("Others have answered this item in the meantime"), error


def test_everything_at_once_keeps_the_counts_right(tmp_path, place):
    """Answers, skips, undos, edits, drafts and leases that run out, by twelve people."""
    clock = Clock()
    desk = opened(study(tmp_path, rows(60), "overlap: 2\nrepeats: 0.1", people=12), place, clock)

    def work(n):
        person = f"ann-{n + 1}"
        for turn in range(25):
            sheet = desk.next(person)
            if sheet is None:
                return
            if turn % 7 == 3:
                desk.skip(person, sheet.submit, sheet.item.id)
            elif turn % 7 == 5 and n % 3 == 0:
                clock.minutes(4)
            else:
                answered(desk, person, sheet, turn)

    together(*(lambda n=n: work(n) for n in range(9)))
    stands(desk)
    kinds = Counter(event.kind for event in desk.store.events())
    assert kinds["annotation"] > 50 and kinds["skip"] and kinds["undo"]


def start(folder, place, people):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    return subprocess.Popen([*ANNOTATOR, str(folder), place, *people], stdout=subprocess.PIPE, text=True, env=environment)


def test_a_server_that_is_killed_again_and_again_loses_no_answer(tmp_path, place):
    people = [f"ann-{n}" for n in range(1, 9)]
    made = study(tmp_path, rows(2000), "overlap: 2\nlease_minutes: 0.05", people=8)
    acknowledged: list[str] = []
    for n in range(6):
        process = start(tmp_path, place, people)
        lines = [process.stdout.readline() for _ in range(15)]
        time.sleep(0.013 * n)
        os.kill(process.pid, signal.SIGKILL)
        lines += process.stdout.read().splitlines(keepends=True)
        assert process.wait() == -signal.SIGKILL
        acknowledged += [line.split()[1] for line in lines if line.endswith("\n")]
    store = Store(place, create=False)
    stored: list[Event] = list(store.events())
    tokens = [event.submit for event in stored]
    assert len(acknowledged) >= 90 and len(set(tokens)) == len(tokens)
    assert set(acknowledged) <= set(tokens) and len(set(acknowledged)) == len(acknowledged)
    assert len({(event.annotator, event.item) for event in stored}) == len(stored) == store.count
    assert len(tokens) - len(acknowledged) <= 6 * 8  # stored, and killed before it could be said
    desk = opened(made, place, time.time)
    stands(desk)
