"""Who may do what: links, sessions, forms, roles, rates, sizes, headers; and that one person never sees another's work."""

import re
import time

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.testclient import TestClient

from tests.feedback.site.studies import come_in, field_in, form_in, link, opened, proof_in, served, site_of, study_at, token
from tutelage.core.errors import Interrupted
from tutelage.feedback.site.guard import LARGEST
from tutelage.feedback.site.signing import Claim, Signer
from tutelage.feedback.site.site import KNOWN

PAGES = ("/", "/history", "/guideline", "/keys", "/me", "/admin", "/admin/people", "/admin/questions", "/admin/log", "/admin/export")


def test_a_link_that_is_cut_forged_expired_or_withdrawn_says_so(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path))
    site, at = site_of(app), link(app, "ann-01")
    client = TestClient(app)
    assert client.get(at).status_code == 200
    for wrong in (at[:-3], at + "x", "/join/forged", at.replace("/join/", "/join/a")):
        answer = client.get(wrong)
        assert answer.status_code == 403 and "not one of ours, or was cut" in answer.text
    other = Signer("another secret of at least 32 characters").sign("invitation", Claim("ann-01", 1))
    assert client.get(f"/join/{other}").status_code == 403
    session = site.signer.sign("session", Claim("ann-01", 1, "v"))
    assert client.get(f"/join/{session}").status_code == 403  # a cookie is no link
    with monkeypatch.context() as later:
        now = time.time()
        later.setattr(time, "time", lambda: now + 15 * 86400)
        answer = client.get(at)
    assert answer.status_code == 403 and "has expired. Ask whoever runs the study" in answer.text
    site.people.renew("boss", "ann-01")
    site.forget()
    assert "has been replaced or withdrawn" in client.get(at).text


def test_opening_a_link_does_nothing_before_the_button(tmp_path):
    app = opened(study_at(tmp_path))
    client = TestClient(app)
    client.get(link(app, "ann-01"))
    assert not client.cookies and client.get("/").status_code == 401
    assert client.post(link(app, "ann-01"), data={"proof": "made up"}).status_code == 403


@pytest.mark.parametrize("said", ["cross-site", "same-site", "else"])
def test_another_sites_page_cannot_post_here_even_with_a_good_link(tmp_path, said):
    app = opened(study_at(tmp_path))
    at = link(app, "ann-01")
    client = TestClient(app, follow_redirects=False)
    form = {"proof": proof_in(client.get(at, headers={"sec-fetch-site": "cross-site"}).text)}  # a link in a mail may be opened
    answer = client.post(at, data=form, headers={"sec-fetch-site": said})
    assert answer.status_code == 403 and "a page of another site" in answer.text and "set-cookie" not in answer.headers
    assert "script-src 'self'" in answer.headers["content-security-policy"]
    for ours in ({"sec-fetch-site": "same-origin"}, {"sec-fetch-site": "none"}, {}):
        assert client.post(at, data=form, headers=ours).status_code == 303
    refused = client.post("/api/skip", json={}, headers={**token(app, "ann-01"), "sec-fetch-site": said})
    assert refused.status_code == 403 and "another site" in refused.json()["error"]


def test_a_link_that_is_good_is_not_in_the_log(tmp_path, caplog):
    app = opened(study_at(tmp_path))
    at = link(app, "ann-01")
    (tmp_path / "study.sqlite").rename(tmp_path / "gone")
    assert TestClient(app).get(at).status_code == 503
    assert "GET /join/{token}: " in caplog.text and at.removeprefix("/join/") not in caplog.text


def test_the_session_is_in_one_cookie_that_scripts_and_other_sites_dont_get(tmp_path):
    app = opened(study_at(tmp_path), secure=True)
    client = TestClient(app, base_url="https://label.example.org")
    at = link(app, "ann-01")
    answer = client.post(at, data={"proof": proof_in(client.get(at).text)}, follow_redirects=False)
    said = answer.headers["set-cookie"]
    assert said.startswith("__Host-tutelage-")
    assert all(part in said for part in ("HttpOnly", "SameSite=lax", "Secure", "Path=/")) and "Domain" not in said
    plain = opened(study_at(tmp_path / "plain"))
    browser = TestClient(plain)
    answer = browser.post(link(plain, "ann-01"), data={"proof": proof_in(browser.get(link(plain, "ann-01")).text)}, follow_redirects=False)
    assert "Secure" not in answer.headers["set-cookie"] and "HttpOnly" in answer.headers["set-cookie"]


