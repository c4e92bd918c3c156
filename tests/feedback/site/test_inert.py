"""Nothing that a model, a file or a person wrote ever runs: payloads everywhere, in a real browser, on every page that shows them."""

from html.parser import HTMLParser

import pytest
from playwright.sync_api import expect

from tests.feedback.site.browsers import come_in, open_
from tests.feedback.site.studies import come_in as plainly
from tests.feedback.site.studies import form_in, item, opened, served, site_of, study_at
from tutelage.feedback.site.safe import LONG, TABLE, TAGS, plain, shown, storable, visible

PAYLOADS = (
    "<script>window.ran = 1</script>",
    '<img src=x onerror="window.ran = 1">',
    "[a link](javascript:window.ran=1)",
    "<a href='javascript:window.ran=1'>click</a>",
    "![picture](javascript:window.ran=1)",
    "![picture](https://elsewhere.example/track.png)",
    "<svg onload=window.ran=1><animate onbegin=window.ran=1 attributeName=x dur=1s></svg>",
    "<iframe srcdoc='<script>parent.ran = 1</script>'></iframe>",
    '"><script>window.ran = 1</script>',
    "'><script>window.ran = 1</script>",
    "</textarea><script>window.ran = 1</script>",
    "[x](data:text/html,<script>window.ran=1</script>)",
    "[x]( \u0001java\nscript:window.ran=1)",
    "<math><mtext><table><mglyph><style><img src=x onerror=window.ran=1>",
    "```html\n<script>window.ran = 1</script>\n```",
    "{{ 7 * 7 }} {% raw %}",
    "<style>* { display: none }</style>",
    "<form action=https://elsewhere.example><input name=proof><button>Submit</button></form>",
    "<base href=https://elsewhere.example>",
    "[x]: javascript:window.ran=1\n\n[x]",
    '[x](https://a.example "onmouseover=window.ran=1")',
)
ALL = "\n\n".join(PAYLOADS)


def test_payloads_are_inert_on_every_page(browser, tmp_path):
    row = item(0, 3) | {
        "prompt": [{"role": "system", "content": ALL}, {"role": "user", "content": ALL}],
        "responses": [{"text": ALL, "by": ALL}, "fine", ALL + " "],
        "category": ALL,
        "suggestion": ALL,
    }
    path = study_at(
        tmp_path,
        rows=[row, row | {"id": "two", "warning": ALL}],
        questions="[{task: ranking, flags: ['<script>window.ran=1</script>']}, {task: edit, name: edit}]".replace(
            ", {task: edit, name: edit}", ""
        ),
        more="people: [{name: '<img src=x onerror=window.ran=1>'}, {name: boss, role: admin}]",
    )
    path.with_name("guidelines.md").write_text(ALL)
    path.write_text(path.read_text().replace("title: Which answer helps more?", "title: '</title><script>window.ran = 1</script>'"))
    app = opened(path)
    name = "<img src=x onerror=window.ran=1>"
    with served(app) as site, open_(browser) as context:
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url))
        page = come_in(context, site.link(name))
        page.on("dialog", lambda dialog: pytest.fail("a dialog opened"))

        def calm(where: str) -> None:
            page.wait_for_timeout(150)
            assert page.evaluate("window.ran") is None, where
            assert page.locator("main script, main img, main iframe, main style, main base, main math, main svg:not(.plot)").count() == 0, (
                where
            )
            for href in page.locator("a[href]").evaluate_all("all => all.map(one => one.protocol)"):
                assert href in ("http:", "https:", "mailto:"), where
            assert page.locator("main").is_visible(), where

        calm("sheet")
        page.get_by_text("Leave a note").click()
        page.get_by_label("Note", exact=True).fill(ALL)
        page.get_by_text("Ask about this one").click()
        page.get_by_label("Your question").fill(ALL)
        page.get_by_role("button", name="Ask", exact=True).click()
        expect(page.get_by_text("Asked.")).to_be_visible()
        page.get_by_text("Leave a note").click()
        page.get_by_label("Note", exact=True).fill(ALL)
        expect(page.locator("#saved")).to_have_text("saved")
        page.reload()
        expect(page.get_by_label("Note", exact=True)).to_have_value(ALL.replace("\u0001", "\u0001"))
        calm("draft")
        page.locator("[data-order]").fill("<script>window.ran=1</script>")
        page.locator("[data-order]").press("Enter")
        expect(page.locator("#said")).to_contain_text("There is no response '<'")
        calm("fault")
        page.locator("[data-order]").fill("123")
        page.locator("[data-order]").press("Enter")
        expect(page.get_by_text("What a model suggested")).to_be_visible()
        calm("suggestion")
        page.goto(site.url + "/")
        calm("warning")
        for where in ("/history", "/me", "/guideline", "/?told=<script>window.ran=1</script>", "/item/<script>window.ran=1</script>"):
            page.goto(site.url + where)
            calm(where)
        boss = come_in(context, site.link("boss"))
        page = boss
        for where in ("", "/people", "/questions", "/log", "/export"):
            page.goto(site.url + "/admin" + where)
            calm("admin" + where)
        assert all(url.startswith(site.url) for url in asked), [url for url in asked if not url.startswith(site.url)]


