"""Who a request is from: a session's cookie on pages, a bearer token in the interface for programs; and what their role may do."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Response, Security
from fastapi.security import HTTPBearer

from tutelage.core.errors import UserError
from tutelage.feedback.site.forms import Form, Sent
from tutelage.feedback.site.signing import LASTS, Claim, Refused, new_visit
from tutelage.feedback.site.site import Here, Site
from tutelage.feedback.study.people import Person

STALE = "This form is not from a page of ours, or from before you signed in. Go back, load the page anew and send it again."
OUTDATED = "You have signed in anew since this was written. Here it is as it came; send it again."


class SignedOut(Exception):
    """Nobody is signed in; one sentence says what to do."""


class NotAllowed(Exception):
    """Somebody is signed in, whose role may not do this."""


class Outdated(NotAllowed):
    """A form without the session's proof; `proof`, where it is of an item of the person's own, is what it lacks.

    An item's reference is made for one person and no other site can know it, so such a form came from a page of ours in an earlier
    session; and the person sees what it holds before they send it again."""

    def __init__(self, proof: str) -> None:
        super().__init__(OUTDATED if proof else STALE)
        self.proof = proof


class TooOften(Exception):
    """The rate is used up for so many seconds."""

    def __init__(self, wait: float) -> None:
        super().__init__(f"Too many requests at once. Wait {max(1, round(wait))} seconds and go on.")
        self.wait = wait


@dataclass(frozen=True)
class Visitor:
    """Somebody in a session of theirs."""

    person: Person
    visit: str
    """The session's random number; empty for a program."""

    @property
    def name(self) -> str:
        return self.person.name

    def may(self, *roles: str) -> None:
        """NotAllowed unless the person has one of the roles."""
        if self.person.role not in roles:
            raise NotAllowed(f"This is for {' and '.join(f'{role}s' for role in roles)}; you are here as {self.person.role}.")


def person_of(site: Site, claim: Claim) -> Person:
    """The person of a claim whose signature is good. Refused where it is no longer."""
    try:
        person = site.person(claim.person)
    except UserError as error:
        raise Refused("There is nobody of that name in this study any more.") from error
    if not person.active or person.keys != claim.keys:
        raise Refused("This was good once, and has been replaced or withdrawn. Ask whoever runs the study for a new link.")
    return person


def visitor(request: Request, site: Here) -> Visitor:
    """Who a page's request is from. SignedOut, TooOften."""
    cookie = request.cookies.get(site.cookie, "")
    try:
        if not cookie:
            raise Refused("You are not signed in on this browser. Open the link that you were invited with.")
        claim = site.signer.read("session", cookie)
        person = person_of(site, claim)
    except Refused as refused:
        stranger(request, site, cost=1.0 if not cookie else 10.0)
        raise SignedOut(str(refused)) from refused
    _paced(site, person)
    return Visitor(person, claim.visit)


def program(request: Request, site: Here) -> Visitor:
    """Who a program's request is from. SignedOut, TooOften."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    try:
        if scheme.lower() != "bearer":
            raise Refused("Send the header 'Authorization: Bearer TOKEN'; your page 'You' makes tokens.")
        person = person_of(site, site.signer.read("token", token.strip()))
    except Refused as refused:
        stranger(request, site, cost=10.0)
        raise SignedOut(str(refused)) from refused
    _paced(site, person)
    return Visitor(person, "")


def stranger(request: Request, site: Site, cost: float) -> None:
    """Count a request of nobody known. TooOften."""
    wait = site.strangers.wait(request.client.host if request.client else "", cost)
    if wait:
        raise TooOften(wait)


def _paced(site: Site, person: Person) -> None:
    wait = site.persons.wait(person.name)
    if wait:
        raise TooOften(wait)


BEARER = Security(HTTPBearer(auto_error=False, description="A token from the page 'You'."))
"""Says in /openapi.json how a program shows who it is; `program` is what looks."""
Me = Annotated[Visitor, Depends(visitor)]
Program = Annotated[Visitor, Depends(program)]


def from_our_page(site: Here, me: Me, form: Sent) -> Form:
    """A form that carries the session's proof. Outdated for any other."""
    if not site.signer.is_form(me.visit, form.get("proof")):
        raise Outdated(site.signer.form(me.visit) if _of_theirs(site, me, form) else "")
    return form


def _of_theirs(site: Site, me: Visitor, form: Form) -> bool:
    """Whether a form is about an item as this person's own pages name it."""
    try:
        return bool(site.signer.seek(me.name, form.get("item")))
    except Refused:
        return False


Ours = Annotated[Form, Depends(from_our_page)]


def sign_in(site: Site, person: Person, answer: Response) -> None:
    """Begin a session of its own."""
    said = site.signer.sign("session", Claim(person.name, person.keys, new_visit()))
    answer.set_cookie(site.cookie, said, LASTS["session"], httponly=True, samesite="lax", secure=site.secure, path="/")


def sign_out(site: Site, answer: Response) -> None:
    """End the session on this browser."""
    answer.delete_cookie(site.cookie, httponly=True, samesite="lax", secure=site.secure, path="/")
