"""Pages: Jinja templates, everything escaped unless `safe.py` made it; links to files that may be kept for ever, since their path
holds their hash.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from starlette.responses import HTMLResponse

NOTHING: Mapping[str, Any] = {
    "person": None,
    "progress": None,
    "fault": "",
    "told": "",
    "proof": "",
    "here": "",
    "pages": (),
    "again": None,
    "wrote": {},
    "how": "",
}


@dataclass(frozen=True)
class Pages:
    """Renders templates for one study."""

    title: str
    commands: Mapping[str, str]
    """{what a key does: the key}."""
    _environment: Environment = field(default_factory=lambda: _environment())

    def render(self, name: str, status: int, values: Mapping[str, Any]) -> HTMLResponse:
        """A page. `values` are what its template shows, beside what every page has."""
        context = {**NOTHING, "study": self.title, "commands": self.commands, "meanings": MEANINGS, "static": static_path(), **values}
        return HTMLResponse(self._environment.get_template(name).render(context), status)


MEANINGS: Mapping[str, str] = {
    "undo": "undo the last answer",
    "skip": "skip this one",
    "flags": "flags of that response",
    "guideline": "open or close the guideline",
    "columns": "long responses side by side",
    "ask": "ask whoever runs the study",
    "help": "this sheet",
}


@cache
def static_path() -> str:
    """Where the site's own files are: /static/HASH."""
    folder = files("tutelage.feedback.site") / "static"
    content = b"".join(file.name.encode() + file.read_bytes() for file in sorted(folder.iterdir(), key=lambda f: f.name) if file.is_file())
    return f"/static/{hashlib.sha256(content).hexdigest()[:12]}"


def when(at: float) -> str:
    """A moment for lists, in UTC."""
    return datetime.fromtimestamp(at, UTC).strftime("%d %b %Y, %H:%M UTC")


def _environment() -> Environment:
    loader = PackageLoader("tutelage.feedback.site", "templates")
    made = Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True, auto_reload=False)
    made.filters["number"] = _number  # pyright: ignore[reportUnknownMemberType]
    return made


@dataclass(frozen=True)
class Link:
    """A place to go."""

    name: str
    path: str


def navigation(role: str) -> tuple[Link, ...]:
    """What stands in the bar."""
    everybody = (Link("Work", "/"), Link("Your answers", "/history"), Link("Guideline", "/guideline"), Link("You", "/me"))
    return (*everybody, Link("Admin", "/admin")) if role == "admin" else everybody


def _number(value: float) -> str:
    return f"{value:g}"
