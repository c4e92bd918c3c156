"""The interface for programs: everything that a person can do on the pages, with a bearer token. Described at /openapi.json.

It speaks of items by the references that the pages use, of responses by place on the screen, and of answers by the fields of the form:
a program sees what a person sees, and nothing more.
"""

import json
from collections.abc import Iterator

from fastapi import APIRouter
from pydantic import BaseModel, Field
from starlette.responses import StreamingResponse

from tutelage.feedback.places import on_screen
from tutelage.feedback.site.exports import events_of, own_events
from tutelage.feedback.site.forms import DAY
from tutelage.feedback.site.safe import storable
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.visitors import BEARER, Program, Visitor
from tutelage.feedback.study.sheet import Sheet

router = APIRouter(prefix="/api", dependencies=[BEARER])
ABOUT = "Label by program. Make a token on the page 'You' and send it as 'Authorization: Bearer TOKEN'."


class Turn(BaseModel):
    """A turn of the prompt."""

    role: str
    text: str


class AskedField(BaseModel):
    """A field of the form. With `each` it is asked of every response: NAME-0, NAME-1, ... by place on the screen."""

    name: str
    kind: str
    label: str
    options: list[str]
    each: bool
    required: bool
    low: float | None
    high: float | None


class Task(BaseModel):
    """One item that waits for an answer, or has the caller's own."""

    item: str
    submit: str = Field(description="Carry it back with the answer: the same token twice is one answer.")
    prompt: list[Turn]
    responses: list[str] = Field(description="In the order of the screen.")
    ask: list[str]
    fields: list[AskedField]
    flags: list[str]
    values: dict[str, str] = Field(description="The draft, or the answer given before.")
    category: str
    warning: str
    practice: bool
    answered: bool
    expires: float


class Answer(BaseModel):
    """An answer by the fields of the form."""

    item: str
    submit: str = Field(max_length=200)
    values: dict[str, str]
    active_ms: int = Field(0, ge=0, le=DAY)
    total_ms: int = Field(0, ge=0, le=DAY)


class Taken(BaseModel):
    """An answer that is on the disk."""

    submit: str
    new: bool
    explanation: str | None
    suggestion: str | None


class Skip(BaseModel):
    """An item given back."""

    item: str
    submit: str = Field(max_length=200)
    reason: str = Field("", max_length=500)
    active_ms: int = Field(0, ge=0, le=DAY)
    total_ms: int = Field(0, ge=0, le=DAY)


class Undo(BaseModel):
    """What is taken back."""

    submit: str = Field("", max_length=200, description="Its token, so that asking twice takes back one; empty: whatever is last.")


class Draft(BaseModel):
    """A half-filled form."""

    item: str
    values: dict[str, str]
    submit: str = Field("", max_length=200, description="The task's token; needed where an answer is being changed.")


class Ask(BaseModel):
    """A question to whoever runs the study."""

    item: str
    text: str = Field(min_length=1, max_length=5000)
    submit: str = Field("", max_length=64, description="A random token of the caller's: the same twice is one question.")


class Without(BaseModel):
    """Categories that the caller doesn't want to see: these and no others."""

    categories: list[str] = Field(max_length=1000)


class Guideline(BaseModel):
    """What annotators go by."""

    text: str = Field(description="Markdown.")
    version: str


class Stats(BaseModel):
    """The caller's own figures."""

    person: str
    role: str
    phase: str
    done: int
    open: int


class Said(BaseModel):
    """One of the caller's own answers."""

    item: str
    at: float
    said: dict[str, str]
    skipped: bool
    editable_until: float


def task(site: Site, me: Visitor, sheet: Sheet) -> Task:
    k = len(sheet.item.responses)
    fields = [
        AskedField(
            name=f"{q.name}.{f.name}",
            kind=f.kind,
            label=f.label,
            options=[option.value for option in f.options],
            each=f.each,
            required=f.required,
            low=f.low,
            high=f.high,
        )
        for q in sheet.questions
        for f in q.form(k)
    ]
    return Task(
        item=site.signer.hide(me.name, sheet.item.id),
        submit=sheet.submit,
        prompt=[Turn(role=m.role, text=m.text) for m in sheet.item.prompt.messages],
        responses=[response.text for response in on_screen(sheet.item.responses, sheet.shown)],
        ask=[q.words(k) for q in sheet.questions],
        fields=fields,
        flags=[f"{q.name}.flag.PLACE.{flag.name}" for q in sheet.questions for flag in q.flags],
        values=dict(sheet.draft),
        category=sheet.item.category,
        warning=sheet.item.warning,
        practice=sheet.purpose == "practice",
        answered=sheet.answered,
        expires=sheet.expires,
    )


