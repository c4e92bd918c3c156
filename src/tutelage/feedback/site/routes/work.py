"""The page that people sit at: one item, what is asked about it, and what can be done with it. Each is a plain POST, after which the
browser is sent on; asked for JSON, the same paths say where to go.
"""

from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request, Response
from starlette.responses import JSONResponse, RedirectResponse

from tutelage.core.errors import UserError
from tutelage.feedback.places import letter, on_screen
from tutelage.feedback.site import words
from tutelage.feedback.site.forms import DAY, Form
from tutelage.feedback.site.pages import navigation
from tutelage.feedback.site.safe import plain, shown
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.views import turn_text, view_of
from tutelage.feedback.site.visitors import Me, Ours, Visitor
from tutelage.feedback.study.arrival import Used
from tutelage.feedback.study.seats import token
from tutelage.feedback.study.sheet import Receipt, Sheet

router = APIRouter(include_in_schema=False)
LETTERS = tuple(letter(place) for place in range(26))
OWN = ("proof", "item", "submit", "last", "opened", "active_ms", "total_ms", "reason")
"""Fields of the page's own, no part of an answer."""


@router.get("/")
def work(site: Here, me: Me, show: bool = False, told: str = "") -> Response:
    """The item that the person has, or the next."""
    sheet = site.desk.next(me.name)
    if sheet is None:
        progress = site.desk.progress(me.name)
        headline, lead = words.over(progress)
        last = site.desk.last(me.name)
        return page(site, me, "done.jinja", "/", headline=headline, lead=lead, progress=progress, last=last, told=TOLD.get(told, ""))
    return sheet_page(site, me, sheet, show, told=TOLD.get(told, ""))


UNDONE = "Nothing more was undone: that was taken back before, or is too old."
TOLD = {
    "draft": "Kept as a draft.",
    "asked": "Asked. The answer comes to your history.",
    "nothing": "There is nothing to undo.",
    "undone": UNDONE,
}


@router.get("/item/{reference}")
def item(site: Here, me: Me, reference: str, show: bool = False, told: str = "") -> Response:
    """One item of the person's: theirs to answer, or answered and still theirs to change."""
    sheet = site.desk.sheet(me.name, site.signer.seek(me.name, reference))
    return sheet_page(site, me, sheet, show, told=TOLD.get(told, ""))


@router.get("/item/{reference}/{part}/{n}")
def whole(site: Here, me: Me, reference: str, part: str, n: int) -> Response:
    """A long text whole, as it is."""
    sheet = site.desk.sheet(me.name, site.signer.seek(me.name, reference))
    responses = [response.text for response in on_screen(sheet.item.responses, sheet.shown)]
    turns = [turn_text(sheet.item.prompt, turn) for turn in range(len(sheet.item.prompt.messages))]
    texts = {"response": responses, "turn": turns}.get(part, [])
    if not 0 <= n < len(texts):
        raise UserError("There is no such text here.")
    name = f"Response {LETTERS[n]}" if part == "response" else "Prompt"
    return page(site, me, "whole.jinja", "", headline=name, text=plain(texts[n]), back=f"/item/{reference}")


@router.post("/submit")
def submit(site: Here, me: Me, form: Ours, request: Request) -> Response:
    """Store an answer."""
    reference = form.get("item")
    name = site.signer.seek(me.name, reference)
    values = answered(form)
    total = form.milliseconds("total_ms", elapsed(site, form))
    try:
        receipt = site.desk.submit(me.name, form.get("submit"), name, values, form.milliseconds("active_ms", total), total)
    except UserError as error:
        keep(site, me, form)
        if as_json(request):
            raise
        return sheet_page(site, me, still(site, me, name, error), show=True, values=values, fault=str(error), status=status_of(error))
    after = bool(receipt.explanation or receipt.suggestion or receipt.expected)
    if as_json(request):
        return JSONResponse({"next": "/", "after": after, "submit": receipt.submit, "new": receipt.new})
    return after_page(site, me, receipt, name) if after else RedirectResponse("/", 303)


@router.post("/skip")
def skip(site: Here, me: Me, form: Ours) -> Response:
    """Give the item back."""
    total = form.milliseconds("total_ms", elapsed(site, form))
    item, reason, active = site.signer.seek(me.name, form.get("item")), form.get("reason", 500), form.milliseconds("active_ms", total)
    site.desk.skip(me.name, form.get("submit"), item, reason, active, total)
    return RedirectResponse("/", 303)


