"""Studies to try the site with: made in a folder, opened, and served by a real uvicorn on a port of its own."""

import json
import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn
from fastapi import FastAPI
from starlette.testclient import TestClient

from tutelage.feedback.site.app import build
from tutelage.feedback.site.signing import Claim
from tutelage.feedback.site.site import Site
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.study import read_study

SECRET = "a secret of forty characters for the tests"
MODELS = ("gpt-nonesuch-4", "llama-nonesuch-70b")
GUIDELINES = """# What helps

Prefer the answer that **helps the person who asked**.

1. Is it true? A wrong answer ranks below one that admits not to know.
2. Does it do what was asked?
3. Length is no merit.
"""
TOPICS = ("boil an egg", "fold a shirt", "read a map", "grow basil", "mend a tire", "write a letter", "tie a knot", "bake bread")
HOW = (
    "Start with what you have at hand. Then go slowly, one step after the other, and look at what happens before you go on.",
    "There are **three** things to know:\n\n- have everything ready\n- take your time\n- ask somebody who did it before\n\nThat is all.",
    "I don't know.",
    "It depends. Some do it in the morning, some at night; there is no single right way, but most people begin with the hardest part, "
    "because what follows is then easy. If it fails the first time, that is no reason to stop: it mostly fails the first time.",
    "Use the function below.\n\n```python\ndef steps(n):\n    return [i * i for i in range(n)]\n```\n\nIt gives the steps in order.",
    "Certainly! Here is everything you need, in short: prepare, begin, check, finish, clean up.",
)


def item(n: int, k: int, more: dict[str, Any] | None = None) -> dict[str, Any]:
    """A row of an items file; its id and its responses' `by` name models, which no page may."""
    topic = TOPICS[n % len(TOPICS)]
    again = f" This is try {n // len(TOPICS) + 1}." if n >= len(TOPICS) else ""
    responses = [{"text": f"{HOW[(n + i) % len(HOW)]}\n\n(answer {i} to {topic})", "by": MODELS[i % 2]} for i in range(k)]
    return {
        "id": f"{MODELS[n % 2]}/{n}",
        "prompt": f"How do I {topic}, and what should I look out for?{again}",
        "responses": responses,
        **(more or {}),
    }


def study_at(
    folder: Path, items: int = 3, k: int = 4, questions: str = "[{task: ranking}]", more: str = "", rows: Sequence[dict[str, Any]] = ()
) -> Path:
    """A study's page in a folder, with its items and guidelines. `more` are further lines of the page."""
    folder.mkdir(parents=True, exist_ok=True)
    given = list(rows) or [item(n, k) for n in range(items)]
    (folder / "items.jsonl").write_text("".join(json.dumps(row) + "\n" for row in given))
    (folder / "guidelines.md").write_text(GUIDELINES)
    people = "people: [{name: ann-01}, {name: ann-02}, {name: rev-01, role: reviewer}, {name: boss, role: admin}]"
    lines = ["schema: 1", "title: Which answer helps more?", f"questions: {questions}", "items: items.jsonl", "guidelines: guidelines.md"]
    path = folder / "study.yaml"
    path.write_text("\n".join([*lines, *([] if "people:" in more else [people]), more]) + "\n")
    return path


def opened(path: Path, secure: bool = False, store: str = "", clock: Any = time.time) -> FastAPI:
    """The app of a study, its items loaded."""
    study = read_study(path)
    kept = Store(store or study.store)
    desk = Desk(study, kept, clock)
    desk.load()
    return build(study, kept, desk, SECRET, secure)


def site_of(app: FastAPI) -> Site:
    site: Site = app.state.site
    return site


def link(app: FastAPI, name: str) -> str:
    """The path of somebody's invitation."""
    site = site_of(app)
    return f"/join/{site.signer.sign('invitation', Claim(name, site.people.find(name).keys))}"


def token(app: FastAPI, name: str) -> dict[str, str]:
    """The header of somebody's program."""
    site = site_of(app)
    return {"Authorization": f"Bearer {site.signer.sign('token', Claim(name, site.people.find(name).keys))}"}


def disputed(folder: Path) -> FastAPI:
    """A study about whose one pair two people disagree, so that a reviewer is to decide."""
    more = "overlap: 2\ndisagreement: {below: 0.9}"
    app = opened(study_at(folder, rows=[item(0, 2)], questions="[{task: pair}]", more=more))
    for name, winner in (("ann-01", "better"), ("ann-02", "worse")):
        client = TestClient(app, headers=token(app, name))
        task = client.get("/api/next").json()
        first = task["responses"].index(item(0, 2)["responses"][0]["text"])
        choice = "ab"[first if winner == "better" else 1 - first]
        sent = {"item": task["item"], "submit": task["submit"], "values": {"pair.winner": choice, "note": f"{winner}!"}}
        client.post("/api/submit", json=sent).raise_for_status()
    return app


def proof_in(page: str) -> str:
    """The proof in a page's form."""
    return field_in(page, "proof")


def field_in(page: str, name: str) -> str:
    """The value of a hidden field."""
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def come_in(app: FastAPI, name: str, base: str = "http://testserver") -> TestClient:
    """A browser (without JavaScript) in which somebody opened their link and pressed the button."""
    client = TestClient(app, base_url=base)
    at = link(app, name)
    welcome = client.get(at)
    assert welcome.status_code == 200, welcome.text
    answer = client.post(at, data={"proof": proof_in(welcome.text)})
    assert answer.status_code == 200, answer.text
    return client


def form_in(page: str) -> dict[str, str]:
    """The hidden fields of the labelling form."""
    start = page.index('id="answer"')
    return {name: field_in(page[start:], name) for name in ("proof", "item", "submit", "opened")}


@dataclass(frozen=True)
class Served:
    """A site on a port."""

    app: FastAPI
    url: str

    def link(self, name: str) -> str:
        return self.url + link(self.app, name)

    def client(self) -> httpx.Client:
        return httpx.Client(base_url=self.url, timeout=30)


@contextmanager
def served(app: FastAPI) -> Iterator[Served]:
    """The app on a free port, by uvicorn in a thread."""
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
    thread.start()
    until = time.monotonic() + 30
    while not server.started:
        assert thread.is_alive() and time.monotonic() < until, "the server did not start"
        time.sleep(0.01)
    try:
        yield Served(app, f"http://127.0.0.1:{listening.getsockname()[1]}")
    finally:
        server.should_exit = True
        thread.join(10)
        listening.close()
