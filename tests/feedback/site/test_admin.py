"""What whoever runs the study sees: the first line, plots with their numbers, people, files; and the commands beside the site."""

import csv
import html
import io
import json
import re
import stat

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from tests.feedback.site.browsers import chromium, open_
from tests.feedback.site.browsers import come_in as come_in_by
from tests.feedback.site.studies import come_in, form_in, item, opened, served, site_of, study_at, token
from tests.feedback.site.test_looks import WINDOWS, looked_at
from tests.feedback.writer import annotation
from tutelage.cli.label.app import app as commands
from tutelage.cli.label.links import ready, url_of
from tutelage.core.artifact import Artifact
from tutelage.core.errors import UserError
from tutelage.core.run import Run
from tutelage.feedback.site.plots import Dot, bars, dots, line


def worked(folder, people: int = 3, items: int = 25):
    """A study on which everybody has judged everything; the last of them says the opposite of the others."""
    names = [f"ann-{n:02}" for n in range(1, people + 1)]
    listed = "people: [" + ", ".join(f"{{name: {name}}}" for name in names) + ", {name: boss, role: admin}]"
    app = opened(study_at(folder, items=items, k=2, questions="[{task: pair}]", more=f"{listed}\noverlap: {people}\npay_per_hour: 20"))
    for name in names:
        client = TestClient(app, headers=token(app, name))
        for _ in range(items):
            task = client.get("/api/next").json()
            better = min(range(2), key=lambda place: task["responses"][place].split("(answer ")[1])
            choice = "ab"[better if name != names[-1] else 1 - better]
            sent = {
                "item": task["item"],
                "submit": task["submit"],
                "values": {"pair.winner": choice},
                "active_ms": 30_000,
                "total_ms": 40_000,
            }
            client.post("/api/submit", json=sent).raise_for_status()
    return app


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    return worked(tmp_path_factory.mktemp("worked"))


def test_the_first_line_is_for_a_manager_and_plots_and_hours_follow(done):
    page = come_in(done, "boss").get("/admin").text
    first = re.search(r'class="manager">(.*?)</p>', page, re.S)
    assert first and "75 of 75 done" in first[1] and "$12" in first[1] and "agreement 0.33" in first[1], first and first[1]
    assert page.count("<svg") >= 2 and 'role="img"' in page and "ann-03" in page
    rows = list(csv.DictReader(io.StringIO(come_in(done, "boss").get("/admin/hours.csv").text)))
    assert [row["person"] for row in rows] == ["ann-01", "ann-02", "ann-03"]
    assert all(abs(float(row["hours"]) - 25 * 30 / 3600) < 1e-3 for row in rows)


def test_files_to_take_away(done):
    boss = come_in(done, "boss")
    events = [json.loads(row) for row in boss.get("/admin/export/events.jsonl").text.splitlines()]
    assert len(events) == 75 and {e["annotator"] for e in events} == {"ann-01", "ann-02", "ann-03"}
    preferences = [json.loads(row) for row in boss.get("/admin/export/preference.jsonl").text.splitlines()]
    assert len(preferences) == 75 and {"prompt", "chosen", "rejected"} <= set(preferences[0])
    assert boss.get("/admin/export/elsewhere.jsonl").status_code == 400


def test_figures_are_made_again_only_when_something_was_said(done, monkeypatch):
    figures = site_of(done).figures
    first = figures.now()
    assert figures.now()[0] is first[0]
    monkeypatch.setattr("tutelage.feedback.site.state.REST", -1.0)
    assert figures.now()[0] is first[0]  # looked again, nothing was new
    monkeypatch.setattr(figures.store.__class__, "last", property(lambda self: -1))
    assert figures.now()[0] is not first[0]


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_the_states_page_looks_well(done, phone, dark):
    with chromium() as browser, served(done) as site, open_(browser, phone, dark) as context:
        page = come_in_by(context, site.link("boss"))
        page.goto(f"{site.url}/admin")
        looked_at(page, "62-admin-state", phone, dark, whole=True)
        page.goto(f"{site.url}/admin/people")
        looked_at(page, "63-admin-people", phone, dark, whole=True)


