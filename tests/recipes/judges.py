"""People who judge through the site while a run waits for them: two pages that ask, who answers, who listens."""

import _thread
import re
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import httpx

from tests.recipes.heard import Heard
from tutelage.core.progress import Silent
from tutelage.feedback.site.address import Address
from tutelage.recipes.door import Door

PAGE = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:   {method: pretrain, data: text, tokens: 8000}
  judged: {method: label, policy: base, prompts: prompts, count: 6, responses: 3, overlap: 2, by: people, sampling: {max_tokens: 8}}
  reward: {method: reward, init: base, preferences: {from: judged, without: [ann-02]}}
"""
COMPARED = """\
schema: 1
model: {new: nano}
inputs: {text: synthetic:text, demonstrations: synthetic:demonstrations, prompts: synthetic:prompts}
stages:
  base:  {method: pretrain, data: text, tokens: 8000}
  other: {like: base, tokens: 12000}
  eval:  {method: evaluate, models: [base, other], by: people, ask: 4, overlap: 2, count: 6, sampling: {max_tokens: 8}}
"""
ANY = Door(Address(port=0))


class Stopped(Exception):
    """Where a hand would press Ctrl-C."""


class StopsAt(Silent):
    """Tells somebody else what is noted, and stops when so many answers are in."""

    def __init__(self, heard: Heard, answers: int) -> None:
        self.heard, self.answers, self.asking = heard, answers, False

    def note(self, text: str) -> None:
        self.heard.note(text)

    def stage(self, name: str, total_steps: int) -> None:
        self.asking = name.endswith(": people")

    def tick(self, step: int, tokens: int, **figures: float) -> None:
        if self.asking and step >= self.answers:
            raise Stopped


def judge(link: str, answers: int = 100) -> int:
    """A person without JavaScript: opens the link, ranks by typing, until nothing is left or `answers` are given; how many were."""
    with httpx.Client(follow_redirects=True, base_url=link.partition("/join/")[0]) as browser:
        shown = sent(browser, link, browser.get(link).text)
        for done in range(answers):
            if 'name="ranking.order"' not in shown:
                return done
            shown = sent(browser, "/submit", shown, {"ranking.order": "2 1 = 3"})
    return answers


def prefer(link: str) -> None:
    """Somebody who likes the longer answer, wherever it stands, and finds everything middling."""
    with httpx.Client(follow_redirects=True, base_url=link.partition("/join/")[0]) as browser:
        shown = sent(browser, link, browser.get(link).text)
        while 'name="better.' in shown:
            assert "base" not in shown.partition('<section class="answers"')[2]  # blind
            fields = {"better.winner": "a", "quality.value-0": "4", "quality.value-1": "3"}
            shown = sent(browser, "/submit", shown, fields)


def sent(browser: httpx.Client, to: str, shown: str, more: dict[str, str] | None = None) -> str:
    """The page after a form was posted with what it holds and `more`."""
    hidden = dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', shown))
    answer = browser.post(to, data={**hidden, **(more or {})})
    assert answer.status_code < 400, answer.text[:2000]
    return answer.text


@contextmanager
def meanwhile(heard: Heard, names: Iterable[str], each: Callable[[str], object]) -> Iterator[None]:
    """Each of these people, one after the other, does `each` with the link that the run told. Where one fails, the run is stopped."""
    failed: list[BaseException] = []

    def all_of_them() -> None:
        try:
            for name in names:
                while name not in heard.links():
                    time.sleep(0.05)
                each(heard.links()[name])
        except BaseException as error:
            failed.append(error)
            _thread.interrupt_main()

    thread = threading.Thread(target=all_of_them, daemon=True)
    thread.start()
    try:
        yield
    except KeyboardInterrupt:
        raise failed[0] from None
    thread.join(60)
    assert not thread.is_alive()
