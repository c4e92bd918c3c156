"""The site of one study as a FastAPI app: routes, guards, faults in words, and a thread that tells webhooks."""

from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles

from tutelage.feedback.site import problems
from tutelage.feedback.site.guard import Guard
from tutelage.feedback.site.pages import COMMANDS, Pages, static_path
from tutelage.feedback.site.routes import admin, api, own, work
from tutelage.feedback.site.signing import Signer
from tutelage.feedback.site.site import Site
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.people import People
from tutelage.feedback.study.study import Study


def build(study: Study, store: Store, desk: Desk, secret: str, secure: bool = False) -> FastAPI:
    """The app; `secure` where people come by https."""
    pages = Pages(study.title, {**COMMANDS, **study.keys})
    site = Site(study, store, desk, People(study, store, desk.clock), Signer(secret), pages, secure, clock=desk.clock)
    app = FastAPI(title=study.title, description=api.ABOUT, docs_url=None, redoc_url=None)
    app.state.site = site
    for routes in (work, own, admin, api):
        app.include_router(routes.router)
    app.mount(static_path(), Kept(directory=Path(str(files("tutelage.feedback.site") / "static"))))
    problems.add_to(app)
    app.add_middleware(Guard, refuse=problems.too_large)
    return app


class Kept(StaticFiles):
    """Files whose path holds their hash: a browser fetches each once."""

    def file_response(self, *given: Any) -> Response:
        answer = super().file_response(*given)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer
