"""What nobody may find out: who wrote a response, what others said, which items are work, known answers, repeats."""

import json
import re

import pytest
from starlette.testclient import TestClient

from tests.feedback.site.studies import MODELS, come_in, form_in, item, opened, site_of, study_at, token
from tutelage.feedback.site.signing import Refused, Signer


def test_no_page_header_or_json_names_a_model_another_person_or_a_purpose(tmp_path):
    rows = [item(n, 3) for n in range(3)]
    gold = item(5, 3, {"answer": {"ranking": {"tiers": [[0], [1], [2]]}}, "explanation": "a secret reason"})
    (tmp_path / "gold.jsonl").write_text(json.dumps(gold) + "\n")
    app = opened(study_at(tmp_path, rows=rows, more="gold: {items: gold.jsonl, rate: 0.5}\nrepeats: 0.2"))
    ann = come_in(app, "ann-01")
    seen = []
    for _ in range(6):
        page = ann.get("/")
        seen += [page.text, str(page.headers), ann.get("/api/next", headers=token(app, "ann-01")).text]
        if 'id="answer"' not in page.text:
            break
        answer = ann.post("/submit", data={**form_in(page.text), "ranking.order": "123"}, headers={"accept": "application/json"})
        seen += [answer.text, str(answer.headers)]
    for path in ("/history", "/me", "/api/history", "/api/export", "/api/stats", "/openapi.json"):
        seen.append(ann.get(path, headers=token(app, "ann-01")).text)
    for text in seen:
        for word in (*MODELS, "ann-02", '"gold"', "secret reason", "repeat"):
            assert word not in text, (word, text[:300])


def test_nothing_on_the_page_tells_known_answers_and_repeats_from_work(tmp_path):
    """Neither the length of a reference nor the total grows where an item isn't work; twenty sheets, so that there are repeats."""
    gold = [item(100 + n, 2, {"answer": {"ranking": {"tiers": [[0], [1]]}}, "id": f"known-{'x' * 9 * n}"}) for n in range(6)]
    (tmp_path / "gold.jsonl").write_text("".join(json.dumps(row) + "\n" for row in gold))
    app = opened(study_at(tmp_path, items=20, k=2, more="gold: {items: gold.jsonl, rate: 0.3}\nrepeats: 0.3"))
    ann, desk = come_in(app, "ann-01"), site_of(app).desk
    purposes, lengths, totals = [], set(), set()
    while 'id="answer"' in (page := ann.get("/").text):
        purposes.append(desk.next("ann-01").purpose)
        form = form_in(page)
        lengths.add(len(form["item"]))
        totals.add(re.search(r"<title>\d+ of (\d+) ", page)[1])
        ann.post("/submit", data={**form, "ranking.order": "12"})
    assert {"work", "gold", "repeat"} == set(purposes) and lengths == {len(site_of(app).signer.hide("ann-01", "x"))}
    assert totals == {str(len(purposes))}


def test_ones_own_export_is_in_the_order_of_the_screen(tmp_path):
    questions = "[{task: ranking, flags: [rude]}, {task: score, low: 1, high: 5}, {task: edit}]"
    app = opened(study_at(tmp_path, items=6, k=3, questions=questions))
    client = TestClient(app, headers=token(app, "ann-01"))
    asked = []
    values = {"ranking.order": "2 1 3", "ranking.flag.2.rude": "on", "edit.response": "b", "edit.text-1": "mended"}
    for _ in range(6):
        task = client.get("/api/next").json()
        asked += 3 * [task["responses"]]
        sent = {**values, **{f"score.value-{n}": str(n + 1) for n in range(3)}}
        client.post("/api/submit", json={"item": task["item"], "submit": task["submit"], "values": sent}).raise_for_status()
    client.post("/api/ask", json={"item": task["item"], "text": "why?"})
    site_of(app).desk.reply("boss", site_of(app).desk.questions()[0].submit, "because")
    text = client.get("/api/export").text
    *events, question, reply = [json.loads(row) for row in text.splitlines()]
    own = [event["annotation"] for event in events]
    assert [[r["text"] for r in a["responses"]] for a in own] == asked and "shown" not in text and "boss" not in text
    said = {"ranking": {"tiers": [[1], [0], [2]]}, "score": {"values": [1, 2, 3], "low": 1, "high": 5}}
    assert all(a["answer"] == {**said, "edit": {"response": 1, "text": "mended"}}[a["task"]] for a in own)
    assert all(a.get("flags") == ([[2, "rude"]] if a["task"] == "ranking" else None) for a in own)
    assert (question["said"]["text"], reply["said"]["text"]) == ("why?", "because")
    shown = {event.annotation.shown for event in site_of(app).store.events(kinds=["annotation"])}
    assert len(shown) > 1  # it was remapped, and not the same all along


def test_an_answer_that_the_question_no_longer_allows_is_left_out_of_the_export(tmp_path):
    path = study_at(tmp_path, items=1, k=2, questions="[{task: score, low: 0, high: 100}]")
    app = opened(path)
    client = TestClient(app, headers=token(app, "ann-01"))
    task = client.get("/api/next").json()
    sent = {"item": task["item"], "submit": task["submit"], "values": {"score.value-0": "50", "score.value-1": "70"}}
    client.post("/api/submit", json=sent).raise_for_status()
    path.write_text(path.read_text().replace("high: 100", "high: 5"))
    again = opened(path)
    (event,) = TestClient(again, headers=token(again, "ann-01")).get("/api/export").text.splitlines()
    assert json.loads(event)["annotation"]["answer"] is None


@pytest.mark.parametrize("width", [0, 40, 300])
def test_references_say_nothing_and_are_a_persons_own(width):
    signer = Signer("a secret of at least thirty-two characters", width)
    for name in ("gpt-nonesuch/1", "x" * 200, "ä", "a"):
        hidden = signer.hide("ann-01", name)
        assert signer.seek("ann-01", hidden) == name and "nonesuch" not in hidden
        assert hidden == signer.hide("ann-01", name) != signer.hide("ann-02", name)
        for person, reference in (
            ("ann-02", hidden),
            ("ann-01", hidden[:-2]),
            ("ann-01", ("B" if hidden[0] == "A" else "A") + hidden[1:]),
            ("ann-01", "ä"),
        ):
            with pytest.raises(Refused):
                signer.seek(person, reference)
