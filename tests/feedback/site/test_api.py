"""The interface for programs: everything that a person can do, described, and by token alone."""

import json

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.feedback.site.studies import come_in, disputed, form_in, item, opened, served, site_of, study_at, token

ASKED = ("/api/next", "/api/items/x", "/api/stats", "/api/history", "/api/export", "/api/guideline", "/api/categories")
DONE = ("/api/submit", "/api/skip", "/api/undo", "/api/draft", "/api/ask", "/api/without")
RUN_ASKED = tuple(f"/api/admin/{name}" for name in ("people", "questions", "state", "hours.csv", "log"))
RUN_DONE = tuple(f"/api/admin/{name}" for name in ("people", "people/{name}", "people/{name}/link", "questions/{question}"))


def test_a_program_does_the_whole_work(tmp_path):
    app = opened(study_at(tmp_path, items=4, questions="[{task: ranking, flags: table_3}]"))
    client = TestClient(app, headers=token(app, "ann-01"))
    task = client.get("/api/next").json()
    assert (
        len(task["responses"]) == 4
        and [f["name"] for f in task["fields"]] == ["ranking.order"]
        and task["flags"][2] == "ranking.flag.PLACE.hallucination"
    )
    assert client.post("/api/draft", json={"item": task["item"], "values": {"ranking.order": "2"}}).json() > 0
    assert client.get("/api/next").json()["values"] == {"ranking.order": "2"}
    body = {
        "item": task["item"],
        "submit": task["submit"],
        "values": {"ranking.order": "2 1 = 3 4", "ranking.flag.1.hallucination": "on"},
        "active_ms": 900,
        "total_ms": 1000,
    }
    assert client.post("/api/submit", json=body).json() == {"submit": task["submit"], "new": True, "explanation": None, "suggestion": None}
    assert client.post("/api/submit", json=body).json()["new"] is False
    undone = {"submit": task["submit"]}
    assert client.post("/api/undo", json=undone).json()["values"]["ranking.order"] == "2 1 = 3 4"
    assert client.post("/api/undo", json=undone).json() is None
    back = client.get("/api/next").json()
    client.post("/api/submit", json={**body, "submit": back["submit"]})
    following = client.get("/api/next").json()
    assert client.post("/api/ask", json={"item": following["item"], "text": "why?"}).status_code == 204
    assert client.post("/api/skip", json={"item": following["item"], "submit": following["submit"], "reason": "odd"}).json()["new"]
    assert client.get("/api/stats").json() == {"person": "ann-01", "role": "annotator", "phase": "work", "done": 1, "open": 2}
    said = client.get("/api/history").json()
    assert said[0]["skipped"] and said[1]["said"] == {"ranking": "B over A = C over D"}
    events = [json.loads(row) for row in client.get("/api/export").text.splitlines()]
    assert [e["kind"] for e in events] == ["annotation", "undo", "annotation", "question", "skip"]
    later = [json.loads(row) for row in client.get("/api/export", params={"after": events[1]["number"]}).text.splitlines()]
    assert later == events[2:] and all("by" not in r for e in events if e["annotation"] for r in e["annotation"]["responses"])


def test_an_admin_exports_everybody_with_who_wrote_what(tmp_path):
    app = opened(study_at(tmp_path, items=1))
    client = TestClient(app, headers=token(app, "ann-01"))
    task = client.get("/api/next").json()
    client.post("/api/submit", json={"item": task["item"], "submit": task["submit"], "values": {"ranking.order": "1234"}})
    rows = TestClient(app, headers=token(app, "boss")).get("/api/export").text.splitlines()
    event = json.loads(rows[0])
    did = [(a.by, a.action, a.about) for a in site_of(app).people.log()]
    assert did == [("boss", "export", "events")]
    assert event["annotator"] == "ann-01" and event["annotation"]["responses"][0]["by"]


