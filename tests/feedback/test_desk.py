"""The desk: what an answer, a draft, a skip, an undo, an edit and a question do; on both databases."""

import json

import pytest

from tests.feedback.studies import ORDER, answer, counts, desk_of, opened, study
from tutelage.core.errors import UserError
from tutelage.feedback.study.arrival import Used
from tutelage.feedback.tasks import signals_of


def test_an_answer_becomes_an_annotation_with_all_that_is_known_of_it(tmp_path, place, clock):
    (tmp_path / "guide.md").write_text("# Be fair")
    page = "guidelines: guide.md"
    questions = "[{task: ranking, name: order, aspect: helpful, flags: table_3}, {task: likert}]"
    desk = desk_of(tmp_path, place, clock, 1, page, questions=questions)
    sheet = desk.next("ann-1")
    values = {
        "order.order": "2 1 = 3",
        "likert.value-0": "7",
        "likert.value-1": "1",
        "likert.value-2": "4",
        "order.flag.0.hallucination": "on",
        "note": " hm ",
    }
    receipt = desk.submit("ann-1", sheet.submit, "i0", values, 1500, 4000)
    assert receipt.new and receipt.submit == sheet.submit and receipt.explanation is None
    by_task = {a.task: a for a in desk.store.read()}
    a, shown = by_task["ranking"], sheet.shown
    assert a.answer == {"tiers": [[shown[1]], sorted([shown[0], shown[2]])]} and sorted(shown) == [0, 1, 2] and a.shown == shown
    assert a.flags == ((shown[0], "hallucination"),) and a.aspect == "helpful" and {s.aspect for s in signals_of(a)} == {"helpful"}
    assert by_task["likert"].answer["values"][shown[0]] == 7 and by_task["likert"].flags == ()
    assert a.guideline == desk.study.guideline.version != "" and a.seconds == 1.5 and a.at.startswith("2027-01-15T08:00:00")
    first, second = desk.store.events()
    assert (first.id, second.id) == (f"{sheet.submit}-0", f"{sheet.submit}-1")
    assert (first.purpose, first.item, first.active_ms, first.total_ms) == ("work", "i0", 1500, 4000)
    assert first.said == {"question": "order", "note": "hm"} and second.said == {"question": "likert"}


def test_equal_answers_to_two_questions_of_one_task_stay_two(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1, questions="[{task: likert, name: helpful}, {task: likert, name: honest}]")
    answer(desk, "ann-1", {f"{name}.value-{n}": "4" for name in ("helpful", "honest") for n in range(3)})
    assert sorted(a.aspect for a in desk.store.read()) == ["helpful", "honest"] and desk.store.annotators() == {"ann-1": 2}


def test_the_sheet_tells_nothing_that_is_not_to_be_told(tmp_path, place, clock):
    signed = [{"text": "a", "by": "gpt-9"}, {"text": "b", "by": "ours"}]
    row = {"prompt": "q", "responses": signed, "suggestion": "B, surely", "warning": "blood"}
    desk = opened(study(tmp_path, [row], questions="[{task: pair}]"), place, clock)
    sheet = desk.next("ann-1")
    assert "gpt-9" not in repr(sheet) and "surely" not in repr(sheet) and sheet.item.warning == "blood"
    receipt = desk.submit("ann-1", sheet.submit, sheet.item.id, {"pair.winner": "a"}, 1, 1)
    assert receipt.suggestion == "B, surely"
    assert {r.by for a in desk.store.read() for r in a.responses} == {"gpt-9", "ours"}


def test_posting_twice_is_one_answer(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = desk.next("ann-1")
    assert [desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1).new for _ in range(3)] == [True, False, False]
    with pytest.raises(Used):
        desk.skip("ann-1", sheet.submit, "i0")
    assert desk.store.count == 1 and counts(desk)["i0"] == (1, 1, "")
    other = desk.next("ann-2")
    with pytest.raises(UserError, match="sent for something else"):
        desk.submit("ann-2", sheet.submit, other.item.id, ORDER, 1, 1)


