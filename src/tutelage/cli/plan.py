"""`tutelage plan`: what a run would do, before it does it."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.recipes import base
from tutelage.recipes import plan as planning
from tutelage.recipes import recipe as recipes
from tutelage.recipes.forecast import show


def command(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe or a file ending in .yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="Settings, by their path.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/RECIPE if not given.")] = None,
    rehearse: Annotated[bool, typer.Option(help="Measure the stages in miniature here, some seconds; else by arithmetic.")] = True,
    processes: Annotated[int, typer.Option(min=1, help="For so many under torchrun, one for each GPU; by arithmetic.")] = 1,
    offline: screen.Offline = False,
) -> None:
    """Show what would run and why, with estimates of tokens, time and memory."""
    checked = recipes.load(recipe, overrides or [])
    out = out or Path("runs") / checked.name
    checked = base.looked_up(checked, out, screen.note)
    rows = planning.forecast(checked, out, rehearsing=rehearse, say=screen.note, processes=processes if processes > 1 else 0)
    screen.out.print(show.table(rows))
    if processes > 1:
        screen.out.print(f"memory: of each of {processes} processes; time: as if none ever waited for another")
    for line in show.notes(rows):
        screen.out.print(line)
    for row in rows:
        if row.remark:
            screen.notes.print(row.remark, soft_wrap=True, markup=False)
    planning.check_memory(checked, rows)
