"""`tutelage label invite`: somebody new, or a new link for somebody who is there; who was revoked is let in again."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from tutelage.cli import screen
from tutelage.cli.label.links import HERE, ready, url_of


def command(
    study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")],
    names: Annotated[list[str] | None, typer.Argument(help="Pseudonyms; none: the next ann-01, ann-02, ...")] = None,
    role: Annotated[Literal["annotator", "reviewer", "admin"], typer.Option(help="Of those who are new.")] = "annotator",
    expertise: Annotated[list[str] | None, typer.Option(help="What they may judge besides; may be repeated.")] = None,
    url: Annotated[str, typer.Option(help="The address by which people come.")] = "",
    port: Annotated[int, typer.Option(help="The site's port, where there is no --url.")] = 8017,
    token: Annotated[bool, typer.Option("--token", help="A token for programs in the place of a link.")] = False,
) -> None:
    """Print an invitation link for each name; a link is good for 14 days. Somebody who was revoked is let in again."""
    opened = ready(study)
    base = url_of(url, "127.0.0.1", port)
    there = {person.name: person for person in opened.people.everyone()}
    for name in names or [""]:
        who = name if name in there else opened.people.invite(HERE, name, role, tuple(expertise or ())).name
        if name in there and not there[name].active:
            opened.people.restore(HERE, name)
            screen.say(f"{name} was revoked, and may come in again.")
        screen.say(f"{who}: {opened.sign('token', who) if token else opened.link(base, who)}")
    opened.desk.close()
