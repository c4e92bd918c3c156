"""What leaves the site as a file: raw events, and rows for training, each made while it is sent."""

import json
from collections.abc import Iterator, Mapping
from typing import Any, cast

from tutelage.feedback.annotation import to_plain
from tutelage.feedback.export import rows_of
from tutelage.feedback.store import Store
from tutelage.feedback.store.events import Event

FILES: Mapping[str, tuple[str, str]] = {
    "events": ("Raw events", "one for each answer, skip, undo, question"),
    "preference": ("Preferences", "prompt, chosen, rejected (TRL)"),
    "unpaired": ("Unpaired preferences", "prompt, completion, label (TRL)"),
    "demonstrations": ("Demonstrations", "prompt, completion (TRL)"),
}


def events_of(store: Store, after: int, annotator: str | None, blind: bool) -> Iterator[dict[str, Any]]:
    """Events after a number as plain JSON; of one person, and then `blind`: without who wrote the responses, and why the item came."""
    for event in store.events(after=after, annotator=annotator):
        yield plain(event, blind)


def plain(event: Event, blind: bool = False) -> dict[str, Any]:
    """One event as plain JSON."""
    made: dict[str, Any] = {
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
    return _blind(made) if blind else made


def training(store: Store, as_: str) -> Iterator[str]:
    """JSON lines of one of TRL's types, from every answer that stands, none aggregated."""
    rows, _ = rows_of(list(store.read()), as_, "conversational", "none")
    for row in rows:
        yield json.dumps(row, ensure_ascii=False) + "\n"


def _blind(event: dict[str, Any]) -> dict[str, Any]:
    made = {name: value for name, value in event.items() if name not in ("purpose", "item")}
    annotation = cast("dict[str, Any] | None", made["annotation"])
    if annotation:
        responses = cast("list[dict[str, Any]]", annotation["responses"])
        made["annotation"] = {**annotation, "tags": {}, "responses": [{"text": r["text"], "finished": r["finished"]} for r in responses]}
    return made
