"""People: invited, revoked, erased; every admin action in the log; and who a person's pseudonym stands for is nowhere."""

import pytest

from tests.feedback.studies import Clock, answer, opened, rows, study
from tutelage.core.errors import UserError
from tutelage.feedback.study.people import People


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def made(tmp_path, place, clock):
    """A desk with two people, and the people of its study."""
    desk = opened(study(tmp_path, rows(4), "overlap: 2", people=2), place, clock)
    return desk, People(desk.study, desk.store, clock)


def test_somebody_is_invited_under_a_pseudonym(made):
    desk, people = made
    new = people.invite("boss", expertise=["law"])
    assert (new.name, new.role, new.expertise, new.keys, new.active) == ("ann-03", "annotator", ("law",), 1, True)
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
    held = desk.next("ann-1")
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
    assert not person.active and person.keys == 2 and desk.store.count == 1
    with desk.database.reading() as connection:
        assert connection.exec_driver_sql("SELECT sum(load) FROM items").scalar() == 1
    people.restore("boss", "ann-1")
    assert desk.next("ann-1") is not None and people.renew("boss", "ann-1").keys == 3
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
    assert answer(desk, "ann-2") and people.invite("boss", "ann-1").keys == 1  # the name is free again, and nobody's


def test_who_annotated_elsewhere_is_erased_too(made):
    from tests.feedback.writer import annotation

    desk, people = made
    desk.store.append(annotation(n) for n in range(6))
    assert people.erase("boss", "ann-00").events == 2 and desk.store.count == 4
