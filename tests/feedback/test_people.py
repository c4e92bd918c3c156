"""People: invited, revoked, erased; every admin action in the log; and who a person's pseudonym stands for is nowhere."""

import json

import pytest
import sqlalchemy as sa

from tests.feedback.studies import answer, opened, rows, study
from tests.feedback.writer import annotation
from tutelage.core.errors import UserError
from tutelage.feedback.store import Store
from tutelage.feedback.study.people import People
from tutelage.feedback.study.tables import seats

DISPUTES = "overlap: 2\ndisagreement: {below: 0.9}\npeople: [{name: a}, {name: b}, {name: c}, {name: judge, role: reviewer}]"


def says(desk, name, stored, note=""):
    """Somebody prefers this one of two, wherever it stands on their screen; the item."""
    sheet = desk.next(name)
    values = {"pair.winner": "ab"[sheet.shown.index(stored)], **({"note": note} if note else {})}
    desk.submit(name, sheet.submit, sheet.item.id, values, 1, 1)
    return sheet.item.id


@pytest.fixture
def made(tmp_path, place, clock):
    """A desk with two people, and the people of its study."""
    desk = opened(study(tmp_path, rows(4), "overlap: 2", people=2), place, clock)
    return desk, People(desk.study, desk.store, clock)


def test_somebody_is_invited_under_a_pseudonym(made):
    desk, people = made
    new = people.invite("boss", expertise=["law"])
    assert (new.name, new.role, new.expertise, new.active) == ("ann-03", "annotator", ("law",), True)
    assert people.invite("boss", "judge", "reviewer").role == "reviewer" and people.invite("boss").name == "ann-04"
    assert [p.name for p in people.everyone()] == ["ann-03", "ann-04", "ann-1", "ann-2", "judge"] and people.find("ann-03") == new
    assert desk.next("ann-03") is not None
    with pytest.raises(UserError, match="somebody named 'judge' already"):
        people.invite("boss", "judge")
    for name in ("erased-00000000", "x" * 65, "line\nbreak"):
        with pytest.raises(UserError, match="is no name"):
            people.invite("boss", name)
    with pytest.raises(UserError, match="Nobody named 'eve'"):
        people.find("eve")
    assert next((a.by, a.action, a.about, a.detail) for a in people.log()) == ("boss", "invite", "ann-03", "annotator")
    assert len(people.log()) == 3


def test_who_is_revoked_has_nothing_any_more_and_what_they_said_stays(made):
    desk, people = made
    answer(desk, "ann-1")
    held, before = desk.next("ann-1"), people.find("ann-1").keys
    people.revoke("boss", "ann-1")
    for call in (
        lambda: desk.next("ann-1"),
        lambda: desk.submit("ann-1", held.submit, held.item.id, {}, 1, 1),
        lambda: desk.skip("ann-1", held.submit, held.item.id),
        lambda: desk.undo("ann-1"),
        lambda: desk.progress("ann-1"),
    ):
        with pytest.raises(UserError, match="access to this study has ended"):
            call()
    person = people.find("ann-1")
    assert not person.active and person.keys != before and desk.store.count == 1
    with desk.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT sum(load) FROM items").scalar() == 1
    people.restore("boss", "ann-1")
    assert desk.next("ann-1") is not None and people.renew("boss", "ann-1").keys not in (before, person.keys)
    assert [a.action for a in people.log()] == ["revoke", "restore", "renew"] and [a.action for a in people.log(after=2)] == ["renew"]


def test_a_change_that_fails_is_not_logged(made):
    _, people = made
    for call in (people.revoke, people.restore, people.renew):
        with pytest.raises(UserError, match="Nobody named"):
            call("boss", "eve")
    assert people.log() == []
    people.note("boss", "export", "hours")
    people.set_role("boss", "ann-2", "reviewer")
    assert [(a.action, a.about, a.detail) for a in people.log()] == [("export", "hours", ""), ("role", "ann-2", "reviewer")]


def test_somebody_is_erased_everywhere(made, place):
    desk, people = made
    people.renew("boss", "ann-1")
    for _ in range(2):
        answer(desk, "ann-1", {"ranking.order": "1 2 3", "note": "unforgettable"})
    answer(desk, "ann-2")
    held = desk.next("ann-1")
    desk.draft("ann-1", held.item.id, {"note": "unforgettable too"})
    desk.ask("ann-1", held.item.id, "an unforgettable question")
    mine, others = desk.store.ids(annotators=["ann-1"]), desk.store.ids(annotators=["ann-2"])
    gone = people.erase("boss", "ann-1")
    assert gone.annotations == tuple(mine) and gone.events == 3 and gone.name.startswith("erased-")
    assert desk.store.ids() == others and "ann-1" not in {p.name for p in people.everyone()}
    *_, last = desk.store.events()
    assert last.kind == "erased" and last.annotator == gone.name and last.said == {"numbers": [1, 2, 4]}  # 3 is ann-2's
    assert [(a.by, a.action, a.about) for a in people.log()] == [("boss", "renew", gone.name), ("boss", "erase", gone.name)]
    with desk.database.reading() as connection:
        left = [connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ("events", "seats", "people", "actions")]
        loads = connection.exec_driver_sql("SELECT sum(load), sum(answers) FROM items").one()
    assert "unforgettable" not in repr(left) and "ann-1'" not in repr(left) and tuple(loads) == (1, 1)
    if "://" not in place:
        with open(place, "rb") as file:
            assert b"unforgettable" not in file.read()
    with pytest.raises(UserError, match="nothing of 'ann-1'"):
        people.erase("boss", "ann-1")
    assert answer(desk, "ann-2")


