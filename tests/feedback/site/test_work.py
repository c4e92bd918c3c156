"""The work without JavaScript: plain forms, from the invitation to the last item."""

import json

import pytest

from tests.feedback.site.studies import come_in, disputed, field_in, form_in, item, opened, proof_in, site_of, study_at
from tests.feedback.studies import Clock
from tutelage.core.errors import Interrupted
from tutelage.feedback.site.forms import DAY


def test_a_queue_is_finished_by_plain_forms(tmp_path):
    app = opened(study_at(tmp_path, items=5))
    ann = come_in(app, "ann-01")
    for n in range(5):
        page = ann.get("/").text
        assert f"<b>{n}</b> of 5" in page
        answer = ann.post("/submit", data={**form_in(page), "ranking.order": "2 1 = 3 4"})
        assert answer.status_code == 200 and answer.url.path == "/"
    assert "That is all for now" in ann.get("/").text
    found = list(site_of(app).store.read())
    assert len(found) == 5 and {a.annotator for a in found} == {"ann-01"}


def test_the_answer_is_stored_in_places_stored_not_shown(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    ann = come_in(app, "ann-01")
    page = ann.get("/").text
    ann.post("/submit", data={**form_in(page), "ranking.order": "2 1 = 3 4"})
    (stored,) = site_of(app).store.read()
    shown = stored.shown
    assert stored.answer == {"tiers": [[shown[1]], sorted([shown[0], shown[2]]), [shown[3]]]}
    first = page.index(stored.responses[shown[0]].text.split("\n\n(")[1][:18])
    assert all(first < page.index(stored.responses[place].text.split("\n\n(")[1][:18]) for place in shown[1:])


def test_an_incomplete_ranking_comes_back_with_what_was_typed_and_what_lacks(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    ann = come_in(app, "ann-01")
    answer = ann.post("/submit", data={**form_in(ann.get("/").text), "ranking.order": "2 1", "note": "hard to say"})
    assert answer.status_code == 400
    assert "Responses 3 and 4 have no rank yet." in answer.text and 'value="2 1"' in answer.text and "hard to say" in answer.text
    assert list(site_of(app).store.read()) == []


def test_a_form_sent_twice_is_one_answer(tmp_path):
    app = opened(study_at(tmp_path, items=2))
    ann = come_in(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "1234"}
    first, second = ann.post("/submit", data=form), ann.post("/submit", data=form)
    assert (first.status_code, second.status_code) == (200, 200)
    assert site_of(app).store.count == 1


def test_a_form_that_another_tab_used_is_shown_again_with_what_was_written(tmp_path):
    app = opened(study_at(tmp_path, items=3))
    ann = come_in(app, "ann-01")
    here, there = form_in(ann.get("/").text), form_in(ann.get("/").text)
    ann.post("/skip", data=there)
    answer = ann.post("/submit", data={**here, "ranking.order": "2143", "note": "a thought"})
    assert answer.status_code == 409 and "This form was used already; open the item again." in answer.text
    assert site_of(app).store.count == 0 and "a thought" in answer.text and 'value="2143"' in answer.text
    ann.post("/submit", data={**form_in(answer.text), "ranking.order": "2143", "note": "a thought"})
    assert site_of(app).store.count == 1
    said = ann.post("/submit", data={**here, "ranking.order": "4321"}, headers={"accept": "application/json"})
    assert said.status_code == 409 and said.json() == {"error": "This form was used already; open the item again."}


def test_an_answer_that_comes_too_late_is_kept_and_stands_on_the_page(tmp_path):
    clock = Clock()
    app = opened(study_at(tmp_path, items=1), clock=clock)
    ann, other = come_in(app, "ann-01"), come_in(app, "ann-02")
    form = form_in(ann.get("/").text)
    clock.minutes(11)
    taken = form_in(other.get("/").text)
    assert other.post("/submit", data={**taken, "ranking.order": "1234"}).status_code == 200
    answer = ann.post("/submit", data={**form, "ranking.order": "4321", "note": "worth <b>ten</b> minutes"})
    assert answer.status_code == 400 and "Others have answered this item in the meantime" in answer.text
    assert (
        "worth &lt;b&gt;ten&lt;/b&gt; minutes" in answer.text
        and "4321" in answer.text
        and form["proof"] not in answer.text.split("<main")[1]
    )
    assert answer.text.count("<textarea readonly") == 2
    with site_of(app).desk.database.reading() as connection:
        (draft,) = connection.exec_driver_sql("SELECT draft FROM seats WHERE person = 'ann-01'").scalars()
    assert json.loads(draft) == {"ranking.order": "4321", "note": "worth <b>ten</b> minutes"}


def test_skip_undo_and_draft(tmp_path):
    app = opened(study_at(tmp_path, items=3))
    ann = come_in(app, "ann-01")
    first = form_in(ann.get("/").text)
    ann.post("/submit", data={**first, "ranking.order": "4321"})
    second = form_in(ann.get("/").text)
    back = ann.post("/undo", data={**second, "ranking.order": "1 2"})
    assert 'value="4 3 2 1"' in back.text and site_of(app).store.count == 0
    ann.post("/submit", data={**form_in(back.text), "ranking.order": "3421"})
    again = ann.get("/").text
    assert form_in(again)["item"] == second["item"] and 'value="1 2"' in again  # half-filled when undo was pressed
    ann.post("/draft", data={**form_in(again), "ranking.order": "2 3"})
    assert 'value="2 3"' in ann.get("/").text
    third = ann.post("/skip", data={**form_in(ann.get("/").text), "reason": "both are nonsense"})
    assert form_in(third.text)["item"] not in (first["item"], second["item"])
    kinds = [event.kind for event in site_of(app).store.events()]
    assert kinds == ["annotation", "undo", "annotation", "skip"]


def test_undo_pressed_twice_on_one_page_takes_back_one(tmp_path):
    app = opened(study_at(tmp_path, items=3))
    ann = come_in(app, "ann-01")
    assert "There is nothing to undo." in ann.post("/undo", data={**form_in(ann.get("/").text), "last": ""}).text
    for _ in range(3):
        page = ann.get("/").text
        ann.post("/submit", data={**form_in(page), "ranking.order": "1234"})
    over = ann.get("/").text
    form = {"proof": proof_in(over), "last": field_in(over, "last")}
    assert 'value="1 2 3 4"' in ann.post("/undo", data=form).text
    again = ann.post("/undo", data=form)
    assert "Nothing more was undone" in again.text and 'value="1 2 3 4"' in again.text
    assert [event.kind for event in site_of(app).store.events()].count("undo") == 1
    assert field_in(again.text, "last") != form["last"]


def test_an_answer_can_be_changed_for_ten_minutes_and_then_is_kept(tmp_path):
    now = [1000.0]
    app = opened(study_at(tmp_path, items=2), clock=lambda: now[0])
    ann = come_in(app, "ann-01")
    ann.post("/submit", data={**form_in(ann.get("/").text), "ranking.order": "1234"})
    history = ann.get("/history").text
    assert "A over B over C over D" in history
    change = history.split('<a href="/item/')[1].split('"')[0]
    page = ann.get(f"/item/{change}").text
    assert "You answered this already" in page and 'value="1 2 3 4"' in page
    ann.post("/submit", data={**form_in(page), "ranking.order": "4321"})
    assert "D over C over B over A" in ann.get("/history").text and site_of(app).store.count == 1
    now[0] += 601
    assert "/item/" not in ann.get("/history").text.split("<table")[1]
    late = ann.post("/submit", data={**form_in(page), "submit": "late", "ranking.order": "2143"})
    assert late.status_code == 400 and "can be changed for 10 minutes" in late.text


def test_practice_explains_after_the_answer_only(tmp_path):
    practice = item(7, 2, {"answer": {"pair": {"winner": 0}}, "explanation": "The first one **answers**."})
    (tmp_path / "practice.jsonl").write_text(json.dumps(practice) + "\n")
    app = opened(study_at(tmp_path, k=2, questions="[{task: pair}]", more="practice: practice.jsonl"))
    ann = come_in(app, "ann-01")
    page = ann.get("/").text
    assert "For practice." in page and "<strong>answers</strong>" not in page
    after = ann.post("/submit", data={**form_in(page), "pair.winner": "a"})
    assert "The first one <strong>answers</strong>." in after.text and "You said" in after.text
    assert "For practice." not in ann.get("/").text


def test_a_suggestion_is_shown_after_the_vote_only(tmp_path):
    rows = [item(n, 2, {"suggestion": "The machine prefers the longer one."}) for n in range(2)]
    app = opened(study_at(tmp_path, questions="[{task: pair}]", rows=rows))
    ann = come_in(app, "ann-01")
    page = ann.get("/").text
    assert "The machine prefers" not in page
    after = ann.post("/submit", data={**form_in(page), "pair.winner": "b"})
    assert "The machine prefers the longer one." in after.text


def test_a_warning_stands_before_the_text_until_it_is_lifted(tmp_path):
    app = opened(study_at(tmp_path, rows=[item(0, 3, {"warning": "Describes an injury."})]))
    ann = come_in(app, "ann-01")
    page = ann.get("/").text
    assert "Describes an injury." in page and 'id="answer"' not in page and "inert" in page
    at = page.split('id="show" href="')[1].split('"')[0]
    assert 'id="answer"' in ann.get(at).text


def test_categories_can_be_left_out(tmp_path):
    rows = [item(0, 2, {"category": "violence"}), item(1, 2, {"category": "gardening"})]
    app = opened(study_at(tmp_path, questions="[{task: pair}]", rows=rows))
    ann = come_in(app, "ann-01")
    me = ann.get("/me").text
    ann.post(
        "/me/without",
        data={
            "proof": form_in('id="answer"' + me + ' name="item" value="" name="submit" value="" name="opened" value=""')["proof"],
            "category": "gardening",
        },
    )
    page = ann.get("/").text
    assert "gardening" in page and "<b>0</b> of 1" in page
    assert site_of(app).people.find("ann-01").opt_out == ("violence",)


@pytest.mark.parametrize("sent, kept", [("1500", 1500), ("", None), ("-3", None), ("9" * 30, None), ("99999999999", DAY), ("1e3", None)])
def test_times_are_whole_milliseconds_within_a_day_or_the_pages_own(tmp_path, sent, kept):
    now = [5000.0]
    app = opened(study_at(tmp_path, items=1), clock=lambda: now[0])
    ann = come_in(app, "ann-01")
    form = form_in(ann.get("/").text)
    now[0] += 7.5
    ann.post("/submit", data={**form, "ranking.order": "1234", "total_ms": sent, "active_ms": sent})
    (event,) = site_of(app).store.events()
    assert (event.total_ms, event.active_ms) == ((7500, 7500) if kept is None else (kept, kept))


def test_without_javascript_every_response_is_named(tmp_path):
    app = opened(study_at(tmp_path, k=3))
    ann = come_in(app, "ann-01")
    page = ann.get("/")
    refused = ann.post("/submit", data={**form_in(page.text), "ranking.order": "2 1"})
    assert refused.status_code == 400 and "Response 3 has no rank yet." in refused.text
    sheet = ann.get("/keys").text
    assert "name every response, the last one too" in sheet and "left over is last" not in sheet
    assert "left over is last" in page.text  # the sheet of keys on the page, where the script fills it in


def test_a_question_that_is_sent_again_is_asked_once(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path, items=1))
    ann = come_in(app, "ann-01")
    asking = ann.get("/").text.split('action="/ask"')[1]
    form = {**{name: field_in(asking, name) for name in ("proof", "item", "submit")}, "text": "May both be wrong?"}
    desk = site_of(app).desk
    ask = desk.ask

    def cut(*given):
        ask(*given)
        raise Interrupted("the line was cut after it was stored")

    monkeypatch.setattr(desk, "ask", cut)
    away = ann.post("/ask", data=form)
    assert away.status_code == 503 and "Try again" in away.text
    monkeypatch.setattr(desk, "ask", ask)
    again = away.text.split('action="/ask"')[1]
    assert "Asked." in ann.post("/ask", data={name: field_in(again, name) for name in form}).text
    assert [talk.text for talk in desk.questions()] == ["May both be wrong?"]
    other = ann.post("/ask", data={**form, "text": "And may both be right?"})
    assert other.status_code == 409 and "And may both be right?" in other.text
    fresh = ann.get("/").text.split('action="/ask"')[1]
    assert field_in(fresh, "submit") != form["submit"]


def test_a_question_goes_to_the_admin_and_the_reply_comes_back(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    ann, boss = come_in(app, "ann-01"), come_in(app, "boss")
    page = ann.get("/").text
    asked = ann.post("/ask", data={"proof": form_in(page)["proof"], "item": form_in(page)["item"], "text": "May both be <b>wrong</b>?"})
    assert "Asked." in asked.text
    there = boss.get("/admin/questions").text
    assert "May both be &lt;b&gt;wrong&lt;/b&gt;?" in there
    question = there.split('name="question" value="')[1].split('"')[0]
    boss.post(
        "/admin/questions",
        data={"proof": there.split('name="proof" value="')[1].split('"')[0], "question": question, "text": "Yes: tie them."},
    )
    assert "Yes: tie them." in ann.get("/history").text


def test_a_reviewer_whose_item_lost_an_erased_answer_is_told_and_keeps_their_words(tmp_path):
    app = disputed(tmp_path)
    reviewer = come_in(app, "rev-01")
    page = reviewer.get("/").text
    assert "better!" in page and "worse!" in page
    site_of(app).people.erase("boss", "ann-02")
    sent = {**form_in(page), "pair.winner": "a", "note": "my own words"}
    answer = reviewer.post("/submit", data=sent)
    assert answer.status_code == 400 and "is not what your page shows: an answer was erased since. Nothing was stored" in answer.text
    assert "my own words" in answer.text and "worse!" not in answer.text
    assert [event.purpose for event in site_of(app).store.events() if event.kind == "annotation"] == ["work"]
    assert "worse!" not in reviewer.get("/").text
