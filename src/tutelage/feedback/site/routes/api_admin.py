"""The interface for programs of whoever runs the study: what the admin's pages do, with an admin's token.

Each does the same as its page, through the same calls, and is logged as the same action. Exports are at /api/export.
"""

from math import isfinite
from typing import Literal

from fastapi import APIRouter, Depends, Request, Response
from pydantic import BaseModel, Field

from tutelage.core.errors import UserError
from tutelage.core.statistics import Estimate
from tutelage.feedback.agreement.tables import hours_csv
from tutelage.feedback.site.routes.admin import link_of
from tutelage.feedback.site.safe import storable
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.site.visitors import BEARER, Program, Visitor
from tutelage.feedback.study.people import Person, Role


def only_admins(me: Program) -> Visitor:
    """NotAllowed for anybody else."""
    me.may("admin")
    return me


router = APIRouter(prefix="/api/admin", dependencies=[BEARER, Depends(only_admins)])


class Somebody(BaseModel):
    """One who takes part."""

    name: str
    role: Role
    expertise: list[str]
    active: bool
    accepted: bool | None = Field(description="After the screening; null: not decided.")
    opt_out: list[str]
    annotations: int


class Invitation(BaseModel):
    """Whom to invite."""

    name: str = Field("", max_length=64, description="A pseudonym; empty: the next that is free.")
    role: Role = "annotator"
    expertise: list[str] = Field(default_factory=list, max_length=50)


class Invited(BaseModel):
    """Somebody's link; treat it as a password."""

    name: str
    url: str
    days: int


class Change(BaseModel):
    """What is done about somebody: new keys, access withdrawn or given back, the decision after the screening."""

    do: Literal["renew", "revoke", "restore", "accept", "decline"]


class AskedQuestion(BaseModel):
    """A question and what was replied."""

    question: str
    person: str
    about: str = Field(description="How the prompt of the item ends.")
    at: float
    text: str
    replies: list[str]


class Reply(BaseModel):
    """An answer to a question."""

    text: str = Field(min_length=1, max_length=5000)


class Figure(BaseModel):
    """A share with its 95 % interval."""

    mean: float
    low: float | None = Field(description="null: too little is known.")
    high: float | None


class PersonFigures(BaseModel):
    """One person's figures."""

    name: str
    annotations: int
    hours: float
    seconds: float | None = Field(description="Median of an answer.")
    agreement: Figure | None = Field(description="With others.")
    reliability: Figure | None = Field(description="Right, by Dawid-Skene.")
    consistency: Figure | None = Field(description="The same when asked again.")


class State(BaseModel):
    """Where the study stands."""

    first_line: str
    people: list[PersonFigures]


class Logged(BaseModel):
    """One action of an admin."""

    number: int
    at: float
    by: str
    action: str
    about: str
    detail: str


def somebody(site: Site, one: Person) -> Somebody:
    return Somebody(
        name=one.name,
        role=one.role,
        expertise=list(one.expertise),
        active=one.active,
        accepted=one.accepted,
        opt_out=list(one.opt_out),
        annotations=site.store.annotators().get(one.name, 0),
    )


@router.get("/people")
def people(site: Here) -> list[Somebody]:
    """Everybody who takes part."""
    return [somebody(site, one) for one in site.people.everyone()]


@router.post("/people")
def invite(site: Here, me: Program, given: Invitation, request: Request) -> Invited:
    """Somebody new, and their link."""
    person = site.people.invite(me.name, storable(given.name.strip()), given.role, [storable(word) for word in given.expertise])
    return Invited.model_validate(link_of(site, request, person))


@router.post("/people/{name}/link")
def link(site: Here, me: Program, name: str, request: Request) -> Invited:
    """A link for somebody; those from before stay good."""
    person = site.people.find(name)
    site.people.note(me.name, "link", name)
    return Invited.model_validate(link_of(site, request, person))


@router.post("/people/{name}")
def change(site: Here, me: Program, name: str, given: Change) -> Somebody:
    """Change what somebody may do; it counts at once."""
    if given.do in ("accept", "decline"):
        site.people.decide(me.name, name, given.do == "accept")
    else:
        {"renew": site.people.renew, "revoke": site.people.revoke, "restore": site.people.restore}[given.do](me.name, name)
    site.forget()
    return somebody(site, site.people.find(name))


@router.get("/questions")
def questions(site: Here) -> list[AskedQuestion]:
    """What people asked, latest first."""
    return [
        AskedQuestion(question=t.submit, person=t.person, about=site.desk.words(t.item), at=t.at, text=t.text, replies=list(t.replies))
        for t in site.desk.questions()
    ]


@router.post("/questions/{question}", status_code=204)
def reply(site: Here, me: Program, question: str, given: Reply) -> None:
    """An answer to one; whoever asked finds it in their history."""
    site.desk.reply(me.name, question, storable(given.text))


@router.get("/state")
def state(site: Here) -> State:
    """Where the study stands, a few seconds old at most."""
    found, _ = site.figures.now()
    rows = [
        PersonFigures(
            name=one.name,
            annotations=one.annotations,
            hours=one.hours,
            seconds=one.seconds.mean if one.seconds else None,
            agreement=figure(one.agreement),
            reliability=figure(one.reliability),
            consistency=figure(one.consistency),
        )
        for one in found.people
    ]
    return State(first_line=found.first_line(), people=rows)


def figure(given: Estimate | None) -> Figure | None:
    if given is None:
        return None
    low, high = (end if isfinite(end) else None for end in (given.low, given.high))
    return Figure(mean=given.mean, low=low, high=high)


@router.get("/hours.csv", response_class=Response, responses={200: {"content": {"text/csv": {}}}})
def hours(site: Here, me: Program) -> Response:
    """Hours per person as CSV, for pay."""
    site.people.note(me.name, "export", "hours", "by token")
    found, _ = site.figures.now()
    return Response(hours_csv(found.people, site.study.pay_per_hour), media_type="text/csv")


@router.get("/log")
def log(site: Here, after: int = 0) -> list[Logged]:
    """What admins did, in order, from the line after a number."""
    if after < 0:
        raise UserError("`after` is the number of a line, 0 or more.")
    return [Logged(number=a.number, at=a.at, by=a.by, action=a.action, about=a.about, detail=a.detail) for a in site.people.log(after)]
