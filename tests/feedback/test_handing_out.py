"""The desk: who gets which item, for how long, and what changes when the items do; on both databases."""

from collections import Counter

import pytest

from tests.feedback.studies import ORDER, answer, counts, desk_of, opened, rows, study, write
from tutelage.core.errors import UserError
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.sheet import Progress


def test_the_order_on_the_screen_is_a_persons_own_and_stays(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 30, people=2, page="overlap: 2")
    orders = {}
    for person in ("ann-1", "ann-2"):
        while sheet := desk.next(person):
            assert desk.next(person).shown == sheet.shown == desk.sheet(person, sheet.item.id).shown
            desk.submit(person, sheet.submit, sheet.item.id, ORDER, 1, 1)
            orders[person, sheet.item.id] = sheet.shown
    assert len(set(orders.values())) == 6  # all orders of three
    assert any(orders["ann-1", f"i{n}"] != orders["ann-2", f"i{n}"] for n in range(30))


def test_the_least_labelled_goes_first_and_nobody_sees_an_item_twice(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 4, "overlap: 2")
    seen = [(person, answer(desk, person).item.id) for person in ("ann-1", "ann-2", "ann-1", "ann-2")]
    assert [item for _, item in seen] == ["i0", "i1", "i2", "i3"]
    seen += [(person, answer(desk, person).item.id) for person in ("ann-1", "ann-2", "ann-1", "ann-2")]
    assert len(set(seen)) == 8 and set(Counter(item for _, item in seen).values()) == {2}
    assert desk.next("ann-1") is None and desk.next("ann-3") is None
    assert desk.progress("ann-1") == Progress("over", 4, 0)


def test_an_items_own_overlap(tmp_path, place, clock):
    items = rows(2)
    items[1]["overlap"] = 3
    desk = opened(study(tmp_path, items), place, clock)
    given = [(answer(desk, person) or answer(desk, person)) for person in ("ann-1", "ann-2", "ann-3") for _ in range(2)]
    assert Counter(sheet.item.id for sheet in given if sheet) == {"i0": 1, "i1": 3}


def test_a_lease_ends_and_the_item_goes_to_somebody_else(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1)
    first = desk.next("ann-1")
    assert desk.next("ann-2") is None and first.expires == pytest.approx(clock.now + 600, abs=1)
    clock.minutes(9)
    assert desk.next("ann-2") is None
    clock.minutes(1.1)
    second = desk.next("ann-2")
    assert second.item.id == "i0" and desk.next("ann-1") is None
    with pytest.raises(UserError, match="10 minutes for this item are over"):
        desk.sheet("ann-1", "i0")
    desk.submit("ann-2", second.submit, "i0", ORDER, 1, 1)
    with pytest.raises(UserError, match="Others have answered this item in the meantime; your time for it was over"):
        desk.submit("ann-1", first.submit, "i0", ORDER, 1, 1)
    assert desk.store.annotators() == {"ann-2": 1} and counts(desk) == {"i0": (1, 1, "")}


@pytest.mark.parametrize("swept", [False, True])
def test_an_answer_after_its_lease_is_taken_while_there_is_room(tmp_path, place, clock, swept):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = desk.next("ann-1")
    clock.minutes(30)
    if swept:
        other = desk.next("ann-2")
        desk.skip("ann-2", other.submit, other.item.id)
    desk.submit("ann-1", sheet.submit, sheet.item.id, ORDER, 1, 1)
    assert counts(desk)["i0"] == (1, 1, "") and desk.store.count == 1


def test_a_draft_survives_and_renews_the_lease(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1)
    sheet = desk.next("ann-1")
    clock.minutes(9)
    expires = desk.draft("ann-1", "i0", {"ranking.order": "2", "note": "é"})
    assert expires == pytest.approx(clock.now + 600, abs=1)
    clock.minutes(9)
    again = Desk(desk.study, Store(place), clock).next("ann-1")
    assert dict(again.draft) == {"ranking.order": "2", "note": "é"} and again.submit == sheet.submit
    clock.minutes(20)
    back = desk.next("ann-1")  # its lease ran out, but nobody took it
    assert dict(back.draft) == dict(again.draft) and back.shown == sheet.shown
    desk.submit("ann-1", back.submit, "i0", ORDER, 1, 1)
    with pytest.raises(UserError, match="done already"):
        desk.draft("ann-1", "i0", {})


