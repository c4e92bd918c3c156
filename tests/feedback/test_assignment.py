"""Practice, screening, gold, repeats, reviewers: what stands in place of the next item of work."""

import sqlite3
from types import SimpleNamespace

import numpy as np
import pytest
from sqlalchemy import event

from tests.feedback.studies import ORDER, answer, opened, rows, study, write
from tutelage.core.errors import UserError
from tutelage.feedback.study import assign, screening
from tutelage.feedback.study.people import People
from tutelage.feedback.study.progress import FAR, foreseen
from tutelage.feedback.study.sheet import Progress

BEST_FIRST = {"tiers": [[0], [1], [2]]}


def known(n, start, tiers=BEST_FIRST, **more):
    return [{**row, "answer": {"ranking": tiers}, **more} for row in rows(n, start=start)]


def right(sheet):
    """The form that says: stored place 0, then 1, then 2."""
    return {"ranking.order": " ".join(str(sheet.shown.index(place) + 1) for place in range(3))}


def submit(desk, person, sheet, values):
    return desk.submit(person, sheet.submit, sheet.item.id, values, 1, 1)


def test_practice_comes_first_with_its_explanations(tmp_path, place, clock):
    write(tmp_path, "practice.jsonl", known(3, 100, explanation="Shorter is better here."))
    desk = opened(study(tmp_path, rows(2), "practice: practice.jsonl"), place, clock)
    assert desk.progress("ann-1") == Progress("practice", 0, 3)
    sheet = desk.next("ann-1")
    assert sheet.purpose == "practice" and sheet.item.id == "i100" and "Shorter" not in repr(sheet)
    receipt = submit(desk, "ann-1", sheet, right(sheet))
    assert receipt.explanation == "Shorter is better here." and receipt.agreed
    assert receipt.expected == {"ranking": " over ".join("ABC"[sheet.shown.index(place)] for place in range(3))}
    second = desk.next("ann-1")
    wrong = {"ranking.order": "1 = 2 = 3"}
    assert submit(desk, "ann-1", second, wrong).agreed is False and not submit(desk, "ann-1", second, wrong).new
    assert desk.progress("ann-1") == Progress("practice", 2, 1)
    answer(desk, "ann-1")
    assert desk.next("ann-1").purpose == "work" and desk.progress("ann-1") == Progress("work", 0, 2)
    assert desk.store.count == 0 and len(desk.store.ids(purposes=["practice"])) == 3
    assert desk.next("ann-2").purpose == "practice"  # everybody's own


def test_screening_is_reported_with_its_interval_and_the_admin_decides(tmp_path, place, clock):
    write(tmp_path, "screening.jsonl", known(4, 100))
    made = study(tmp_path, rows(2), "screening: {items: screening.jsonl, wait: true}")
    desk = opened(made, place, clock)
    people = People(made, desk.store, clock)
    for n in range(4):
        sheet = desk.next("ann-1")
        submit(desk, "ann-1", sheet, right(sheet) if n else {"ranking.order": "1 = 2 = 3"})
    assert desk.next("ann-1") is None and desk.progress("ann-1").phase == "waiting"
    found = screening.screened(made, desk.database, "ann-1")
    assert (found.answered, found.agreement.mean, found.agreement.n) == (4, 0.75, 12)
    assert 0.45 < found.agreement.low < 0.5 and found.verdicts == ("unclear", "unclear")
    people.decide("boss", "ann-1", True)
    assert desk.next("ann-1").purpose == "work"
    people.decide("boss", "ann-2", False)
    for _ in range(4):
        sheet = desk.next("ann-2")
        submit(desk, "ann-2", sheet, {"ranking.order": "1 = 2 = 3"})
    assert desk.next("ann-2") is None and desk.progress("ann-2").phase == "over"
    assert screening.screened(made, desk.database, "ann-2").verdicts[0] == "below"
    assert [a.action for a in people.log()] == ["accept", "decline"]
    with pytest.raises(UserError, match="Nobody named"):
        screening.screened(made, desk.database, "eve")