def test_plots_are_right_and_say_their_numbers():
    plot = dots("T", "n", [Dot("<b>", 0.5, 0.25, 0.75), Dot("x" * 40, 2.0, -1.0, 3.0, odd=True)], 0, 1, 0.5)
    svg = str(plot.svg)
    assert "&lt;b&gt; 0.50 (0.25 to 0.75)" in svg and "<b>" not in svg and "…" in svg
    middles = [float(x) for x in re.findall(r'<circle class="dot(?: odd)?" cx="([\d.]+)"', svg)]
    left, right = (float(x) for x in re.findall(r'class="axis" x1="([\d.]+)"', svg)[::2])
    assert middles == [pytest.approx((left + right) / 2, abs=0.1), pytest.approx(right, abs=0.1)]  # what is off the scale stays at its end
    widths = [float(w) for w in re.findall(r'width="([\d.]+)" height', str(bars("T", "n", [("a", 1), ("b", 2), ("c", 0)], " s").svg))]
    assert widths[1] == pytest.approx(2 * widths[0], abs=0.1) and widths[2] == 1
    assert "from 1 to 3" in str(line("T", "n", [(0, 1), (1, 2), (2, 3)], ("then", "now")).svg)


def test_invite_and_hooks_on_the_command_line(tmp_path, monkeypatch):
    path = study_at(tmp_path, more="webhooks: [{url: 'https://a.example/hook', events: [skip]}]")
    run = CliRunner().invoke
    made = run(commands, ["invite", str(path), "ann-01", "ann-77", "--url", "https://label.example.org"])
    assert made.exit_code == 0, made.output
    lines = dict(row.split(": ", 1) for row in made.stdout.splitlines())
    assert set(lines) == {"ann-01", "ann-77"} and all(url.startswith("https://label.example.org/join/") for url in lines.values())
    secret = tmp_path / "study.secret"
    assert stat.S_IMODE(secret.stat().st_mode) == 0o600
    told = run(commands, ["hooks", str(path)]).stdout
    assert told.startswith("https://a.example/hook (skip): ") and secret.read_text().strip() not in told
    monkeypatch.setenv("TUTELAGE_SECRET", "short")
    with pytest.raises(UserError, match="32 characters or more"):
        run(commands, ["hooks", str(path)], catch_exceptions=False)


@pytest.mark.parametrize("given", ["label.example.org", "ftp://x", "https://x/path", "https://x?q"])
def test_an_address_is_a_scheme_and_a_host(given):
    with pytest.raises(UserError, match="without a path"):
        url_of(given, "127.0.0.1", 1)
    assert url_of("", "0.0.0.0", 8017) == "http://127.0.0.1:8017" and url_of("", "::1", 1) == "http://[::1]:1"


def test_erase_asks_first_and_then_leaves_tombstones(tmp_path):
    app = worked(tmp_path, people=2, items=3)
    run = CliRunner().invoke
    with Run.open(tmp_path / "run", "recipe", create=True) as opened:
        both, ours = {"ann-01": 3, "ann-02": 3}, site_of(app).store.id
        stages = (("reward", both, ours), ("without", {"ann-01": 3}, ours), ("namesake", both, "another"), ("file", both, None))
        for stage, people, study in stages:
            opened.building(stage, f"{stage}-hash")
            results = {"consumed": people, **({"study": study} if study else {})}
            opened.finish(Artifact(stage=stage, hash=f"{stage}-hash", method="reward", results=results))
    given = ["erase", str(tmp_path / "study.yaml"), "ann-02", "--run", str(tmp_path / "run")]
    asked = run(commands, given)
    assert "ann-02 has 3 annotations" in asked.stdout and site_of(app).store.count == 6
    said = " ".join(asked.stdout.split())
    assert "reward reward-hash was made from it (3 of them)" in said and "without-hash" not in said and "namesake" not in said
    assert "file file-hash was made from it (3 of them; known by the name alone, for it doesn't say of which study)" in said
    told = run(commands, [*given, "--yes"])
    assert "3 annotations gone" in told.stdout and "reward-hash" in told.stdout, told.output
    assert site_of(app).store.annotators() == {"ann-01": 3}
    page = tmp_path / "study.yaml"
    assert f"Take ann-02 out of people in {page}" in " ".join(told.stdout.split())
    with pytest.raises(UserError, match="people: 'ann-02' was erased"):
        ready(page)
    page.write_text(page.read_text().replace("{name: ann-02}, ", ""))
    ready(page)
    assert item(0, 1)["prompt"]  # what was judged is still there