def test_a_draft_that_comes_too_late_is_kept_all_the_same(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    desk.next("ann-1")
    clock.minutes(11)
    other = desk.next("ann-2")
    assert other.item.id == "i0" and desk.draft("ann-1", "i0", {"note": "late"}) < clock.now
    desk.skip("ann-2", other.submit, "i0")
    back = desk.next("ann-1")
    assert back.item.id == "i0" and dict(back.draft) == {"note": "late"} and counts(desk)["i0"] == (1, 0, "")
    clock.minutes(11)
    assert desk.next("ann-3").item.id == "i0" and desk.skip("ann-3", "t", "i0").new
    assert desk.draft("ann-1", "i0", {"note": "room again"}) > clock.now and counts(desk)["i0"] == (1, 0, "")


def loaded(desk, tmp_path, left):
    """The desk, after its items' file was written anew with these rows only."""
    write(tmp_path, "items.jsonl", left)
    desk.load()
    return desk


def test_a_row_that_was_taken_out_is_handed_out_no_more_and_its_answers_stay(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 4, "overlap: 2")
    answer(desk, "ann-1")
    late = desk.next("ann-3")
    clock.minutes(11)
    loaded(desk, tmp_path, rows(4)[2:])
    assert counts(desk)["i0"][1] == 1 and desk.store.count == 1
    assert desk.progress("ann-2") == Progress("work", 0, 2)
    assert [answer(desk, "ann-2").item.id for _ in range(2)] == ["i2", "i3"] and desk.next("ann-2") is None
    assert late.item.id == "i1" and desk.next("ann-3").item.id == "i2"
    with pytest.raises(UserError, match="This item was taken out of the study"):
        desk.submit("ann-3", late.submit, "i1", ORDER, 1, 1)
    loaded(desk, tmp_path, rows(4))  # it is back, and room for one is left on i0
    assert [answer(desk, "ann-2").item.id for _ in range(2)] == ["i1", "i0"] and desk.next("ann-2") is None
    assert counts(desk)["i0"] == (2, 2, "")


def test_nobody_repeats_or_decides_what_was_taken_out(tmp_path, place, clock):
    page = (
        "repeats: 0.5\noverlap: 2\ndisagreement: {below: 0.9, more: 0}\npeople: [{name: ann-1}, {name: ann-2}, {name: rev, role: reviewer}]"
    )
    desk = opened(study(tmp_path, rows(3, k=2), page, questions="[{task: pair}]"), place, clock)
    for person, choice in (("ann-1", 0), ("ann-2", 1)):
        for _ in range(3):
            sheet = desk.next(person)
            desk.submit(person, sheet.submit, sheet.item.id, {"pair.winner": "ab"[sheet.shown.index(choice)]}, 1, 1)
    assert desk.progress("rev").open == 3
    loaded(desk, tmp_path, rows(20, k=2, start=3))
    assert desk.next("rev") is None and desk.progress("rev").open == 0
    again = set()
    while sheet := desk.next("ann-1"):
        if sheet.item.id not in {f"i{n}" for n in range(23)}:
            again.add(sheet.item.prompt.last)
        desk.submit("ann-1", sheet.submit, sheet.item.id, {"pair.winner": "a"}, 1, 1)
    assert again and not again & {"question 0", "question 1", "question 2"}
    loaded(desk, tmp_path, rows(23, k=2))
    assert desk.progress("rev").open == 3 and desk.next("rev").purpose == "adjudication"


def test_expertise_routes_and_experts_are_spent_on_what_needs_them(tmp_path, place, clock):
    items = [*rows(2), *rows(2, start=2, expertise="medical")]
    page = "people: [{name: nurse, expertise: [medical]}, {name: clerk}]"
    desk = opened(study(tmp_path, items, page), place, clock)
    assert desk.progress("clerk") == Progress("work", 0, 2) and desk.progress("nurse") == Progress("work", 0, 4)
    assert [answer(desk, "nurse").item.id for _ in range(2)] == ["i2", "i3"]
    assert [answer(desk, "clerk").item.id for _ in range(2)] == ["i0", "i1"]
    assert desk.next("clerk") is None and desk.next("nurse") is None


def test_categories_that_somebody_opts_out_of(tmp_path, place, clock):
    items = [*rows(2, category="violence"), *rows(1, start=2)]
    desk = opened(study(tmp_path, items), place, clock)
    assert desk.categories() == ["violence"] and desk.next("ann-1").item.id == "i0"
    desk.opt_out("ann-1", ["violence"])
    assert desk.next("ann-1").item.id == "i2" and counts(desk)["i0"] == (0, 0, "")
    assert answer(desk, "ann-1") and desk.next("ann-1") is None
    desk.opt_out("ann-1", [])
    assert desk.next("ann-1").item.id == "i0"
    with pytest.raises(UserError, match="no category 'gore'"):
        desk.opt_out("ann-1", ["gore"])


def test_loading_again_changes_only_what_is_about_an_item(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 3)
    answer(desk, "ann-1")
    made = study(tmp_path, [*rows(3, category="new", warning="w", overlap=2), *rows(1, start=3)])
    again = opened(made, place, clock)
    assert again.categories() == ["new"] and counts(again)["i0"] == (1, 1, "") and len(counts(again)) == 4
    assert again.next("ann-2").item.warning == "w"
    changed = rows(3)
    changed[1]["responses"][0] = "something else"
    with pytest.raises(UserError, match="item i1: the store has it with another prompt, other responses"):
        opened(study(tmp_path, changed), place, clock)


def test_a_fault_in_a_file_stores_nothing(tmp_path, place, clock):
    made = study(tmp_path, rows(3))
    write(tmp_path, "items.jsonl", [*rows(2), {"prompt": "alone", "responses": ["one"]}])
    with pytest.raises(UserError, match="question ranking: a ranking needs 2 to 9 responses; got 1"):
        opened(made, place, clock)
    assert not list(Store(place).events()) and Store(place).count == 0