def test_demonstrations_are_graded_by_the_admin(tmp_path, place, clock):
    asked = [{"id": f"s{n}", "prompt": f"write {n}"} for n in range(2)]
    write(tmp_path, "screening.jsonl", asked)
    made = study(tmp_path, [{"prompt": "q"}], "screening: {items: screening.jsonl}", questions="[{task: demonstration}]")
    desk = opened(made, place, clock)
    for _ in range(2):
        answer(desk, "ann-1", {"demonstration.text": "my answer"})
    before = screening.screened(made, desk.database, "ann-1")
    assert before.agreement is None and before.demonstrations is None and [e.item for e in before.ungraded] == ["s0", "s1"]
    first, second = (event.id for event in before.ungraded)
    for one, given in ((first, 2), (first, 7), (second, 6)):
        screening.grade(desk.database, clock(), "boss", "ann-1", one, given)
    after = screening.screened(made, desk.database, "ann-1")
    assert after.demonstrations.mean == 6.5 and after.ungraded == ()
    for one, given, said in ((first, 8, "from 1 to 7"), ("s9", 5, "wrote nothing")):
        with pytest.raises(UserError, match=said):
            screening.grade(desk.database, clock(), "boss", "ann-1", one, given)
    submit(desk, "ann-1", desk.sheet("ann-1", "s0"), {"demonstration.text": "junk"})  # what got the 7 is gone, and the 7 with it
    edited = screening.screened(made, desk.database, "ann-1")
    assert edited.demonstrations.mean == 6 and [e.annotation.answer["text"] for e in edited.ungraded] == ["junk"]
    with pytest.raises(UserError, match="has changed it since"):
        screening.grade(desk.database, clock(), "boss", "ann-1", first, 7)


def test_flags_are_judged_and_a_test_may_have_both_cut_offs(tmp_path, place, clock):
    """Known to be rude, known to be not, nothing known of flags, to be written; one person flags right, one the other way round."""
    flags, none = ({"ranking": {**BEST_FIRST, "flags": given}} for given in ([[2, "rude"]], []))
    asked = [{**rows(1, start=100)[0], "answer": flags}, {**rows(1, start=101)[0], "answer": none}, *known(1, 102)]
    asked.append({"id": "w", "prompt": "write"})
    write(tmp_path, "screening.jsonl", asked)
    write(tmp_path, "practice.jsonl", [{**row, "id": f"p{n}"} for n, row in enumerate(asked)])
    questions = "[{task: ranking, flags: [rude, {name: odd, label: Odd one}]}, {task: demonstration}]"
    made = study(tmp_path, rows(1), "screening: {items: screening.jsonl}\npractice: practice.jsonl", questions=questions)
    desk = opened(made, place, clock)
    told = {}
    for person, flagged in (("ann-1", {0: 2}), ("ann-2", {1: 0})):
        for n in range(8):
            sheet = desk.next(person)
            if n % 4 == 3:
                values, questions = {"demonstration.text": "so"}, ["demonstration"]
            else:
                flag = flagged.get(n % 4)
                more = {} if flag is None else {f"ranking.flag.{sheet.shown.index(flag)}.rude": "on"}
                values, questions = {**right(sheet), **more}, ["ranking"]
            assert [q.name for q in sheet.questions] == questions
            told[person, n] = submit(desk, person, sheet, values)
    one, two = (screening.screened(made, desk.database, person) for person in ("ann-1", "ann-2"))
    assert (one.agreement.mean, one.agreement.n) == (1, 9 + 6) and two.agreement.mean == 13 / 15
    assert len(one.ungraded) == 1 and one.answered == 4
    assert [told["ann-1", n].agreed for n in range(4)] == [True, True, True, None]
    assert [told["ann-2", n].agreed for n in range(4)] == [False, False, True, None]
    expected = [told["ann-1", n].expected for n in range(4)]
    assert expected[0]["ranking"].endswith(": Rude") and ";" not in expected[1]["ranking"] and expected[3] == {}