def test_who_was_only_imported_is_erased_by_command(tmp_path):
    path = study_at(tmp_path)
    store = site_of(opened(path)).store
    store.append([annotation(0, annotator="mturk-7")], "import")
    run = CliRunner().invoke
    assert "mturk-7 has 1 annotations" in run(commands, ["erase", str(path), "mturk-7"]).stdout
    assert "1 annotations gone" in run(commands, ["erase", str(path), "mturk-7", "--yes"]).stdout and store.count == 0
    with pytest.raises(UserError, match="nothing of 'mturk-8'"):
        run(commands, ["erase", str(path), "mturk-8"], catch_exceptions=False)


def test_a_study_without_an_admin_can_be_opened_and_who_was_revoked_comes_back_by_command(tmp_path):
    path = study_at(tmp_path, more="people: [{name: ann-01}]")
    made = ready(path)
    assert made.admins() == ["admin"] == made.admins()
    with made.desk.database.turn() as connection:
        connection.exec_driver_sql("UPDATE people SET active = 0 WHERE name = 'admin'")  # as an older release left it
    assert ready(path).admins() == ["admin-2"]
    run = CliRunner().invoke
    told = run(commands, ["invite", str(path), "admin"])
    assert "admin was revoked, and may come in again." in told.stdout and "/join/" in told.stdout, told.output
    assert made.admins() == ["admin", "admin-2"] and made.people.log()[-1].action == "restore"
    assert "revoked" not in run(commands, ["invite", str(path), "admin"]).stdout


def test_the_last_admin_is_not_revoked_and_the_page_says_why(tmp_path):
    app = opened(study_at(tmp_path))
    boss = come_in(app, "boss")
    proof = re.search(r'name="proof" value="([^"]*)"', boss.get("/admin/people").text)
    said = boss.post("/admin/people/act", data={"proof": proof[1], "name": "boss", "do": "revoke"})
    assert said.status_code == 400 and "boss is the only admin of this study" in said.text and "Make a link" in said.text
    assert site_of(app).people.find("boss").active


HOUR = 3_600_000


@pytest.mark.parametrize("again", ["edit", "undo", "skip"])
def test_hours_that_were_worked_are_paid_whatever_became_of_them(tmp_path, again):
    """An hour of work on two questions, then a second answer of one second, an undo, or a skip."""
    app = opened(study_at(tmp_path, k=2, questions="[{task: pair}, {task: likert}]", more="pay_per_hour: 20"))
    client, boss = TestClient(app, headers=token(app, "ann-01")), come_in(app, "boss")
    values = {"pair.winner": "a", "likert.value-0": "3", "likert.value-1": "5"}

    def send(task, what, ms, **more):
        sent = {"item": task["item"], "submit": task["submit"], "active_ms": ms, "total_ms": ms, **more}
        client.post(f"/api/{what}", json=sent).raise_for_status()

    task = client.get("/api/next").json()
    send(task, "submit", HOUR, values=values)
    before = site_of(app).figures.now()[0].hours
    if again == "edit":
        send(client.get(f"/api/items/{task['item']}").json(), "submit", 1000, values={**values, "pair.winner": "b"})
    elif again == "undo":
        send(client.post("/api/undo").json(), "submit", 1000, values=values)
    else:
        send(client.get("/api/next").json(), "skip", 1000)
    site_of(app).figures._held = None
    (row,) = csv.DictReader(io.StringIO(boss.get("/admin/hours.csv").text))
    assert before == 1 and float(row["hours"]) == round(1 + 1 / 3600, 4) and float(row["pay"]) == 20.01
    stats = json.loads(CliRunner().invoke(commands, ["stats", str(tmp_path / "study.yaml"), "--json"]).stdout)
    assert stats["people"][0]["hours"] == pytest.approx(1 + 1 / 3600)


