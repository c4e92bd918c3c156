"""What lists and headlines say: history, questions, progress, in plain words."""

from collections.abc import Mapping
from dataclasses import dataclass

from tutelage.feedback.site.pages import when
from tutelage.feedback.site.site import Site
from tutelage.feedback.study.sheet import Entry, Progress, Talk

OVER: Mapping[str, tuple[str, str]] = {
    "waiting": ("Thank you, that was the test", "Whoever runs the study looks at it now. Come back to this page; it goes on here."),
    "over": (
        "That is all for now",
        "Nothing is left for you at the moment. If others skip or time out, something may come back: look in again later.",
    ),
}


@dataclass(frozen=True)
class Line:
    """A line of one's own history."""

    when: str
    about: str
    said: str
    editable: bool
    path: str


@dataclass(frozen=True)
class Asked:
    """A question and its answer."""

    id: str
    who: str
    when: str
    about: str
    text: str
    reply: str


def line(site: Site, person: str, entry: Entry) -> Line:
    """An entry of a person's history as its page shows it."""
    said = "skipped" if entry.skipped else sentence(entry.said)
    editable = not entry.skipped and entry.until > site.clock()
    return Line(when(entry.at), entry.prompt, said, editable, f"/item/{site.signer.hide(person, entry.item)}")


def asked(talk: Talk, about: str) -> Asked:
    """A question as a page shows it."""
    return Asked(talk.submit, talk.person, when(talk.at), about, talk.text, "\n\n".join(talk.replies))


def sentence(said: Mapping[str, str]) -> str:
    """Answers to several questions as one sentence; a question's name only where there are several."""
    return next(iter(said.values())) if len(said) == 1 else "; ".join(f"{name}: {answer}" for name, answer in said.items())


def over(progress: Progress) -> tuple[str, str]:
    """Headline and sentence for who has nothing on the screen."""
    return OVER.get(progress.phase, OVER["over"])