@router.get("/next")
def following(site: Here, me: Program) -> Task | None:
    """The item that the caller has, or the next; null when nothing is left."""
    sheet = site.desk.next(me.name)
    return task(site, me, sheet) if sheet else None


@router.get("/items/{reference}")
def one(site: Here, me: Program, reference: str) -> Task:
    """One item of the caller's."""
    return task(site, me, site.desk.sheet(me.name, site.signer.seek(me.name, reference)))


@router.post("/submit")
def submit(site: Here, me: Program, answer: Answer) -> Taken:
    """Store an answer. When this returns, it is on the disk."""
    item = site.signer.seek(me.name, answer.item)
    receipt = site.desk.submit(me.name, answer.submit, item, clean(answer.values), answer.active_ms, answer.total_ms)
    return Taken(submit=receipt.submit, new=receipt.new, explanation=receipt.explanation, suggestion=receipt.suggestion)


@router.post("/skip")
def skip(site: Here, me: Program, given: Skip) -> Taken:
    """Give an item back."""
    item = site.signer.seek(me.name, given.item)
    receipt = site.desk.skip(me.name, given.submit, item, storable(given.reason), given.active_ms, given.total_ms)
    return Taken(submit=receipt.submit, new=receipt.new, explanation=None, suggestion=None)


@router.post("/undo")
def undo(site: Here, me: Program, given: Undo | None = None) -> Task | None:
    """Take the last answer or skip back; null where there is nothing to take back."""
    sheet = site.desk.undo(me.name, given.submit if given else "")
    return task(site, me, sheet) if sheet else None


@router.post("/draft")
def draft(site: Here, me: Program, given: Draft) -> float:
    """Keep a half-filled form; when the lease ends (Unix seconds)."""
    return site.desk.draft(me.name, site.signer.seek(me.name, given.item), clean(given.values), given.submit)


@router.post("/ask", status_code=204)
def ask(site: Here, me: Program, given: Ask) -> None:
    """Ask whoever runs the study about an item."""
    site.desk.ask(me.name, site.signer.seek(me.name, given.item), storable(given.text), given.submit)


@router.get("/stats")
def stats(site: Here, me: Program) -> Stats:
    """The caller's own figures."""
    progress = site.desk.progress(me.name)
    return Stats(person=me.name, role=me.person.role, phase=progress.phase, done=progress.done, open=progress.open)


@router.get("/guideline")
def guideline(site: Here, me: Program) -> Guideline:
    """What annotators go by, and its version, which is stamped on every answer."""
    return Guideline(text=site.study.guideline.text, version=site.study.guideline.version)


@router.get("/categories")
def categories(site: Here, me: Program) -> dict[str, bool]:
    """The study's categories of content, and whether the caller sees each."""
    return {name: name not in me.person.opt_out for name in site.desk.categories()}


@router.post("/without")
def without(site: Here, me: Program, given: Without) -> dict[str, bool]:
    """Choose what not to see; the answer is as that of `categories`."""
    site.desk.opt_out(me.name, given.categories)
    site.forget()
    return {name: name not in given.categories for name in site.desk.categories()}


@router.get("/history")
def history(site: Here, me: Program) -> list[Said]:
    """The caller's own answers, latest first."""
    return [
        Said(item=site.signer.hide(me.name, e.item), at=e.at, said=dict(e.said), skipped=e.skipped, editable_until=e.until)
        for e in site.desk.history(me.name)
    ]


@router.get("/export")
def export(site: Here, me: Program, after: int = 0) -> StreamingResponse:
    """Raw events as JSON lines, from the one after a number: an admin all of them, anybody else their own, by places on the screen."""
    if me.person.role == "admin":
        site.people.note(me.name, "export", "events", "by token")
    return StreamingResponse(lines(site, me, after), media_type="application/x-ndjson")


def lines(site: Site, me: Visitor, after: int) -> Iterator[str]:
    everybody = me.person.role == "admin"
    for event in events_of(site.store, after) if everybody else own_events(site.store, site.study, after, me.name):
        yield json.dumps(event, ensure_ascii=False) + "\n"


def clean(values: dict[str, str]) -> dict[str, str]:
    """Fields as every database takes them, without empty ones."""
    return {storable(name): storable(value) for name, value in values.items() if value.strip()}
