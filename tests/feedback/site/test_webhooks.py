"""Webhooks arrive in order, signed, again after failures and restarts, and nobody waits for them."""

import hmac
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from fastapi.testclient import TestClient

from tests.feedback.site.studies import opened, site_of, study_at, token
from tutelage.feedback.site.webhooks import Hook, Sender


class Receiver:
    """A receiver that answers as it is told."""

    def __init__(self) -> None:
        self.status, self.begun = 204, 0
        self.answers = threading.Event()  # one that is slow answers when it is let
        self.answers.set()
        self.got: list[tuple[dict[str, str], bytes]] = []


@contextmanager
def receiving(receiver: Receiver) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            receiver.begun += 1
            receiver.answers.wait()
            receiver.got.append((dict(self.headers), body))
            self.send_response(receiver.status)
            self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.end_headers()

        def log_message(self, *_given: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook"
    finally:
        server.shutdown()
        server.server_close()


def answer(client: TestClient) -> str:
    task = client.get("/api/next").json()
    client.post(
        "/api/submit", json={"item": task["item"], "submit": task["submit"], "values": {"ranking.order": "1234"}}
    ).raise_for_status()
    return task["submit"]


def until(holds, seconds: float = 15) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, "it did not come"
        time.sleep(0.02)


def sender_of(app, url: str, kinds=("annotation",)) -> Sender:
    site = site_of(app)
    return Sender(Hook(url, site.signer.hook(url), kinds), site.store, site.desk.database, lambda said: None)


def test_what_happens_is_told_in_order_and_signed(tmp_path):
    receiver = Receiver()
    with receiving(receiver) as url:
        app = opened(study_at(tmp_path, items=4, more=f"webhooks: [{{url: '{url}', events: [annotation, undo]}}]"))
        with TestClient(app, headers=token(app, "ann-01")) as client:
            until(lambda: sender_of(app, url) and any(thread.name.startswith("webhook") for thread in threading.enumerate()))
            time.sleep(0.3)
            submits = [answer(client), answer(client)]
            client.post("/api/ask", json={"item": client.get("/api/next").json()["item"], "text": "not told"})
            client.post("/api/undo")
            until(lambda: len(receiver.got) == 3)
    told = [json.loads(body) for _, body in receiver.got]
    assert [t["kind"] for t in told] == ["annotation", "annotation", "undo"] and [t["submit"] for t in told[:2]] == submits
    headers, body = receiver.got[0]
    at, said = (part.split("=")[1] for part in headers["Tutelage-Signature"].split(","))
    secret = site_of(app).signer.hook(url)
    assert hmac.compare_digest(said, hmac.new(secret.encode(), f"{at}.".encode() + body, sha256).hexdigest())
    assert headers["Tutelage-Event"] == told[0]["id"] and abs(int(at) - time.time()) < 60


def test_a_receiver_that_fails_is_asked_again_from_where_it_failed(tmp_path):
    receiver = Receiver()
    with receiving(receiver) as url:
        app = opened(study_at(tmp_path, items=3))
        sender = sender_of(app, url)
        assert sender.step() == (0, "")  # from now on
        client = TestClient(app, headers=token(app, "ann-01"))
        submits = [answer(client) for _ in range(3)]
        for status in (500, 302):
            receiver.status = status
            passed, fault = sender.step()
            assert passed == 0 and f"answered {status}" in fault
        receiver.status, receiver.got = 200, []
        assert sender_of(app, url).step() == (3, "")  # another process goes on at the same place
        assert [json.loads(body)["submit"] for _, body in receiver.got] == submits
        assert sender.step() == (0, "")
    assert "refused" in sender_of(app, url).step()[1] or sender_of(app, url).step() == (0, "")


def test_no_answer_waits_for_a_slow_receiver(tmp_path):
    receiver = Receiver()
    receiver.answers.clear()
    with receiving(receiver) as url:
        app = opened(study_at(tmp_path, items=4, more=f"webhooks: [{{url: '{url}'}}]"))
        with TestClient(app, headers=token(app, "ann-01")) as client:
            time.sleep(0.3)
            answer(client)
            until(lambda: receiver.begun == 1)
            for _ in range(3):
                answer(client)
            assert receiver.begun == 1 and not receiver.got, "all were taken while the first was still being told"
            receiver.answers.set()
            until(lambda: len(receiver.got) == 4)


def test_an_erasure_is_told_with_what_it_emptied(tmp_path):
    """By the numbers of events, which receivers know them by; the name isn't told again."""
    receiver = Receiver()
    with receiving(receiver) as url:
        app = opened(study_at(tmp_path, items=3))
        sender = sender_of(app, url, ("annotation", "erased"))
        assert sender.step() == (0, "")
        for name in ("ann-01", "ann-02", "ann-01"):
            answer(TestClient(app, headers=token(app, name)))
        assert sender.step() == (3, "")
        site_of(app).people.erase("boss", "ann-01")
        assert sender.step() == (1, "")
    *before, last = (json.loads(body) for _, body in receiver.got)
    assert last["kind"] == "erased" and last["annotator"].startswith("erased-") and "ann-01" not in json.dumps(last)
    assert last["said"]["numbers"] == [told["number"] for told in before if told["annotator"] == "ann-01"]