OTHER = {"ranking.order": "1 2 3"}
USES = {  # what became of a form before it came (once more) with an answer or a skip
    "skipped": lambda desk, sheet: desk.skip("ann-1", sheet.submit, "i0"),
    "skipped and taken back": lambda desk, sheet: (desk.skip("ann-1", sheet.submit, "i0"), desk.undo("ann-1")),
    "answered and taken back": lambda desk, sheet: (desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1), desk.undo("ann-1")),
    "answered otherwise": lambda desk, sheet: desk.submit("ann-1", sheet.submit, "i0", OTHER, 1, 1),
    "answered with a note": lambda desk, sheet: desk.submit("ann-1", sheet.submit, "i0", {**ORDER, "note": "first"}, 1, 1),
    "answered and changed": lambda desk, sheet: (
        desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1),
        desk.submit("ann-1", desk.sheet("ann-1", "i0").submit, "i0", OTHER, 1, 1),
    ),
}


@pytest.mark.parametrize("use", USES.values(), ids=USES)
def test_a_form_that_was_used_for_something_else_is_refused_and_never_swallowed(tmp_path, place, clock, use):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = desk.next("ann-1")
    use(desk, sheet)
    before = [event.id for event in desk.store.events()]
    with pytest.raises(Used, match="This form was used already; open the item again"):
        desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1)
    assert [event.id for event in desk.store.events()] == before
    again = desk.sheet("ann-1", "i0")
    assert desk.submit("ann-1", again.submit, "i0", ORDER, 1, 1).new and not desk.submit("ann-1", again.submit, "i0", ORDER, 2, 2).new
    (stands,) = desk.store.read()
    assert stands.answer == {"tiers": [[sheet.shown[1]], sorted([sheet.shown[0], sheet.shown[2]])]}


def test_posting_twice_is_one_answer_where_a_question_is_for_other_items(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1, questions="[{task: ranking}, {task: demonstration}]")
    sheet = desk.next("ann-1")
    assert [desk.submit("ann-1", sheet.submit, "i0", ORDER, 1, 1).new for _ in range(2)] == [True, False]