def test_gold_and_repeats_come_at_their_rates_and_by_the_seed(tmp_path, place, clock):
    write(tmp_path, "gold.jsonl", known(60, 1000))
    page = "gold: {items: gold.jsonl, rate: 0.2}\nrepeats: 0.1"
    made = study(tmp_path, rows(300), page)
    desk = opened(made, place, clock)
    seen = []
    while sheet := desk.next("ann-1"):
        seen.append((sheet.purpose, sheet.item.id, sheet.item.prompt.last))
        submit(desk, "ann-1", sheet, ORDER)
    purposes = [purpose for purpose, *_ in seen]
    assert purposes.count("work") == 300 and len({item for _, item, _ in seen}) == len(seen)
    assert 40 <= purposes.count("gold") <= 60 and 20 <= purposes.count("repeat") <= 65, purposes
    first = {text: n for n, (purpose, _, text) in enumerate(seen) if purpose == "work"}
    repeats = [(n, item, text) for n, (purpose, item, text) in enumerate(seen) if purpose == "repeat"]
    assert all(n - first[text] > 5 for n, _, text in repeats) and len({text for *_, text in repeats}) == len(repeats)
    assert desk.store.count == 300 and len(desk.store.ids(purposes=["gold"])) == purposes.count("gold")
    assert screening.gold(desk.database, "ann-1").n == 3 * purposes.count("gold") and screening.gold(desk.database, "ann-2") is None
    assert {e.item for e in desk.store.events() if e.purpose == "repeat"} < {f"i{n}" for n in range(300)}
    again = opened(made, str(tmp_path / "again.db"), clock)
    replayed = [again.next("ann-1") or None]
    submit(again, "ann-1", replayed[0], ORDER)
    for _ in range(30):
        replayed.append(again.next("ann-1"))
        submit(again, "ann-1", replayed[-1], ORDER)
    assert [(s.purpose, s.item.id) for s in replayed] == [one[:2] for one in seen[:31]]


def test_nobody_sees_what_they_opted_out_of_again_for_practice_or_in_the_test(tmp_path, place, clock):
    write(tmp_path, "practice.jsonl", [*known(2, 100, category="violence"), *known(1, 102)])
    write(tmp_path, "screening.jsonl", [*known(1, 200), *known(2, 201, category="violence")])
    page = "practice: practice.jsonl\nscreening: {items: screening.jsonl}\nrepeats: 0.5"
    items = [*rows(8, category="violence"), *rows(30, start=8)]
    desk = opened(study(tmp_path, items, page), place, clock)
    assert desk.progress("ann-1") == Progress("practice", 0, 3)
    answer(desk, "ann-1")
    desk.opt_out("ann-1", ["violence"])
    assert desk.progress("ann-1") == Progress("practice", 1, 1) and answer(desk, "ann-1").item.id == "i102"
    assert desk.progress("ann-1") == Progress("screening", 0, 1) and answer(desk, "ann-1").item.id == "i200"
    desk.opt_out("ann-1", [])
    assert desk.next("ann-1").purpose == "practice" and desk.progress("ann-1") == Progress("practice", 2, 1)
    for _ in range(3 + 8):
        answer(desk, "ann-1")
    desk.opt_out("ann-1", ["violence"])
    seen = []
    while sheet := answer(desk, "ann-1"):
        seen.append(sheet)
    assert {sheet.item.category for sheet in seen} == {""} and {sheet.purpose for sheet in seen} == {"work", "repeat"}


@pytest.mark.parametrize(("gold", "repeats"), [(0.3, 0.2), (0.1, 0.5)])
def test_the_total_is_the_same_whatever_is_on_the_screen(tmp_path, place, clock, gold, repeats):
    """Of an item of work, a known one or a repeat: a total that grew by one would tell them apart. At the higher rates both run out."""
    write(tmp_path, "gold.jsonl", known(9, 1000))
    desk = opened(study(tmp_path, rows(30), f"gold: {{items: gold.jsonl, rate: {gold}}}\nrepeats: {repeats}"), place, clock)
    totals, purposes = [], []
    while sheet := desk.next("ann-1"):
        totals += [desk.progress("ann-1").of]
        purposes.append(sheet.purpose)
        submit(desk, "ann-1", sheet, ORDER)
        totals += [desk.progress("ann-1").of]
    assert set(totals) == {len(purposes)} and purposes.count("gold") >= 4 and purposes.count("repeat") >= 2
    assert desk.progress("ann-1") == Progress("over", len(purposes), 0)


def test_a_long_way_is_foreseen_by_the_rates(tmp_path):
    write(tmp_path, "gold.jsonl", known(1, 1000))
    made = study(tmp_path, rows(1), "gold: {items: gold.jsonl, rate: 0.1}\nrepeats: 0.1")
    assert foreseen(made, "a", 0, 100_000, 50_000, []) == pytest.approx(125_000, rel=0.01)
    assert foreseen(made, "a", 0, 0, 5, []) == 0 and foreseen(made, "a", 7, 50, 0, []) < foreseen(made, "a", 7, 50, 50, [])


