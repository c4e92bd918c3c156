"""By hand, in a real browser: nothing typed is ever lost, without JavaScript, beside another person, another tab, or no server."""

import time

from playwright.sync_api import Page, expect

from tests.feedback.site.browsers import come_in, done, open_
from tests.feedback.site.studies import opened, served, site_of, study_at
from tests.feedback.studies import Clock


def test_a_queue_of_twenty_without_javascript(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=20, k=9))) as site, open_(browser, script=False) as context:
        page = come_in(context, site.link("ann-01"))
        page.get_by_label("Order").fill("3 = 1 > 7, 2")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("Responses 4, 5, 6, 8 and 9 have no rank yet.")
        expect(page.get_by_label("Order")).to_have_value("3 = 1 > 7, 2")
        for n in range(20):
            page.get_by_label("Order").fill("3=1 7 2 5 4=6 9 8")
            page.keyboard.press("Enter")
            if n == 4:
                page.get_by_role("button", name="Undo").click()
                expect(page.get_by_label("Order")).to_have_value("1 = 3 7 2 5 4 = 6 9 8")
                page.reload()
                page.keyboard.press("Tab")
                page.get_by_label("Order").press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("That is all for now")
        assert site_of(site.app).store.count == 20


def test_two_people_at_once_get_what_is_theirs(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=4, k=2, questions="[{task: pair}]", more="overlap: 2"))) as site:
        with open_(browser) as one, open_(browser) as other:
            first, second = come_in(one, site.link("ann-01")), come_in(other, site.link("ann-02"))
            for n in range(4):
                first.keyboard.press("1")
                second.keyboard.press("2")
                first.keyboard.press("Enter")
                second.keyboard.press("Enter")
                if n < 3:
                    done(first, n + 1, 4)
                    done(second, n + 1, 4)
            expect(first.get_by_role("heading", level=1)).to_have_text("That is all for now")
            expect(second.get_by_role("heading", level=1)).to_have_text("That is all for now")
        assert site_of(site.app).store.annotators() == {"ann-01": 4, "ann-02": 4}


def test_what_the_server_did_not_get_waits_in_the_browser(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        context.set_offline(True)
        page.keyboard.type("2143")
        expect(page.locator("#saved")).to_contain_text("kept in this browser")
        page.keyboard.press("Enter")
        expect(page.locator("#said")).to_contain_text("Your answer stays here")
        context.set_offline(False)
        page.reload()
        expect(page.locator("[data-order]")).to_have_value("2 1 4 3")
        page.keyboard.press("Enter")
        done(page, 1, 2)


def test_two_tabs_with_one_form_lose_nothing(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=3, k=3))) as site, open_(browser) as context:
        page, other = come_in(context, site.link("ann-01")), context.new_page()
        other.goto(site.url)
        expect(other.locator("html[data-ready]")).to_be_attached()
        other.keyboard.press("s")
        done(other, 0, 2)
        page.keyboard.type("213")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_have_text("This form was used already; open the item again.")
        expect(page.locator("[data-order]")).to_have_value("2 1 3")
        expect(page.locator("html[data-ready]")).to_be_attached()
        assert site_of(site.app).store.count == 0
        page.keyboard.press("Enter")
        done(page, 1, 3)
        assert site_of(site.app).store.count == 1


def open_for_change(page: Page, url: str) -> None:
    """Answer the first of two items, find it in the history, and open it for change."""
    page.keyboard.type("123")
    page.keyboard.press("Enter")
    done(page, 1, 2)
    page.goto(f"{url}/history")
    page.get_by_role("link", name="Change").click()
    page.wait_for_url("**/item/*")
    expect(page.locator("html[data-ready]")).to_be_attached()


def test_a_change_of_an_answer_is_kept_as_it_is_typed(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, k=3))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        open_for_change(page, site.url)
        refused = []
        page.on("response", lambda answer: refused.append(answer.url) if answer.status >= 400 else None)
        with page.expect_response("**/draft"):
            page.keyboard.press("Backspace")
            page.keyboard.press("Backspace")
        expect(page.locator("#saved")).to_have_text("saved")
        page.reload()
        expect(page.locator("[data-order]")).to_have_value("1")
        expect(page.locator("html[data-ready]")).to_be_attached()
        context.set_offline(True)
        page.keyboard.type("3")
        expect(page.locator("#saved")).to_contain_text("kept in this browser")
        context.set_offline(False)
        page.reload()
        expect(page.locator("[data-order]")).to_have_value("1 3")
        expect(page.locator("#saved")).to_have_text("saved")
        left = "Object.keys(localStorage).filter(name => name.startsWith('draft')).length"
        until = time.monotonic() + 10
        while page.evaluate(left) and time.monotonic() < until:
            page.wait_for_timeout(100)
        assert page.evaluate(left) == 0 and refused == []
        page.keyboard.type("2")
        page.keyboard.press("Enter")
        page.wait_for_url(f"{site.url}/")
        assert site_of(site.app).desk.history("ann-01")[0].said == {"ranking": "A over C over B"}


def test_a_draft_that_is_refused_is_not_sent_again(browser, tmp_path):
    clock = Clock()
    with served(opened(study_at(tmp_path, items=2, k=3), clock=clock)) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        open_for_change(page, site.url)
        clock.minutes(11)
        sent = []
        page.on("response", lambda answer: sent.append(answer.status) if answer.url.endswith("/draft") else None)
        page.keyboard.press("Backspace")
        expect(page.locator("#said")).to_have_text("An answer can be changed for 10 minutes; this one is older.")
        expect(page.locator("#saved")).to_have_text("not saved, kept in this browser")
        page.wait_for_timeout(6000)
        assert sent == [400]
