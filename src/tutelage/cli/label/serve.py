"""`tutelage label study.yaml`: the labelling site of a study, until Ctrl-C."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.cli.label.links import ready, url_of
from tutelage.feedback.site.address import Address


def command(
    study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")],
    host: Annotated[str, typer.Option(help="The address to listen on; 0.0.0.0 for other machines.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="The port; 0 takes a free one.")] = 8017,
    url: Annotated[str, typer.Option(help="The address by which people come, where it is another: https://label.example.org")] = "",
) -> None:
    """Open the labelling site of STUDY and print an admin's link."""
    import uvicorn

    from tutelage.feedback.site.app import build
    from tutelage.feedback.site.serving import bound, leaving
    from tutelage.feedback.site.signing import secret_of

    opened = ready(study)
    listening = bound(Address(host, port))
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