def test_a_skip_on_the_page_is_timed_too(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    form = form_in(ann.get("/").text)
    ann.post("/skip", data={**form, "active_ms": "61000", "total_ms": "90000"})
    ann.post("/skip", data={**form_in(ann.get("/").text), "active_ms": "", "total_ms": ""})
    first, second = site_of(app).store.events()
    assert (first.active_ms, first.total_ms) == (61000, 90000) and 0 <= second.active_ms == second.total_ms < 60_000
    assert site_of(app).store.active_ms() == {"ann-01": 61000 + second.active_ms}


def test_a_key_that_skips_is_timed_to_the_moment(tmp_path):
    """The clock counts once more when the key is pressed, however short the look was: here it never ticks by itself."""
    with chromium() as browser, served(opened(study_at(tmp_path))) as site, open_(browser) as context:
        context.add_init_script("window.setInterval = () => 0")
        page = come_in_by(context, site.link("ann-01"))
        page.wait_for_selector("html[data-ready]")
        with page.expect_request("**/skip") as sent:
            page.keyboard.press("s")
        assert re.search(r"active_ms=\d+&total_ms=\d+", sent.value.post_data)


def screening(folder):
    """A study with a test of two demonstrations, which ann-01 has taken."""
    rows = [item(n, 0) for n in (5, 6)]
    more = "screening: {items: screening.jsonl, demonstrations: 5}"
    path = study_at(folder, items=2, k=0, questions="[{task: demonstration}]", more=more)
    (folder / "screening.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    app = opened(path)
    client = TestClient(app, headers=token(app, "ann-01"))
    for text in ("Begin, and **go on** <script>alert(1)</script>.", "Ask somebody."):
        task = client.get("/api/next").json()
        sent = {"item": task["item"], "submit": task["submit"], "values": {"demonstration.text": text}, "active_ms": 1, "total_ms": 1}
        client.post("/api/submit", json=sent).raise_for_status()
    return app


def test_the_export_page_names_a_command_that_works(done, tmp_path, monkeypatch):
    page = come_in(done, "boss").get("/admin/export").text
    monkeypatch.chdir(tmp_path)
    made = CliRunner().invoke(commands, page.split("<code>tutelage label ")[1].split("</code>")[0].split())
    assert made.exit_code == 0, made.output
    assert len((tmp_path / "answers.jsonl").read_text().splitlines()) == site_of(done).store.count


def test_what_was_written_in_the_screening_is_graded_and_the_admin_decides(tmp_path):
    app = screening(tmp_path)
    boss = come_in(app, "boss")
    page = boss.get("/admin/screening")
    assert "graded 5 of 7" in page.text and "undecided" in page.text and page.text.count("Grade, 7 is best") == 2
    assert "<strong>go on</strong>" in page.text and "<script>alert" not in page.text
    for form in re.findall(r'<form method="post" action="/admin/screening".*?</form>', page.text, re.S):
        fields = dict(re.findall(r'name="(proof|person|answer)" value="([^"]*)"', form))
        refused = boss.post("/admin/screening", data={**fields, "grade": "9"})
        assert refused.status_code == 400 and "from 1 to 7" in refused.text
        boss.post("/admin/screening", data={**fields, "grade": "6"}).raise_for_status()
        assert re.search(r"<td>6\.00(, can't tell yet| \(6\.00 to 6\.00\), above)</td>", html.unescape(boss.get("/admin/screening").text))
    graded = boss.get("/admin/screening").text
    assert "6.00" in graded and "To be graded" not in graded
    proof = re.search(r'name="proof" value="([^"]*)"', graded)
    decided = boss.post("/admin/people/act", data={"proof": proof[1], "name": "ann-01", "do": "accept"})
    assert decided.url.path == "/admin/screening" and "accepted" in decided.text and "Accept<" not in decided.text
    for do, offered in (("decline", "Accept"), ("accept", "Decline")):
        page = boss.post("/admin/people/act", data={"proof": proof[1], "name": "ann-01", "do": do}).text
        offer = f'{offered}<span class="only-read"> ann-01'
        assert offer in page and offer in boss.get("/admin/people").text
    assert come_in(app, "ann-01").get("/admin/screening").status_code == 403


def test_a_study_without_screening_has_no_page_of_it(done):
    boss = come_in(done, "boss")
    assert "/admin/screening" not in boss.get("/admin").text and boss.get("/admin/screening").status_code == 400


@pytest.mark.parametrize("phone, dark", WINDOWS, ids=["laptop-light", "laptop-dark", "phone-light", "phone-dark"])
def test_the_screenings_page_looks_well(tmp_path, phone, dark):
    app = screening(tmp_path)
    with chromium() as browser, served(app) as site, open_(browser, phone, dark) as context:
        page = come_in_by(context, site.link("boss"))
        page.goto(f"{site.url}/admin/screening")
        looked_at(page, "66-admin-screening", phone, dark, whole=True)