def test_an_erased_name_is_never_given_again(made, tmp_path, place, clock):
    desk, people = made
    for _ in range(3):
        people.invite("boss")
    desk.store.append([annotation(0, annotator="mturk-7")])
    for name in ("ann-05", "mturk-7", "ann-1"):
        people.erase("boss", name)
    assert people.invite("boss").name == "ann-06" and Store(place).erased(["ann-05", "ann-06", "ann-1"]) == {"ann-05", "ann-1"}
    for name in ("ann-05", "mturk-7"):
        with pytest.raises(UserError, match=f"'{name}' was erased, and a name that was erased is never given again"):
            people.invite("boss", name)
    with pytest.raises(UserError, match="people: 'ann-1' was erased from this store, and a name that was erased"):
        opened(study(tmp_path, rows(4), "overlap: 2", people=2), place, clock)
    with pytest.raises(UserError, match="'mturk-7' was erased"):
        desk.store.append([annotation(1, annotator="mturk-7"), annotation(2)])  # the file that they came from, once more
    assert desk.store.count == 0
    with desk.database.reading() as connection:
        left = repr([connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ("erased_names", "events", "actions")])
        hashes = list(connection.exec_driver_sql("SELECT hash FROM erased_names").scalars())
    assert "mturk" not in left and "ann-05" not in left
    assert hashes == sorted(hashes) and len(hashes) == 3  # not in the order of their erasure, which the log has


def test_numbers_of_keys_are_drawn(tmp_path, place, clock):
    """Another store whose people have the same names honors no link of this one."""
    made = study(tmp_path, rows(4))
    keys = [
        [p.keys for p in People(desk.study, desk.store).everyone()]
        for desk in (opened(made, place, clock), opened(made, str(tmp_path / "other.db"), clock))
    ]
    assert len(set(keys[0] + keys[1])) == 6


def test_names_count_on_past_all_that_there_were(made):
    desk, people = made
    desk.store.append([annotation(0, annotator="ann-40")])
    assert people.invite("boss").name == "ann-41"
    people.erase("boss", "ann-41")
    assert people.invite("boss").name == "ann-42"


def test_who_annotated_elsewhere_is_erased_too(made):
    desk, people = made
    desk.store.append(annotation(n) for n in range(6))
    for name in ("ann-00", "ann-1"):
        people.check(name)
    with pytest.raises(UserError, match="nothing of 'ann-0'"):
        people.check("ann-0")
    assert people.erase("boss", "ann-00").events == 2 and desk.store.count == 4


def test_a_tombstone_is_no_hash_of_what_was_said(made):
    """A name and an answer of few values can be guessed from a hash of both."""
    desk, people = made
    answer(desk, "ann-1")
    desk.store.append([annotation(0, annotator="ann-1")], "import")
    ids = desk.store.ids(annotators=["ann-1"])
    people.erase("boss", "ann-1")
    with desk.database.reading() as connection:
        left = repr(connection.exec_driver_sql("SELECT * FROM events").all())
    assert len(ids) == 2 and not [one for one in ids if one in left]


def test_an_admins_replies_are_erased_with_them(made):
    desk, people = made
    sheet = desk.next("ann-1")
    desk.ask("ann-1", sheet.item.id, "Is a tie allowed?")
    for by in ("ann-2", "boss"):
        desk.reply(by, desk.questions()[0].submit, f"Ask {by} at 555.")
    gone = people.erase("boss", "ann-2")
    assert gone.events == 1 and desk.talks("ann-1")[0].replies == ("Ask boss at 555.",)
    with desk.database.reading() as connection:
        left = repr([connection.exec_driver_sql(f"SELECT * FROM {name}").all() for name in ("events", "actions")])
    assert "ann-2" not in left and "Is a tie allowed?" in left


def test_one_voice_is_no_dispute(tmp_path, place, clock):
    desk = opened(study(tmp_path, rows(1, k=2), DISPUTES, questions="[{task: pair}]"), place, clock)
    says(desk, "a", 0)
    says(desk, "b", 1)
    assert desk.progress("judge").open == 1
    People(desk.study, desk.store, clock).erase("boss", "a")
    assert desk.progress("judge").open == 0 and desk.next("judge") is None
    says(desk, "c", 0)
    assert len(desk.next("judge").voices) == 2


