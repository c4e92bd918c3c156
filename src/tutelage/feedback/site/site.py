"""What the site's parts share: the study and its desk, the secret, pages, rates."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Annotated

from fastapi import Depends, Request

from tutelage.feedback.site.pages import Pages
from tutelage.feedback.site.rates import Rates
from tutelage.feedback.site.safe import Shown, shown
from tutelage.feedback.site.signing import Signer
from tutelage.feedback.site.state import Figures
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.people import People, Person
from tutelage.feedback.study.study import Study

KNOWN = 1.0
"""Seconds for which somebody's role and keys are held: every request asks for them, and they hardly ever change. What an admin does on
the site counts at once; what is done by command, after these."""


@dataclass(frozen=True)
class Site:
    """One study's site."""

    study: Study
    store: Store
    desk: Desk
    people: People
    signer: Signer
    pages: Pages
    figures: Figures
    secure: bool = False
    """Whether people come by https."""
    persons: Rates = field(default_factory=lambda: Rates(rate=50, burst=200))
    """Requests of one person, per second: hands make two."""
    strangers: Rates = field(default_factory=lambda: Rates(rate=5, burst=240))
    """Requests without a session, per address; one that fails costs ten."""
    clock: Callable[[], float] = time.time

    _known: dict[str, tuple[float, Person]] = field(default_factory=dict[str, tuple[float, Person]])

    def person(self, name: str) -> Person:
        """Somebody who takes part. UserError for a name that nobody has."""
        at, person = self._known.get(name, (0.0, None))
        if person is None or time.monotonic() - at > KNOWN:
            person = self.people.find(name)
            self._known[name] = (time.monotonic(), person)
        return person

    def forget(self) -> None:
        """People have changed."""
        self._known.clear()

    @property
    def cookie(self) -> str:
        """The session cookie's name: browsers share cookies between ports, so studies on one machine need names of their own."""
        name = f"tutelage-{sha256(self.signer.form('cookie').encode()).hexdigest()[:8]}"
        return f"__Host-{name}" if self.secure else name

    @property
    def guideline(self) -> Shown | None:
        text = self.study.guideline.text
        return shown(text) if text else None


def site_of(request: Request) -> Site:
    """The site that a request came to."""
    site: Site = request.app.state.site
    return site


Here = Annotated[Site, Depends(site_of)]