def one_by_one(study, person, first, work, gold, answered):
    """Sheet after sheet: what `foreseen` says without going through them."""
    sheet, known, repeated = first, list(answered), 0
    while work and sheet < first + FAR:
        kind = assign.drawn(study, person, sheet)
        if kind == "gold" and gold:
            gold -= 1
        elif kind == "repeat" and sum(n < sheet - assign.APART for n in known) > repeated:
            repeated += 1
        else:
            known.append(sheet)
            work -= 1
        sheet += 1
    return sheet - first, work


RATES = [(0.05, 0.05), (0.3, 0.2), (0.1, 0.5), (0.5, 0.5), (0, 0.3), (0.4, 0), (0.9, 0), (0, 0.95)]


@pytest.mark.parametrize("rates", RATES)
def test_what_is_foreseen_is_what_comes_sheet_by_sheet(rates):
    """From anywhere, with any past; also where what may be repeated at once is only counted, as the database does."""
    random = np.random.default_rng(0)
    for seed in range(40):
        made = SimpleNamespace(seed=seed % 3, gold_rate=rates[0], repeats=rates[1])
        first, work, gold = int(random.integers(0, 150)), int(random.integers(0, 120)), int(random.choice([0, 1, 5, 1000]))
        answered = np.flatnonzero(random.random(first) < random.choice([0.0, 0.3, 1.0])).tolist()
        sheets, left = one_by_one(made, "a", first, work, gold, answered)
        counted = [max(n, first - assign.APART - 1) for n in answered]
        assert left == 0 and foreseen(made, "a", first, work, gold, answered) == foreseen(made, "a", first, work, gold, counted) == sheets


def test_beyond_what_is_foreseen_one_by_one_the_rates_are_taken():
    made = SimpleNamespace(seed=1, gold_rate=0.1, repeats=0.1)
    sheets, left = one_by_one(made, "a", 3, 5000, 200, [0, 2])
    assert sheets == FAR and left > 0 and foreseen(made, "a", 3, 5000, 200, [0, 2]) == FAR + round(left / 0.8)