def test_what_is_written_in_an_answer_is_shown_as_text(browser, tmp_path):
    with served(opened(study_at(tmp_path, rows=[item(0, 0)], questions="[{task: demonstration}]"))) as site, open_(browser) as context:
        page = come_in(context, site.link("ann-01"))
        page.get_by_role("textbox", name="Answer", exact=True).fill(ALL)
        page.keyboard.press("Control+Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("That is all for now")
        page.goto(site.url + "/history")
        assert page.evaluate("window.ran") is None and page.locator("main script, main img").count() == 0


class Tags(HTMLParser):
    """The tags and attributes that a browser would see."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))


@pytest.mark.parametrize("payload", PAYLOADS)
def test_html_of_a_payload_has_only_what_is_on_the_list(payload):
    for html in (str(shown(payload).html), str(plain(payload))):
        for tag, attributes in Tags(html).seen:
            assert tag in TAGS | TABLE and set(attributes) <= {"href", "rel", "class", "start"}, html
            assert (attributes.get("href") or "https:").startswith(("http:", "https:", "mailto:")), html


def test_markdown_is_laid_out_and_code_kept():
    html = str(
        shown(
            "# Big\n\n- **one**\n- `two`\n\n```python\nif a < b: pass\n```\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n[x](https://a.example)"
        ).html
    )
    for part in (
        '<h3 class="level-1">Big</h3>',
        "<strong>one</strong>",
        "<code>two</code>",
        "if a &lt; b: pass",
        "<td>1</td>",
        'rel="noopener noreferrer"',
    ):
        assert part in html, html


def test_characters_that_hide_are_spelt_out_and_those_that_scripts_need_stay():
    assert visible("pay \u202e001$ now") == "pay ⟨U+202E⟩001$ now"
    assert visible("a\x00b\x1b[31mc\x7f\u200b\ufeff\u2066\U000e0041") == "a⟨U+0000⟩b⟨U+001B⟩[31mc⟨U+007F⟩⟨U+200B⟩⟨U+FEFF⟩⟨U+2066⟩⟨U+E0041⟩"
    assert visible("شكرا \u200c می\u200cخواهم 👩\u200d🔬 café\n\ttab\r\n") == "شكرا \u200c می\u200cخواهم 👩\u200d🔬 café\n\ttab\n"
    assert "⟨U+202E⟩" in str(shown("**x** \u202e y").html)
    assert storable("a\0b\ud800c") == "a\ufffdb\ufffdc"


def test_a_megabyte_is_collapsed_and_can_be_read_whole(tmp_path):
    text = "word " * 200_000 + "\u202e<b>the end</b>"
    assert len(str(shown(text).html)) < LONG and not shown(text).whole
    app = opened(study_at(tmp_path, rows=[item(0, 2) | {"responses": [text, text + "!"]}], questions="[{task: pair}]"))
    ann = plainly(app, "ann-01")
    page = ann.get("/").text
    assert len(page) < 60_000 and "Read all 1,000,0" in page
    whole = ann.get(f"/item/{form_in(page)['item']}/response/0").text
    assert "⟨U+202E⟩&lt;b&gt;the end&lt;/b&gt;" in whole and len(whole) > 1_000_000
    assert ann.post("/submit", data={**form_in(page), "pair.winner": "a"}).status_code == 200 and site_of(app).store.count == 1
