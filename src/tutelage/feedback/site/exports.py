"""What leaves the site as a file: raw events, and rows for training, each made while it is sent."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from tutelage.core.errors import UserError
from tutelage.feedback import tasks
from tutelage.feedback.annotation import Annotation, to_plain
from tutelage.feedback.export import rows_of
from tutelage.feedback.places import on_screen, screen_place
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event
from tutelage.feedback.study.study import Study

FILES: Mapping[str, tuple[str, str]] = {
    "events": ("Raw events", "one for each answer, skip, undo, question"),
    "preference": ("Preferences", "prompt, chosen, rejected (TRL)"),
    "unpaired": ("Unpaired preferences", "prompt, completion, label (TRL)"),
    "demonstrations": ("Demonstrations", "prompt, completion (TRL)"),
}


def events_of(store: Store, after: int) -> Iterator[dict[str, Any]]:
    """All events after a number as plain JSON."""
    return (plain(event) for event in store.events(after=after))


def own_events(store: Store, study: Study, after: int, annotator: str) -> Iterator[dict[str, Any]]:
    """One person's own events after a number, as they saw them: responses, answer and flags in the order of their screen, without who
    wrote what, the order in which it is stored (files often keep one model's responses first), who replied, and why the item came."""
    for event in store.events(after=after, annotator=annotator):
        made = {name: value for name, value in plain(event).items() if name not in ("purpose", "item")}
        said = {name: value for name, value in event.said.items() if name != "by"}
        seen = None if event.annotation is None else _seen(study, str(event.said.get("question", "")), event.annotation)
        yield {**made, "said": said, "annotation": seen}


def plain(event: Event) -> dict[str, Any]:
    """One event as plain JSON."""
    return {
        "number": event.number,
        "id": event.id,
        "submit": event.submit,
        "kind": event.kind,
        "purpose": event.purpose,
        "item": event.item,
        "annotator": event.annotator,
        "at": event.at,
        "active_ms": event.active_ms,
        "total_ms": event.total_ms,
        "guideline": event.guideline,
        "supersedes": event.supersedes,
        "said": dict(event.said),
        "annotation": None if event.annotation is None else to_plain(event.annotation),
    }


def training(store: Store, as_: str) -> Iterator[str]:
    """JSON lines of one of TRL's types, from every answer that stands, none aggregated."""
    rows, _ = rows_of(list(store.read()), as_, "conversational", "none")
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _seen(study: Study, name: str, a: Annotation) -> dict[str, Any]:
    """An annotation by places on the screen. An answer that the study's question doesn't allow any more (another range, say) is left out:
    "answer" is null then."""
    seen = replace(
        a,
        responses=on_screen(a.responses, a.shown),
        flags=tuple((screen_place(place, a.shown), flag) for place, flag in a.flags),
        shown=(),
    )
    made = to_plain(seen)
    del made["shown"]
    responses = [{"text": r.text, "finished": r.finished} for r in seen.responses]
    return {**made, "tags": {}, "responses": responses, "answer": _answer_seen(study, name, a)}


def _answer_seen(study: Study, name: str, a: Annotation) -> dict[str, Any] | None:
    """The answer by places on the screen: filled into the form as it was shown, and read as if that were the stored order."""
    question = next((q for q in study.questions if (q.name, q.task) == (name, a.task)), None)
    kind = tasks.load(a.task)
    options = kind.Options() if question is None else question.options
    try:
        return kind.from_form(kind.from_answer(a.answer).to_form(a.shown, options), range(len(a.responses)), options).to_answer()
    except UserError:
        return None