@router.post("/undo")
def undo(site: Here, me: Me, form: Ours) -> Response:
    """Take the last answer or skip back, and show it again."""
    if "submit" in form.values and site.signer.seek(me.name, form.get("item")):
        keep(site, me, form)
    last = form.get("last", 64) if "last" in form.values else site.desk.last(me.name)
    sheet = site.desk.undo(me.name, last) if last else None
    nothing = "/?told=undone" if last else "/?told=nothing"
    return RedirectResponse(f"/item/{site.signer.hide(me.name, sheet.item.id)}" if sheet else nothing, 303)


@router.post("/draft")
def draft(site: Here, me: Me, form: Ours, request: Request) -> Response:
    """Keep a half-filled form."""
    reference = form.get("item")
    expires = site.desk.draft(me.name, site.signer.seek(me.name, reference), answered(form), form.get("submit"))
    return JSONResponse({"expires": expires}) if as_json(request) else RedirectResponse(f"/item/{quote(reference)}?told=draft&show=1", 303)


@router.post("/ask")
def ask(site: Here, me: Me, form: Ours) -> Response:
    """Ask whoever runs the study about the item."""
    reference = form.get("item")
    text = form.get("text", 5000)
    if not text:
        raise UserError("A question has words; that one was empty.")
    site.desk.ask(me.name, site.signer.seek(me.name, reference), text, form.get("submit"))
    return RedirectResponse(f"/item/{quote(reference)}?told=asked&show=1", 303)


def still(site: Site, me: Visitor, name: str, fault: UserError) -> Sheet:
    """The sheet of an answer that was refused. The refusal itself, where the item isn't the person's any more: then a page of the fault
    holds what was written."""
    try:
        return site.desk.sheet(me.name, name)
    except UserError:
        raise fault from None


def status_of(fault: UserError) -> int:
    return 409 if isinstance(fault, Used) else 400


def keep(site: Site, me: Visitor, form: Form) -> None:
    """What is half-filled stays as a draft, when the person goes elsewhere by a button."""
    try:
        site.desk.draft(me.name, site.signer.seek(me.name, form.get("item")), answered(form), form.get("submit"))
    except UserError:
        return  # nobody waits for this draft: the item is done, or no longer theirs


def answered(form: Form) -> dict[str, str]:
    """The fields of an answer, without the page's own and without empty ones."""
    return {name: value for name, value in form.values.items() if name not in OWN and value.strip()}


def elapsed(site: Site, form: Form) -> int:
    """Milliseconds since the page was made: what is known of the time without JavaScript."""
    opened = form.values.get("opened", "")
    known = opened.isascii() and opened.isdigit() and len(opened) < 16
    return min(DAY, max(0, int(site.clock() * 1000) - int(opened))) if known else 0


def as_json(request: Request) -> bool:
    """Whether a script asks, not a person's browser."""
    return "application/json" in request.headers.get("accept", "")


def sheet_page(
    site: Site,
    me: Visitor,
    sheet: Sheet,
    show: bool,
    values: dict[str, str] | None = None,
    told: str = "",
    fault: str = "",
    status: int = 200,
) -> Response:
    """The page of one item; behind its warning, where it has one that wasn't lifted."""
    view = view_of(sheet, site.signer.hide(me.name, sheet.item.id), values)
    veiled = bool(view.warning) and not show and not view.answered and not view.values
    return page(
        site,
        me,
        "veil.jinja" if veiled else "label.jinja",
        "/",
        status=status,
        sheet=view,
        voices=sheet.voices,
        letters=LETTERS,
        progress=site.desk.progress(me.name),
        guideline=site.guideline,
        last=site.desk.last(me.name),
        asks=token(),
        now=int(site.clock() * 1000),
        told=told,
        fault=fault,
    )


def after_page(site: Site, me: Visitor, receipt: Receipt, name: str) -> Response:
    """What there is to say once an answer is stored."""
    entry = next((entry for entry in site.desk.history(me.name) if entry.submit == receipt.submit), None)
    return page(
        site,
        me,
        "after.jinja",
        "",
        said=words.sentence(entry.said) if entry else "",
        expected=words.sentence(receipt.expected) if receipt.expected else "",
        agreed=receipt.agreed,
        explanation=shown(receipt.explanation) if receipt.explanation else None,
        suggestion=shown(receipt.suggestion) if receipt.suggestion else None,
        progress=site.desk.progress(me.name),
    )


def page(site: Site, me: Visitor, template: str, here: str, status: int = 200, **values: object) -> Response:
    """A page for somebody who is signed in, with what its template shows."""
    return rendered(site, me, template, here, status, values)


def rendered(site: Site, me: Visitor, template: str, here: str, status: int, values: Mapping[str, object]) -> Response:
    """`page`, of values that are held already."""
    common = {"person": me.person, "proof": site.signer.form(me.visit), "here": here, "pages": navigation(me.person.role)}
    return site.pages.render(template, status, {**common, **values})
