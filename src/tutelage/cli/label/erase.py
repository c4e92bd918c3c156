"""`tutelage label erase`: empty all that one person said, and name what was made from it."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.cli.label.links import HERE, ready
from tutelage.feedback.consumers import Consumer, consumers


def command(
    study: Annotated[Path, typer.Argument(help="The study's page, study.yaml.")],
    name: Annotated[str, typer.Argument(help="A pseudonym.")],
    runs: Annotated[
        list[Path] | None,
        typer.Option("--run", help="A run that may have learnt from it; all in runs/ if not given."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without, only say what would be done.")] = False,
) -> None:
    """Erase what NAME said, for good. Tombstones stay in the place of their events."""
    opened = ready(study)
    opened.people.check(name)
    held = opened.store.annotators().get(name, 0)
    made = consumers(
        runs if runs is not None else sorted(path.parent for path in Path("runs").glob("*/manifest.json")), name, opened.store.id
    )
    if not yes:
        screen.say(f"{name} has {held:,} annotations; with --yes they are emptied for good. Models that learnt from them are not changed.")
        tell(made)
        return
    found = opened.people.erase(HERE, name)
    screen.say(f"{name} is {found.name} now; {found.events:,} events are empty, {len(found.annotations):,} annotations gone.")
    if any(member.name == name for member in opened.study.people):
        screen.say(f"  Take {name} out of people in {study}: a page that names somebody who was erased isn't opened.")
    opened.desk.close()
    tell(made)


def tell(made: list[Consumer]) -> None:
    """What was made from it and is still there."""
    for one in made:
        how = f"{one.annotations:,} of them" if one.annotations else "by way of another"
        how += "" if one.sure else "; known by the name alone, for it doesn't say of which study"
        screen.say(f"  {one.run} {one.stage} {one.hash[:12]} was made from it ({how}){'' if one.current else ', not current'}")