def test_every_post_needs_the_sessions_own_proof(tmp_path):
    app = opened(study_at(tmp_path))
    ann, other = come_in(app, "ann-01"), come_in(app, "boss")
    form = {**form_in(ann.get("/").text), "ranking.order": "1234"}
    theirs = proof_in(other.get("/me").text)
    posts = [route.path for route in routes(app) if "POST" in route.methods and not route.path.startswith(("/api", "/join"))]
    assert {"/submit", "/skip", "/undo", "/draft", "/ask", "/leave", "/me/token", "/admin/people"} <= set(posts)
    for path in posts:
        for proof in ("", "made up", theirs):
            assert ann.post(path, data={**form, "proof": proof}).status_code == 403, path
    assert list(site_of(app).store.events()) == []
    assert ann.post("/submit", data=form).status_code == 200


def routes(app):
    """Every route of the site, however they are nested."""
    found = []
    for route in app.routes:
        inner = getattr(route, "routes", None) or getattr(getattr(route, "original_router", None), "routes", None)
        found += [one for one in inner if isinstance(one, APIRoute)] if inner else [route] if isinstance(route, APIRoute) else []
    return found


def test_nobody_sees_anothers_work(tmp_path):
    app = opened(study_at(tmp_path, items=2, more="overlap: 2"))
    ann, other = come_in(app, "ann-01"), come_in(app, "ann-02")
    page = ann.get("/").text
    mine = form_in(page)
    ann.post("/submit", data={**mine, "ranking.order": "4321", "note": "my private note"})
    second = form_in(ann.get("/").text)
    ann.post("/ask", data={**second, "text": "my private question"})
    ann.post("/draft", data={**second, "ranking.order": "3 1"})
    for reference in (mine["item"], second["item"]):
        for path in (f"/item/{reference}", f"/item/{reference}/response/0", f"/item/{reference}/turn/0", f"/api/items/{reference}"):
            answer = other.get(path, headers=token(app, "ann-02"))
            assert answer.status_code == 403 and "not yours" in answer.text, path
        theirs = {**form_in(other.get("/").text), "item": reference, "ranking.order": "1234", "text": "x"}
        for path in ("/submit", "/skip", "/draft", "/ask"):
            assert other.post(path, data=theirs).status_code == 403, path
        for path in ("/api/submit", "/api/skip", "/api/draft", "/api/ask"):
            body = {"item": reference, "submit": "s", "values": {}, "text": "x"}
            assert other.post(path, json=body, headers=token(app, "ann-02")).status_code == 403, path
    for path in ("/", "/history", "/me", "/api/history", "/api/export", "/api/stats", "/api/next"):
        text = other.get(path, headers=token(app, "ann-02")).text
        assert "private" not in text and "ann-01" not in text and '"3 1"' not in text, path
    assert "private note" in ann.get("/api/export", headers=token(app, "ann-01")).text


def test_roles_keep_to_their_pages(tmp_path):
    app = opened(study_at(tmp_path))
    for name in ("ann-01", "rev-01"):
        client = come_in(app, name)
        proof = proof_in(client.get("/me").text)
        for path in (
            "/admin",
            "/admin/people",
            "/admin/questions",
            "/admin/log",
            "/admin/export",
            "/admin/export/events.jsonl",
            "/admin/hours.csv",
        ):
            assert client.get(path).status_code == 403, path
        for path in ("/admin/people", "/admin/people/act", "/admin/questions"):
            answer = client.post(path, data={"proof": proof, "name": "ann-02", "do": "revoke", "question": "q", "text": "t"})
            assert answer.status_code == 403, path
        assert "Admin" not in client.get("/").text
    assert site_of(app).people.find("ann-02").active
    boss = come_in(app, "boss")
    for path in (
        "/admin",
        "/admin/people",
        "/admin/questions",
        "/admin/log",
        "/admin/export",
        "/admin/export/events.jsonl",
        "/admin/hours.csv",
    ):
        assert boss.get(path).status_code == 200, path


