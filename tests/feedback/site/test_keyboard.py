"""By hand, in a real browser: by keyboard alone, by mouse and by touch."""

from playwright.sync_api import Page, expect

from tests.feedback.site.browsers import come_in, done, open_
from tests.feedback.site.studies import item, opened, served, site_of, study_at
from tutelage.core.errors import UserError
from tutelage.feedback.tasks.ranking import parse_order


def letters(page: Page) -> str:
    """The cards as they stand on the screen."""
    return "".join(
        name.strip()[-1]
        for name in page.locator(".card-name").evaluate_all(
            "all => all.map(one => one.firstChild.textContent + one.childNodes[1].textContent)"
        )
    )


def test_nine_responses_with_two_ties_by_keyboard_alone(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=20, k=9))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        said = page.get_by_role("status").and_(page.locator("#said"))
        page.keyboard.type("3=17254=")
        expect(said).to_have_text("A = C over G over B over E over D; F, H, I still open")
        page.keyboard.type("698")
        expect(said).to_have_text("A = C over G over B over E over D = F over I over H")
        assert letters(page) == "CAGBEDFIH"
        assert page.locator(".card.tied").count() == 2
        assert page.locator(".rank").all_inner_texts() == ["1", "1", "3", "4", "5", "6", "6", "8", "9"]
        page.keyboard.press("Enter")
        done(page, 1, 20)
        (stored,) = site_of(site.app).store.read()
        on_screen = {place: stored.shown.index(place) for place in range(9)}
        assert [sorted(on_screen[p] for p in tier) for tier in stored.answer["tiers"]] == [[0, 2], [6], [1], [4], [3, 5], [8], [7]]

        page.keyboard.press("u")  # undo: the answer is back, as it was
        expect(page.locator("[data-order]")).to_have_value("1 = 3 7 2 5 4 = 6 9 8")
        done(page, 0, 20)
        assert site_of(site.app).store.count == 0
        page.keyboard.press("Backspace")
        page.keyboard.press("Backspace")
        expect(page.locator("#saved")).to_have_text("saved")
        page.reload()
        expect(page.locator("[data-order]")).to_have_value("1 = 3 7 2 5 4 = 6")
        page.keyboard.type("89")
        page.keyboard.press("Enter")
        done(page, 1, 20)
        for n in range(1, 20):
            page.keyboard.type("12345678")  # the last one left over is last
            page.keyboard.press("Enter")
            if n < 19:
                done(page, n + 1, 20)
        expect(page.get_by_role("heading", level=1)).to_have_text("That is all for now")
        assert site_of(site.app).store.count == 20
        events = list(site_of(site.app).store.events())
        assert [e.kind for e in events].count("annotation") == 21 and all(0 < e.active_ms <= e.total_ms for e in events if e.annotation)