def test_without_a_token_nothing_and_a_cookie_is_none(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    for path in (*ASKED, *RUN_ASKED):
        assert ann.get(path).status_code == 401, path
    for path in (*DONE, *RUN_DONE):
        answer = ann.post(path, json={})
        assert answer.status_code == 401 and "Authorization: Bearer" in answer.json()["error"], path


def test_the_page_makes_a_token_that_works(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    page = ann.get("/me").text
    made = ann.post("/me/token", data={"proof": page.split('name="proof" value="')[1].split('"')[0]}).text
    bearer = made.split('class="link-made">')[1].split("<")[0]
    assert TestClient(app).get("/api/stats", headers={"Authorization": f"Bearer {bearer}"}).json()["person"] == "ann-01"


def test_the_description_names_every_path(tmp_path):
    app = opened(study_at(tmp_path))
    said = TestClient(app).get("/openapi.json").json()
    assert {*ASKED[:1], *ASKED[2:], *DONE, *RUN_ASKED, *RUN_DONE, "/api/items/{reference}"} == set(said["paths"])
    ((kind, scheme),) = said["components"]["securitySchemes"].items()
    assert scheme["scheme"] == "bearer" and all({kind: []} in one["security"] for path in said["paths"].values() for one in path.values())
    assert TestClient(app).get("/docs").status_code == 404  # FastAPI's page of it takes scripts from a CDN


@pytest.mark.parametrize(
    "sent, word",
    [
        ({}, "item"),
        ({"item": 1, "submit": "s", "values": {}}, "item"),
        ({"item": "x", "submit": "s", "values": {"a": 1}}, "values.a"),
        ({"item": "x", "submit": "s" * 300, "values": {}}, "submit"),
    ],
)
def test_a_fault_in_what_a_program_sends_is_named(tmp_path, sent, word):
    app = opened(study_at(tmp_path))
    answer = TestClient(app, headers=token(app, "ann-01")).post("/api/submit", json=sent)
    assert answer.status_code == 422 and word in answer.json()["error"]


def test_an_answer_that_is_not_leased_or_incomplete_is_refused_in_words(tmp_path):
    app = opened(study_at(tmp_path, items=2))
    client = TestClient(app, headers=token(app, "ann-01"))
    task = client.get("/api/next").json()
    bad = client.post("/api/submit", json={"item": task["item"], "submit": task["submit"], "values": {"ranking.order": "1 2"}})
    assert bad.status_code == 400 and bad.json()["error"] == "Responses 3 and 4 have no rank yet."
    other = site_of(app).signer.hide("ann-01", "llama-nonesuch-70b/1")
    never = client.post("/api/submit", json={"item": other, "submit": "s", "values": {"ranking.order": "1234"}})
    assert never.status_code == 400 and "not yours" in never.json()["error"]


def test_a_program_runs_a_study_as_an_admin_does_on_pages(tmp_path):
    app = opened(study_at(tmp_path, items=2, more="pay_per_hour: 20"))
    boss, ann = (TestClient(app, headers=token(app, name)) for name in ("boss", "ann-01"))
    made = boss.post("/api/admin/people", json={"name": "ann-09", "expertise": ["law"]}).json()
    assert made["name"] == "ann-09" and made["days"] == 14 and TestClient(app).get(made["url"]).status_code == 200
    again = boss.post("/api/admin/people", json={"name": "ann-09"})
    assert again.status_code == 400 and "already" in again.json()["error"]
    there = {one["name"]: one for one in boss.get("/api/admin/people").json()}
    assert there["ann-09"]["expertise"] == ["law"] and there["ann-01"]["active"] and there["ann-01"]["annotations"] == 0
    task = ann.get("/api/next").json()
    assert ann.post("/api/ask", json={"item": task["item"], "text": "why?", "submit": "once"}).status_code == 204
    ann.post("/api/ask", json={"item": task["item"], "text": "why?", "submit": "once"})
    (asked,) = boss.get("/api/admin/questions").json()
    assert asked["text"] == "why?" and asked["person"] == "ann-01" and asked["about"] in task["prompt"][-1]["text"]
    assert boss.post(f"/api/admin/questions/{asked['question']}", json={"text": "Because."}).status_code == 204
    assert boss.get("/api/admin/questions").json()[0]["replies"] == ["Because."]
    sent = {"item": task["item"], "submit": task["submit"], "values": {"ranking.order": "1234"}, "active_ms": 36000, "total_ms": 36000}
    ann.post("/api/submit", json=sent).raise_for_status()
    state = boss.get("/api/admin/state").json()
    assert state["first_line"].startswith("1 of 2") and state["people"][0]["hours"] == 0.01
    assert boss.get("/api/admin/hours.csv").text.splitlines()[0] == "person,annotations,hours,seconds,pay"
    assert boss.post("/api/admin/people/ann-01/link").json()["name"] == "ann-01"
    assert boss.post("/api/admin/people/ann-01", json={"do": "revoke"}).json()["active"] is False
    assert ann.get("/api/stats").status_code == 401
    assert boss.post("/api/admin/people/ann-01", json={"do": "restore"}).json()["active"] is True
    assert boss.post("/api/admin/people/ann-02", json={"do": "accept"}).json()["accepted"] is True
    assert boss.post("/api/admin/people/ann-02", json={"do": "erase"}).status_code == 422
    assert boss.post("/api/admin/people/nobody", json={"do": "revoke"}).status_code == 400
    did = [(one["by"], one["action"], one["about"]) for one in boss.get("/api/admin/log").json()]
    wanted = [("invite", "ann-09"), ("reply", "ann-01"), ("export", "hours"), ("link", "ann-01"), ("revoke", "ann-01")]
    assert did == [("boss", *one) for one in (*wanted, ("restore", "ann-01"), ("accept", "ann-02"))]


def test_only_an_admins_token_runs_a_study(tmp_path):
    app = opened(study_at(tmp_path))
    before = site_of(app).people.everyone()
    for name in ("ann-01", "rev-01"):
        client = TestClient(app, headers=token(app, name))
        for path in RUN_ASKED:
            assert client.get(path).status_code == 403, path
        for path in RUN_DONE:
            body = {"name": "new", "do": "revoke", "text": "t"}
            assert client.post(path.format(name="ann-02", question="q"), json=body).status_code == 403, path
    assert site_of(app).people.everyone() == before and site_of(app).people.log() == []


def test_a_program_reads_the_guideline_and_opts_out(tmp_path):
    rows = [item(0, 2, {"category": "violence"}), item(1, 2, {"category": "gardening"})]
    app = opened(study_at(tmp_path, questions="[{task: pair}]", rows=rows))
    client = TestClient(app, headers=token(app, "ann-01"))
    said = client.get("/api/guideline").json()
    assert said["text"].startswith("# What helps") and said["version"] == site_of(app).study.guideline.version
    assert client.get("/api/categories").json() == {"gardening": True, "violence": True}
    assert client.post("/api/without", json={"categories": ["violence"]}).json() == {"gardening": True, "violence": False}
    assert client.get("/api/categories").json() == {"gardening": True, "violence": False}
    assert client.get("/api/next").json()["category"] == "gardening" and client.get("/api/stats").json()["open"] == 1
    assert "no category 'rain'" in client.post("/api/without", json={"categories": ["rain"]}).json()["error"]


def test_a_reviewer_decides_with_the_answers_side_by_side(tmp_path):
    app = disputed(tmp_path)
    reviewer = come_in(app, "rev-01")
    page = reviewer.get("/").text
    assert "To decide." in page and "A over B" in page and "B over A" in page and "better!" in page and "worse!" in page
    assert "ann-01" not in page and "ann-02" not in page
    reviewer.post("/submit", data={**form_in(page), "pair.winner": "a"})
    assert [event.purpose for event in site_of(app).store.events()][-1] == "adjudication"


def test_it_works_over_a_real_connection(tmp_path):
    with served(opened(study_at(tmp_path))) as site, httpx.Client(base_url=site.url, headers=token(site.app, "ann-01")) as client:
        assert client.get("/api/next").json()["practice"] is False