def test_a_used_form_skips_nothing(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = desk.next("ann-1")
    assert desk.skip("ann-1", sheet.submit, "i0").new and not desk.skip("ann-1", sheet.submit, "i0").new
    desk.undo("ann-1")
    with pytest.raises(Used):
        desk.skip("ann-1", sheet.submit, "i0")
    assert desk.next("ann-1").item.id == "i0"


def test_what_is_refused_leaves_nothing_behind(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 3)
    sheet = desk.next("ann-1")
    desk.next("ann-2")
    before = counts(desk)
    for said, call in {
        "no rank yet": lambda: desk.submit("ann-1", sheet.submit, "i0", {"ranking.order": "2 1"}, 1, 1),
        "is not yours": lambda: desk.submit("ann-1", sheet.submit, "i1", ORDER, 1, 1),
        "not yours": lambda: desk.sheet("ann-1", "i2"),
        "is not yours. Open": lambda: desk.skip("ann-1", sheet.submit, "no such item"),
        "half a surrogate": lambda: desk.submit("ann-1", sheet.submit, "i0", {**ORDER, "note": "\ud800"}, 1, 1),
        "too many in one field": lambda: desk.submit("ann-1", sheet.submit, "i0", {**ORDER, "note": "x" * (1 << 21)}, 1, 1),
        "without its token": lambda: desk.submit("ann-1", "", "i0", ORDER, 1, 1),
        "characters are too many here": lambda: desk.submit("ann-1", sheet.submit, "i0", {**ORDER, "note": "x" * 20_000}, 1, 1),
        "no flag 'rude'": lambda: desk.submit("ann-1", sheet.submit, "i0", {**ORDER, "ranking.flag.0.rude": "on"}, 1, 1),
        "Nobody named 'eve'": lambda: desk.next("eve"),
        "question is empty": lambda: desk.ask("ann-1", "i0", "  "),
    }.items():
        with pytest.raises(UserError, match=said):
            call()
    assert list(desk.store.events()) == [] and counts(desk) == before


def test_undo_takes_back_and_shows_the_form_as_it_was(tmp_path, place, clock):
    questions = "[{task: ranking, name: order, flags: [rude]}, {task: demonstration, name: better}]"
    desk = desk_of(tmp_path, place, clock, 1, questions="[{task: ranking, name: order, flags: [rude]}, {task: likert}]")
    assert questions and desk.undo("ann-1") is None
    sheet = desk.next("ann-1")
    values = {
        "order.order": "3 1 = 2",
        "order.flag.2.rude": "on",
        "likert.value-0": "1",
        "likert.value-1": "2",
        "likert.value-2": "3",
        "note": "why",
    }
    desk.submit("ann-1", sheet.submit, "i0", values, 1, 1)
    back = desk.undo("ann-1")
    assert dict(back.draft) == values and back.shown == sheet.shown and not back.answered and back.submit != sheet.submit
    assert desk.store.ids() == [] and counts(desk)["i0"] == (1, 0, "")
    with pytest.raises(Used):
        desk.submit("ann-1", sheet.submit, "i0", values, 1, 1)  # the old form, sent once more
    assert desk.store.ids() == []
    assert desk.submit("ann-1", back.submit, "i0", values, 1, 1).new and len(desk.store.ids()) == 2
    kinds = [event.kind for event in desk.store.events()]
    assert kinds == ["annotation", "annotation", "undo", "annotation", "annotation"]
    clock.minutes(11)
    assert desk.undo("ann-1") is None


def test_undo_goes_back_step_by_step_and_forward_again(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 3)
    done = [answer(desk, "ann-1").item.id for _ in range(2)]
    assert desk.next("ann-1").item.id == "i2"
    assert [desk.undo("ann-1").item.id for _ in range(2)] == done[::-1]
    assert [answer(desk, "ann-1").item.id for _ in range(3)] == ["i0", "i1", "i2"]
    assert desk.store.count == 3 and set(counts(desk).values()) == {(1, 1, "")}


def test_undo_with_a_token_is_once(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 3)
    first, second = answer(desk, "ann-1"), answer(desk, "ann-1")
    assert desk.last("ann-1") == second.submit and desk.last("ann-2") == ""
    assert desk.undo("ann-1", second.submit).item.id == "i1"
    assert desk.last("ann-1") == first.submit
    assert desk.undo("ann-1", second.submit) is None
    assert desk.undo("ann-1", first.submit).item.id == "i0" and desk.last("ann-1") == ""
    answer(desk, "ann-1")
    clock.minutes(10.1)
    assert desk.last("ann-1") == ""


def test_a_skipped_item_goes_to_others_and_may_be_undone(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1)
    sheet = desk.next("ann-1")
    assert desk.skip("ann-1", sheet.submit, "i0", "not my field").new and not desk.skip("ann-1", sheet.submit, "i0").new
    assert counts(desk)["i0"] == (0, 0, "") and desk.next("ann-1") is None
    assert next(desk.store.events(kinds=["skip"])).said == {"reason": "not my field"}
    assert desk.undo("ann-1").item.id == "i0" and counts(desk)["i0"] == (1, 0, "")
    desk.skip("ann-1", desk.next("ann-1").submit, "i0")
    answer(desk, "ann-2")
    with pytest.raises(UserError, match="answered by others in the meantime"):
        desk.undo("ann-1")
    with pytest.raises(UserError, match="you had skipped it"):
        desk.submit("ann-1", "another", "i0", ORDER, 1, 1)


def test_an_edit_supersedes_for_ten_minutes(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 1)
    sheet = answer(desk, "ann-1")
    own = desk.sheet("ann-1", "i0")
    assert own.answered and dict(own.draft) == ORDER and own.submit != sheet.submit
    desk.submit("ann-1", own.submit, "i0", {"ranking.order": "1 = 2 = 3"}, 1, 1)
    (entry,) = desk.history("ann-1")
    assert entry.said == {"ranking": "A = B = C"} and entry.submit == own.submit and not entry.skipped
    assert desk.store.count == 1 and [e.supersedes for e in desk.store.events()] == [None, sheet.submit]
    assert counts(desk)["i0"] == (1, 1, "")
    clock.minutes(10.1)  # counted from the first answer: edits don't buy time
    with pytest.raises(UserError, match="can be changed for 10 minutes"):
        desk.submit("ann-1", "third", "i0", ORDER, 1, 1)
    assert desk.history("ann-2") == []


def test_an_answer_that_is_being_changed_keeps_a_draft_for_ten_minutes(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    first = answer(desk, "ann-1")
    own = desk.sheet("ann-1", "i0")
    assert desk.sheet("ann-1", "i0").submit == own.submit  # one token, so that the page finds what the browser kept
    since = desk.history("ann-1")[0].at
    assert desk.draft("ann-1", "i0", {"ranking.order": "3"}, own.submit) == since + 600
    assert dict(desk.sheet("ann-1", "i0").draft) == {"ranking.order": "3"} and desk.sheet("ann-1", "i0").answered
    assert desk.history("ann-1")[0].said == {"ranking": "B over A = C"} and counts(desk)["i0"] == (1, 1, "")
    with pytest.raises(UserError, match="done already"):  # the page of before the answer, whose last draft comes late
        desk.draft("ann-1", "i0", {"ranking.order": "2 1"}, first.submit)
    desk.submit("ann-1", own.submit, "i0", {"ranking.order": "1 2 3"}, 1, 1)
    again = desk.sheet("ann-1", "i0")
    assert dict(again.draft) == {"ranking.order": "1 2 3"} and again.submit != own.submit
    with pytest.raises(UserError, match="done already"):
        desk.draft("ann-1", "i0", {"ranking.order": "2"}, own.submit)
    desk.draft("ann-1", "i0", {"ranking.order": "1"}, again.submit)
    assert dict(desk.undo("ann-1").draft) == {"ranking.order": "1"}  # as it was being changed to
    answer(desk, "ann-1")
    last = desk.sheet("ann-1", "i0").submit
    clock.minutes(10.1)
    with pytest.raises(UserError, match="can be changed for 10 minutes"):
        desk.draft("ann-1", "i0", {"ranking.order": "2"}, last)


def test_questions_to_the_admin_and_replies(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = desk.next("ann-1")
    for _ in range(2):
        desk.ask("ann-1", sheet.item.id, "Is a tie allowed?", "form")
    desk.ask("ann-2", "", "How long?")
    theirs, mine = desk.questions()
    assert (mine.person, mine.item, mine.text, mine.replies) == ("ann-1", "i0", "Is a tie allowed?", ()) and theirs.item == ""
    desk.reply("boss", mine.submit, "Yes.")
    assert desk.talks("ann-1")[0].replies == ("Yes.",) and desk.talks("ann-2")[0].replies == ()
    assert desk.words("i0") == "question 0" and desk.words("") == ""
    with pytest.raises(UserError, match="no such question"):
        desk.reply("boss", "nothing", "Yes.")


def test_a_questions_token_asks_once_and_only_that(tmp_path, place, clock):
    desk = desk_of(tmp_path, place, clock, 2)
    sheet = answer(desk, "ann-1")
    for _ in range(2):
        desk.ask("ann-1", "i0", "Is a tie allowed?", "form")
    for text, of, token in (("Is it not?", "i0", "form"), ("Is a tie allowed?", "", "form"), ("Is a tie allowed?", "i0", sheet.submit)):
        with pytest.raises(Used):
            desk.ask("ann-1", of, text, token)
    with pytest.raises(UserError, match="without its token"):
        desk.ask("ann-1", "i0", "Is a tie allowed?", "ä")
    assert [talk.text for talk in desk.questions()] == ["Is a tie allowed?"]


def test_everything_is_plain_json(tmp_path, place, clock):
    """What a response holds is kept as it is: markup, control characters, right-to-left marks, a megabyte."""
    nasty = ["<script>alert(1)</script>", "\x00\x07\u202e\u2028", "x" * (1 << 20)]
    desk = opened(study(tmp_path, [{"prompt": "q \x00", "responses": nasty}]), place, clock)
    answer(desk, "ann-1")
    (a,) = desk.store.read()
    assert [r.text for r in a.responses] == nasty and a.prompt.last == "q \x00" and json.dumps(a.answer)
