"""What is sent when the session is over is not lost: the page that refuses it holds it, and sends it once somebody is signed in again."""

import html
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, expect

from tests.feedback.site.browsers import chromium, come_in, open_
from tests.feedback.site.studies import come_in as without_script
from tests.feedback.site.studies import field_in, form_in, opened, served, site_of, study_at
from tutelage.core.errors import Interrupted
from tutelage.feedback.site.rates import Rates

WROTE = 'said "once" & <b>for all</b>'


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as one:
        yield one


def held(page, names):
    """The hidden fields of the page's form, as a browser would post them."""
    form = page.split('<form method="post"')[1]
    return {name: html.unescape(field_in(form, name)) for name in names}


def signed_in_again(ann, app):
    """The same browser, after the link was opened anew."""
    ann.cookies = without_script(app, "ann-01").cookies
    return ann


@pytest.mark.parametrize("cookie", ["", "forged"])
def test_an_answer_after_the_session_is_sent_again_and_stored_once(tmp_path, cookie):
    app = opened(study_at(tmp_path, items=2))
    ann = without_script(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "2143", "note": WROTE}
    ann.cookies.clear()
    if cookie:
        ann.cookies.set(site_of(app).cookie, cookie)
    out = ann.post("/submit", data=form)
    assert out.status_code == 401 and "You are not signed in" in out.text and "Open your invitation link in another tab" in out.text
    assert html.escape(WROTE, quote=False) in out.text.replace("&#34;", '"') and "<b>for all" not in out.text
    assert held(out.text, form) == form and site_of(app).store.count == 0
    assert ann.post("/submit", data=held(out.text, form)).status_code == 401  # pressed too early: it is still there

    old = signed_in_again(ann, app).post("/submit", data=held(out.text, form))
    assert old.status_code == 403 and "You have signed in anew since this was written." in old.text and site_of(app).store.count == 0
    again = held(old.text, form)
    assert {**again, "proof": ""} == {**form, "proof": ""} and again["proof"] != form["proof"]
    assert ann.post("/submit", data=again).status_code == 200
    assert ann.post("/submit", data=again).status_code == 200 and site_of(app).store.count == 1
    assert [event.said["note"] for event in site_of(app).store.events()] == [WROTE]


def test_a_question_and_a_draft_are_not_lost_either(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    ann = without_script(app, "ann-01")
    page = ann.get("/").text
    asking = page.split('action="/ask"')[1]
    asked = {**{name: field_in(asking, name) for name in ("proof", "item", "submit")}, "text": "May both be wrong?"}
    kept = {**form_in(page), "ranking.order": "2 1"}
    ann.cookies.clear()
    for path, form in (("/ask", asked), ("/draft", kept), ("/undo", kept), ("/skip", {**form_in(page), "reason": "all are nonsense"})):
        out = ann.post(path, data=form)
        assert out.status_code == 401 and f'action="{path}"' in out.text and held(out.text, form) == form
    old = signed_in_again(ann, app).post("/ask", data=asked)
    assert "Asked." in ann.post("/ask", data=held(old.text, asked)).text
    assert [talk.text for talk in site_of(app).desk.questions()] == ["May both be wrong?"]


def test_the_form_is_given_back_with_a_good_proof_for_an_item_of_ones_own_alone(tmp_path):
    """Else a stranger's form would come back as one that needs but a press of a button."""
    app = opened(study_at(tmp_path, items=2))
    ann, boss = without_script(app, "ann-01"), without_script(app, "boss")
    theirs = {**form_in(ann.get("/").text), "proof": "made up", "note": WROTE}
    own_proof = field_in(boss.get("/me").text, "proof")
    invited = {"proof": "made up", "name": "mallory", "role": "admin", "text": WROTE}
    for path, form in (("/submit", theirs), ("/admin/people", invited), ("/admin/people", {**invited, "item": "made up"})):
        answer = boss.post(path, data=form)
        assert answer.status_code == 403 and "Go back, load the page anew" in answer.text, path
        assert own_proof not in answer.text and '<form method="post"' not in answer.text
        assert "What you wrote" in answer.text


def test_a_page_without_anything_written_only_says_so(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    ann = without_script(app, "ann-01")
    form = form_in(ann.get("/").text)
    ann.cookies.clear()
    for answer in (ann.post("/submit", data=form), ann.post("/submit", content=b"{}", headers={"content-type": "application/json"})):
        assert answer.status_code == 401 and "What you wrote" not in answer.text and "<form" not in answer.text
    said = ann.post("/submit", data={**form, "note": WROTE}, headers={"accept": "application/json"})
    assert said.status_code == 401 and said.json()["error"].startswith("You are not signed in on this browser")


def test_a_session_that_is_too_old_is_called_one(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path, items=1))
    ann = without_script(app, "ann-01")
    form, now = form_in(ann.get("/").text), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 31 * 86400)
    ann.cookies.set(site_of(app).cookie, ann.cookies[site_of(app).cookie])  # the browser's own clock would have ended it
    out = ann.post("/submit", data={**form, "note": WROTE})
    assert out.status_code == 401 and "Your session on this browser is over. Open your invitation link" in out.text
    assert "What you wrote" in out.text


