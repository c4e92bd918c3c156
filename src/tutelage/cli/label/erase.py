"""`tutelage label erase`: empty all that one person said, and name what was made from it."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.cli.label.links import HERE, ready


def command(
    study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")],
    name: Annotated[str, typer.Argument(help="A pseudonym.")],
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
) -> None:
    """Erase what NAME said, for good. Tombstones stay in the place of their events."""
    opened = ready(study)
    opened.people.find(name)
    held = opened.store.annotators().get(name, 0)
    if not yes:
        screen.say(f"{name} has {held:,} annotations; with --yes they are emptied for good. Models that learnt from them are not changed.")
        return
    found = opened.people.erase(HERE, name)
    screen.say(f"{name} is {found.name} now; {found.events:,} events are empty, {len(found.annotations):,} annotations gone.")
    opened.desk.close()