def test_what_admins_do_is_logged(tmp_path):
    app = opened(study_at(tmp_path))
    boss = come_in(app, "boss")
    proof = proof_in(boss.get("/me").text)
    made = boss.post("/admin/people", data={"proof": proof, "name": "ann-09", "role": "annotator", "expertise": "medical, law"})
    assert re.search(r"/join/[\w.-]+", made.text)
    boss.post("/admin/people/act", data={"proof": proof, "name": "ann-09", "do": "link"})
    boss.post("/admin/people/act", data={"proof": proof, "name": "ann-09", "do": "revoke"})
    boss.get("/admin/export/events.jsonl")
    did = [(action.by, action.action, action.about) for action in site_of(app).people.log()]
    assert [one for one in did if one[0] == "boss"] == [
        ("boss", "invite", "ann-09"),
        ("boss", "link", "ann-09"),
        ("boss", "revoke", "ann-09"),
        ("boss", "export", "events"),
    ]
    log = boss.get("/admin/log").text
    assert log.index("export") < log.index("invite")
    again = boss.post("/admin/people", data={"proof": proof, "name": "ann-09", "role": "annotator"})
    assert again.status_code == 400 and 'role="alert"' in again.text


def test_who_is_revoked_or_signed_out_everywhere_is_out_at_once(tmp_path):
    app = opened(study_at(tmp_path))
    ann, boss, program = come_in(app, "ann-01"), come_in(app, "boss"), token(app, "ann-01")
    proof = proof_in(boss.get("/me").text)
    assert ann.get("/api/stats", headers=program).status_code == 200
    boss.post("/admin/people/act", data={"proof": proof, "name": "ann-01", "do": "renew"})
    assert ann.get("/").status_code == 401 and ann.get("/api/stats", headers=program).status_code == 401
    back = come_in(app, "ann-01")
    boss.post("/admin/people/act", data={"proof": proof, "name": "ann-01", "do": "revoke"})
    assert back.get("/").status_code == 401


def test_what_is_done_by_command_counts_within_a_second(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    site_of(app).people.renew("boss", "ann-01")
    time.sleep(KNOWN + 0.1)
    assert ann.get("/").status_code == 401


def test_every_answer_has_the_headers(tmp_path):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    static = ann.get("/").text.split('href="/static/')[1].split('"')[0]
    for path in (*PAGES, "/nowhere", "/join/x", "/openapi.json", "/api/next", f"/static/{static}"):
        headers = ann.get(path).headers
        policy = headers["content-security-policy"]
        assert (
            "script-src 'self'" in policy
            and "unsafe" not in policy
            and "frame-ancestors 'none'" in policy
            and "default-src 'none'" in policy
        ), path
        assert headers["x-content-type-options"] == "nosniff" and headers["referrer-policy"] == "no-referrer", path
        assert ("immutable" if "/static/" in path else "no-store") in headers["cache-control"], path
    page = ann.get("/").text
    assert "<script>" not in page and " style=" not in page and not re.search(r"\son\w+=", page) and "http" not in page.replace(static, "")


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_that_is_too_large_is_refused_in_words(tmp_path, chunked):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "1234"}
    body = b"&".join(f"{k}={v}".encode() for k, v in form.items()) + b"&note=" + b"x" * LARGEST
    content = iter([body[n : n + 65536] for n in range(0, len(body), 65536)]) if chunked else body
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = ann.post("/submit", content=content, headers=kind)
    assert answer.status_code == 413 and "At most 4 MB can be sent at once" in answer.text and "text/html" in answer.headers["content-type"]
    said = ann.post("/api/submit", content=body, headers=token(app, "ann-01"))
    assert said.status_code == 413 and "4 MB" in said.json()["error"]
    assert site_of(app).store.count == 0


@pytest.mark.parametrize("body", [b"\xff\xfe", b"a=1&" * 5000, b"{}"])
def test_a_body_that_is_no_form_changes_nothing(tmp_path, body):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    answer = ann.post("/submit", content=body, headers={"content-type": "application/x-www-form-urlencoded"})
    assert answer.status_code in (400, 403) and "<h1>" in answer.text
    assert ann.post("/submit", files={"item": b"x"}).status_code == 400


