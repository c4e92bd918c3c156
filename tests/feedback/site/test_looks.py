"""How every page looks, on a laptop and a phone, light and dark: screenshots for the eye (in the folder that TUTELAGE_SCREENSHOTS
names), and axe-core for what a machine can check of what people need who see, hear or move otherwise.
"""

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Page

from tests.feedback.site.browsers import come_in, open_
from tests.feedback.site.studies import Served, disputed, item, opened, served, study_at
from tutelage.core.errors import Interrupted

WINDOWS = [(phone, dark) for phone in (False, True) for dark in (False, True)]
TURNS = [
    {"role": "system", "content": "You help with a garden."},
    {"role": "user", "content": "My basil has yellow leaves."},
    {"role": "assistant", "content": "That is often too much water. How often do you water it?"},
    {"role": "user", "content": "Every day. Should I stop?"},
]
SUBMIT = "HTMLFormElement.prototype.submit.call(document.querySelector('#answer'))"
"""As without JavaScript."""
LONG = "\n\n".join(f"Paragraph {n}. " + "It goes on and on about one thing and another, as long answers do. " * 6 for n in range(12))
MANY = (
    "[{task: ranking, flags: table_3}, {task: likert, name: honest, aspect: honest, ask: 'How honest is each?'}, "
    "{task: binary, ask: 'Would you send it?'}, {task: score}, {task: best_worst}]"
)


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Served]]:
    """A site for each kind of page."""
    folder = tmp_path_factory.mktemp("sites")
    conversation = item(3, 4) | {"prompt": TURNS}
    warned = item(0, 3, {"warning": "Describes an injury, with blood."})
    long = item(0, 2) | {"responses": [LONG, LONG[: len(LONG) // 2]]}
    practice = item(
        7, 2, {"answer": {"pair": {"winner": 0}}, "explanation": "The first one **answers**; the other only says that it will."}
    )
    (folder / "practice").mkdir()
    (folder / "practice" / "practice.jsonl").write_text(json.dumps(practice) + "\n")
    made = {
        "ranking": study_at(folder / "ranking", items=20, questions="[{task: ranking, flags: table_3}]"),
        "conversation": study_at(folder / "conversation", rows=[conversation], questions="[{task: ranking}]"),
        "pair": study_at(folder / "pair", rows=[long], questions="[{task: pair, strength: true, flags: [rude]}]"),
        "likert": study_at(folder / "likert", k=3, questions="[{task: likert, flags: table_3}]"),
        "many": study_at(folder / "many", k=3, questions=MANY),
        "writing": study_at(folder / "writing", rows=[item(1, 0)], questions="[{task: demonstration}]"),
        "prompts": study_at(folder / "prompts", rows=[item(1, 0)], questions="[{task: prompt}]"),
        "edit": study_at(folder / "edit", k=1, questions="[{task: edit}]"),
        "warned": study_at(folder / "warned", rows=[warned]),
        "practice": study_at(folder / "practice", k=2, questions="[{task: pair}]", more="practice: practice.jsonl"),
        "megabyte": study_at(
            folder / "megabyte", rows=[item(0, 2) | {"responses": ["x" * 1_000_000, "short"]}], questions="[{task: pair}]"
        ),
    }
    for path in made.values():
        if "overlap" not in path.read_text():
            path.write_text(path.read_text() + "overlap: 9\n")
    running = [served(opened(path)) for path in made.values()]
    try:
        yield {name: one.__enter__() for name, one in zip(made, running)}
    finally:
        for one in running:
            one.__exit__(None, None, None)


def looked_at(page: Page, name: str, phone: bool, dark: bool, whole: bool = False) -> None:
    """Keep a screenshot, and have axe look."""
    folder = os.environ.get("TUTELAGE_SCREENSHOTS")
    if folder:
        kind = f"{'phone' if phone else 'laptop'}-{'dark' if dark else 'light'}"
        Path(folder).mkdir(parents=True, exist_ok=True)
        page.screenshot(path=Path(folder) / f"{name}-{kind}.png", full_page=whole)
    found = Axe().run(page)
    said = [f"{v['id']} ({v['impact']}): {v['help']}: {[n['html'][:200] for n in v['nodes']][:3]}" for v in found.response["violations"]]
    assert said == [], f"{name}: " + "\n".join(said)
    wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
    beyond = """[...document.querySelectorAll('body *')].filter(one => one.getBoundingClientRect().right > innerWidth
        && !one.closest('.list-scroll')).map(one => one.outerHTML.slice(0, 90))"""
    assert wide <= 0, f"{name}: {wide} pixels wider than its window: {page.evaluate(beyond)[:4]}"


def somebody(site: Served, role: str = "annotator") -> str:
    """The link of somebody who comes for the first time."""
    return site.link(site.app.state.site.people.invite("boss", role=role).name)


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_pages_for_who_labels(browser, sites, phone, dark):
    context = open_(browser, phone, dark)
    page = context.new_page()
    link = somebody(sites["ranking"])
    page.goto(link)
    looked_at(page, "01-invitation", phone, dark)
    page = come_in(context, link)
    looked_at(page, "02-ranking-begun", phone, dark)
    page.keyboard.type("21=3")
    page.get_by_text("B over A = C over D").wait_for()
    looked_at(page, "03-ranking-typed", phone, dark)
    looked_at(page, "03-ranking-whole", phone, dark, whole=True)
    page.keyboard.press("f")
    looked_at(page, "04-flags", phone, dark)
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    page.get_by_role("dialog").wait_for()
    looked_at(page, "05-keys", phone, dark)
    page.keyboard.press("?")
    page.keyboard.press("Enter")
    page.locator(".bar-state", has_text="1 of 20").wait_for()
    for path, name in (("/history", "06-history"), ("/guideline", "07-guideline"), ("/me", "08-me"), ("/keys", "09-keys-page")):
        page.goto(sites["ranking"].url + path)
        looked_at(page, name, phone, dark)
    page.goto(sites["ranking"].url + "/nowhere")
    looked_at(page, "10-nowhere", phone, dark)
    page.goto(sites["ranking"].url + "/join/forged")
    looked_at(page, "11-forged-link", phone, dark)
    context.close()


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_every_kind_of_question(browser, sites, phone, dark):
    for n, name in enumerate(("conversation", "pair", "likert", "many", "writing", "prompts", "edit", "warned", "megabyte"), 20):
        context = open_(browser, phone, dark)
        page = come_in(context, somebody(sites[name]))
        looked_at(page, f"{n}-{name}", phone, dark)
        if name in ("many", "edit", "pair"):
            looked_at(page, f"{n}-{name}-whole", phone, dark, whole=True)
        context.close()


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_practice_and_the_end(browser, sites, phone, dark, tmp_path):
    context = open_(browser, phone, dark)
    with served(opened(study_at(tmp_path, items=1, k=2, questions="[{task: pair}]"))) as short:
        page = come_in(context, short.link("ann-01"))
        page.keyboard.press("1")
        page.keyboard.press("Enter")
        page.get_by_text("That is all for now").wait_for()
        looked_at(page, "41-done", phone, dark)
    context.close()
    context = open_(browser, phone, dark)
    page = come_in(context, somebody(sites["practice"]))
    looked_at(page, "40-practice", phone, dark)
    page.keyboard.press("1")
    page.keyboard.press("Enter")
    page.get_by_text("We say").wait_for()
    looked_at(page, "40-practice-after", phone, dark)
    context.close()


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_pages_for_who_runs_the_study(browser, sites, phone, dark):
    site = sites["ranking"]
    context = open_(browser, phone, dark)
    page = come_in(context, site.link("boss"))
    for path in ("", "/people", "/questions", "/log", "/export"):
        page.goto(f"{site.url}/admin{path}")
        looked_at(page, f"60-admin{path.replace('/', '-')}", phone, dark)
    page.goto(f"{site.url}/admin/people")
    page.get_by_label("Expertise").fill("medical")
    page.get_by_role("button", name="Make a link").click()
    page.locator(".link-made").wait_for()
    looked_at(page, "61-admin-invited", phone, dark)
    context.close()


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_pages_that_are_seldom_seen(browser, sites, phone, dark, tmp_path, monkeypatch):
    def away(*given: object) -> None:
        raise Interrupted("the database is away")

    with open_(browser, phone, dark) as context:
        page = come_in(context, somebody(sites["megabyte"]))
        page.goto(sites["megabyte"].url + str(page.get_by_text("Read all").first.get_attribute("href")))
        looked_at(page, "29-whole-text", phone, dark)
    with open_(browser, phone, dark) as context, served(disputed(tmp_path)) as site:
        page = come_in(context, site.link("rev-01"))
        looked_at(page, "30-reviewer", phone, dark)
        looked_at(page, "30-reviewer-whole", phone, dark, whole=True)
        monkeypatch.setattr(site.app.state.site.desk.__class__, "submit", away)
        page.keyboard.press("1")
        page.evaluate(SUBMIT)
        page.get_by_text("Not saved yet").wait_for()
        looked_at(page, "31-database-away", phone, dark)
    with open_(browser, phone, dark) as context:
        page = come_in(context, somebody(sites["many"]))
        page.locator("[name=note]").evaluate("(box, words) => box.value = words", "The second is sent to the wrong address.")
        context.clear_cookies()
        page.evaluate(SUBMIT)
        page.get_by_text("You are not signed in").first.wait_for()
        looked_at(page, "32-signed-out", phone, dark, whole=True)


def test_long_answers_side_by_side(browser, sites):
    with open_(browser) as context:
        page = come_in(context, somebody(sites["conversation"]))
        below = page.locator(".card").evaluate_all("cards => cards.map(card => card.getBoundingClientRect().left)")
        page.keyboard.press("c")
        beside = page.locator(".card").evaluate_all("cards => cards.map(card => card.getBoundingClientRect().left)")
        assert below[0] == below[1] and beside[0] < beside[1], (below, beside)
        looked_at(page, "20-conversation-beside", False, False)
        page.keyboard.press("c")
        assert below == page.locator(".card").evaluate_all("cards => cards.map(card => card.getBoundingClientRect().left)")
