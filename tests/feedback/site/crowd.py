"""Scripted annotators, run as a process of their own: each opens a link and judges as fast as the site answers.

    python -m tests.feedback.site.crowd SECONDS LINK...

prints {"submits": [seconds, ...], "acknowledged": [token, ...], "errors": [...]}.

With `--stop=FILE` it ends when there is that file. With `--stubborn` a connection that breaks is no error: the same form is sent again,
under the same token, as a person would.
"""

import http.client
import json
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlencode, urlsplit

BROKEN = (OSError, http.client.HTTPException)


@dataclass
class Said:
    """What one annotator met with."""

    submits: list[float] = field(default_factory=list)
    acknowledged: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)


class Browser:
    """A connection with a cookie, kept open as browsers do."""

    def __init__(self, host: str, stubborn: bool, until: float) -> None:
        self.host, self.stubborn, self.until, self.cookie = host, stubborn, until, ""
        self.connection = http.client.HTTPConnection(host, timeout=60)

    def ask(self, method: str, path: str, form: dict[str, str] | None = None) -> tuple[int, str]:
        """Status and page; sent again while the server is away, where stubborn."""
        while True:
            try:
                return self._once(method, path, form)
            except BROKEN:
                self.connection.close()
                if not self.stubborn or time.monotonic() > self.until + 60:
                    raise
                time.sleep(0.1)

    def _once(self, method: str, path: str, form: dict[str, str] | None) -> tuple[int, str]:
        headers = {"Cookie": self.cookie, "Content-Type": "application/x-www-form-urlencoded"}
        self.connection.request(method, path, urlencode(form) if form else None, headers)
        answer = self.connection.getresponse()
        page = answer.read().decode()
        if cookie := answer.getheader("Set-Cookie"):
            self.cookie = cookie.split(";")[0]
        return answer.status, page


def hidden(page: str, name: str) -> str:
    return page.split(f'name="{name}" value="')[1].split('"')[0]


def annotate(link: str, until: float, stubborn: bool, stop: Path, said: Said) -> None:
    """Judge until the time is over or nothing is left."""
    parts = urlsplit(link)
    browser = Browser(parts.netloc, stubborn, until)
    try:
        _, page = browser.ask("GET", parts.path)
        browser.ask("POST", parts.path, {"proof": hidden(page, "proof")})
        while time.monotonic() < until and not stop.exists():
            status, page = browser.ask("GET", "/")
            if status != 200:
                said.errors.append(f"GET / answered {status}")
                if not stubborn:
                    return
                time.sleep(0.2)
                continue
            if 'id="answer"' not in page:
                return
            start = page.index('id="answer"')
            form = {name: hidden(page[start:], name) for name in ("proof", "item", "submit", "opened")}
            order = list("1234")
            random.shuffle(order)
            began = time.monotonic()
            status, page = browser.ask("POST", "/submit", {**form, "ranking.order": " ".join(order)})
            said.submits.append(time.monotonic() - began)
            if status == 303:
                said.acknowledged.append(form["submit"])
            else:
                said.errors.append(f"submit answered {status}: {page[page.find('<main') :][:300]}")
    except Exception as error:
        said.errors.append(repr(error))


def main(seconds: float, links: list[str], stubborn: bool, stop: Path) -> dict[str, list[object]]:
    """Everybody at once, for so many seconds."""
    until = time.monotonic() + seconds
    crowd = [Said() for _ in links]
    threads = [threading.Thread(target=annotate, args=(link, until, stubborn, stop, said)) for link, said in zip(links, crowd)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return {name: [one for said in crowd for one in getattr(said, name)] for name in ("submits", "acknowledged", "errors")}


if __name__ == "__main__":
    given = [word for word in sys.argv[1:] if not word.startswith("--")]
    stop = next((word.removeprefix("--stop=") for word in sys.argv if word.startswith("--stop=")), "no such file")
    print(json.dumps(main(float(given[0]), given[1:], "--stubborn" in sys.argv, Path(stop))))
