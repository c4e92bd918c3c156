"""The interface for programs: everything that a person can do, described, and by token alone."""

import json

import httpx
import pytest
from fastapi.testclient import TestClient

from tests.feedback.site.studies import come_in, disputed, form_in, opened, served, site_of, study_at, token

ASKED = ("/api/next", "/api/items/x", "/api/stats", "/api/history", "/api/export")
DONE = ("/api/submit", "/api/skip", "/api/undo", "/api/draft", "/api/ask")


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
    assert client.post("/api/undo").json()["values"]["ranking.order"] == "2 1 = 3 4"
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
    assert event["annotator"] == "ann-01" and event["annotation"]["responses"][0]["by"]


def test_without_a_token_nothing_and_a_cookie_is_none(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    for path in ASKED:
        assert ann.get(path).status_code == 401, path
    for path in DONE:
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
    assert {*ASKED[:1], *ASKED[2:], *DONE, "/api/items/{reference}"} == set(said["paths"])
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
