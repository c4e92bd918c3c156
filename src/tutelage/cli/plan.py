"""`tutelage plan`: what a run would do, before it does it."""

from pathlib import Path
from typing import Annotated

import typer

from tutelage.cli import screen
from tutelage.recipes import plan as planning
from tutelage.recipes import recipe as recipes


def command(
    recipe: Annotated[str, typer.Argument(help="A built-in recipe or a file ending in .yaml.")],
    overrides: Annotated[list[str] | None, typer.Argument(metavar="[PATH=VALUE]...", help="Settings, by their path.")] = None,
    out: Annotated[Path | None, typer.Option(help="The run directory; runs/RECIPE if not given.")] = None,
) -> None:
    """Show what would run and why, with estimates of tokens, time and memory."""
    checked = recipes.load(recipe, overrides or [])
    rows = planning.forecast(checked, out or Path("runs") / checked.name)
    screen.out.print(planning.table(rows))
    for row in rows:
        if row.remark:
            screen.notes.print(row.remark, soft_wrap=True, markup=False)
    planning.check_memory(checked, rows)