def seats_of(desk, person):
    """(state, draft) of somebody's seats."""
    with desk.database.reading() as connection:
        rows = connection.execute(sa.select(seats.c.state, seats.c.draft).where(seats.c.person == person)).all()
    return [tuple(row) for row in rows]


def test_a_reviewer_decides_nothing_about_what_was_erased(tmp_path, place, clock):
    """The answer is still on the reviewer's screen; whatever comes from there is refused, also when others disagree anew."""
    desk = opened(study(tmp_path, rows(1, k=2), DISPUTES, questions="[{task: pair}]"), place, clock)
    says(desk, "a", 0)
    says(desk, "b", 1, "erase me")
    old = desk.next("judge")
    assert old.purpose == "adjudication" and any(voice.note == "erase me" for voice in old.voices)
    People(desk.study, desk.store, clock).erase("boss", "b")
    decided = {"pair.winner": "a", "note": "as the second says"}
    for late in (0, 11):
        clock.minutes(late)
        with pytest.raises(UserError, match="is not what your page shows: an answer was erased since"):
            desk.submit("judge", old.submit, old.item.id, decided, 0, 0)
        with pytest.raises(UserError, match="an answer was erased since"):
            desk.draft("judge", old.item.id, decided, old.submit)
        assert desk.next("judge") is None and seats_of(desk, "judge") == [("expired", "")]
    assert {e.annotator for e in desk.store.events() if e.kind == "annotation"} == {"a"}

    says(desk, "c", 1)  # disputed anew, and the old page is still open
    new = desk.next("judge")
    assert new.purpose == "adjudication" and new.item.id == old.item.id and new.submit != old.submit
    assert len(new.voices) == 2 and "erase me" not in str(new.voices)
    with pytest.raises(UserError, match="an answer was erased since"):
        desk.submit("judge", old.submit, old.item.id, decided, 0, 0)
    desk.submit("judge", new.submit, new.item.id, {"pair.winner": "b"}, 0, 0)
    assert [e.annotator for e in desk.store.events() if e.purpose == "adjudication"] == ["judge"]


@pytest.mark.parametrize("late", [0, 11])
def test_an_erasure_leaves_reviews_of_other_items_alone(tmp_path, place, clock, late):
    desk = opened(study(tmp_path, rows(2, k=2), DISPUTES, questions="[{task: pair}]"), place, clock)
    about = {name: says(desk, name, stored) for name, stored in (("b", 0), ("c", 0))}
    assert about["b"] != about["c"]
    for _ in range(2):
        says(desk, "a", 1)
    held = desk.next("judge")
    desk.draft("judge", held.item.id, {"pair.winner": "a"}, held.submit)
    clock.minutes(late)
    People(desk.study, desk.store, clock).erase("boss", next(name for name, item in about.items() if item != held.item.id))
    again = desk.next("judge")
    assert (again.submit, again.draft) == (held.submit, {"pair.winner": "a"})
    desk.submit("judge", held.submit, held.item.id, {"pair.winner": "b"}, 0, 0)
    assert desk.next("judge") is None


def test_the_last_admin_stays(tmp_path, place, clock):
    desk = opened(study(tmp_path, rows(1), "people: [{name: boss, role: admin}, {name: ann-1}]"), place, clock)
    people = People(desk.study, desk.store, clock)
    for call in (lambda: people.revoke("boss", "boss"), lambda: people.set_role("boss", "boss", "annotator")):
        with pytest.raises(UserError, match="boss is the only admin of this study; make somebody else admin first"):
            call()
    people.set_role("boss", "ann-1", "admin")
    people.revoke("ann-1", "boss")
    assert not people.find("boss").active and people.find("ann-1").active
    with pytest.raises(UserError, match="ann-1 is the only admin"):
        people.revoke("ann-1", "ann-1")


def test_tombstones_of_an_older_store_are_made_safe(tmp_path):
    place = str(tmp_path / "old.db")
    store = Store(place)
    store.append([annotation(0), annotation(1)])
    before = store.ids()
    with store.database.turn() as connection:  # as the last release left it
        connection.exec_driver_sql("DROP TABLE erased_names")
        connection.exec_driver_sql("UPDATE events SET kind = 'erased', annotator = 'erased-0', content = '{}' WHERE number = 1")
        connection.exec_driver_sql("UPDATE tutelage_schema SET version = 2")
    (left,) = Store(place).ids()
    first, second = Store(place).events()
    assert left == second.id in before and first.id not in before and first.kind == "erased" and first.annotator == "erased-0"
    with store.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT annotation FROM events WHERE number = 1").scalar() is None
    assert json.dumps(dict(first.said)) == "{}"