def test_text_that_no_database_takes_is_taken_without_it(tmp_path):
    app = opened(study_at(tmp_path, items=2))
    ann = come_in(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "1234", "note": "nul \x00 here"}
    assert ann.post("/submit", data=form).status_code == 200
    task = ann.get("/api/next", headers=token(app, "ann-01")).json()
    raw = f'{{"item": "{task["item"]}", "submit": "{task["submit"]}", "values": {{"ranking.order": "1234", "note": "half \\ud800"}}}}'
    answer = ann.post("/api/submit", content=raw, headers={**token(app, "ann-01"), "content-type": "application/json"})
    assert answer.status_code == 200, answer.text
    notes = [event.said.get("note") for event in site_of(app).store.events()]
    assert notes == ["nul \ufffd here", "half \ufffd"]


def test_who_asks_too_often_waits(tmp_path):
    app = opened(study_at(tmp_path))
    ann, other = come_in(app, "ann-01"), come_in(app, "ann-02")
    now = time.monotonic()
    site_of(app).persons.clock = lambda: now  # all within one moment
    answers = [ann.get("/keys") for _ in range(210)]
    slow = [answer for answer in answers if answer.status_code == 429]
    assert slow and int(slow[0].headers["retry-after"]) >= 1 and "Too many requests" in slow[0].text
    assert other.get("/keys").status_code == 200  # their own bucket


def test_links_cannot_be_guessed_in_bulk(tmp_path):
    app = opened(study_at(tmp_path))
    client = TestClient(app)
    statuses = [client.get("/api/next", headers={"Authorization": f"Bearer guess{n}"}).status_code for n in range(40)]
    assert statuses[0] == 401 and statuses[-1] == 429


def test_a_database_that_goes_away_loses_nothing_that_was_written(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path))
    ann = come_in(app, "ann-01")
    form = {**form_in(ann.get("/").text), "ranking.order": "2143", "note": "a <b>long</b> thought"}
    desk = site_of(app).desk
    submit = desk.submit

    def away(*given):
        raise Interrupted("the disk is full")

    monkeypatch.setattr(desk, "submit", away)
    answer = ann.post("/submit", data=form)
    assert (
        answer.status_code == 503 and "nothing was stored" in answer.text and "Try again" in answer.text and answer.headers["retry-after"]
    )
    assert (
        ann.post("/submit", data=form, headers={"accept": "application/json"}).json()["error"].startswith("The database can't be reached")
    )
    kept = {name: field_in(answer.text, name) for name in form}
    assert kept["ranking.order"] == "2143" and "<b>" not in kept["note"]
    monkeypatch.setattr(desk, "submit", submit)
    kept["note"] = kept["note"].replace("&lt;", "<").replace("&gt;", ">")
    assert ann.post("/submit", data=kept).status_code == 200 and site_of(app).store.count == 1


def test_a_fault_of_ours_shows_no_trace(tmp_path, monkeypatch):
    app = opened(study_at(tmp_path))
    ann = TestClient(app, raise_server_exceptions=False)
    ann.cookies = come_in(app, "ann-01").cookies
    monkeypatch.setattr(site_of(app).desk, "history", lambda *given: 1 / 0)
    answer = ann.get("/history")
    assert (
        answer.status_code == 500 and "Traceback" not in answer.text and "division" not in answer.text and "A fault of ours" in answer.text
    )
    assert "script-src 'self'" in answer.headers["content-security-policy"] and answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["cache-control"] == "no-store"
    with pytest.raises(ZeroDivisionError):  # it goes on to whoever serves the site, who notes it
        come_in(app, "ann-01").get("/history")


@pytest.mark.parametrize("place", ["²", "٢", "9", "-1", ""])
def test_a_flag_on_no_response_is_refused_in_words(tmp_path, place):
    app = opened(study_at(tmp_path, questions="[{task: ranking, flags: table_3}]"))
    ann = come_in(app, "ann-01")
    answer = ann.post("/submit", data={**form_in(ann.get("/").text), "ranking.order": "1234", f"ranking.flag.{place}.opinion": "on"})
    assert answer.status_code == 400 and "There is no flag" in answer.text and site_of(app).store.count == 0


def test_a_real_server_answers_a_large_body_before_it_hangs_up(tmp_path):
    with served(opened(study_at(tmp_path))) as site, httpx.Client(base_url=site.url) as client:
        answer = client.post("/submit", content=b"x" * (2 * LARGEST))
        assert answer.status_code == 413 and "4 MB" in answer.text