def test_keys_rest_while_somebody_types_and_can_be_turned_off(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, more="keys: {undo: z, skip: x}"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        page.get_by_text("Ask about this one").click()
        page.get_by_label("Your question").fill("")
        page.get_by_label("Your question").press_sequentially("is 2 1 so? x z")
        expect(page.get_by_label("Your question")).to_have_value("is 2 1 so? x z")
        expect(page.locator("[data-order]")).to_have_value("")
        assert page.locator("dialog[open]").count() == 0
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        expect(page.get_by_role("dialog")).to_be_visible()
        expect(page.get_by_role("dialog")).to_contain_text("z")
        page.keyboard.press("2")  # behind a sheet, keys do nothing
        page.get_by_label("Turn single keys off").check()
        page.get_by_role("button", name="Close").click()
        page.keyboard.press("2")
        page.keyboard.press("x")
        expect(page.locator("[data-order]")).to_have_value("")
        page.keyboard.press("?")
        page.evaluate("localStorage.removeItem('keys')")
        page.keyboard.press("2")
        expect(page.locator("[data-order]")).to_have_value("2")
        before = page.locator(".prompt").inner_text()
        page.keyboard.press("x")
        expect(page.locator(".prompt")).not_to_have_text(before)


def test_arrows_flags_and_moving(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=1, questions="[{task: ranking, flags: table_3}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        page.keyboard.type("1234")
        page.keyboard.press("ArrowDown")
        page.keyboard.press("ArrowDown")
        assert (
            page.locator(".card.chosen-now .card-name").inner_text().startswith("Response B")
            or "B" in page.locator(".card.chosen-now .card-name").inner_text()
        )
        page.keyboard.press("Shift+ArrowUp")
        expect(page.locator("[data-order]")).to_have_value("2 1 3 4")
        page.keyboard.press("f")
        page.keyboard.press("l")
        expect(page.locator(".card.chosen-now .flag-list")).to_contain_text("Hallucination")
        page.keyboard.press("Escape")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("That is all for now")
        (stored,) = site_of(site.app).store.read()
        assert stored.flags == ((stored.shown[1], "hallucination"),)


def test_digits_rate_one_response_after_the_other(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, k=3, questions="[{task: likert}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        page.keyboard.type("71")
        page.keyboard.press("ArrowUp")
        page.keyboard.type("24")
        page.keyboard.press("Enter")
        done(page, 1, 2)
        (stored,) = site_of(site.app).store.read()
        assert [stored.answer["values"][place] for place in stored.shown] == [7, 2, 4]


def test_a_key_that_is_held_or_pressed_twice_does_one_thing(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=9, k=3))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        kinds = lambda: [event.kind for event in site_of(site.app).store.events()]  # noqa: E731
        for n in range(2):
            page.keyboard.type("123")
            page.keyboard.press("Enter")
            done(page, n + 1, 9)
        for _ in range(15):
            page.keyboard.down("s")
            page.wait_for_timeout(60)
        page.keyboard.up("s")
        done(page, 2, 8)
        page.wait_for_timeout(400)
        assert kinds().count("skip") == 1
        twice = "for (const n of [1, 2]) document.body.dispatchEvent(new KeyboardEvent('keydown', { key: 'u', bubbles: true }))"
        page.evaluate(twice)
        page.wait_for_url("**/item/*")
        page.wait_for_timeout(400)
        assert kinds().count("undo") == 1


def test_arrows_walk_through_choices_that_have_the_focus(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=2, k=3, questions="[{task: likert}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        group = page.locator(".card").nth(1).locator("input[type=radio]")
        group.nth(2).focus()
        page.keyboard.press("Space")
        page.keyboard.press("ArrowRight")
        expect(group.nth(3)).to_be_checked()
        page.keyboard.press("ArrowUp")
        expect(group.nth(2)).to_be_checked()
        page.keyboard.press("Escape")
        page.keyboard.press("ArrowDown")  # nobody's: the next response
        expect(page.locator(".stop-now")).to_be_visible()
        expect(group.nth(2)).to_be_checked()


def test_a_card_is_dragged_and_touched_into_its_place(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=1, k=3))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        page.get_by_role("button", name="Response B has no rank").click()
        page.get_by_role("button", name="Response C has no rank").click()
        expect(page.locator("[data-order]")).to_have_value("2 3")
        grip = page.get_by_role("button", name="Drag response A")
        grip.scroll_into_view_if_needed()
        box, top = grip.bounding_box(), page.locator(".card").first.bounding_box()
        assert box and top
        page.mouse.move(box["x"] + 5, box["y"] + 5)
        page.mouse.down()
        page.mouse.move(box["x"] + 5, top["y"] + 2, steps=5)
        page.mouse.up()
        expect(page.locator("[data-order]")).to_have_value("1 2 3")
        page.get_by_role("button", name="Response B is ranked 2").click()
        expect(page.locator("[data-order]")).to_have_value("1 3")


def test_long_responses_scroll_together(browser, tmp_path):
    long = "\n\n".join(f"Paragraph {n}." for n in range(80))
    rows = [item(0, 2) | {"responses": [long, long + long]}]
    with served(opened(study_at(tmp_path, rows=rows, questions="[{task: pair}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        bodies = page.locator(".card-body")
        bodies.first.evaluate("one => { one.scrollTop = (one.scrollHeight - one.clientHeight) / 2 }")
        page.wait_for_timeout(300)
        shares = [bodies.nth(n).evaluate("one => one.scrollTop / (one.scrollHeight - one.clientHeight)") for n in (0, 1)]
        assert abs(shares[0] - 0.5) < 0.02 and abs(shares[1] - 0.5) < 0.02


def test_a_warning_is_lifted_by_a_key(browser, tmp_path):
    rows = [item(0, 2, {"warning": "Blood."}), item(1, 2)]
    with served(opened(study_at(tmp_path, rows=rows, questions="[{task: pair}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        expect(page.get_by_text("Blood.")).to_be_visible()
        page.keyboard.press("Enter")
        done(page, 0, 2)
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        done(page, 1, 2)


TYPED = [
    "",
    "2",
    "2 1 = 3",
    "213",
    "B>A=C",
    "2,1,3",
    "2,,1",
    "= 1",
    "1 =",
    "1 1",
    "5",
    "0",
    "x",
    "1 2 3 4",
    "4=3=2=1",
    " 1\t>\n2 ",
    "a b",
    "1 = = 2",
    "2 1>",
    "12=34",
]


def test_the_page_reads_an_order_as_the_server_does(browser, tmp_path):
    with served(opened(study_at(tmp_path, items=1))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        where = page.locator("script[type=module]").get_attribute("src")
        assert where
        for text in TYPED:
            read = page.evaluate(
                "async ([where, text]) => (await import(where)).parse(text, 4)", [where.replace("label.js", "order.js"), text]
            )
            whole = not read["fault"] and not read["open"] and not read["left"]
            try:
                tiers = [list(tier) for tier in parse_order(text, 4)]
            except UserError as error:
                assert not whole, text
                assert not read["fault"] or read["fault"] == str(error), text
            else:
                assert whole and read["tiers"] == tiers, text
