"""What goes wrong, said to the person: a page in words, or the same sentence as JSON; never a trace, never a lost answer.

What was written in a form that is refused stands on the page that refuses it. Where the database is away while an answer comes in, or
the person's session is over, the page that says so holds the answer and sends it again, under the same token, so that nothing is stored
twice. The form may have been refused before anybody read it, so whoever answers a fault reads it.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Any

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from sqlalchemy.exc import SQLAlchemyError
from starlette.exceptions import HTTPException
from starlette.responses import JSONResponse

from tutelage.core.errors import Interrupted, UserError
from tutelage.feedback.site.forms import Form, read_form
from tutelage.feedback.site.guard import LARGEST, Receive, Scope, Send
from tutelage.feedback.site.signing import Refused
from tutelage.feedback.site.site import site_of
from tutelage.feedback.site.visitors import NotAllowed, Outdated, SignedOut, TooOften
from tutelage.feedback.study.arrival import Used

AWAY = "The database can't be reached, so nothing was stored. Try again in a moment; if it goes on, tell whoever runs the study."
TEXTS = ("text", "note", "reason")
NOTHING_WRITTEN: Mapping[str, str] = {}
BACK = "Open your invitation link in another tab and press Start there; then come back to this page and send it again."
log = logging.getLogger("tutelage.site")

Answers = Callable[[Request, Exception], Response]


def add_to(app: FastAPI) -> None:
    """Answer each kind of fault."""
    answers: Mapping[type[Exception], Answers] = {
        UserError: lambda request, error: refused(request, 400, "That didn't work", error),
        Used: lambda request, error: refused(request, 409, "That didn't work", error),
        Refused: lambda request, error: refused(request, 403, "This doesn't open anything", error),
        SignedOut: signed_out,
        Outdated: outdated,
        NotAllowed: lambda request, error: refused(request, 403, "Not allowed", error),
        TooOften: too_often,
        Interrupted: away,
        SQLAlchemyError: away,
        RequestValidationError: unreadable,
        HTTPException: http,
    }
    for kind, answer in answers.items():
        app.add_exception_handler(kind, having_read(answer))


def having_read(answer: Answers) -> Callable[[Request, Exception], Awaitable[Response]]:
    """The answer to a fault, after the form was read, where one came and nobody has read it yet."""

    async def answered(request: Request, error: Exception) -> Response:
        if request.method == "POST" and posted(request) is None and not request.url.path.startswith("/api/"):
            with suppress(UserError):  # no form, so nothing was written in it
                await read_form(request)
        return answer(request, error)

    return answered


def refused(request: Request, status: int, headline: str, error: Exception) -> Response:
    """What can't be done, with what was written for it."""
    return say(request, status, headline, str(error), wrote=written(posted(request)))


def signed_out(request: Request, error: Exception) -> Response:
    """Nobody is signed in any more: what was written stays on the page, which sends it when somebody is."""
    form = posted(request)
    wrote = written(form)
    again = form if wrote and form and "item" in form.values else None
    return say(request, 401, "You are not signed in", str(error), again, wrote, BACK if again else "")


def outdated(request: Request, error: Exception) -> Response:
    """A form of the time before somebody signed in: theirs to send again, where it is of an item of theirs."""
    form, proof = posted(request), getattr(error, "proof", "")
    again = Form({**form.values, "proof": proof}, form.several) if form and proof else None
    return say(request, 403, "Not stored yet" if again else "Not allowed", str(error), again, written(form))


def posted(request: Request) -> Form | None:
    """The form of a POST, where it was read."""
    return getattr(request.state, "form", None) if request.method == "POST" else None


def written(form: Form | None) -> dict[str, str]:
    """The fields of a form that somebody wrote or picked: those of a question, and texts beside it."""
    values: Mapping[str, str] = form.values if form else {}
    return {name: value for name, value in values.items() if value.strip() and ("." in name or name in TEXTS)}


def say(
    request: Request,
    status: int,
    headline: str,
    sentence: str,
    again: Form | None = None,
    wrote: Mapping[str, str] = NOTHING_WRITTEN,
    how: str = "",
) -> Response:
    """One sentence, as a page or as JSON. The page shows what somebody `wrote`, and sends the form `again`, after doing `how` says."""
    if request.url.path.startswith("/api/") or "application/json" in request.headers.get("accept", ""):
        return JSONResponse({"error": sentence}, status)
    values = {
        "headline": headline,
        "sentence": sentence,
        "again": again and {"path": request.url.path, "values": again.values},
        "wrote": wrote,
        "how": how,
    }
    return site_of(request).pages.render("problem.jinja", status, values)


def away(request: Request, error: Exception) -> Response:
    """The database is away: nothing is lost that the page still holds."""
    # The path as the route spells it: one that was asked for may hold a link that is good; and of an error no values of a statement.
    asked = getattr(request.scope.get("route"), "path", "a page that there isn't")
    log.error("%s %s: %s", request.method, asked, getattr(error, "orig", None) or error)
    answer = say(request, 503, "Not saved yet", AWAY, posted(request))
    answer.headers["Retry-After"] = "5"
    return answer


def too_often(request: Request, error: Exception) -> Response:
    form = posted(request)
    wrote = written(form)
    answer = say(request, 429, "A little slower, please", str(error), form if wrote else None, wrote)
    answer.headers["Retry-After"] = str(max(1, round(getattr(error, "wait", 1.0))))
    return answer


def unreadable(request: Request, error: Exception) -> Response:
    """A program sent something of another form: the field, and what would be right."""
    faults: list[Any] = list(error.errors()) if isinstance(error, RequestValidationError) else []
    said = "; ".join(f"{'.'.join(str(part) for part in fault['loc'])}: {fault['msg']}" for fault in faults[:5])
    return say(request, 422, "That can't be read", said)


def http(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    headline, sentence = {
        404: ("There is no such page", "The address leads nowhere. Go back to your work."),
        405: ("Not that way", "This address can't be asked like that."),
    }.get(status, ("That didn't work", str(getattr(error, "detail", ""))))
    return say(request, status, headline, sentence, wrote=written(posted(request)))


async def broken(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the answer where something raised that nobody foresaw."""
    request = Request(scope)
    said = say(request, 500, "A fault of ours", "It is noted. Nothing that was saved is lost.", wrote=written(posted(request)))
    await said(scope, receive, send)


async def foreign(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the answer to a POST from another site's page."""
    sentence = "This was sent by a page of another site. If you meant it, open our own page and do it there."
    await say(Request(scope), 403, "Not from here", sentence)(scope, receive, send)


async def too_large(scope: Scope, receive: Receive, send: Send) -> None:
    """ASGI: the answer to a body above LARGEST."""
    answer = say(Request(scope), 413, "Too large", f"At most {LARGEST >> 20} MB can be sent at once; this was more. Nothing was stored.")
    await answer(scope, receive, send)
