"""A person's own pages: coming in by a link, what they said, what they asked, what they don't want to see, a token for programs."""

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse

from tutelage.feedback.site import words
from tutelage.feedback.site.forms import Sent
from tutelage.feedback.site.routes.work import page
from tutelage.feedback.site.signing import Claim
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.visitors import STALE, Me, NotAllowed, Ours, Visitor, person_of, sign_in, sign_out, stranger
from tutelage.feedback.study.people import Person

router = APIRouter(include_in_schema=False)


@router.get("/join/{token}")
def welcome(site: Here, request: Request, token: str) -> Response:
    """Whom the link is for and what they come to; nothing happens before they say so, since mail programs open links too."""
    person = invited(site, request, token)
    return site.pages.render(
        "join.jinja",
        200,
        {
            "name": person.name,
            "role": person.role,
            "proof": site.signer.form(token),
            "pay": pay(site),
            "minutes": site.study.edit_minutes,
            "guideline": site.guideline,
            "headline": site.study.title,
        },
    )


@router.post("/join/{token}")
def join(site: Here, request: Request, token: str, form: Sent) -> Response:
    """Begin a session."""
    person = invited(site, request, token)
    if not site.signer.is_form(token, form.get("proof")):
        raise NotAllowed(STALE)
    answer = RedirectResponse("/", 303)
    sign_in(site, person, answer)
    return answer


def invited(site: Site, request: Request, token: str) -> Person:
    """Whom a link invites. Refused."""
    stranger(request, site, cost=3.0)
    return person_of(site, site.signer.read("invitation", token))


def pay(site: Site) -> str:
    """What the work is paid, where the study says so."""
    rate = site.study.pay_per_hour
    return f"The work is paid {site.study.currency}{rate:g} an hour." if rate else ""


@router.get("/history")
def history(site: Here, me: Me) -> Response:
    """What the person said and asked."""
    entries = site.desk.history(me.name)
    about = {entry.item: entry.prompt for entry in entries}
    talks = [words.asked(talk, about.get(talk.item, "")) for talk in site.desk.talks(me.name)]
    lines = [words.line(site, me.name, entry) for entry in entries]
    return page(site, me, "history.jinja", "/history", entries=lines, talks=talks, minutes=site.study.edit_minutes)


@router.get("/guideline")
def guideline(site: Here, me: Me) -> Response:
    """The guideline alone."""
    return page(site, me, "guideline.jinja", "/guideline", guideline=site.guideline, version=site.study.guideline.version)


@router.get("/keys")
def keys(site: Here, me: Me) -> Response:
    """The sheet of keys, for browsers without JavaScript."""
    return page(site, me, "keys.jinja", "")


@router.get("/me")
def own(site: Here, me: Me, told: str = "") -> Response:
    """Who one is here."""
    return own_page(site, me, "Kept." if told == "kept" else "")


@router.post("/me/without")
def without(site: Here, me: Me, form: Ours) -> Response:
    """Categories that the person doesn't want to see: those that are not ticked."""
    wanted = form.several.get("category", ())
    site.desk.opt_out(me.name, [name for name in site.desk.categories() if name not in wanted])
    site.forget()
    return RedirectResponse("/me?told=kept", 303)


@router.post("/me/token")
def token(site: Here, me: Me, form: Ours) -> Response:
    """A token for programs, shown once."""
    made = site.signer.sign("token", Claim(me.name, me.person.keys))
    return own_page(site, me, "Copy the token now; it is not shown again.", made)


@router.post("/leave")
def leave(site: Here, me: Me, form: Ours) -> Response:
    """End the session on this browser."""
    answer = site.pages.render(
        "problem.jinja",
        200,
        {"headline": "Signed out", "sentence": "Your answers are kept. To come back, open your invitation link again."},
    )
    sign_out(site, answer)
    return answer


def own_page(site: Site, me: Visitor, told: str, made: str = "") -> Response:
    progress = site.desk.progress(me.name)
    left = f"; {progress.open} open" if progress.open else ""
    categories = [{"name": name, "wanted": name not in me.person.opt_out} for name in site.desk.categories()]
    figures = f"{progress.done} done{left}. You are here as {me.person.role}."
    return page(site, me, "me.jinja", "/me", told=told, token=made, figures=figures, categories=categories)