def test_what_is_sent_too_often_or_while_the_database_is_away_before_the_form_is_read_is_not_lost(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path, items=1))
    ann = without_script(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "1234", "note": WROTE}
    site = site_of(app)

    def away(*given):
        raise Interrupted("the line is cut")

    with monkeypatch.context() as now:
        now.setattr(type(site.people), "find", away)
        site.forget()
        answer = ann.post("/submit", data=form)
        assert answer.status_code == 503 and held(answer.text, form) == form
    with monkeypatch.context() as now:
        now.setattr(Rates, "wait", lambda *given: 2.0)
        answer = ann.post("/submit", data=form)
        assert answer.status_code == 429 and held(answer.text, form) == form
    assert ann.post("/submit", data=held(answer.text, form)).status_code == 200 and site.store.count == 1


def test_without_javascript_in_a_browser(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, k=3))) as site, open_(browser, script=False) as context:
        page = come_in(context, site.link("ann-01"))
        page.locator("[data-order]").fill("2 1 3")
        page.get_by_text("Leave a note with the answer").click()
        page.locator("#note").fill(WROTE)
        context.clear_cookies()
        page.get_by_role("button", name="Submit").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("You are not signed in")
        expect(page.get_by_label("note")).to_have_value(WROTE)
        come_in(context, site.link("ann-01")).close()
        page.get_by_role("button", name="Send it again").click()
        expect(page.get_by_role("heading", level=1)).to_have_text("Not stored yet")
        expect(page.get_by_label("note")).to_have_value(WROTE)
        page.get_by_role("button", name="Send it again").click()
        expect(page.locator(".bar-state")).to_contain_text("1 of 2")
        assert [event.said["note"] for event in site_of(site.app).store.events()] == [WROTE]


def test_with_javascript_the_page_stays_and_enter_sends_it_after_signing_in_elsewhere(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, k=3))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        expect(page.locator("html[data-ready]")).to_be_attached()
        context.clear_cookies()
        page.keyboard.type("213")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("You are not signed in on this browser")
        expect(page.locator("#saved")).to_contain_text("kept in this browser")
        expect(page.locator("[data-order]")).to_have_value("2 1 3")
        come_in(context, site.link("ann-01")).close()
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("Not stored yet")
        page.get_by_role("button", name="Send it again").click()
        expect(page.locator(".bar-state")).to_contain_text("1 of 2")
        assert site_of(site.app).store.count == 1


@pytest.mark.parametrize("before_the_draft_was_sent", [True, False])
def test_with_javascript_the_link_in_the_same_tab_finds_what_was_written(browser, tmp_path, before_the_draft_was_sent):
    with served(opened(study_at(tmp_path, items=2, k=3))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        expect(page.locator("html[data-ready]")).to_be_attached()
        context.clear_cookies()
        page.keyboard.type("213")
        if before_the_draft_was_sent:
            page.keyboard.press("Enter")
        expect(page.locator("#saved")).to_contain_text("kept in this browser")
        page.goto(site.link("ann-01"))
        page.get_by_role("button", name="Start").click()
        expect(page.locator("html[data-ready]")).to_be_attached()
        expect(page.locator("[data-order]")).to_have_value("2 1 3")
        page.keyboard.press("Enter")
        expect(page.locator(".bar-state")).to_contain_text("1 of 2")
