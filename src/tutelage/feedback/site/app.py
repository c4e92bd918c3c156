"""The site of one study as a FastAPI app: routes, guards, faults in words, and a thread that tells webhooks."""

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from importlib.resources import files
from pathlib import Path

from anyio import to_thread
from fastapi import FastAPI, Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from tutelage.feedback.site import problems
from tutelage.feedback.site.guard import Guard
from tutelage.feedback.site.pages import Pages, static_path
from tutelage.feedback.site.routes import admin, api, api_admin, own, screening, work
from tutelage.feedback.site.signing import Signer
from tutelage.feedback.site.site import Site
from tutelage.feedback.site.state import Figures
from tutelage.feedback.site.webhooks import Hook, Sender
from tutelage.feedback.store import Store
from tutelage.feedback.study.desk import Desk
from tutelage.feedback.study.keys import COMMANDS
from tutelage.feedback.study.people import People
from tutelage.feedback.study.study import Study


def build(study: Study, store: Store, desk: Desk, secret: str, secure: bool = False) -> FastAPI:
    """The app; `secure` where people come by https."""
    pages = Pages(study.title, {**COMMANDS, **study.keys})
    signer = Signer(secret, desk.longest())
    figures = Figures(study, store, desk)
    site = Site(study, store, desk, People(study, store, desk.clock), signer, pages, figures, secure, clock=desk.clock)
    app = FastAPI(title=study.title, description=api.ABOUT, docs_url=None, redoc_url=None, lifespan=telling)
    app.state.site = site
    for routes in (work, own, admin, screening, api, api_admin):
        app.include_router(routes.router)
    app.mount(static_path(), Kept(directory=Path(str(files("tutelage.feedback.site") / "static"))))
    problems.add_to(app)
    app.add_middleware(Guard, too_large=problems.too_large, foreign=problems.foreign, broken=problems.broken)
    return app


@asynccontextmanager
async def telling(app: FastAPI) -> AsyncGenerator[None]:
    """While the app runs, webhooks are told what happens."""
    site: Site = app.state.site
    hooks = [Hook(hook.url, site.signer.hook(hook.url), tuple(hook.events)) for hook in site.study.webhooks]
    senders = [Sender(hook, site.store, site.desk.database, problems.log.warning) for hook in hooks]
    for sender in senders:
        sender.start()
    yield
    for sender in senders:
        await to_thread.run_sync(sender.stop)


class Kept(StaticFiles):
    """Files whose path holds their hash: a browser fetches each once."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        answer = await super().get_response(path, scope)
        answer.headers["Cache-Control"] = "public, max-age=31536000, immutable"
        return answer