def test_a_bar_costs_as_little_after_a_thousand_sheets(tmp_path, clock):
    """What was repeated is read once and not for every seat, nothing is scanned, and two questions say what is ahead."""
    write(tmp_path, "gold.jsonl", known(9, 1000))
    desk = opened(study(tmp_path, rows(50), "gold: {items: gold.jsonl, rate: 0.1}\nrepeats: 0.3"), str(tmp_path / "store.db"), clock)
    for _ in range(20):
        answer(desk, "ann-1")
    asked = []
    event.listen(desk.database._engine, "before_cursor_execute", lambda c, cursor, text, values, *_: asked.append((text, values)))
    desk.progress("ann-1")
    with sqlite3.connect(tmp_path / "store.db") as raw:
        read = [(text, values) for text, values in asked if text.startswith("SELECT")]
        plans = {text: [row[-1] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", values)] for text, values in read}
    repeats = [plan for text, plan in plans.items() if "AS again" in text]
    assert len(read) == len(plans) == 4 and len(repeats) == 1
    assert not [step for plan in plans.values() for step in plan if step.startswith("SCAN") and step != "SCAN CONSTANT ROW"]
    assert not [step for step in repeats[0] if step.startswith("CORRELATED")], repeats


def test_where_people_disagree_a_reviewer_decides_side_by_side(tmp_path, place, clock):
    people = "[{name: a}, {name: b}, {name: judge, role: reviewer}, {name: second, role: reviewer}]"
    page = f"overlap: 2\ndisagreement: {{below: 0.6}}\npeople: {people}"
    desk = opened(study(tmp_path, rows(2), page, questions="[{task: ranking, flags: [rude]}]"), place, clock)
    assert desk.next("judge") is None and desk.progress("judge") == Progress("over", 0, 0)
    said = {"a": {"i0": [0, 1, 2], "i1": [0, 1, 2]}, "b": {"i0": [2, 1, 0], "i1": [0, 1, 2]}}
    for person, orders in said.items():
        while sheet := desk.next(person):
            order = " ".join(str(sheet.shown.index(p) + 1) for p in orders[sheet.item.id])
            flag = {f"ranking.flag.{sheet.shown.index(1)}.rude": "on", "note": "well"} if person == "b" else {}
            submit(desk, person, sheet, {"ranking.order": order, **flag})
    assert desk.progress("judge") == Progress("review", 0, 1)
    sheet = desk.next("judge")
    assert sheet.item.id == "i0" and sheet.purpose == "adjudication" and desk.next("second") is None
    letters = ["ABC"[sheet.shown.index(place)] for place in range(3)]
    assert [v.who for v in sheet.voices] == ["First", "Second"]
    assert [v.said["ranking"] for v in sheet.voices] == [" over ".join(letters), " over ".join(letters[::-1])]
    assert sheet.voices[1].flags == {"ranking": ((sheet.shown.index(1), "rude"),)} and sheet.voices[1].note == "well"
    assert sheet.voices[0].flags == {}
    clock.minutes(11)
    other = desk.next("second")  # the first reviewer's lease is over
    submit(desk, "second", other, right(other))
    assert desk.next("judge") is None and desk.next("second") is None
    (event,) = [e for e in desk.store.events() if e.purpose == "adjudication"]
    assert event.annotator == "second" and event.annotation.answer == BEST_FIRST
    assert desk.store.annotators() == {"a": 2, "b": 2, "second": 1}
    assert desk.undo("second").voices and desk.store.annotators() == {"a": 2, "b": 2}


def test_more_people_are_asked_once_before_a_reviewer(tmp_path, place, clock):
    people = "[{name: a}, {name: b}, {name: c}, {name: d}, {name: judge, role: reviewer}]"
    page = f"overlap: 2\ndisagreement: {{below: 0.6, more: 1}}\npeople: {people}"
    desk = opened(study(tmp_path, rows(1), page), place, clock)
    for person, order in (("a", [0, 1, 2]), ("b", [2, 1, 0])):
        sheet = desk.next(person)
        submit(desk, person, sheet, {"ranking.order": " ".join(str(sheet.shown.index(p) + 1) for p in order)})
    assert desk.next("judge") is None
    sheet = desk.next("c")
    submit(desk, "c", sheet, right(sheet))
    assert desk.next("d") is None and desk.next("judge").item.id == "i0"


def test_an_edit_that_ends_the_disagreement_ends_the_review(tmp_path, place, clock):
    page = "overlap: 2\ndisagreement: {below: 0.6}\npeople: [{name: a}, {name: b}, {name: judge, role: reviewer}]"
    desk = opened(study(tmp_path, rows(1), page), place, clock)
    first, second = desk.next("a"), desk.next("b")
    submit(desk, "a", first, right(first))
    reverse = {"ranking.order": " ".join(str(second.shown.index(p) + 1) for p in (2, 1, 0))}
    submit(desk, "b", second, reverse)
    assert desk.progress("judge").open == 1
    desk.submit("b", "edited", "i0", right(second), 1, 1)
    assert desk.progress("judge").open == 0 and desk.next("judge") is None


def test_the_next_item_is_the_first_row_of_an_index(tmp_path, clock):
    """At ten thousand items nothing is scanned or sorted: the plan says so, whatever the machine's speed."""
    desk = opened(study(tmp_path, rows(50), "overlap: 2"), str(tmp_path / "store.db"), clock)
    asked = []
    engine = desk.database._engine
    event.listen(engine, "before_cursor_execute", lambda c, cursor, text, values, *_: asked.append((text, values)))
    answer(desk, "ann-1")
    with sqlite3.connect(tmp_path / "store.db") as raw:
        read = [(text, values) for text, values in asked if text.startswith("SELECT")]
        plans = {text: " ".join(row[-1] for row in raw.execute(f"EXPLAIN QUERY PLAN {text}", values)) for text, values in read}
    chosen = [plan for text, plan in plans.items() if "FROM items" in text and "LIMIT" in text]
    assert len(chosen) == 1 and "USING INDEX items_open (role=?)" in chosen[0] and "TEMP B-TREE" not in chosen[0]
    assert not [plan for plan in plans.values() if "SCAN" in plan.replace("CORRELATED SCALAR", "")], plans
