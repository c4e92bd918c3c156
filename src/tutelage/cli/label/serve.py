"""`tutelage label study.yaml`: the labelling site of a study, until Ctrl-C."""

import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from tutelage.cli import screen
from tutelage.cli.label.links import ready, url_of
from tutelage.core.errors import Interrupted
from tutelage.feedback.study.study import Webhook


def command(
    study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8017,
    url: Annotated[str, typer.Option(help="The address by which people come, where it is another: https://label.example.org")] = "",
) -> None:
    """Open the labelling site of STUDY and print an admin's link."""
    import uvicorn

    from tutelage.feedback.site.app import build
    from tutelage.feedback.site.signing import secret_of

    opened = ready(study)
    listening = listen(host, port)
    base = url_of(url, host, listening.getsockname()[1])
    app = build(opened.study, opened.store, opened.desk, secret_of(study), secure=base.startswith("https://"))
    screen.say(f"{opened.study.title}: {base}")
    for name in opened.admins():
        screen.say(f"{name} (admin): {opened.link(base, name)}")
    for line in leaving(opened.study.webhooks):
        screen.say(line)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", proxy_headers=True, timeout_graceful_shutdown=5))
    try:
        server.run(sockets=[listening])
    finally:
        listening.close()
        opened.desk.close()


def leaving(hooks: Iterable[Webhook]) -> list[str]:
    """What leaves this machine, and where it goes."""
    return [f"webhook: {', '.join(hook.events)} with prompts, responses and answers go to {urlsplit(hook.url).netloc}" for hook in hooks]


def listen(host: str, port: int) -> socket.socket:
    """The port, taken at once: a second server must not find out after its database is open."""
    listening = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((host, port))
    except OSError as error:
        listening.close()
        raise Interrupted(f"{host}:{port}: {error.strerror}; give another port, or 0 for a free one: --port 0") from error
    return listening
