"""Pages for whoever runs the study: its state, people and their links, questions and replies, what was done, files to take away."""

import json
from collections.abc import Iterator, Mapping

from fastapi import APIRouter, Request, Response
from starlette.responses import RedirectResponse, StreamingResponse

from tutelage.core.errors import UserError
from tutelage.feedback.agreement.tables import hours_csv
from tutelage.feedback.site import words
from tutelage.feedback.site.exports import FILES, events_of, training
from tutelage.feedback.site.pages import Link, when
from tutelage.feedback.site.routes.work import rendered
from tutelage.feedback.site.signing import LASTS, Claim
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.state import COLUMNS, plots_of, rows_of
from tutelage.feedback.site.visitors import Me, Ours, Visitor
from tutelage.feedback.study.people import Person, Role

router = APIRouter(include_in_schema=False, prefix="/admin")
TABS = (
    Link("State", "/admin"),
    Link("People", "/admin/people"),
    Link("Questions", "/admin/questions"),
    Link("Log", "/admin/log"),
    Link("Export", "/admin/export"),
)
SCREENING = Link("Screening", "/admin/screening")
"""Where the study has one."""
ROLES: Mapping[str, Role] = {"annotator": "annotator", "reviewer": "reviewer", "admin": "admin"}


@router.get("")
def state(site: Here, me: Me) -> Response:
    """Where the study stands: a sentence, plots, people."""
    me.may("admin")
    found, annotations = site.figures.now()
    plots = plots_of(found, annotations)
    return admin_page(
        site, me, "state", "Where it stands", first_line=found.first_line(), plots=plots, people=rows_of(found), columns=COLUMNS
    )


@router.get("/hours.csv")
def paid(site: Here, me: Me) -> Response:
    """Hours per person, for pay."""
    me.may("admin")
    site.people.note(me.name, "export", "hours")
    found, _ = site.figures.now()
    return Response(
        hours_csv(found.people, site.study.pay_per_hour),
        media_type="text/csv",
        headers={"Content-Disposition": 'attachment; filename="hours.csv"'},
    )


@router.get("/people")
def people(site: Here, me: Me) -> Response:
    """Everybody who takes part."""
    me.may("admin")
    return people_page(site, me)


@router.post("/people")
def invite(site: Here, me: Me, form: Ours, request: Request) -> Response:
    """Somebody new, and their link."""
    me.may("admin")
    role = ROLES.get(form.get("role"), "annotator")
    expertise = [word.strip() for word in form.get("expertise", 500).split(",") if word.strip()]
    try:
        person = site.people.invite(me.name, form.get("name", 64), role, expertise)
    except UserError as error:
        return people_page(site, me, fault=str(error))
    return people_page(site, me, link=link_of(site, request, person))


@router.post("/people/act")
def act(site: Here, me: Me, form: Ours, request: Request) -> Response:
    """A new link for somebody, or all of theirs made worthless."""
    me.may("admin")
    name, what = form.get("name", 64), form.get("do")
    if what == "link":
        site.people.note(me.name, "link", name)
        return people_page(site, me, link=link_of(site, request, site.people.find(name)))
    changes = {"renew": site.people.renew, "revoke": site.people.revoke, "restore": site.people.restore}
    if what in changes:
        try:
            changes[what](me.name, name)
        except UserError as error:
            return people_page(site, me, fault=str(error))
    elif what in ("accept", "decline"):
        site.people.decide(me.name, name, what == "accept")
    else:
        raise UserError(f"There is nothing here called {what!r} to do.")
    site.forget()
    return RedirectResponse(SCREENING.path if what in ("accept", "decline") and site.study.screening else "/admin/people", 303)


@router.get("/questions")
def questions(site: Here, me: Me) -> Response:
    """What people asked."""
    me.may("admin")
    talks = site.desk.questions()
    about = {talk.item: site.desk.words(talk.item) for talk in talks}
    return admin_page(site, me, "questions", "Questions", talks=[words.asked(talk, about[talk.item]) for talk in talks])


@router.post("/questions")
def reply(site: Here, me: Me, form: Ours) -> Response:
    """An answer to one."""
    me.may("admin")
    text = form.get("text", 5000)
    if not text:
        raise UserError("An answer has words; that one was empty.")
    site.desk.reply(me.name, form.get("question"), text)
    return RedirectResponse("/admin/questions", 303)


@router.get("/log")
def log(site: Here, me: Me) -> Response:
    """What was done by whom."""
    me.may("admin")
    rows = [{"when": when(a.at), "who": a.by, "what": " ".join(filter(None, (a.action, a.about, a.detail)))} for a in site.people.log()]
    return admin_page(site, me, "log", "Log", rows=rows[::-1])


@router.get("/export")
def exports(site: Here, me: Me) -> Response:
    """Files to take away."""
    me.may("admin")
    rows = [
        {"name": name, "rows": said, "path": f"/admin/export/{key}.jsonl", "file": f"{key}.jsonl"} for key, (name, said) in FILES.items()
    ]
    return admin_page(site, me, "export", "Export", exports=rows, store=site.store.place)


@router.get("/export/{key}.jsonl")
def export(site: Here, me: Me, key: str) -> Response:
    """One file."""
    me.may("admin")
    if key not in FILES:
        raise UserError("There is no such file.")
    site.people.note(me.name, "export", key)
    lines = training(site.store, key) if key != "events" else raw(site)
    return StreamingResponse(
        lines, media_type="application/x-ndjson", headers={"Content-Disposition": f'attachment; filename="{key}.jsonl"'}
    )


def raw(site: Site) -> Iterator[str]:
    for event in events_of(site.store, 0):
        yield json.dumps(event, ensure_ascii=False) + "\n"


def link_of(site: Site, request: Request, person: Person) -> dict[str, object]:
    """An invitation, under the address by which the admin came."""
    token = site.signer.sign("invitation", Claim(person.name, person.keys))
    scheme = "https" if site.secure else request.url.scheme
    url = f"{scheme}://{request.url.netloc}/join/{token}"
    return {"name": person.name, "url": url, "days": LASTS["invitation"] // 86400}


def people_page(site: Site, me: Visitor, fault: str = "", link: dict[str, object] | None = None) -> Response:
    done = site.store.annotators()
    rows = [
        {
            "name": p.name,
            "role": p.role,
            "expertise": ", ".join(p.expertise),
            "done": done.get(p.name, 0),
            "state": standing(p),
            "active": p.active,
            "accepted": p.accepted,
        }
        for p in site.people.everyone()
    ]
    return admin_page(
        site,
        me,
        "people",
        "People",
        people=rows,
        link=link,
        screened=site.study.screening is not None,
        fault=fault,
        status=400 if fault else 200,
    )


def standing(person: Person) -> str:
    """How a person stands, in a word."""
    if not person.active:
        return "revoked"
    return {True: "accepted", False: "declined", None: "in"}[person.accepted]


def admin_page(site: Site, me: Visitor, name: str, headline: str, status: int = 200, **values: object) -> Response:
    """A page with the tabs of administration."""
    path = "/admin" if name == "state" else f"/admin/{name}"
    tabs = TABS if site.study.screening is None else (*TABS[:2], SCREENING, *TABS[2:])
    common = {"headline": headline, "tabs": tabs, "tab_here": path}
    return rendered(site, me, f"admin/{name}.jinja", "/admin", status, {**common, **values})
